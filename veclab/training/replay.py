"""Examples of searched decisions, and the buffer that keeps the newest of them on the device."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from vecgame.cards import DECK, SEATS, pack_mask, unpack_mask
from vecgame.symmetry import Orders
from veclab.training.distributed import Group

EXTRAS = ("tricks", "hidden")  # fields of an example that some learners need beside


@dataclass(frozen=True)
class Examples:
    """E decisions to learn from, in the frame of the mover: relative seats, trump suit first.

    F and A are the game's features and actions: 256 and 52 in Blob.
    """

    observation: Tensor  # [E, F] float16
    legal: Tensor  # [E] int64, bitboard of the legal policy columns; [E, words] with more than 52 (`cards.pack_mask`)
    policy: Tensor  # [E, A] float16, target distribution over the columns
    value: Tensor  # [E, seats] float32, worth of the final score to each relative seat, see `Game.values`
    # `EXTRAS`; None where nobody needs them.
    tricks: Tensor | None = None  # [E, seats] int8, tricks of each relative seat in the end
    hidden: Tensor | None = None  # [E, seats - 1] int64, the hands of the seats after the mover (`Game.others_hands`)

    def __len__(self) -> int:
        return self.legal.shape[0]

    def take(self, index: Tensor) -> Examples:
        """The examples [K] int64."""
        return Examples(**{name: tensor.index_select(0, index) for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name, without what is None."""
        return {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name) is not None}

    def in_orders(self, orders: Orders) -> Examples:
        """The same examples with their suits in other orders, one for each."""
        return replace(
            self,
            observation=orders.observations(self.observation),
            legal=pack_mask(orders.policies(self.legal_mask)),
            policy=orders.policies(self.policy),
            hidden=None if self.hidden is None else orders.cards(self.hidden),
        )

    def gather(self, group: Group) -> Examples:
        """The examples of all processes, in the order of the processes."""
        return Examples(**{name: group.gather(tensor) for name, tensor in self.tensors().items()})

    @property
    def legal_mask(self) -> Tensor:
        """[E, A] bool."""
        return unpack_mask(self.legal, self.policy.shape[1])

    @staticmethod
    def concatenate(parts: list[Examples]) -> Examples:
        return Examples(**{name: torch.cat([getattr(part, name) for part in parts]) for name in parts[0].tensors()})

    @staticmethod
    def empty(
        capacity: int,
        device: torch.device,
        features: int = 256,
        actions: int = DECK,
        seats: int = SEATS,
        extras: Collection[str] = (),
    ) -> Examples:
        """Room for ``capacity`` examples, filled with zeros; ``extras`` names the fields of `EXTRAS` that there are."""
        beside = {"tricks": (seats, torch.int8), "hidden": (seats - 1, torch.int64)}  # columns and dtype
        words = (capacity,) if actions <= DECK else (capacity, -(-actions // DECK))
        return Examples(
            observation=torch.zeros(capacity, features, dtype=torch.float16, device=device),
            legal=torch.zeros(words, dtype=torch.int64, device=device),
            policy=torch.zeros(capacity, actions, dtype=torch.float16, device=device),
            value=torch.zeros(capacity, seats, dtype=torch.float32, device=device),
            **{name: torch.zeros(capacity, beside[name][0], dtype=beside[name][1], device=device) for name in extras},
        )


class ReplayBuffer:
    """A ring of the newest ``capacity`` examples, on the device where learning happens."""

    def __init__(
        self,
        capacity: int,
        device: torch.device,
        features: int = 256,
        actions: int = DECK,
        seats: int = SEATS,
        extras: Collection[str] = (),
    ) -> None:
        self.capacity = capacity
        self.examples = Examples.empty(capacity, device, features, actions, seats, extras)
        self.added = 0  # over the whole run, or since `clear`

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, new: Examples) -> None:
        """Adds examples, over the oldest where the ring is full; of more than a ring full only the last stay."""
        device = self.examples.legal.device
        kept = min(len(new), self.capacity)
        start = self.added + len(new) - kept
        places = torch.arange(start, start + kept, device=device) % self.capacity
        for name, tensor in self.examples.tensors().items():
            tensor[places] = getattr(new, name)[len(new) - kept :].to(device)
        self.added += len(new)

    def clear(self) -> None:
        """Forgets what was added."""
        self.added = 0

    @property
    def observations(self) -> Tensor:
        """Those of the filled part of the ring: [len(self), F] float16."""
        return self.examples.observation[: len(self)]

    def state_dict(self) -> dict[str, Tensor]:
        """The filled part of the ring, and how much was ever added."""
        filled = {name: tensor[: len(self)] for name, tensor in self.examples.tensors().items()}
        return {**filled, "added": torch.tensor(self.added)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.added = int(state["added"])
        for name, tensor in self.examples.tensors().items():
            tensor[: len(self)] = state[name].to(tensor.device)
