"""Examples of searched decisions, and the buffer that keeps the newest of them on the device."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from training.distributed import Group
from vecgame.cards import DECK, SEATS, unpack_mask


@dataclass(frozen=True)
class Examples:
    """E decisions to learn from, in the frame of the mover: relative seats, trump suit first.

    F and A are the game's features and actions: 256 and 52 in Blob.
    """

    observation: Tensor  # [E, F] float16
    legal: Tensor  # [E] int64, bitboard of the legal policy columns; [E, words] with more than 52 (`cards.pack_mask`)
    policy: Tensor  # [E, A] float16, target distribution over the columns
    value: Tensor  # [E, seats] float32, final score / highest score of each relative seat

    def __len__(self) -> int:
        return self.legal.shape[0]

    def take(self, index: Tensor) -> Examples:
        """The examples [K] int64."""
        return Examples(*(getattr(self, item.name).index_select(0, index) for item in fields(self)))

    def gather(self, group: Group) -> Examples:
        """The examples of all processes, in the order of the processes."""
        return Examples(*(group.gather(getattr(self, item.name)) for item in fields(self)))

    @property
    def legal_mask(self) -> Tensor:
        """[E, A] bool."""
        return unpack_mask(self.legal, self.policy.shape[1])

    @staticmethod
    def concatenate(parts: list[Examples]) -> Examples:
        return Examples(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(Examples)))

    @staticmethod
    def empty(
        capacity: int, device: torch.device, features: int = 256, actions: int = DECK, seats: int = SEATS
    ) -> Examples:
        """Room for ``capacity`` examples, filled with zeros."""
        words = (capacity,) if actions <= DECK else (capacity, -(-actions // DECK))
        return Examples(
            observation=torch.zeros(capacity, features, dtype=torch.float16, device=device),
            legal=torch.zeros(words, dtype=torch.int64, device=device),
            policy=torch.zeros(capacity, actions, dtype=torch.float16, device=device),
            value=torch.zeros(capacity, seats, dtype=torch.float32, device=device),
        )


class ReplayBuffer:
    """A ring of the newest ``capacity`` examples, on the device where learning happens."""

    def __init__(
        self, capacity: int, device: torch.device, features: int = 256, actions: int = DECK, seats: int = SEATS
    ) -> None:
        self.capacity = capacity
        self.examples = Examples.empty(capacity, device, features, actions, seats)
        self.added = 0  # over the whole run

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, new: Examples) -> None:
        """Adds examples, over the oldest where the ring is full; of more than a ring full only the last stay."""
        device = self.examples.legal.device
        kept = min(len(new), self.capacity)
        start = self.added + len(new) - kept
        places = torch.arange(start, start + kept, device=device) % self.capacity
        for item in fields(Examples):
            getattr(self.examples, item.name)[places] = getattr(new, item.name)[len(new) - kept :].to(device)
        self.added += len(new)

    def state_dict(self) -> dict[str, Tensor]:
        """The filled part of the ring, and how much was ever added."""
        filled = {item.name: getattr(self.examples, item.name)[: len(self)] for item in fields(Examples)}
        return {**filled, "added": torch.tensor(self.added)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.added = int(state["added"])
        for item in fields(Examples):
            getattr(self.examples, item.name)[: len(self)] = state[item.name].to(self.examples.legal.device)
