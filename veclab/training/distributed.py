"""The processes that train one run together, as torchrun starts them.

Every process holds the whole state of the run. It plays its share of the games, gets the examples of all, and brings
the gradient of its share of each batch; so all take the same steps as one process would. Process 0, the leader, owns
the run's folder and the display. A single process is a group of one, for which nothing here costs anything.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from veclab.command_line import called
from veclab.cores import cores

# A collective waits this long for the slowest process's games. One that died is noticed at once, by its connection.
TIMEOUT = timedelta(hours=6)
START = timedelta(minutes=10)  # until all processes have started


class LostProcessError(ConnectionError):
    """Another process of the job is gone."""


class LeaderError(ValueError):
    """The leader could not do what it was asked for, and has said why."""


@dataclass(frozen=True)
class Group:
    """This process's place among ``size``."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among the ``local_size`` of this machine
    local_size: int = 1

    @property
    def leader(self) -> bool:
        return self.rank == 0

    @property
    def label(self) -> str:
        """Says for progress and errors which of several processes this is; empty for a single one."""
        return f" (process {self.rank + 1} of {self.size})" if self.size > 1 else ""

    def share(self, count: int) -> tuple[int, int]:
        """This process's part of ``count`` things, as (first, number): contiguous, sizes at most one apart."""
        first, end = (count * rank // self.size for rank in (self.rank, self.rank + 1))
        return first, end - first

    def part(self, rows: Tensor) -> Tensor:
        """This process's rows of a tensor [N, ...] that all hold; none where N is less than ``size`` can be."""
        first, number = self.share(len(rows))
        return rows[first : first + number]

    def gather(self, rows: Tensor) -> Tensor:
        """The rows [n, ...] of every process, n its own, in the order of the processes: [sum n, ...] on each."""
        if self.size == 1:
            return rows
        flat = _as_bytes(rows)
        counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(self.size)]
        with _watched():
            dist.all_gather(counts, torch.tensor([len(flat)], device=rows.device))
            counts = [int(count) for count in counts]
            parts = [flat.new_empty(max(counts)) for _ in counts]  # of one length, as the backends want it
            if max(counts):
                dist.all_gather(parts, torch.cat([flat, flat.new_zeros(max(counts) - len(flat))]))
        joined = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
        return joined.view(rows.dtype).view(-1, *rows.shape[1:])

    def sum(self, numbers: Tensor) -> Tensor:
        """The sum of a tensor over the processes, bit for bit the same on each."""
        if self.size == 1:
            return numbers
        total = numbers.clone()
        with _watched():
            dist.all_reduce(total)
        return total

    def sum_gradients(self, gradients: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Sums gradients over the processes, in place, and with the same message the loss [], which it returns."""
        if self.size == 1:
            return loss
        *flat, total = self.sum(torch.cat([*(g.flatten() for g in gradients), loss.view(1)])).split(
            [*(g.numel() for g in gradients), 1]
        )
        for gradient, summed in zip(gradients, flat, strict=True):
            gradient.copy_(summed.view_as(gradient))
        return total[0]

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any of the processes."""
        return flag if self.size == 1 else bool(self.sum(torch.tensor(int(flag))) > 0)

    def from_leader(self, make: Callable[[], object]) -> object:
        """What ``make`` returns in the leader, which must be plain JSON; only the leader calls it.

        Raises:
            ValueError, OSError: as ``make`` does in the leader; meanwhile the others get a LeaderError.
        """
        if self.size == 1:
            return make()
        if not self.leader:
            answer = json.loads(bytes(self._broadcast_bytes(None).tolist()))
            if "error" in answer:
                raise LeaderError(answer["error"])
            return answer["made"]
        try:
            made = make()
        except (ValueError, OSError) as error:
            self._broadcast_bytes(_json_bytes({"error": str(error)}))
            raise
        self._broadcast_bytes(_json_bytes({"made": made}))
        return made

    def tensors_from_leader(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The leader's tensors, by name, on the CPU of every process."""
        if self.size == 1:
            return tensors
        outline = [[name, str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in tensors.items()]
        received = {}
        for name, dtype, shape in self.from_leader(lambda: outline):
            if self.leader:
                received[name] = tensors[name].detach().cpu()
                self._broadcast_bytes(_as_bytes(received[name]))
            else:
                received[name] = self._broadcast_bytes(None).view(getattr(torch, dtype)).view(shape)
        return received

    def _broadcast_bytes(self, data: Tensor | None) -> Tensor:
        """The leader's ``data`` [n] uint8, on the CPU of every process."""
        length = torch.tensor([0 if data is None else len(data)])
        with _watched():
            dist.broadcast(length, src=0)
            data = torch.empty(int(length), dtype=torch.uint8) if data is None else data
            if len(data):
                dist.broadcast(data, src=0)
        return data


ALONE = Group()


@contextmanager
def process_group() -> Iterator[Group]:
    """The group that torchrun has started this process in, or `ALONE` where it has not.

    Tensors on a CPU are exchanged by gloo, those on GPUs by NCCL.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "MASTER_ADDR" not in os.environ:
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _watched():
        store, rank, size = next(dist.rendezvous("env://", timeout=START))
        store = dist.PrefixStore(_meet(store, rank, size), store)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    local = (int(os.environ.get(name, default)) for name, default in (("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", size)))
    yield Group(rank, size, *local)
    dist.destroy_process_group()  # not after an error: it could wait for a process that is gone


def how_to_call(group: Group) -> str:
    """How to ask for this command again, with as many processes."""
    if group.size == 1:
        return called("train")
    machines, here = group.size // group.local_size, f"--nproc-per-node={group.local_size}"
    start = "--standalone" if machines == 1 else f"--nnodes={machines}"
    script = f"{sys.argv[0]}" if Path(sys.argv[0]).name == "train.py" else "-m veclab train"
    return f"torchrun {start} {here} {script}"


def share_cores() -> None:
    """Has the processes that torchrun has started on this machine share its cores.

    It gives each of them one thread, unless OMP_NUM_THREADS is set where it is called: that stays.
    """
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if local > 1 and "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("OMP_NUM_THREADS") == "1":
        try:
            by_user = b"\0OMP_NUM_THREADS=" in b"\0" + Path(f"/proc/{os.getppid()}/environ").read_bytes()
        except OSError:  # no Linux, where nobody can tell whose it is
            by_user = False
        if not by_user:
            torch.set_num_threads(max(1, cores() // local))


def _meet(store: dist.Store, rank: int, size: int) -> str:
    """A name for this start of the job, on which the processes that are now alive agree.

    Processes that torchrun restarts find the addresses of their dead predecessors in its store, and wait for them. So
    what is in the store counts only under a name that no earlier start can have known.
    """
    token = uuid.uuid4().hex
    if rank > 0:
        store.set(f"joined/{rank}", token)
        name = store.get(f"answer/{token}").decode()  # waits
        store.set(f"heard/{name}/{rank}", "yes")
        return name
    missing = set(range(1, size))
    deadline = time.monotonic() + START.total_seconds()
    while missing:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(missing)} of {size} processes did not come")
        for other in missing:
            if store.check([f"joined/{other}"]):  # perhaps by a predecessor, who will not hear the answer
                store.set(f"answer/{store.get(f'joined/{other}').decode()}", token)
        missing = {other for other in missing if not store.check([f"heard/{token}/{other}"])}
        time.sleep(0.01)
    return token


@contextmanager
def _watched() -> Iterator[None]:
    """Turns a collective's failure into one line."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise LostProcessError(f"another process of this job has ended or cannot be reached ({reason})") from None


def _as_bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(-1).view(torch.uint8)


def _json_bytes(value: object) -> Tensor:
    return torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)
