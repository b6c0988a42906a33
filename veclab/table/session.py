"""A match as a pure function of its settings and the actions so far, in whatever game it is played.

Nothing here reads input, prints or decides: `Match.act` gives the match after an action, `undo` an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from vecgame import Game, HandGame, State, TrickGame, naming, seeing
from vecgame.games.match import Standing
from vecgame.philox import check_seed
from veclab.arena.shown import alike as looking_alike
from veclab.arena.shown import shown_to_seat
from vecmcts import Past, SearchConfig

PERSON = 0  # the seat of the person, if one plays
MOST_GAMES = 100  # of a match
SEARCH, ROLLOUTS, POLICY = "search", "rollouts", "policy"
THINKING = {  # how a network thinks
    SEARCH: "by trees, --simulations in each of --worlds worlds",
    ROLLOUTS: "its best action unless playing on by its policy, in --worlds likely worlds, finds a better one",
    POLICY: "not at all, its action is drawn from its policy",
}

# Number of a match's first game. No run learns from these deals and no evaluation uses them, and it is a multiple of
# 4 seats and of 5 trumps, so that the rotation begins with seat 0 as dealer and spades as trump.
FIRST_INDEX = 5 << 48


@dataclass(frozen=True)
class Settings:
    """What fixes a match but for the person's choices. Raises ValueError on values that cannot work."""

    game: Game  # of the largest hand
    games: int = 0  # that are played one after the other, 0 = as many as is usual
    seed: int = 0
    agent: str = "flat"  # a name in `veclab.table.agents.BOTS`, a network's path, a player's address
    worlds: int = 30  # of an agent that samples them
    simulations: int = 30  # of an agent that searches
    thinking: str = SEARCH  # of an agent that is a network, see `THINKING`
    first_index: int | None = None  # of games as a run deals them, the number of the first; None: of a table's own

    def __post_init__(self) -> None:
        inside = type(self.games) is int and 0 <= self.games <= MOST_GAMES
        if not inside or (self.games and len(self.course) != self.games):
            most = len(self.game.sitting(MOST_GAMES))
            raise ValueError(f"--games must be an integer from 0 to {most}, got {self.games!r}")
        check_seed(self.seed)
        SearchConfig(worlds=self.worlds, simulations=self.simulations)
        if not isinstance(self.agent, str):
            raise ValueError(f"agent must be text, got {self.agent!r}")
        if self.thinking not in tuple(THINKING):  # of a file, it may be anything
            raise ValueError(f"thinking must be {' or '.join(THINKING)}, got {self.thinking!r}")
        if self.first_index is not None and (type(self.first_index) is not int or not 0 <= self.first_index < 1 << 62):
            raise ValueError(f"first_index must be an integer from 0 to 2**62 - 1, got {self.first_index!r}")

    @cached_property
    def course(self) -> tuple[Game, ...]:
        """The games of the match in their order; at a table, what would be drawn anew in each (a dealer) rotates."""
        return self.game.sitting(self.games) if self.first_index is None else (self.game,) * max(1, self.games)


@dataclass(frozen=True)
class Move:
    """One decision."""

    seat: int
    action: int
    name: str  # what people call it
    plays: bool = False  # a card to a trick
    leads: bool = False  # the first one
    winner: int | None = None  # of the trick, if it is complete by this card
    more: str = ""  # what the game says of it beside that, see `Game.remark`
    forced: bool = False  # made for the person, who had no other choice, see `Match.only`
    acting: int | None = None  # the seat that another decides for, None where it does so itself

    @property
    def at(self) -> int:
        """The seat whose card or bid it is."""
        return self.seat if self.acting is None else self.acting


@dataclass(frozen=True)
class Trick:
    """The cards of a trick in the order in which they were played."""

    plays: tuple[Move, ...]

    @property
    def winner(self) -> int | None:
        """Who has taken it, None before it is complete."""
        return self.plays[-1].winner


@dataclass(frozen=True)
class Result:
    """A finished game. Tuples are by seat, and None in a game that has no such thing."""

    cards: int  # dealt to a seat
    points: tuple[float, ...]
    trump: int | None
    bids: tuple[int, ...] | None
    won: tuple[int, ...] | None  # tricks
    tricks: tuple[Trick, ...]
    totals: tuple[float, ...] | None  # of a game of several deals
    shown: tuple[tuple[int, ...], ...]  # cards that seats hold at its end and everybody sees, as after a showdown


@dataclass(frozen=True)
class Match:
    """A match after some actions. Two are equal when their settings and actions are: all else follows from these."""

    settings: Settings
    history: tuple[int, ...]  # every action of the match so far
    state: State = field(compare=False)  # of the game that is played, a batch of one
    moves: tuple[Move, ...] = field(compare=False)  # of that game
    tricks: tuple[Trick, ...] = field(compare=False)  # of that game, or of its deal, the unfinished one included
    last: Move | None = field(compare=False)  # move of the match, None before there is one
    results: tuple[Result, ...] = field(compare=False)  # of the games before it, and of itself when the match is over
    earlier: tuple[State, ...] = field(compare=False, default=())  # of that game, before each of its moves

    @property
    def game(self) -> Game:
        """The rules of the game that is played, or was the last one."""
        return self.settings.course[len(self.results) - self.over]

    @property
    def over(self) -> bool:
        return len(self.results) == len(self.settings.course)

    @property
    def mover(self) -> int:
        return int(self.game.mover(self.state))

    @cached_property
    def legal(self) -> tuple[int, ...]:
        """The mover's legal actions in ascending order; none when the match is over."""
        return () if self.over else tuple(self.game.legal_mask(self.state)[0].nonzero()[:, 0].tolist())

    @property
    def only(self) -> int | None:
        """What the mover does where a game without tricks leaves it no choice and it is no card, such as to pass or to
        draw: nobody is asked for that. None elsewhere."""
        game, legal = self.game, self.legal
        forced = len(legal) == 1 and isinstance(game, HandGame) and legal[0] >= game.first_other
        return legal[0] if forced else None

    @property
    def past(self) -> Past:
        """How the game that is played came to where it is: what a seat has not seen of it, players leave out."""
        past = Past.none(self.game, 1)
        for state, move in zip(self.earlier, self.moves, strict=True):
            past = past.then(state, torch.tensor([move.action]))
        return past

    @property
    def totals(self) -> tuple[float, ...]:
        """Points of each seat in the finished games."""
        return tuple(sum(result.points[seat] for result in self.results) for seat in range(self.settings.game.seats))

    def act(self, action: int) -> Match:
        """The match after the mover's ``action``; after the last one of a game the next game is dealt.

        Raises:
            ValueError: when the match is over or the action is not legal.
        """
        if action not in self.legal:
            raise ValueError("the match is over" if self.over else f"action {action!r} is not one of {self.legal}")
        move = self._move(action)
        tricks = self.tricks
        if move.plays:
            tricks = (*tricks, Trick((move,))) if move.leads else (*tricks[:-1], Trick((*tricks[-1].plays, move)))
        state = self.game.step(self.state, torch.tensor([action]))
        before = {"moves": (*self.moves, move), "earlier": (*self.earlier, self.state)}
        after = replace(self, history=(*self.history, action), state=state, tricks=tricks, last=move, **before)
        if self.game.is_terminal(state):
            return after._finish_game()
        return after if deal_of(state) == deal_of(self.state) else replace(after, tricks=())

    def _move(self, action: int) -> Move:
        """The mover's action, and what it does to the trick on the table."""
        game, state, seat = self.game, self.state, self.mover
        acting = int(game.acting(state))
        move = Move(seat, action, game.action_name(action, state), acting=None if acting == seat else acting)
        card = isinstance(game, TrickGame) and action < game.layout.size  # a game may add other things to do
        if not card or game.bidding(state) or is_giving(game, state):
            return move
        trick = state.trick.clone()
        trick[0, acting] = action
        cards, out = int((trick >= 0).sum()), game.sits_out(state)
        complete = cards == game.seats - (out is not None and int(out) >= 0)
        winner = int(game.winner(state, trick, game.suit_led(state, trick))) if complete else None
        return replace(move, plays=True, leads=cards == 1, winner=winner)

    def _finish_game(self) -> Match:
        game, state = self.game, self.state
        one = not is_match(state)  # of several deals, these are of the last one
        suits = seeing.kinds(state, game.hidden(state)).get("trump") == "suits"
        result = Result(
            cards=cards_of(game, state),
            points=tuple(game.scores(state)[0].tolist()),
            trump=public(game, state, "trump") if one and suits else None,
            bids=_by_seat(public(game, state, "bids")) if one else None,
            won=_by_seat(public(game, state, "won")) if one else None,
            tricks=self.tricks,
            totals=None if one else _by_seat(public(game, state, "totals")),
            shown=_shown(game, state),
        )
        over = replace(self, results=(*self.results, result))
        if over.over:
            return over
        return replace(over, state=_deal(self.settings, len(over.results)), moves=(), earlier=(), tricks=())._dealt()

    def _dealt(self) -> Match:
        """The match after a deal: where that ends its game, as a hand that wins at once does, at the next game."""
        return self._finish_game() if self.game.is_terminal(self.state) else self


def is_giving(game: TrickGame, state: State) -> bool:
    """Whether the mover gives a card away rather than play it, in a batch of one."""
    giving = game.giving(state)
    return giving is not None and bool(giving)


def cards_of(game: Game, state: State) -> int:
    """Cards dealt to a seat in the game or deal that a batch of one is in."""
    return int(game.cards_of(state)) if hasattr(game, "cards_of") else game.cards


def is_match(state: State) -> bool:
    """Whether a game is itself a match, of several deals."""
    return isinstance(state, Standing)


def deal_of(state: State) -> int:
    """How many deals of it are finished; 0 in a game of one deal."""
    return int(state.number) if is_match(state) else 0


def public(game: Game, state: State, name: str) -> object:
    """A field of a batch of one as `Tensor.tolist` gives it, None where there is none that everybody sees."""
    if name not in state.tensors() or (name in (hidden := game.hidden(state)) and not bool(hidden[name].sees.all())):
        return None
    return getattr(state, name)[0].tolist()


def _shown(game: Game, state: State) -> tuple[tuple[int, ...], ...]:
    """The cards that each seat holds and everybody sees, of a batch of one, in fields of which it sees its own."""
    held: list[list[int]] = [[] for _ in range(game.seats)]
    for name, hidden in game.hidden(state).items():
        counted = hidden.holds == "counts"
        sees = hidden.sees[0, ..., 0] if counted else hidden.sees[0]
        if hidden.is_place and sees.ndim == 2 and sees.shape[1] >= game.seats and bool(sees.diagonal().all()):
            field, open_to_all = getattr(state, name), sees.all(0).tolist()
            rows = field[0].tolist() if counted else hidden.bits(field)[0].tolist()
            for seat in (seat for seat in range(game.seats) if open_to_all[seat]):
                held[seat] += seeing.ids_counted(rows[seat]) if counted else naming.card_ids(game.layout, rows[seat])
    return tuple(tuple(sorted(cards)) for cards in held)


def _by_seat(value: object) -> tuple[int, ...] | None:
    return tuple(value) if isinstance(value, list) else None


def is_told(match: Match, action: int, seat: int) -> bool:
    """Whether ``seat`` is shown what the mover does: nothing else that it could do would look the same to it."""
    return bool(shown_to_seat(match.game, match.state, torch.tensor([action]), seat))


def alike(match: Match, action: int, seat: int) -> tuple[int, ...]:
    """What the mover could do that looks to ``seat`` as ``action`` does, that too, in ascending order; see
    `veclab.arena.shown.alike`."""
    if seat == match.mover:
        return (action,)
    found = looking_alike(match.game, match.state, torch.tensor([action]), seat)[0].nonzero()[:, 0].tolist()
    return tuple(other for other in found if isinstance(match.game, HandGame) or other in match.legal)


def _deal(settings: Settings, number: int) -> State:
    """Game ``number`` of the match."""
    first = FIRST_INDEX if settings.first_index is None else settings.first_index
    return settings.course[number].deal(1, settings.seed, first_index=first + number)


def begin(settings: Settings) -> Match:
    """A match before its first action; of games that are over as they are dealt nobody acts."""
    return Match(settings, (), _deal(settings, 0), (), (), None, ())._dealt()


def walk(settings: Settings, history: Sequence[int]) -> Iterator[Match]:
    """The match before the first action and after each one.

    Raises:
        ValueError: as `Match.act`.
    """
    match = begin(settings)
    yield match
    for action in history:
        match = match.act(action)
        yield match


def undo(match: Match, seat: int) -> Match | None:
    """The match as it was at the last decision of ``seat`` that was a choice, or None when there has been none."""
    *past, _ = walk(match.settings, match.history)
    return next((m for m in reversed(past) if m.mover == seat and len(m.legal) > 1), None)
