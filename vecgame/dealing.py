"""What games share before the first decision: the deal, given hands, and who deals with which trump."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from vecgame.cards import DECK, SEATS, STANDARD, TRUMP_NAMES, Layout, bit, unpack
from vecgame.game import FEWEST_SEATS, MOST_SEATS, Game, resolve_device
from vecgame.philox import Purpose, Stream, check_seed, whole

DEALER_CHOICES = ("random", "rotate")
ALL_NUMBERS = 2**56  # of games, that have random numbers of their own
MOST_GAMES = 2**32  # at once, whose bitboards alone would fill 128 GiB


@dataclass(frozen=True)
class DealerRules:
    """Rules of a game of which nothing may be changed but who deals; those of a game may extend them."""

    dealer: str | int = "random"  # a seat, "random" per game, or "rotate" with the game's number


def numbers(batch_size: int, seed: int | Stream, device: str | torch.device, first_index: int) -> Stream:
    """The random numbers that deal games ``first_index`` .. ``first_index + batch_size - 1`` of a run; the stream's
    ``game`` [B] holds the games' own numbers. A stream in the seed's place is taken as it is: its numbers deal.

    Raises:
        ValueError: on a batch size below 1, or of more games than there can be, a seed or device that is none, and
            numbers of games that would share their random numbers with others (see `Stream`).
    """
    if isinstance(seed, Stream):
        return seed
    count, first = whole(batch_size, 0), whole(first_index, -1)
    if not 1 <= count < MOST_GAMES:
        limit = "at least 1" if whole(batch_size, 1) < 1 else f"a whole number below {MOST_GAMES:,}"
        raise ValueError(f"batch_size must be {limit}, got {batch_size}")
    if not 0 <= first <= ALL_NUMBERS - count:
        raise ValueError(f"first_index must be a whole number from 0 to 2**56 - {count}, got {first_index}")
    index = torch.arange(first, first + count, device=resolve_device(device))
    return Stream(check_seed(seed), index, torch.zeros_like(index))


def shuffled(stream: Stream, deck: int | Tensor, size: int = DECK) -> Tensor:
    """Card ids 0 .. size - 1 of each lane in random order, those of ``deck`` (a bitboard, or one [B] a lane) first:
    [B, size] int64."""
    # Two keys of 52 are equal with probability 1.5e-16 a game; the stable sort keeps even that repeatable.
    keys = stream.keys(Purpose.DEAL, size)
    deck = deck if isinstance(deck, Tensor) else torch.full((), deck, device=stream.game.device)
    inside = unpack(deck, size=size)
    keys = torch.where(inside, keys, torch.iinfo(torch.int64).max)
    return keys.argsort(dim=-1, stable=True)


def check_sizes(game: Game) -> None:
    """Raises ValueError, in one line, on seats, a deck or cards to a seat that make no deal."""
    name, dealt, deck = type(game).__name__, game.seats * game.cards, game.deck_size
    if not FEWEST_SEATS <= game.seats <= MOST_SEATS:
        raise ValueError(f"{name} has {game.seats} seats; there may be {FEWEST_SEATS} to {MOST_SEATS}")
    if beyond := game.deck & ~game.layout.bits:
        first = (beyond & -beyond).bit_length() - 1
        raise ValueError(f"{name} has card {first} in its deck; its layout has 0 to {game.layout.size - 1}")
    if not 0 <= dealt <= deck:
        raise ValueError(f"{name} deals {dealt} cards, but its deck has {deck}")


def future_of(stream: Stream) -> Tensor:
    """A number that later cards come from, for a hidden field of a state: [B] int64, 56 random bits."""
    words = stream.words(Purpose.MATCH, 2)
    return (words[:, 0] << 24) | (words[:, 1] >> 8)


def checked_hands(hands: Tensor, deck: int, cards: int, seats: int = SEATS, layout: Layout = STANDARD) -> Tensor:
    """Given hands [B, seats, cards] as int64 card ids.

    Raises:
        ValueError: on another shape or fractions, a card outside the deck (a bitboard) or dealt twice within one game.
    """
    hands = tensor_of(hands, f"hands must be [B, {seats}, {cards}] card ids")
    if hands.ndim != 3 or hands.shape[1:] != (seats, cards):
        raise ValueError(f"hands must be [B, {seats}, {cards}] card ids, got shape {list(hands.shape)}")
    hands = integers("hands", hands)
    inside = (hands >= 0) & (hands < layout.size)
    if not (inside & (bit(hands.clamp(0, layout.size - 1)) & deck != 0)).all():
        suits = [deck >> layout.ranks * suit & layout.block(0) for suit in range(layout.suits)]
        most = max(suit for suit, cards in enumerate(suits) if cards) + 1
        lowest = min((cards & -cards).bit_length() - 1 for cards in suits if cards)
        extra = f", or {layout.size - layout.extra} .. {layout.size - 1} of no suit" if layout.extra else ""
        raise ValueError(
            f"hands holds an id that is no card of this deck; ids are {layout.ranks} * suit + rank, suit < {most}, "
            f"{f'{lowest} <= ' if lowest else ''}rank < {max(cards.bit_length() for cards in suits)}{extra}"
        )
    ordered = hands.flatten(1).sort(dim=-1).values
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError("hands deals a card twice within one game")
    return hands


def given_games(index: Tensor | Stream | None, hands: Tensor) -> Stream:
    """The random numbers of games ``index`` [B] with hands [B, ..] of one's own, seed 0; of games 0 .. for None. A
    stream in the index's place is taken as it is.

    Raises:
        ValueError: unless there is one number for each game, and they are some that a `Stream` tells apart.
    """
    if isinstance(index, Stream):
        return index
    device = hands.device
    wanted = f"index must be [{len(hands)}] game numbers"
    index = torch.arange(len(hands), device=device) if index is None else tensor_of(index, wanted, device)
    if index.shape != hands.shape[:1]:
        raise ValueError(f"{wanted}, got shape {list(index.shape)}")
    index = integers("index", index)
    if (outside := (index < 0) | (index >= ALL_NUMBERS)).any():
        raise ValueError(f"index must be game numbers from 0 to 2**56 - 1, got {int(index[outside][0])}")
    return Stream(0, index, torch.zeros_like(index))


def tensor_of(value: object, wanted: str, device: torch.device | None = None) -> Tensor:
    """The value as a tensor. Raises ValueError that says what is ``wanted`` on what can be none: a word, or rows that
    differ in length."""
    try:
        return torch.as_tensor(value, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{wanted}, got {' '.join(repr(value).split())}") from None


def integers(name: str, value: Tensor) -> Tensor:
    """The tensor as int64. Raises ValueError on what is no whole number by its type: a fraction would be cut off."""
    if value.dtype == torch.bool or value.is_floating_point() or value.is_complex():
        raise ValueError(f"{name} must be integers, got {value.dtype}")
    return value.long()


def per_game(name: str, value: Tensor | int, batch: int, high: int, device: torch.device) -> Tensor:
    """One integer for all games, or [B], as [B] int64. Raises ValueError on another shape, a fraction, what is no
    number, or one not in 0 .. ``high``."""
    value = tensor_of(value, f"{name} must be from 0 to {high}", device)
    if value.ndim > 1 or (value.ndim == 1 and value.shape[0] != batch):
        raise ValueError(f"{name} must be one integer or [{batch}], got shape {list(value.shape)}")
    value = integers(name, value)
    if (outside := (value < 0) | (value > high)).any():
        raise ValueError(f"{name} must be from 0 to {high}, got {int(value[outside].flatten()[0])}")
    return value.expand(batch)


def dealers(stream: Stream, rule: str | int, seats: int = SEATS) -> Tensor:
    """The dealer of each game: [B] int64. ``rule`` is a seat, "random", or "rotate" with the game's number. Raises
    ValueError on any other."""
    if rule == "random":
        return stream.integers(Purpose.DEALER, seats)
    if rule == "rotate":
        return stream.number % seats
    check_dealer(rule, seats)
    return torch.full_like(stream.game, rule)


class Draws(Protocol):
    """A game for which more is drawn than its cards, as for a `vecgame.TrickGame`; see there."""

    rules: object

    def chance(self) -> Mapping[str, int | Sequence[str]]: ...

    def draw(self, stream: Stream, rest: Tensor) -> dict[str, Tensor]: ...


def drawn(game: Draws, stream: Stream, rest: Tensor) -> dict[str, Tensor]:
    """What a game draws itself, and what else it says to be drawn, by the purpose `OWN`: [B] int64 each, equally likely
    numbers unless the rule of that name says one, or "rotate" with the game's number. ``rest`` [B, R] int64 are the
    cards not dealt."""
    numbers = game.draw(stream, rest)
    left = [(name, choices) for name, choices in game.chance().items() if name not in numbers]
    for place, (name, choices) in enumerate(left):
        rule, names = getattr(game.rules, name, "random"), _names(choices)
        if rule == "random":
            numbers[name] = stream.at(place).integers(Purpose.OWN, len(names))
        elif rule == "rotate":
            numbers[name] = stream.number % len(names)
        else:
            check_choice(name, rule, choices)
            numbers[name] = torch.full_like(stream.game, names.index(rule))
    return numbers


def check_choice(name: str, rule: object, choices: int | Sequence[str]) -> None:
    """Raises ValueError, in one line, on a rule that says of what is drawn neither how nor what."""
    names = (*_names(choices), *DEALER_CHOICES)
    if isinstance(rule, bool) or rule not in names:
        raise ValueError(f"{name} must be one of {', '.join(map(str, names))}, got {rule!r}")


def most(choices: int | Sequence[str]) -> int:
    """The largest number of what is drawn, which may be said by what its numbers are called."""
    return choices if isinstance(choices, int) else len(choices) - 1


def _names(choices: int | Sequence[str]) -> Sequence[int | str]:
    return range(choices + 1) if isinstance(choices, int) else choices


def trumps(stream: Stream, rule: str, names: tuple[str, ...]) -> Tensor:
    """The trump of each game, suit 0..3 or 4 for none: [B] int64.

    Args:
        rule: a trump's name, "random" of ``names``, or "rotate" through them with the game's number.
        names: the trumps to choose from.

    Raises:
        ValueError: on a name that is no trump's.
    """
    choices = _numbers_of(names, stream.game.device)
    if rule == "random":
        return choices[stream.integers(Purpose.TRUMP, len(choices))]
    if rule == "rotate":
        return choices[stream.number % len(choices)]
    return torch.full_like(stream.game, _number_of(rule))


@cache
def _numbers_of(names: tuple[str, ...], device: torch.device) -> Tensor:
    """Trumps by number: [T] int64."""
    return torch.tensor([_number_of(name) for name in names], device=device)


def _number_of(trump: str) -> int:
    if trump not in TRUMP_NAMES:
        raise ValueError(f"a trump must be one of {', '.join(TRUMP_NAMES)}, got {trump!r}")
    return TRUMP_NAMES.index(trump)


def is_dealer(rule: object, seats: int = SEATS) -> bool:
    """Whether ``rule`` is one that `dealers` knows."""
    return rule in DEALER_CHOICES or (type(rule) is int and rule in range(seats))


def check_dealer(rule: str | int, seats: int = SEATS) -> None:
    """Raises ValueError unless ``rule`` is one that `dealers` knows."""
    if not is_dealer(rule, seats):
        raise ValueError(f"dealer must be a seat 0..{seats - 1}, 'random' or 'rotate', got {rule!r}")


def check_dealer_of(game: Game) -> None:
    """Raises ValueError, in one line, where a game has a rule `dealer` and it says what `dealers` does not know. Where
    its default is none of these the rule means something else."""
    if any(field.name == "dealer" and is_dealer(field.default, game.seats) for field in fields(game.rules_type)):
        check_dealer(game.rules.dealer, game.seats)
