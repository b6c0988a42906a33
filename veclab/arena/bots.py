"""Players: the known opponents, and the network with and without search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from net.threads import side_by_side
from vecgame import Game, Purpose, State, Stream, counts, hidden, worlds
from vecgame.games.match import Match
from vecgame.lanes import has_choice
from vecgame.philox import check_seed
from veclab.arena.rules.player import RuleBot as RuleBot
from veclab.arena.versions import digest_of
from veclab.exact.solution import is_small
from vecmcts import (
    Evaluator,
    IsmctsConfig,
    Past,
    RolloutConfig,
    SearchConfig,
    best_action,
    ismcts,
    random_action,
    rollouts,
    search,
)
from vecmcts.evaluators import Network, check_answer, play_out
from vecmcts.rollouts import DrawWorlds

TINIEST = 2.0**-64  # in place of a uniform number that is 0, which has no logarithm

# Decisions from which on PyTorch's threads work on parts of the network's rows (`net.threads`) instead of on parts of
# each operation, which in rollouts, searches and playouts are too small to be worth it. Matches by rollouts are 1.1
# times as fast on two idle cores, and 1.1 to 1.2 times beside another busy program; docs/performance.md.
SIDE_BY_SIDE = 8


class Player(Protocol):
    """Decides for many games at once. One that cannot play every game has a method ``refuses(game)``: see `why_not`.
    One that decides game after game says in ``games_a_process`` how many are worth a process of their own; None where
    it must stay in one. One that has something to do before it plays has a method ``get_ready(games, display)``: see
    `veclab.arena.solved`."""

    name: str

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        """A legal action for the mover of every lane: [B] int64. Depends on each lane's own game only."""


class HistoryPlayer(Protocol):
    """A player that must be told how a game came to its state, which a state does not keep."""

    name: str

    def act_after(self, game: Game, state: State, past: Past, seed: int) -> Tensor:
        """As `Player.act`, after the past of these games."""


def name_of(player: object) -> str:
    """What to call a player."""
    return getattr(player, "name", type(player).__name__)


def any_told(players: Iterable[object]) -> bool:
    """Whether one of the players is told how games came to where they are (`HistoryPlayer`)."""
    return any(hasattr(player, "act_after") for player in players)


def why_not(player: Player | HistoryPlayer, *games: Game) -> str | None:
    """In one line why a player cannot play all of the games, as its method ``refuses(game) -> str | None`` says; None
    if it can, and of a player without that method."""
    reasons = (player.refuses(game) for game in games) if hasattr(player, "refuses") else ()
    return next(filter(None, reasons), None)


def _threads(state: State) -> AbstractContextManager:
    """What PyTorch's threads do meanwhile, of decisions of so many games."""
    return side_by_side(state.device, worth=state.batch_size >= SIDE_BY_SIDE)


class RandomBot:
    """Bids and plays uniformly at random."""

    name = "random"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        stream = Stream(check_seed(seed), state.index, game.turn(state))
        return random_action(game, state, stream.uniform(Purpose.ACTION, 1)[:, 0])

    def digest(self, game: Game) -> str:
        """SHA-256 of the source that it plays by."""
        return digest_of(type(self), random_action)


class FlatMonteCarlo:
    """Tries every action in uniformly drawn worlds, plays on at random, takes the best mean: no tree, no network."""

    lanes = 1 << 18  # playouts at a time

    def __init__(self, worlds: int = 32) -> None:
        self.worlds = worlds
        self.name = "flat Monte Carlo"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        seed, chunk = check_seed(seed), max(1, self.lanes // (self.worlds * game.max_legal))
        with _threads(state):
            return torch.cat([self._act(game, part, seed) for part in _split(state, chunk)])

    def _act(self, game: Game, state: State, seed: int) -> Tensor:
        actions = game.legal_actions(state)  # [B, A]
        slots = actions.shape[1]
        worlds = game.determinize(state, self.worlds, seed).repeat(slots)
        tried = actions.repeat_interleave(self.worlds, dim=0).flatten()
        lanes = (tried >= 0).nonzero()[:, 0]
        # The same random numbers for every action of a world: what differs is the action.
        stream = Stream.of_worlds(seed, state.index, game.turn(state), self.worlds)
        stream = stream.take(torch.arange(len(stream.game), device=state.device).repeat_interleave(slots)[lanes])
        after = game.play_forced(game.step(worlds.take(lanes), tried[lanes]))
        values = play_out(game, after, stream)
        mover = game.mover(state).repeat_interleave(self.worlds * slots)[lanes]
        total = torch.full_like(tried, -1, dtype=torch.float32)  # below any action's mean: no action
        total[lanes] = values.gather(1, mover[:, None])[:, 0]
        best = total.view(state.batch_size, self.worlds, slots).mean(1).argmax(-1)
        return actions.gather(1, best[:, None])[:, 0]

    def digest(self, game: Game) -> str:
        """SHA-256 of the source that it plays a game by: its own, how it plays on, and how worlds are drawn."""
        drawing = [kind.determinize for kind in type(game).__mro__ if "determinize" in vars(kind)]
        return digest_of(type(self), play_out, random_action, *drawing, worlds, counts, hidden)


class NetworkPlayer:
    """Plays a network's policy, without search: its most probable action, or one drawn from it.

    Args:
        sample: draw the action; what is drawn depends on the seed, the game's number and the decision.
        name: "network alone" by default, "network's policy" of one that draws.
    """

    def __init__(self, network: Network, name: str = "", sample: bool = False) -> None:
        self.network, self.sample = network, sample
        self.name = name or ("network's policy" if sample else "network alone")

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        actions = game.legal_actions(state)
        mask = game.mask_at(actions, game.policy_columns(state, actions))
        logits, _ = check_answer(self.network(game.observe(state), mask), self.network, game, state, one_value=True)
        slots = game.slot_logits(state, actions, logits)
        if self.sample:
            # The Gumbel-max trick (Gumbel 1954): the largest of logits plus Gumbel noise is a draw from their softmax.
            uniform = Stream(check_seed(seed), state.index, game.turn(state)).uniform(Purpose.ACTION, slots.shape[1])
            slots = slots.double() - (-uniform.double().clamp(min=TINIEST).log()).log()
        return actions.gather(1, slots.argmax(-1, keepdim=True))[:, 0]


class SearchPlayer:
    """Searches every decision that is one, and takes the action that the search recommends."""

    def __init__(self, evaluator: Evaluator | Network, config: SearchConfig, name: str = "") -> None:
        self.evaluator, self.config = evaluator, config
        self.name = name or f"search {config.worlds}x{config.simulations}"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        return self._act(game, state, None, seed)

    def _act(self, game: Game, state: State, past: Past | None, seed: int) -> Tensor:
        actions = self.config.view(game).legal_actions(state)
        action = actions[:, 0]
        lanes = has_choice(actions).nonzero()[:, 0]
        if len(lanes) == 0:
            return action
        choosing, past = state.take(lanes), None if past is None else past.take(lanes)
        with _threads(choosing):
            result = search(game, choosing, self.evaluator, self.config, seed, past=past)
        best = best_action(game, choosing, result.policy, result.visits, self.config, seed)
        return action.index_copy(0, lanes, best)


class InferringPlayer(SearchPlayer):
    """Searches in worlds that make likely what was bid and played (``config.candidates``)."""

    def act_after(self, game: Game, state: State, past: Past, seed: int) -> Tensor:
        """As `SearchPlayer.act`, see `HistoryPlayer`."""
        return self._act(game, state, past, seed)


def search_player(evaluator: Evaluator | Network, config: SearchConfig, name: str = "") -> SearchPlayer:
    """A player that searches, and is told the past if the config asks for it."""
    if not config.candidates:
        return SearchPlayer(evaluator, config, name)
    inferred = f"search {config.worlds} of {config.candidates}x{config.simulations}"
    return InferringPlayer(evaluator, config, name or inferred)


class IsmctsPlayer:
    """Searches every decision that is one in one tree over all worlds, and takes the action visited most."""

    def __init__(self, evaluator: Evaluator | Network, config: IsmctsConfig, name: str = "") -> None:
        self.evaluator, self.config = evaluator, config
        self.name = name or f"SO-ISMCTS {config.simulations}"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        actions = game.legal_actions(state)
        action = actions[:, 0]
        lanes = has_choice(actions).nonzero()[:, 0]
        if len(lanes) == 0:
            return action
        choosing = state.take(lanes)
        with _threads(choosing):
            visits = ismcts(game, choosing, self.evaluator, self.config, seed).visits
        return action.index_copy(0, lanes, visits.argmax(-1))


LONGEST_ROLLED = 128  # decisions of a game in which rollouts are the default
CANDIDATES = RolloutConfig.candidates // RolloutConfig.worlds  # for each world of rollouts
MOST_ROLLED = ((1 << 15) - 1) // CANDIDATES


def rollout_config(games: Sequence[Game], worlds: int = RolloutConfig.worlds) -> RolloutConfig:
    """The default, or in so many worlds of as many times as many candidates; in games in which cards change hands
    uniform worlds, for others cannot be had there.

    Raises:
        ValueError: in one line, on numbers of worlds that there cannot be.
    """
    if isinstance(worlds, int) and worlds > MOST_ROLLED:
        raise ValueError(f"worlds of rollouts must be from 2 to {MOST_ROLLED:,}, got {worlds:,}")
    config = RolloutConfig(worlds=worlds, candidates=worlds * CANDIDATES)
    return config if all(game.fixed_hands for game in games) else replace(config, candidates=0)


def usual_thinking(games: Sequence[Game]) -> str:
    """How a network thinks unless it is told, "policy", "rollouts" or "search": not beyond its policy in games that are
    solved by default, where it has learned an equilibrium and a search leads away from it; by rollouts in others, in
    all of which that were tried they have been shown to pay (docs/learning.md); by trees in matches, whose next deals
    no world can be drawn of, and in games that may have more than `LONGEST_ROLLED` decisions, of which playing all on
    takes seconds."""
    if all(map(is_small, sorted(games, key=lambda game: -game.decisions))):  # the largest first, which says no at once
        return "policy"
    by_trees = (isinstance(game, Match) or game.decisions > LONGEST_ROLLED for game in games)
    return "search" if any(by_trees) else "rollouts"


def rollouts_name(config: RolloutConfig) -> str:
    """What to call rollouts: by how many worlds, and from how many these are drawn."""
    return f"rollouts in {config.worlds} {f'of {config.candidates} ' * (config.candidates > 0)}worlds"


class RolloutPlayer:
    """Takes the network's best action unless rollouts of its policy better it; the arguments are those of
    `vecmcts.rollouts`."""

    def __init__(
        self,
        evaluator: Evaluator | Network,
        config: RolloutConfig = RolloutConfig(),
        name: str = "",
        draw: DrawWorlds | None = None,
    ) -> None:
        self.evaluator, self.config, self.draw = evaluator, config, draw
        self.name = name or rollouts_name(config)

    def refuses(self, game: Game) -> str | None:
        """Why it cannot play a game, in one line; None if it can."""
        if self.config.candidates and not game.fixed_hands:
            return f"{self.name}: in this {game.name} cards change hands; use candidates=0"
        return None

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        return self._act(game, state, None, seed)

    def _act(self, game: Game, state: State, past: Past | None, seed: int) -> Tensor:
        actions = game.legal_actions(state)
        action = actions[:, 0]
        lanes = has_choice(actions).nonzero()[:, 0]
        if len(lanes) == 0:
            return action
        choosing, past = state.take(lanes), None if past is None else past.take(lanes)
        with _threads(choosing):
            found = rollouts(game, choosing, self.evaluator, self.config, seed, past, self.draw)
        return action.index_copy(0, lanes, found.policy.argmax(-1))


class InferringRolloutPlayer(RolloutPlayer):
    """Plays on in worlds that make likely what was bid and played (``config.candidates``)."""

    def act_after(self, game: Game, state: State, past: Past, seed: int) -> Tensor:
        """As `RolloutPlayer.act`, see `HistoryPlayer`."""
        return self._act(game, state, past, seed)


def rollout_player(
    evaluator: Evaluator | Network,
    config: RolloutConfig = RolloutConfig(),
    name: str = "",
    draw: DrawWorlds | None = None,
) -> RolloutPlayer:
    """A `RolloutPlayer`, which is told the past, whose states take memory, if the config asks for it."""
    return (InferringRolloutPlayer if config.candidates else RolloutPlayer)(evaluator, config, name, draw)


def _split(state: State, chunk: int) -> list[State]:
    return [state[start : start + chunk] for start in range(0, state.batch_size, chunk)]
