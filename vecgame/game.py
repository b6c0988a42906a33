"""What a game must offer to be searched and learned, and what it gets for free."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from vecgame.cards import SEATS
from vecgame.state import State
from vecgame.symmetry import SuitSymmetry


class Game(ABC):
    """The rules of a game for many games at once: pure functions of an immutable `State`.

    The first axis of every tensor is the batch of B games ("lanes"), which never influence each other. Lanes may be at
    different decisions. Subclasses are frozen and hashable. A search needs `legal_actions`, `step`, `mover`,
    `is_terminal`, `values`, `observe`, `legal_mask` and `determinize` only; self-play and matches also deal games and
    count points, by `deal` and `scores` as in `vecgame.Blob`.
    """

    name: str  # in the registry, and on the command line
    seats: int = SEATS
    partners: bool = False  # seats opposite each other play together: their values and scores are equal
    fixed_hands: bool = True  # a card that was dealt to a seat stays in its hand until the seat plays it
    num_actions: int  # size of the action space
    features: int  # columns of an observation
    max_legal: int  # most legal actions at any decision: the search's number of slots
    decisions: int  # most decisions in one game
    max_forced_run: int  # most decisions in a row with one legal action each

    @abstractmethod
    def mover(self, state: State) -> Tensor:
        """Seat to move: [B] int64."""

    @abstractmethod
    def legal_mask(self, state: State) -> Tensor:
        """Legal actions: [B, num_actions] bool, never empty, not even where the game is over."""

    @abstractmethod
    def step(self, state: State, action: Tensor) -> State:
        """The state after ``action`` [B] integer; a finished game stays as it is."""

    @abstractmethod
    def is_terminal(self, state: State) -> Tensor:
        """Whether the game is over: [B] bool."""

    @abstractmethod
    def values(self, state: State, dtype: torch.dtype = torch.float32) -> Tensor:
        """Worth of a finished game to each absolute seat, at most 1: [B, seats] ``dtype``."""

    @abstractmethod
    def observe(self, state: State, seat: Tensor | None = None) -> Tensor:
        """What ``seat`` ([B] int64, default the mover) knows, as features: [B, F] float32."""

    @abstractmethod
    def determinize(self, state: State, count: int, seed: int) -> State:
        """``count`` worlds a game, consistent with what its mover knows, adjacent: B * count lanes."""

    @abstractmethod
    def turn(self, state: State) -> Tensor:
        """How many decisions have been made: [B] int64."""

    def bids_met(self, state: State) -> Tensor | None:
        """Which seats of a finished game have won just the tricks that they bid: [B, seats] bool; None in a game
        without bids."""
        return None

    def tricks_won(self, state: State) -> Tensor | None:
        """Tricks won so far by each absolute seat, at most 13: [B, seats] int8; None in a game without tricks."""
        return None

    def others_hands(self, state: State) -> Tensor | None:
        """The hands of the seats after the mover, in their order, with the suits turned as in an observation:
        [B, seats - 1] int64 bitboards; None in a game whose state holds no such hands."""
        return None

    def policy_columns(self, state: State, action: Tensor) -> Tensor:
        """Where a network's policy output holds each action: [B, K] action ids (-1 allowed) -> [B, K] int64 columns."""
        return action.clamp(min=0).long()

    def policy_mask(self, state: State) -> Tensor:
        """Legal actions at the columns of a network's policy: [B, num_actions] bool."""
        return self.legal_mask(state)

    def suit_symmetry(self) -> SuitSymmetry | None:
        """Which columns follow their suit, where the suits beside trump differ in their names only; else None."""
        return None

    def legal_actions(self, state: State) -> Tensor:
        """The legal actions in ascending order: [B, max_legal] int64, filled up with -1."""
        mask = self.legal_mask(state)
        order = mask.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[:, : self.max_legal]
        return torch.where(mask.gather(1, order), order, -1)

    def slot_logits(self, state: State, actions: Tensor, logits: Tensor) -> Tensor:
        """A network's logits [B, num_actions] for the actions that `legal_actions` gives, [B, max_legal]: -inf where
        there is none."""
        return torch.where(actions >= 0, logits.gather(1, self.policy_columns(state, actions)), -torch.inf)

    def merged(self) -> "Game":
        """The game in whose `legal_actions` moves that differ in name only are one. Here no such moves are known."""
        return self

    def play_forced(self, state: State) -> State:
        """The state after every move that is the only legal one has been made, up to the next choice or the end."""
        for _ in range(self.max_forced_run):
            mask = self.legal_mask(state)
            forced = (mask.sum(-1) == 1) & ~self.is_terminal(state)
            state = self.step(state, mask.to(torch.int8).argmax(-1)).where(forced, state)
        return state


def check_action(action: Tensor, batch_size: int) -> None:
    """Raises ValueError, in one line, unless there is one integer for each of the games."""
    if action.shape != (batch_size,) or action.is_floating_point() or action.dtype == torch.bool:
        raise ValueError(
            f"action must be {batch_size} integers of shape [{batch_size}], "
            f"got shape {list(action.shape)} of {action.dtype}"
        )


def resolve_device(device: str | torch.device) -> torch.device:
    """The device, or a ValueError in one line when this machine has none such."""
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {device!r}") from None
    if resolved.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r}: this PyTorch ({torch.__version__}) sees no CUDA GPU; use device='cpu'")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device!r}: this machine has {torch.cuda.device_count()} CUDA GPU(s)")
    return resolved
