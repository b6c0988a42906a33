"""Blob as an OpenSpiel game: ``pyspiel.load_game("python_vecgame_blob(cards=1,suits=2,ranks=2,trump=none,dealer=3)")``.

Importing this module registers the game. Its parameters are those of `vecgame.Rules`:

| parameter | default | |
|---|---|---|
| cards | 5 | dealt to each of the four seats |
| suits, ranks | 4, 13 | the deck: the first suits, the lowest ranks of each |
| hook | True | the dealer may not make the bids sum to `cards` |
| trump | random | drawn by chance, or a suit's name, or none |
| dealer | -1 | the seat 0..3 that deals, or -1: drawn by chance |

**Actions** are vecgame's: bids are 0..cards, plays are card ids 13 * suit + rank, and the phase tells them apart.
**Returns** are the four scores, so the game is general-sum: for its equilibria look at `exploitability.nash_conv`
(OpenSpiel's `exploitability` itself is for two players), and remember that with four players CFR promises no more than
a coarse correlated equilibrium.

**Chance** draws the dealer and trump where they are not fixed, and then deals card by card: for each card of the deck
in ascending order it draws the owner, a seat 0..3 or 4 for the undealt pile, in proportion to the cards that the owner
still needs. So every deal is exactly one path of the game tree, whereas dealing to one seat after the other would
repeat it once for every order within a hand, (cards!)**4 times. Deals are uniform either way.

**Rules** come from `veclab.reference`, which plays one game at a time in plain Python, in a hundredth of the time that
a batch of one takes as tensors (docs/doors.md has the figures); CFR and IS-MCTS walk single states. The tests hold it,
and this game, equal to `vecgame` move by move.

IS-MCTS is `open_spiel.python.algorithms.ismcts.ISMCTSBot`. The bot of the same name in pyspiel, in C++, does not find
the resampling of a game written in Python: in OpenSpiel 2.0.2 it ends the process.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyspiel

from vecgame import Rules
from vecgame.cards import DECK, NO_TRUMP, SEATS, TRUMP_NAMES
from vecgame.games.blob_rules import BIDDER, TURNED
from veclab.doors.shared import card_name
from veclab.reference import rules as blob
from veclab.reference.worlds import sample_world

NAME = "python_vecgame_blob"
DEFAULTS = {"cards": 5, "suits": 4, "ranks": 13, "hook": True, "trump": "random", "dealer": -1}
UNDEALT = SEATS  # the owner of cards that nobody gets

GAME_TYPE = pyspiel.GameType(
    short_name=NAME,
    long_name="Blob (Oh Hell) with the rules of vecgame",
    dynamics=pyspiel.GameType.Dynamics.SEQUENTIAL,
    chance_mode=pyspiel.GameType.ChanceMode.EXPLICIT_STOCHASTIC,
    information=pyspiel.GameType.Information.IMPERFECT_INFORMATION,
    utility=pyspiel.GameType.Utility.GENERAL_SUM,
    reward_model=pyspiel.GameType.RewardModel.TERMINAL,
    max_num_players=SEATS,
    min_num_players=SEATS,
    provides_information_state_string=True,
    provides_information_state_tensor=True,
    provides_observation_string=True,
    provides_observation_tensor=True,
    provides_factored_observation_string=True,
    parameter_specification=DEFAULTS,
)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a game stands: the deal so far, and, when it is complete, the table."""

    dealer: int | None  # None: not drawn yet
    trump: int | None  # 0..3, 4 = none; None: not drawn yet
    owners: tuple[int, ...] = ()  # of the deck's cards dealt so far, ascending: a seat or UNDEALT
    table: blob.State | None = None  # None while cards are dealt; never changed in place

    def __deepcopy__(self, memo: dict) -> Position:
        """Itself: OpenSpiel copies the attributes of a state deeply to clone it, and this one cannot change."""
        return self


class BlobGame(pyspiel.Game):
    """The game. Raises ValueError, as `vecgame.Rules` does, on parameters that make none."""

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        chosen = {**DEFAULTS, **(params or {})}
        self.dealer, self.trump = _fixed_dealer(chosen.pop("dealer")), chosen["trump"]
        if self.trump == "rotate":
            raise ValueError("trump 'rotate' belongs to a match of many games; this is one: take 'random' or a suit")
        checked = Rules(**chosen)
        if checked.trump in (TURNED, BIDDER):
            raise ValueError(f"trump {checked.trump!r} is not among this game's rules: take 'random' or a suit")
        self.trumps = [TRUMP_NAMES.index(name) for name in checked.trumps]
        self.rules = blob.Rules(cards=checked.cards, hook=checked.hook, ranks=checked.ranks, suits=checked.suits)
        self.deck = blob.deck(self.rules)
        info = pyspiel.GameInfo(
            num_distinct_actions=DECK,
            max_chance_outcomes=max(SEATS + 1, len(self.trumps)),
            num_players=SEATS,
            min_utility=0.0,
            max_utility=self.rules.max_score,
            max_game_length=checked.decisions,
        )
        super().__init__(GAME_TYPE, info, params or {})

    def max_chance_nodes_in_history(self) -> int:
        return (self.dealer is None) + (self.trump == "random") + len(self.deck)

    def new_initial_state(self) -> BlobState:
        return BlobState(self)

    def make_py_observer(
        self, iig_obs_type: pyspiel.IIGObservationType | None = None, params: Mapping[str, Any] | None = None
    ) -> BlobObserver:
        return BlobObserver(self, iig_obs_type or pyspiel.IIGObservationType(perfect_recall=False), params)

    def start(self) -> Position:
        """Before any card is dealt."""
        return Position(self.dealer, None if self.trump == "random" else TRUMP_NAMES.index(self.trump))

    def chances(self, position: Position) -> list[tuple[int, float]]:
        """The outcomes of the next draw with their probabilities; empty when the deal is complete."""
        if position.table is not None:
            return []
        if position.dealer is None:
            return [(seat, 1 / SEATS) for seat in range(SEATS)]
        if position.trump is None:
            return [(trump, 1 / len(self.trumps)) for trump in self.trumps]
        left = len(self.deck) - len(position.owners)
        needs = [self.rules.cards - position.owners.count(seat) for seat in range(SEATS)]
        return [(owner, need / left) for owner, need in enumerate((*needs, left - sum(needs))) if need]

    def draw(self, position: Position, outcome: int) -> Position:
        """After one draw. The cards left over when every seat has its hand are not drawn for one by one."""
        if position.dealer is None:
            return replace(position, dealer=outcome)
        if position.trump is None:
            return replace(position, trump=outcome)
        owners = (*position.owners, outcome)
        dealt = replace(position, owners=owners)
        if len(owners) - owners.count(UNDEALT) < SEATS * self.rules.cards:
            return dealt
        hands = [self.hand(dealt, seat) for seat in range(SEATS)]
        return replace(dealt, table=blob.new_state(self.rules, hands, position.dealer, position.trump))

    def hand(self, position: Position, seat: int) -> list[int]:
        """The cards dealt to a seat so far, ascending."""
        return [card for card, owner in zip(self.deck, position.owners, strict=False) if owner == seat]


class BlobState(pyspiel.State):
    """A state of the game. `position` is there to be read."""

    def __init__(self, game: BlobGame) -> None:
        super().__init__(game)
        self.position = game.start()

    def current_player(self) -> int:
        table = self.position.table
        if table is None:
            return pyspiel.PlayerId.CHANCE
        if blob.is_terminal(table):
            return pyspiel.PlayerId.TERMINAL
        return blob.mover(self.get_game().rules, table)

    def chance_outcomes(self) -> list[tuple[int, float]]:
        return self.get_game().chances(self.position)

    def _legal_actions(self, player: int) -> list[int]:
        return blob.legal_actions(self.get_game().rules, self.position.table)

    def _apply_action(self, action: int) -> None:
        game = self.get_game()
        if self.position.table is None:
            self.position = game.draw(self.position, action)
        else:
            self.position = replace(self.position, table=blob.step(game.rules, self.position.table, action))

    def _action_to_string(self, player: int, action: int) -> str:
        if player == pyspiel.PlayerId.CHANCE:
            return self._chance_to_string(action)
        if blob.is_bidding(self.position.table):
            return f"bid {action}"
        return card_name(action)

    def _chance_to_string(self, outcome: int) -> str:
        if self.position.dealer is None:
            return f"seat {outcome} deals"
        if self.position.trump is None:
            return f"trump {TRUMP_NAMES[outcome]}"
        card = card_name(self.get_game().deck[len(self.position.owners)])
        return f"{card} undealt" if outcome == UNDEALT else f"{card} to seat {outcome}"

    def is_terminal(self) -> bool:
        return self.position.table is not None and blob.is_terminal(self.position.table)

    def returns(self) -> list[float]:
        return blob.scores(self.get_game().rules, self.position.table) if self.is_terminal() else [0.0] * SEATS

    def __str__(self) -> str:
        game, position = self.get_game(), self.position
        hands = "/".join(_cards(game.hand(position, seat)) for seat in range(SEATS))
        return f"{_public(position)} hands {hands} {_moves(position)}".rstrip()

    def resample_from_infostate(self, player: int, probability_sampler: Callable[[], float]) -> BlobState:
        """A state that the player to move cannot tell from this one; see `resample`."""
        return self.resample(player, random.Random(int(probability_sampler() * 2**53)))

    def resample(self, player: int, rng: random.Random) -> BlobState:
        """Another deal with the same past, drawn uniformly from all that the player to move holds possible: the same
        own hand and moves, and no card where a seat has shown that it has none of its suit.

        Raises:
            ValueError: if `player` is not the one to move.
        """
        if player < 0 or player != self.current_player():
            raise ValueError(f"only the player to move can be resampled for, that is {self.current_player()}")
        game, table = self.get_game(), self.position.table
        held = sample_world(game.rules, table, rng).hands
        owner_of = {card: seat for seat, hand in enumerate(held) for card in hand}
        owner_of |= {card: seat for seat, card in table.history[SEATS:]}
        state = game.new_initial_state()
        for drawn, fixed in ((table.dealer, game.dealer is not None), (table.trump, game.trump != "random")):
            if not fixed:
                state.apply_action(drawn)
        for card in game.deck:
            if state.is_chance_node():
                state.apply_action(owner_of.get(card, UNDEALT))
        for _, action in table.history:
            state.apply_action(action)
        return state


class BlobObserver:
    """What one player sees, as a tensor of named pieces and as a string; OpenSpiel's PyObserver interface.

    With perfect recall: the hand as dealt and every move so far. Without: the hand still held, the bids, the tricks won
    and the trick on the table. Cards are columns of this game's deck, ascending.
    """

    def __init__(
        self, game: BlobGame, iig_obs_type: pyspiel.IIGObservationType, params: Mapping[str, Any] | None
    ) -> None:
        if params:
            raise ValueError(f"this game's observations have no parameters, got {params}")
        if iig_obs_type.private_info == pyspiel.PrivateInfoType.ALL_PLAYERS:
            raise ValueError("an observation of all players' hands is not offered: it would be the whole state")
        self.game = game
        self.private = iig_obs_type.private_info == pyspiel.PrivateInfoType.SINGLE_PLAYER
        self.public, self.recall = iig_obs_type.public_info, iig_obs_type.perfect_recall
        cards, width = game.rules.cards, len(game.deck)
        self.column = {card: column for column, card in enumerate(game.deck)}
        shapes = {"player": (SEATS,)}
        if self.private:
            shapes["hand"] = (width,)
        if self.public:
            shapes |= {"dealer": (SEATS,), "trump": (NO_TRUMP + 1,), "bids": (SEATS, cards + 1)}
            shapes |= {"plays": (SEATS * cards, width)} if self.recall else {"won": (SEATS, cards + 1)}
            shapes |= {} if self.recall else {"trick": (SEATS, width)}
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        self.tensor = np.zeros(sum(sizes), np.float32)
        parts = np.split(self.tensor, np.cumsum(sizes)[:-1])  # views, so that writing to a piece writes to the tensor
        self.dict = {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}

    def set_from(self, state: BlobState, player: int) -> None:
        """Writes `tensor`, of which the pieces of `dict` are views."""
        self.tensor.fill(0)
        position = state.position
        self.dict["player"][player] = 1
        if self.private:
            self.dict["hand"][[self.column[card] for card in self._hand(position, player)]] = 1
        if self.public:
            self._write_public(position)

    def _write_public(self, position: Position) -> None:
        if position.dealer is not None:
            self.dict["dealer"][position.dealer] = 1
        if position.trump is not None:
            self.dict["trump"][position.trump] = 1
        table = position.table
        if table is None:
            return
        for seat, bid in enumerate(table.bids):
            if bid is not None:
                self.dict["bids"][seat, bid] = 1
        if self.recall:
            for turn, (_, card) in enumerate(table.history[SEATS:]):
                self.dict["plays"][turn, self.column[card]] = 1
            return
        self.dict["won"][range(SEATS), table.won] = 1
        for seat, card in table.trick:
            self.dict["trick"][seat, self.column[card]] = 1

    def string_from(self, state: BlobState, player: int) -> str:
        """The same as the tensor says, in words."""
        position = state.position
        words = [f"seat {player}"]
        if self.public:
            words.append(_public(position))
        if self.private:
            words.append(f"hand {_cards(self._hand(position, player))}")
        if self.public and position.table is not None:
            words.append(_moves(position) if self.recall else _summary(position.table))
        return " ".join(words).rstrip()

    def _hand(self, position: Position, player: int) -> list[int]:
        if position.table is None or self.recall:
            return self.game.hand(position, player)
        return sorted(position.table.hands[player])


def _fixed_dealer(dealer: int) -> int | None:
    if isinstance(dealer, bool) or dealer not in range(-1, SEATS):
        raise ValueError(f"dealer must be a seat 0..3, or -1 to be drawn, got {dealer!r}")
    return None if dealer == -1 else dealer


def _public(position: Position) -> str:
    dealer = "?" if position.dealer is None else position.dealer
    return f"dealer {dealer} trump {'?' if position.trump is None else TRUMP_NAMES[position.trump]}"


def _moves(position: Position) -> str:
    """Bids and plays in the order they were made; who made each follows from the rules."""
    actions = [action for _, action in position.table.history] if position.table is not None else []
    return f"bids {' '.join(map(str, actions[:SEATS]))} plays {_cards(actions[SEATS:])}" if actions else ""


def _summary(table: blob.State) -> str:
    bids = " ".join("-" if bid is None else str(bid) for bid in table.bids)
    trick = " ".join(f"{seat}:{card_name(card)}" for seat, card in table.trick)
    return f"bids {bids} won {' '.join(map(str, table.won))} trick {trick}"


def _cards(cards: list[int]) -> str:
    return " ".join(map(card_name, cards))


pyspiel.register_game(GAME_TYPE, BlobGame)
