"""The memory of an emulated GPU: what lives in it, and when it runs out."""

import torch

GRAIN = 512  # bytes; CUDA's allocator hands out multiples of them
GIB = 2**30


class Memory:
    """Counts the bytes of living tensors.

    Tests play a small or full GPU by its fields: `total`, what others have taken of it, a `limit` for the tensors, and
    the number of the allocation that fails.
    """

    def __init__(self) -> None:
        self.total = 141 * GIB
        self.taken_by_others = GIB  # what `mem_get_info` finds gone beside this process's memory
        self.limit: int | None = None  # bytes of living tensors; None: what is left of `total`
        self.fail_at: int | None = None  # 1: the next allocation fails, and no later one
        self.allocated = 0  # bytes of living tensors
        self.peak = 0  # most of them at once
        self.high = 0  # likewise since a capture began
        self.pooled = 0  # bytes that the pools of recorded graphs hold, beside living tensors

    @property
    def reserved(self) -> int:
        """Bytes that PyTorch holds: those of tensors and those of graphs."""
        return self.allocated + self.pooled

    @property
    def free(self) -> int:
        """Bytes that the driver could still hand out."""
        return max(self.total - self.taken_by_others - self.reserved, 0)

    def snapshot(self) -> list[dict[str, object]]:
        """Of `torch.cuda.memory_snapshot` what the project reads."""
        sizes = {(0, 0): (self.allocated, self.allocated), (0, 1): (self.pooled, 0)}
        return [
            {"device": 0, "segment_pool_id": pool, "total_size": total, "allocated_size": allocated}
            for pool, (total, allocated) in sizes.items()
        ]

    def allocate(self, size: int) -> "Block":
        """Takes ``size`` bytes, or raises `torch.OutOfMemoryError`."""
        size = -(-size // GRAIN) * GRAIN
        if self.fail_at is not None:
            self.fail_at -= 1
        limit = self.total - self.taken_by_others - self.pooled if self.limit is None else self.limit
        if self.fail_at == 0 or self.allocated + size > limit:
            self.fail_at = None if self.fail_at == 0 else self.fail_at
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {size:,} bytes (emulated: {self.allocated:,} bytes in use)"
            )
        self.allocated += size
        self.peak = max(self.peak, self.allocated)
        self.high = max(self.high, self.allocated)
        return Block(self, size)


class Block:
    """A piece of memory, shared by a tensor and its views; given back with the last of them."""

    __slots__ = ("memory", "size")

    def __init__(self, memory: Memory, size: int) -> None:
        self.memory, self.size = memory, size

    def __del__(self) -> None:
        self.memory.allocated -= self.size
