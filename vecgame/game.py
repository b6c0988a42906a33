"""What a game must offer to be searched and learned, and what it gets for free."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import FunctionType
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vecgame import hidden, naming, observation, seeing, text
from vecgame.cards import SEATS, STANDARD, Layout
from vecgame.hidden import Hidden
from vecgame.lanes import around, compacts, has_choice, steps_while
from vecgame.philox import check_seed, whole
from vecgame.pictures import View
from vecgame.state import State, as_tensor
from vecgame.symmetry import SuitSymmetry

FEWEST_SEATS, MOST_SEATS = 2, 8
FEW_ACTIONS = 8  # whose list kernels of a game's own rules (`vecmcts.kernels`) write out, and a sort is no slower


@dataclass(frozen=True)
class NoRules:
    """Nothing may be changed about the game."""


class Game(ABC):
    """The rules of a game for many games at once: pure functions of an immutable `State`.

    The first axis of every tensor is the batch of B games ("lanes"), which never influence each other. Lanes may be at
    different decisions. Subclasses are frozen and hashable. Trick games begin from `vecgame.TrickGame`; others, with or
    without cards, from here. What is abstract a search needs; self-play and matches also `deal`, count `scores`, and
    want to know what is `hidden`, as networks do.
    """

    name: str  # in the registry, and on the command line
    rules_type: ClassVar[type] = NoRules  # a frozen dataclass: what may be changed about the game
    rules: object  # an instance of `rules_type`
    state_type: type[State] = State  # of its states; methods refuse others in one line, as another game's may extend it
    bare_states: ClassVar[tuple[type[State], ...]] = (State,)  # a game that leaves its `state_type` takes all of these
    of_seats: ClassVar[str] = ""  # a field of its states with an entry for each seat, [B, seats], if there is one
    seats: int = SEATS  # 2..8
    layout: Layout = STANDARD  # of card ids
    deck: int = 0  # the cards in play, as a bitboard; 0 in a game without cards
    copies: Sequence[int] = ()  # cards that look alike of each id, in a `HandGame`; empty where each is the only one
    cards: int = 1  # dealt to a seat; of a game that deals any number of them its rules have a field of that name
    lowest: float = 0.0  # score of a finished game
    highest: float  # likewise; `values` puts scores between the two on a scale from 0 to 1
    sum_of_scores: float | None = None  # of a finished game, where it is always the same
    unit: str = "points"  # what a score counts
    partners: bool = False  # seats opposite each other play together: their values and scores are equal
    cooperative: bool = False  # all seats play together: the values and scores of all are equal
    fixed_hands: bool = False  # a state has `hands`, and a card that was dealt stays in its hand until it is played
    num_actions: int  # size of the action space
    action_names: ClassVar[tuple[str, ...]] = ()  # what people call them, where they are no cards
    verbs: ClassVar[tuple[str, ...]] = ()  # that names of actions begin with, beside usual ones (`veclab.table.lines`)
    suits_turned: bool = False  # observations and policies have another suit first from state to state, such as trump
    max_legal: int  # most legal actions at any decision: the search's number of slots
    decisions: int  # most decisions in one game
    max_forced_run: int  # most decisions in a row with one legal action each

    def __init__(self, rules: object = None, **changes: object) -> None:
        """``Whist(cards=5)`` and ``Whist(WhistRules(cards=5))`` are the same, equal and hash alike."""
        if rules is not None and type(rules) is not self.rules_type:  # those of a match say more than its game keeps
            name, kind = type(self).__name__, self.rules_type.__name__
            raise ValueError(f"rules must be a {kind}, got {rules!r}; to change one of them write {name}(NAME=VALUE)")
        if self.rules_type.__hash__ is None:
            kind = self.rules_type.__name__
            raise ValueError(f"{kind} must be frozen, as games are told apart by their rules: @dataclass(frozen=True)")
        numpy = (np.generic, np.ndarray)  # a list where it is several numbers, for the rules to refuse
        changes = {name: value.tolist() if isinstance(value, numpy) else value for name, value in changes.items()}
        several = {field.name for field in fields(self.rules_type) if isinstance(field.default, tuple)}
        lists = {name for name in several & changes.keys() if isinstance(changes[name], list)}  # such as JSON has
        changes |= {name: tuple(changes[name]) for name in lists}
        self.rules = replace(rules, **changes) if rules is not None else self.rules_type(**changes)

    @property
    def deck_size(self) -> int:
        """How many cards are in play."""
        return sum(self.copies) or self.deck.bit_count()

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        for name in STATE_METHODS & cls.__dict__.keys():
            if isinstance(method := cls.__dict__[name], FunctionType):  # not what somebody has set to None
                setattr(cls, name, _of_own_states(method))

    def check_state(self, state: State) -> None:
        """Raises ValueError, in one line, on a state of another game, or for another number of seats."""
        own = self.state_type
        if type(state) is not own and not (own in self.bare_states and isinstance(state, own)):
            raise ValueError(f"{self!r} plays on a {own.__name__}, got a {type(state).__name__}")
        if self.of_seats and (seats := getattr(state, self.of_seats).shape[1]) != self.seats:
            raise ValueError(f"{self!r} has {self.seats} seats, but the state has {seats}")

    def _check_legal(self, state: State, action: Tensor) -> None:
        """Raises ValueError, in one line, unless the actions [B] int64 are legal."""
        inside, mask = (action >= 0) & (action < self.num_actions), self.legal_mask(state)
        legal = inside & mask.gather(1, action.clamp(0, self.num_actions - 1)[:, None])[:, 0]
        if not legal.all():
            lane = int((~legal).nonzero()[0, 0])
            options = mask[lane].nonzero()[:, 0].tolist()
            raise ValueError(f"action {int(action[lane])} is illegal in lane {lane}; legal there: {options}")

    def _identity(self) -> tuple[type, object]:
        return type(self), getattr(self, "rules", id(self))  # without rules there is no telling, but that it is itself

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Game) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        """The class and those of its rules that are not the defaults, and its cards."""
        if not hasattr(self, "rules"):
            return super().__repr__()
        rules = [(field, getattr(self.rules, field.name)) for field in fields(self.rules)]
        told = {field.name: value for field, value in rules if value != field.default or field.name == "cards"}
        return f"{type(self).__name__}({', '.join(f'{name}={_named(value)}' for name, value in told.items())})"

    @abstractmethod
    def mover(self, state: State) -> Tensor:
        """Seat to move: [B] int64."""

    def acting(self, state: State) -> Tensor:
        """The seat that the mover decides for, whose cards it plays: [B] int64, itself unless a game says another."""
        return self.mover(state)

    @abstractmethod
    def legal_mask(self, state: State) -> Tensor:
        """Legal actions: [B, num_actions] bool, never empty, not even where the game is over."""

    @abstractmethod
    def step(self, state: State, action: Tensor | Sequence[int], validate: bool = False) -> State:
        """The state after one decision in every lane; a finished game stays as it is.

        A game's own method takes ``state`` and ``action`` [B] int64 only: the rest is done before it is called.

        Args:
            action: [B] integers of any type, also as a list or an array.
            validate: check that every action is legal. Costs a host synchronisation; without it an illegal action
                gives a meaningless state in its own lane.

        Raises:
            ValueError: on an action tensor of another shape or dtype, or (with validate) an illegal action.
        """

    @abstractmethod
    def is_terminal(self, state: State) -> Tensor:
        """Whether the game is over: [B] bool."""

    def deal(self, batch_size: int, seed: int = 0, device: str | torch.device = "cpu", first_index: int = 0) -> State:
        """Begins games ``first_index`` .. ``first_index + batch_size - 1`` of the run that ``seed`` names; a game
        depends on its number and the seed only. `vecgame.dealing.numbers` checks these and gives random numbers."""
        raise NotImplementedError(f"{type(self).__name__} deals no games: it has no method deal")

    def scores(self, state: State) -> Tensor:
        """Points of each absolute seat: [B, seats] float32, ``lowest`` to ``highest``; 0 in a game that is not over."""
        raise NotImplementedError(f"{type(self).__name__} counts no points: it has no method scores")

    def hidden(self, state: State) -> Mapping[str, Hidden]:
        """The fields that not everybody sees, by name, and who sees which entry; a game may say that in a word, which
        who calls this finds as a tensor. Empty where all is open."""
        raise NotImplementedError(f"{type(self).__name__} does not say what is hidden: it has no method hidden")

    def values(self, state: State, dtype: torch.dtype = torch.float32) -> Tensor:
        """Worth of a finished game to each absolute seat, its score on the scale from 0 to 1: [B, seats] ``dtype``; 0
        in a game that is not over."""
        scores = self.scores(state).to(dtype)
        if self.lowest == 0:
            return scores / self.highest
        worth = (scores - self.lowest) / (self.highest - self.lowest)
        return torch.where(self.is_terminal(state)[:, None], worth, 0.0)

    def score_of(self, value: Tensor | float) -> Tensor | float:
        """Points of which a value of any shape is the worth."""
        return self.lowest + (self.highest - self.lowest) * value

    def observe(self, state: State, seat: Tensor | None = None) -> Tensor:
        """What ``seat`` ([B] int64, default the mover) knows, as features: [B, F] float32. A seat that there is not
        is refused on a CPU, and counted round the table on a GPU. By default what the fields of the state hold, as far
        as the seat sees them: see `vecgame.observation`."""
        self.check_state(state)
        seat = self.mover(state) if seat is None else seats_of(seat, state, self.seats)
        return torch.cat([columns for _, columns in observation.blocks(self, state, seat)], -1)

    @functools.cached_property
    def features(self) -> int:
        """Columns of an observation; by default they are counted in one of a game that is dealt for it."""
        return self.observe(self.deal(1)).shape[1]

    @property
    def feature_limit(self) -> float:
        """No feature is above this, nor below minus this. Most are from -1 to 1."""
        return float(max(4, self.seats))

    def columns(self) -> list[tuple[int, str]]:
        """What an observation's columns tell, in order: of each block how many they are, and in words what they hold;
        `features` in all. By default those of the fields, or one block in the words of a game's own `observe`."""
        if type(self).observe is Game.observe:
            state = self.deal(1)
            return [(part.shape[1], told) for told, part in observation.blocks(self, state, self.mover(state))]
        return [(self.features, " ".join((type(self).observe.__doc__ or "features of the game's own").split()))]

    def action_columns(self) -> list[tuple[int, str]]:
        """What the columns of a network's policy stand for, likewise; `num_actions` in all. By default the actions."""
        return [(1, self.action_name(action)) for action in range(self.num_actions)]

    def open_cards(self, state: State) -> Tensor:
        """Cards that all see or that are out of play, in no hidden place: [B] int64."""
        return torch.zeros_like(state.index)

    def lot(self, state: State) -> Tensor | None:
        """Cards of which all know how many lie in each hidden place, as of open ones that were shuffled: [B] int64;
        worlds leave as many there. None where nothing of the kind is known."""
        return None

    def determinize(self, state: State, count: int = 3, seed: int = 0) -> State:
        """``count`` worlds a game, consistent with what its mover knows, adjacent: B * count lanes. Here each hidden
        card may be in any hidden place; a game in which more is known overrides it."""
        self.check_state(state)
        return hidden.dealt_anew(self, state, count, check_seed(seed))

    @abstractmethod
    def turn(self, state: State) -> Tensor:
        """A number of its own for each decision of a game, by which random numbers are drawn, such as how many there
        have been: [B] int64, 0 or more."""

    def bids_met(self, state: State) -> Tensor | None:
        """Which seats of a finished game have won just the tricks that they bid: [B, seats] bool; None in a game
        without bids."""
        return None

    def trump_named(self, state: State) -> Tensor | None:
        """Whether players have said what is trump, until when no field ``trump`` is shown as one: [B] bool; None in a
        game in which it is not theirs to say."""
        return None

    def tricks_won(self, state: State) -> Tensor | None:
        """Tricks won so far by each absolute seat, at most ``layout.size // seats``: [B, seats] int8; None in a game
        without tricks."""
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

    def mask_at(self, actions: Tensor, columns: Tensor) -> Tensor:
        """The `policy_mask` of `legal_actions` [B, max_legal] and their `policy_columns` [B, max_legal], for which the
        rules are not asked again: [B, num_actions] bool."""
        legal = torch.where(actions >= 0, columns, columns[:, :1])  # the first is legal in any case
        none = torch.zeros(len(actions), self.num_actions, dtype=torch.bool, device=actions.device)
        return none.scatter(1, legal, True)

    def suit_symmetry(self) -> SuitSymmetry | None:
        """Which columns follow their suit, where the suits beside trump differ in their names only; else None."""
        return None

    def legal_actions(self, state: State) -> Tensor:
        """The legal actions in ascending order: [B, max_legal] int64, filled up with -1."""
        mask, most = self.legal_mask(state), self.max_legal
        if self.num_actions <= FEW_ACTIONS:
            order = mask.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[:, :most]
            return torch.where(mask.gather(1, order), order, -1)
        # Each goes to the place that those before it leave, what is not legal to one more, which is cut off: measured
        # on a CPU half the time of a sort with 52 actions, and a third with hundreds.
        place = torch.where(mask, mask.cumsum(-1, dtype=torch.int32) - 1, most).clamp(max=most).long()
        action = torch.arange(self.num_actions, device=mask.device).expand(mask.shape)
        return torch.full((len(mask), most + 1), -1, device=mask.device).scatter(1, place, action)[:, :most]

    def chooses(self, state: State, actions: Tensor) -> Tensor:
        """Whether the mover has a choice of ``actions`` [B, max_legal], those of `legal_actions`: [B] bool. Nobody has
        one in a game that is over, whatever its mask says; what is forced needs no judgement, and teaches nothing."""
        return has_choice(actions) & ~self.is_terminal(state)

    def slot_logits(self, state: State, actions: Tensor, logits: Tensor) -> Tensor:
        """A network's logits [B, num_actions] for the actions that `legal_actions` gives, [B, max_legal]: -inf where
        there is none."""
        return torch.where(actions >= 0, logits.gather(1, self.policy_columns(state, actions)), -torch.inf)

    def merged(self) -> "Game":
        """The game in whose `legal_actions` moves that differ in name only are one. Here no such moves are known."""
        return self

    def play_forced(self, state: State) -> State:
        """The state after every move that is the only legal one has been made, up to the next choice or the end."""

        def forced(part: State) -> tuple[Tensor, Tensor]:
            mask = self.legal_mask(part)
            return (mask.sum(-1) == 1) & ~self.is_terminal(part), mask.to(torch.int8).argmax(-1)

        return steps_while(state, self.max_forced_run, forced, self.step)

    def sitting(self, games: int = 0) -> tuple["Game", ...]:
        """What people who sit down to it play, one game after the other: so many, 0 = as many as is usual. Here it is
        this one, twice as often as there are seats; a rule `dealer` that has one drawn anew has it move on instead."""
        rules = getattr(self, "rules", None)
        moves_on = getattr(rules, "dealer", None) == "random"
        return (type(self)(rules, dealer="rotate") if moves_on else self,) * (games or 2 * self.seats)

    def action_name(self, action: int, state: State | None = None, lane: int = 0) -> str:
        """What people call an action, in a game whose actions have other meanings from state to state in that one:
        here its name in `action_names`, a card's, or the number in a game without cards. Raises ValueError on a number
        that is no action."""
        number = whole(action, -1)
        if number not in range(self.num_actions):
            raise ValueError(f"action must be from 0 to {self.num_actions - 1}, got {action!r}")
        if self.action_names:
            return self.action_names[number]
        return naming.card_name(self.layout, number) if self.deck and number < self.layout.size else str(number)

    def remark(self, before: State, action: int, after: State, names: Sequence[str]) -> str | None:
        """What a table says of a move beside its name, in sentences for all seats, such as that a hidden card was
        turned up, or what the cards were worth at the end: None for nothing.

        Args:
            before: one game, with all that is hidden.
            after: the same game after ``action``.
            names: what the seats are called, "You" for the one who reads it, in which the words for all are the same.
        """
        return None

    def text(self, state: State, lane: int = 0, seat: int | None = None) -> str:
        """A game in words as ``seat`` sees it, or all of it for None: cards, trick, bids, whose turn it is, and the
        legal actions of who sees them. Raises IndexError on such a lane, ValueError on such a seat."""
        return text.words(seeing.see(self, state, lane, seat))

    def view(self, state: State, lane: int = 0, seat: int | None = None) -> View:
        """`text`, and in a notebook the picture of it."""
        return View(seeing.see(self, state, lane, seat))


def _named(value: object) -> str:
    """A function by its name, all else as Python writes it."""
    return getattr(value, "__qualname__", None) or repr(value)


STATE_METHODS = {"mover", "turn", "legal_mask", "legal_actions", "step", "is_terminal", "scores", "hidden", "observe"}
STATE_METHODS |= {"determinize"}


def _of_own_states(method: Callable) -> Callable:
    """A method of a game that is given a state, which it refuses if it is of another game; seats and actions may be
    lists, and actions are checked where that is asked for."""

    @functools.wraps(method)
    def checked(game: Game, state: State, *arguments: object, **options: object) -> object:
        game.check_state(state)
        return method(game, state, *arguments, **options)

    @functools.wraps(method)
    def observe(game: Game, state: State, seat: Tensor | Sequence[int] | None = None) -> Tensor:
        game.check_state(state)
        first = getattr(type(game).observe, "__wrapped__", None) is method  # not called by another game's `observe`
        return method(game, state, seats_of(seat, state, game.seats) if first and seat is not None else seat)

    @functools.wraps(method)
    def step(game: Game, state: State, action: Tensor | Sequence[int], validate: bool = False) -> State:
        game.check_state(state)
        action = actions_of(action, state)
        if validate:
            game._check_legal(state, action)
        return method(game, state, action)

    @functools.wraps(method)
    def told(game: Game, state: State) -> dict[str, Hidden]:
        game.check_state(state)
        return hidden.in_full(method(game, state), state, game.seats)

    step.__signature__ = inspect.signature(step, follow_wrapped=False)  # the method's own lacks `validate`
    return {"observe": observe, "step": step, "hidden": told}.get(method.__name__, checked)


def seats_of(seat: Tensor | Sequence[int], state: State, seats: int) -> Tensor:
    """A seat for each of the games: [B] int64. Raises ValueError, in one line, on one that there is not; where the
    host would have to wait to know, on a GPU, it is counted round the table, so that no game reads another's."""
    seat = actions_of(seat, state, "seat")
    if not compacts(seat.device) or torch.compiler.is_compiling():
        return around(seat, seats)
    if (outside := (seat < 0) | (seat >= seats)).any():
        raise ValueError(f"seat must be from 0 to {seats - 1}, got {int(seat[outside][0])}")
    return seat


def actions_of(action: Tensor | Sequence[int] | np.ndarray | int, state: State, name: str = "action") -> Tensor:
    """An action for each of the games, as a tensor [B] int64; integers of any type will do, lists and arrays, which
    come on the games' device, and one number for one game.

    Raises:
        ValueError: in one line, unless there is one integer for each of the games.
    """
    given = action
    if not isinstance(action, Tensor) and (action := as_tensor(given)) is not None:
        action = action.to(state.device)
    if action is not None and action.ndim == 0 and state.batch_size == 1:
        action = action[None]
    wrong = action is None or action.dtype == torch.bool or action.is_floating_point() or action.is_complex()
    if wrong or action.shape != state.index.shape:
        got = f"a {type(given).__name__}" if action is None else f"shape {list(action.shape)} of {action.dtype}"
        raise ValueError(f"{name} must be {state.batch_size} integers of shape [{state.batch_size}], got {got}")
    return action.long()  # as an index torch takes uint8 for a mask, and int8 and int16 not at all


def resolve_device(device: str | torch.device) -> torch.device:
    """The device, or a ValueError in one line when this machine has none such."""
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {device!r}") from None
    if resolved.type not in ("cpu", "cuda"):
        why = " (Apple's mps has no float64 and no 64-bit shifts, which random numbers need)" * (resolved.type == "mps")
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {device!r}{why}")
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r}: this PyTorch ({torch.__version__}) sees no CUDA GPU; use device='cpu'")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device!r}: this machine has {torch.cuda.device_count()} CUDA GPU(s)")
    return resolved
