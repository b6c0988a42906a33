"""Blob as an OpenSpiel game: ``pyspiel.load_game("python_vecgame_blob(cards=1,suits=2,ranks=2,trump=none,dealer=3)")``.

Importing this module registers the game. Its parameters are all the rules of `vecgame.Rules`, with their defaults, but
for two whose values are of several types there:

| parameter | default | |
|---|---|---|
| dealer | -1 | the seat that deals; -1: drawn by chance; -2: goes round with the games, as trump does by "rotate" |
| zero_bonus | -1e9 | points for winning no trick as bid; -1e9: `exact_bonus` |

Games are not numbered here: what goes round with them is drawn, and of dealer and trump that both do those pairs that
some game has.

**Actions** are vecgame's: bids are 0..cards, plays are card ids 13 * suit + rank, a highest bidder names trump by the
suit's number (4 for none), and the phase tells them apart. **Returns** are the scores, so the game is general-sum: for
its equilibria look at `exploitability.nash_conv` (OpenSpiel's `exploitability` itself is for two players), and remember
that with more players CFR promises no more than a coarse correlated equilibrium.

**Chance** draws the dealer and trump, or the card turned up for it, where they are not fixed, and then deals card by
card: for each card left of the deck in ascending order it draws the owner, a seat or the number after the last for the
undealt pile, in proportion to the cards that the owner still needs. So every deal is exactly one path of the game tree,
whereas dealing to one seat after the other would repeat it once for every order within a hand. Deals are uniform either
way.

**Rules** come from `veclab.reference`, which plays one game at a time in plain Python, in a hundredth of the time that
a batch of one takes as tensors (docs/doors.md has the figures); CFR and IS-MCTS walk single states. What that does not
know (trump named by a bidder, bids made at once or without a sight of one's cards) is here and in
`veclab.doors.openspiel_blob_view`. The tests hold all of it equal to `vecgame` move by move.

IS-MCTS is `open_spiel.python.algorithms.ismcts.ISMCTSBot`. The bot of the same name in pyspiel, in C++, does not find
the resampling of a game written in Python: in OpenSpiel 2.0.2 it ends the process.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache
from math import lcm
from typing import Any

import pyspiel
import torch

from vecgame import Rules, score
from vecgame.cards import DECK, NO_TRUMP, TRUMP_NAMES
from vecgame.games.blob_rules import BIDDER, LIMITS, TURNED
from veclab.doors import openspiel_blob_view as view
from veclab.doors.openspiel_blob_view import Position
from veclab.reference import rules as blob
from veclab.reference.worlds import sample_world

NAME = "python_vecgame_blob"
DRAWN, ROTATES = -1, -2  # of dealers
AS_EXACT = -1e9  # of zero_bonus: as `exact_bonus`
DEFAULTS = {field.name: field.default for field in fields(Rules)} | {"dealer": DRAWN, "zero_bonus": AS_EXACT}

GAME_TYPE = pyspiel.GameType(
    short_name=NAME,
    long_name="Blob (Oh Hell) with the rules of vecgame",
    dynamics=pyspiel.GameType.Dynamics.SEQUENTIAL,
    chance_mode=pyspiel.GameType.ChanceMode.EXPLICIT_STOCHASTIC,
    information=pyspiel.GameType.Information.IMPERFECT_INFORMATION,
    utility=pyspiel.GameType.Utility.GENERAL_SUM,
    reward_model=pyspiel.GameType.RewardModel.TERMINAL,
    max_num_players=LIMITS["players"][1],
    min_num_players=LIMITS["players"][0],
    provides_information_state_string=True,
    provides_information_state_tensor=True,
    provides_observation_string=True,
    provides_observation_tensor=True,
    provides_factored_observation_string=True,
    parameter_specification=DEFAULTS,
)


class BlobGame(pyspiel.Game):
    """The game. Raises ValueError, as `vecgame.Rules` does, on parameters that make none."""

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        chosen = {**DEFAULTS, **(params or {})}
        self.dealer = chosen["dealer"]
        players = chosen["players"]
        if isinstance(self.dealer, bool) or self.dealer not in range(ROTATES, players):
            raise ValueError(
                f"dealer must be a seat 0..{players - 1}, -1 to be drawn or -2 to go round, got {self.dealer!r}"
            )
        zero_bonus = None if chosen["zero_bonus"] == AS_EXACT else chosen["zero_bonus"]
        self.house = Rules(**{**chosen, "dealer": max(self.dealer, 0), "zero_bonus": zero_bonus})
        house = self.house
        self.rules = blob.Rules(
            cards=house.cards,
            hook=house.hook and house.hook_from <= house.cards <= house.hook_to,
            ranks=house.ranks,
            suits=house.suits,
            players=house.players,
        )
        self.deck = blob.deck(self.rules)
        self.trumps = [TRUMP_NAMES.index(name) for name in house.trumps]
        self.turns = house.trump == TURNED and house.players * house.cards < len(self.deck)
        self.dealt = len(self.deck) - self.turns  # cards of which each has an owner
        self.undealt = self.dealt - house.players * house.cards
        self.names = house.trump == BIDDER
        self.points = cache(self._points)
        low, high = house.range
        info = pyspiel.GameInfo(
            num_distinct_actions=DECK,
            max_chance_outcomes=max(house.players, *self.trumps, *(self.deck if self.turns else ())) + 1,
            num_players=house.players,
            min_utility=low,
            max_utility=high,
            max_game_length=house.decisions,
        )
        found = {"scoring": house.scoring} if house.scoring else {}  # by an address that holds in every folder
        super().__init__(GAME_TYPE, info, {**(params or {}), **found})

    def _points(self, bids: tuple[int, ...], won: tuple[int, ...]) -> list[float]:
        """Points of each seat for its bid and the tricks that it has won."""
        return score(self.house, torch.tensor(bids), torch.tensor(won)).tolist()

    def max_chance_nodes_in_history(self) -> int:
        return (self.dealer < 0) + (self.start().trump is None or self.turns) + self.dealt

    def new_initial_state(self) -> BlobState:
        return BlobState(self)

    def make_py_observer(
        self, iig_obs_type: pyspiel.IIGObservationType | None = None, params: Mapping[str, Any] | None = None
    ) -> view.BlobObserver:
        return view.BlobObserver(self, iig_obs_type or pyspiel.IIGObservationType(perfect_recall=False), params)

    # -- the deal ------------------------------------------------------------------------------------------------------

    def start(self) -> Position:
        """Before anything is drawn."""
        trump = self.house.trump
        fixed = NO_TRUMP if trump in (BIDDER, TURNED) else TRUMP_NAMES.index(trump) if trump in TRUMP_NAMES else None
        return Position(self.dealer if self.dealer >= 0 else None, fixed)

    def chances(self, position: Position) -> list[tuple[int, float]]:
        """The outcomes of the next draw with their probabilities; empty when the deal is complete."""
        if position.table is not None:
            return []
        if position.dealer is None:
            return _uniform(range(self.rules.players))
        if position.trump is None:
            return _uniform(self._trumps_with(position.dealer))
        if self.turns and position.turned is None:
            return _uniform(self.deck)
        left = self.dealt - len(position.owners)
        needs = [self.rules.cards - position.owners.count(seat) for seat in range(self.rules.players)]
        return [(owner, need / left) for owner, need in enumerate((*needs, left - sum(needs))) if need]

    def _trumps_with(self, dealer: int) -> list[int]:
        """The trumps of the games that a seat deals, where both go round; else all."""
        if self.house.trump != "rotate" or self.dealer != ROTATES:
            return self.trumps
        seats, kinds = self.rules.players, len(self.trumps)
        return sorted({self.trumps[game % kinds] for game in range(lcm(seats, kinds)) if game % seats == dealer})

    def draw(self, position: Position, outcome: int) -> Position:
        """After one draw. The cards left over when every seat has its hand are not drawn for one by one.

        Raises:
            ValueError: on an outcome that there is not.
        """
        if not self._may_draw(position, outcome):
            raise ValueError(f"chance has no outcome {outcome} here; there are {self.chances(position)}")
        if position.dealer is None:
            return replace(position, dealer=outcome)
        if position.trump is None:
            return replace(position, trump=outcome)
        if self.turns and position.turned is None:
            return replace(position, turned=outcome, trump=blob.suit_of(outcome))
        owners, seats = (*position.owners, outcome), self.rules.players
        dealt = Position(
            position.dealer, position.trump, owners, position.turned
        )  # `replace` takes three times as long
        if len(owners) - owners.count(seats) < seats * self.rules.cards:
            return dealt
        hands = [self.hand(dealt, seat) for seat in range(seats)]
        table = blob.new_state(self.rules, hands, position.dealer, position.trump, position.turned)
        return replace(dealt, table=table)

    def _may_draw(self, position: Position, outcome: int) -> bool:
        if position.dealer is None or position.trump is None or (self.turns and position.turned is None):
            return any(outcome == possible for possible, _ in self.chances(position))
        most = self.rules.cards if outcome < self.rules.players else self.undealt
        return 0 <= outcome <= self.rules.players and position.owners.count(outcome) < most

    def dealt_from(self, position: Position) -> list[int]:
        """The deck without the card turned up, ascending."""
        return self.deck if position.turned is None else [card for card in self.deck if card != position.turned]

    def hand(self, position: Position, seat: int) -> list[int]:
        """The cards dealt to a seat so far, ascending."""
        return [card for card, owner in zip(self.dealt_from(position), position.owners, strict=False) if owner == seat]

    # -- the play ------------------------------------------------------------------------------------------------------

    def naming(self, position: Position) -> bool:
        """Whether the highest bidder is to name trump."""
        return self.names and position.named is None and not blob.is_bidding(position.table)

    def mover(self, position: Position) -> int:
        table, seats = position.table, self.rules.players
        if not self.naming(position):
            return blob.mover(self.rules, table)
        order = [(table.dealer + 1 + place) % seats for place in range(seats)]
        return max(order, key=lambda seat: table.bids[seat])  # the first of several

    def legal_actions(self, position: Position) -> list[int]:
        return sorted(self.trumps) if self.naming(position) else blob.legal_actions(self.rules, position.table)

    def play(self, position: Position, action: int) -> Position:
        """Raises ValueError on an action that is not legal."""
        if not self.naming(position):
            table = blob.step(self.rules, position.table, action)
            return Position(position.dealer, position.trump, position.owners, position.turned, table, position.named)
        if action not in self.trumps:
            raise ValueError(f"action {action} is not among the legal {self.trumps}")
        table = position.table.copy()
        table.trump = action
        return replace(position, trump=action, named=action, table=table)


class BlobState(pyspiel.State):
    """A state of the game. `position` is there to be read."""

    def __init__(self, game: BlobGame) -> None:
        super().__init__(game)
        self.position = game.start()

    def current_player(self) -> int:
        if self.position.table is None:
            return pyspiel.PlayerId.CHANCE
        return pyspiel.PlayerId.TERMINAL if self.is_terminal() else self.get_game().mover(self.position)

    def chance_outcomes(self) -> list[tuple[int, float]]:
        return self.get_game().chances(self.position)

    def _legal_actions(self, player: int) -> list[int]:
        return self.get_game().legal_actions(self.position)

    def _apply_action(self, action: int) -> None:
        game = self.get_game()
        self.position = (game.draw if self.position.table is None else game.play)(self.position, action)

    def _action_to_string(self, player: int, action: int) -> str:
        game, position = self.get_game(), self.position
        if player == pyspiel.PlayerId.CHANCE:
            return view.chance_name(game, position, action)
        if blob.is_bidding(position.table):
            return f"bid {action}"
        return f"trump {TRUMP_NAMES[action]}" if game.naming(position) else view.card_name(action)

    def is_terminal(self) -> bool:
        return self.position.table is not None and blob.is_terminal(self.position.table)

    def returns(self) -> list[float]:
        if not self.is_terminal():
            return [0.0] * self.get_game().rules.players
        table = self.position.table
        return self.get_game().points(tuple(table.bids), tuple(table.won))

    def __str__(self) -> str:
        return view.everything(self.get_game(), self.position)

    def resample_from_infostate(self, player: int, probability_sampler: Callable[[], float]) -> BlobState:
        """A state that the player to move cannot tell from this one; see `resample`."""
        return self.resample(player, random.Random(int(probability_sampler() * 2**53)))

    def resample(self, player: int, rng: random.Random) -> BlobState:
        """Another deal with the same past, drawn uniformly from all that the player to move holds possible: the same
        cards that it sees and moves, and no card where a seat has shown that it has none of its suit. Of bids that it
        does not know yet any is as likely as the other.

        Raises:
            ValueError: if `player` is not the one to move.
        """
        if player < 0 or player != self.current_player():
            raise ValueError(f"only the player to move can be resampled for, that is {self.current_player()}")
        game, position = self.get_game(), self.position
        table, seats = position.table, game.rules.players
        held = _other_hands(game, position, player, rng)
        owner_of = {card: seat for seat, hand in enumerate(held) for card in hand}
        owner_of |= {card: seat for seat, card in table.history[seats:]}
        bids = [
            action if view.sees_bid(game, position, player, seat) else rng.randrange(game.rules.cards + 1)
            for seat, action in table.history[:seats]
        ]
        state = game.new_initial_state()
        before = game.start()
        for drawn, fixed in ((table.dealer, before.dealer), (position.trump, before.trump)):
            if fixed is None:
                state.apply_action(drawn)
        if game.turns:
            state.apply_action(position.turned)
        for card in game.dealt_from(position):
            if state.is_chance_node():
                state.apply_action(owner_of.get(card, seats))
        named = [] if position.named is None else [position.named]
        for action in (*bids, *named, *(card for _, card in table.history[seats:])):
            state.apply_action(action)
        return state


def _other_hands(game: BlobGame, position: Position, player: int, rng: random.Random) -> list[frozenset[int]]:
    """Hands held now, drawn uniformly from all that a player to move must hold possible."""
    table, seats = position.table, range(game.rules.players)
    seen = {seat: table.hands[seat] for seat in seats if view.sees_hand(game, position, player, seat)}
    if list(seen) == [player] and not game.naming(position):
        return sample_world(game.rules, table, rng).hands
    if len(seen) == len(seats):
        return table.hands
    # Trump is being named, or bids made without a sight of one's cards: as nothing has been played, any unseen card may
    # be anywhere.
    unseen = [card for card in game.dealt_from(position) if not any(card in hand for hand in seen.values())]
    rng.shuffle(unseen)
    return [seen[seat] if seat in seen else frozenset(unseen.pop() for _ in table.hands[seat]) for seat in seats]


def _uniform(outcomes: Any) -> list[tuple[int, float]]:
    return [(outcome, 1 / len(outcomes)) for outcome in outcomes]


pyspiel.register_game(GAME_TYPE, BlobGame)
