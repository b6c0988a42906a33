"""Players of OpenSpiel's `oh_hell` in matches here: at each decision the position is built again in OpenSpiel.

It is built from the hands and the history of actions. Under trump "turned" the card turned up is the one that is turned
up here; in mirrored games of other rules, which turn none up, the lowest trump stands for it, whether or not somebody
holds it, and so tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vecgame import Blob, BlobState, Game, Purpose, Stream
from vecgame.cards import RANKS, list_cards
from vecgame.lanes import has_choice
from vecgame.philox import check_seed
from veclab.arena import oh_hell
from vecmcts import Past

if TYPE_CHECKING:
    import pyspiel


@dataclass(frozen=True)
class Mirrored:
    """One game of `oh_hell` at one decision."""

    game: Blob
    spiel: pyspiel.Game  # of `oh_hell.load`
    state: BlobState  # one lane
    past: list[int]  # its actions so far

    def positions(self, hands: Tensor) -> Iterator[pyspiel.State]:
        """The game in OpenSpiel for each of W worlds, [W, P] int64 bitboards of what each seat holds now."""
        played = played_by(self.state, self.past)
        return mirror(self.game, self.spiel, self.state, hands | played, self.past)


class MirroredPlayer:
    """Decides game after game, in OpenSpiel's own state."""

    games_a_process = 1  # one takes as long as the next

    def refuses(self, game: Game) -> str | None:
        """Why it cannot play a game, in one line; None if it can."""
        try:
            if oh_hell.playable(game) == [game]:
                return None
        except ValueError as error:
            return str(error)
        return f"OpenSpiel's oh_hell always has a trump suit; these rules have trump {game.rules.trump}"

    def act_after(self, game: Blob, state: BlobState, past: Past, seed: int) -> Tensor:
        """A legal action for the mover of every lane: [B] int64, see `veclab.arena.bots.HistoryPlayer`."""
        if (reason := self.refuses(game)) is not None:
            raise ValueError(reason)
        spiel = oh_hell.load(game.cards, oh_hell.off_bid_penalty(game.rules), game.seats)
        actions = game.legal_actions(state)
        chosen = actions[:, 0].clone()
        words = Stream(check_seed(seed), state.index, game.turn(state)).words(Purpose.ACTION, 1)[:, 0].tolist()
        for lane in has_choice(actions).nonzero()[:, 0].tolist():
            made = [action for action in past.actions[lane].tolist() if action >= 0]
            mirrored = Mirrored(game, spiel, state[lane : lane + 1].to("cpu"), made)
            chosen[lane] = oh_hell.our_action(self.decide(mirrored, seed, words[lane] >> 1))
        return chosen

    def decide(self, mirrored: Mirrored, seed: int, number: int) -> int:
        """OpenSpiel's action in one game.

        Args:
            seed: of the match.
            number: a random one, of this game and decision.
        """
        raise NotImplementedError


def played_by(state: BlobState, past: list[int]) -> Tensor:
    """The cards that each seat has played in the one game of ``state``, by its actions so far: [P] int64 bitboards."""
    seats = state.hands.shape[1]
    played = [0] * seats
    leader, trick = (int(state.dealer[0]) + 1) % seats, []
    trump = int(state.trump[0])
    for card in past[seats:]:
        played[(leader + len(trick)) % seats] |= 1 << card
        trick.append(card)
        if len(trick) == seats:
            leader, trick = (leader + _winner(trick, trump)) % seats, []
    return torch.tensor(played)


def _winner(trick: list[int], trump: int) -> int:
    """Which card of a trick, in the order of play, wins it."""
    led = trick[0] // RANKS
    strength = [(card // RANKS == trump, card // RANKS == led, card % RANKS) for card in trick]
    return strength.index(max(strength))


def mirror(
    game: Blob, spiel: pyspiel.Game, state: BlobState, dealt: Tensor, past: list[int]
) -> Iterator[pyspiel.State]:
    """The game in OpenSpiel after the actions ``past``, for each of W deals.

    Args:
        state: one lane, of which dealer, trump and the card turned up are taken.
        dealt: [W, P] int64, the cards dealt to each seat.
    """
    hands = list_cards(dealt.flatten(), game.cards).view(-1, game.seats, game.cards).tolist()
    dealer, turned_up = int(state.dealer[0]), RANKS * int(state.trump[0])
    if game.turns:  # of the cards that all have seen, the one that nobody has played
        turned_up = int(state.seen[0] & ~played_by(state, past).sum()).bit_length() - 1
    actions = oh_hell.their_actions(past, game.seats)
    for deal in hands:
        position = oh_hell.begin(spiel, deal, dealer, turned_up)
        for action in actions:
            position.apply_action(action)
        yield position
