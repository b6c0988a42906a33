"""OpenSpiel's information-set Monte Carlo tree search (IS-MCTS) as an opponent.

Cowling, Powley, Whitehouse, "Information Set Monte Carlo Tree Search" (IEEE TCIAIG 4, 2012), as OpenSpiel implements it
on its own `oh_hell`: one tree whose nodes are the information sets of whoever moves, a new world for every simulation,
UCT, and one random playout a leaf. The games of a match are mirrored: at each decision the position is built again in
OpenSpiel from the hands and the history of actions.

What differs from plain use of OpenSpiel, and why:

- **Worlds.** OpenSpiel's own (`resample_from_infostate`, version 2.0.2) cannot be used. They deal the opponents the
  very cards that they hold in the true game, among themselves, so that a player knows which cards nobody holds; and
  they ignore the voids that players have shown: in positions with a choice after the first trick of random games with 5
  cards, 9% of them were impossible. So the search gets its worlds from `vecgame.worlds`: exactly uniform over all deals
  that the mover's information allows. Against three rule-based players, with 1,000 simulations, this player made 7.3
  points a game, and OpenSpiel's C++ bot, which searches its own worlds, 8.5 (the same 640 games, both +- 0.4).
- **The bot.** Only OpenSpiel's Python implementation takes other worlds. Its C++ bot, four times as fast, does not, and
  the order of its hash tables makes it choose differently from run to run at one seed.
- **The turned-up card.** Only trump "turned" turns one up here. The lowest trump stands for it in every mirrored game,
  whether or not somebody holds it, and so tells nothing.
- **Score.** It maximises OpenSpiel's return, which is ours where a missed bid costs a point for each trick away from
  it (miss_penalty=1) or earns one for each trick won (miss_points_per_trick=1). Where it scores 0, our default, it
  plays by the first of these. It refuses other scorings, as it does other rules that OpenSpiel does not have.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vecgame import Blob, BlobState, Game, Purpose, Stream
from vecgame.cards import RANKS, list_cards
from veclab.arena import oh_hell
from vecmcts import Past

if TYPE_CHECKING:
    import pyspiel

UCT_C = 10.0  # OpenSpiel's exploration constant, for returns from -cards to 10 + cards


class ISMCTSPlayer:
    """Searches every decision that is one by OpenSpiel's IS-MCTS, game after game, and takes the most visited action.

    A decision depends on the seed, the game's number and its history only.

    Args:
        simulations: playouts a decision, each in a world of its own.

    Raises:
        ValueError: when OpenSpiel is not installed, or on settings out of range.
    """

    def __init__(self, simulations: int = 1000, uct_c: float = UCT_C) -> None:
        try:
            import pyspiel  # noqa: F401
        except ModuleNotFoundError:
            raise ValueError("IS-MCTS needs OpenSpiel: pip install 'vecgame[peers]'") from None
        if simulations < 2:  # the first one only opens the root
            raise ValueError(f"IS-MCTS needs at least 2 simulations, got {simulations}")
        self.simulations, self.uct_c = simulations, uct_c
        self.name = f"IS-MCTS {simulations:,}"

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
        words = Stream(seed, state.index, game.turn(state)).words(Purpose.ACTION, 1)[:, 0].tolist()
        for lane in (actions[:, 1:] >= 0).any(-1).nonzero()[:, 0].tolist():
            made = [action for action in past.actions[lane].tolist() if action >= 0]
            one = state[lane : lane + 1].to("cpu")
            chosen[lane] = self._decide(game, spiel, one, made, seed, words[lane] >> 1)
        return chosen

    def _decide(
        self, game: Blob, spiel: pyspiel.Game, state: BlobState, past: list[int], seed: int, bot_seed: int
    ) -> int:
        """The action in one game."""
        import numpy as np
        from open_spiel.python.algorithms import ismcts

        played = played_by(state, past)
        worlds = game.determinize(state, self.simulations, seed).hands
        sampled = mirror(game, spiel, state, worlds | played, past)
        bot = ismcts.ISMCTSBot(
            spiel,
            _Playout(bot_seed),
            self.uct_c,
            self.simulations,
            random_state=np.random.RandomState(bot_seed),
            final_policy_type=ismcts.ISMCTSFinalPolicyType.MAX_VISIT_COUNT,
        )
        bot.set_resampler(lambda position, player: next(sampled))
        return oh_hell.our_action(bot.step(next(mirror(game, spiel, state, state.hands | played, past))))


class _Playout:
    """OpenSpiel's `Evaluator` of one random playout; its own draws by NumPy, which takes four times as long."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def evaluate(self, state: pyspiel.State) -> list[float]:
        state = state.clone()
        while not state.is_terminal():
            actions = state.legal_actions()
            state.apply_action(actions[int(self.random() * len(actions))])
        return state.returns()

    def prior(self, state: pyspiel.State) -> list[tuple[int, float]]:
        actions = state.legal_actions()
        return [(action, 1 / len(actions)) for action in actions]


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
        state: one lane, of which dealer and trump are taken.
        dealt: [W, P] int64, the cards dealt to each seat.
    """
    hands = list_cards(dealt.flatten(), game.cards).view(-1, game.seats, game.cards).tolist()
    dealer, lowest_trump = int(state.dealer[0]), RANKS * int(state.trump[0])
    actions = oh_hell.their_actions(past, game.seats)
    for deal in hands:
        position = oh_hell.begin(spiel, deal, dealer, lowest_trump)
        for action in actions:
            position.apply_action(action)
        yield position
