"""Self-play: many games at once, every decision searched, every decision searched in full an example."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from net.threads import shared_out, side_by_side
from vecgame import Game, Purpose, State, Stream
from vecgame.cards import pack_mask
from vecgame.memory import free_memory
from veclab.playout_cap import PlayoutCap
from veclab.training.distributed import Group
from veclab.training.replay import Examples
from vecmcts import Evaluator, Past, SearchConfig, SearchResult, best_action, graphs, search
from vecmcts.evaluators import Network, to_relative
from vecmcts.tree import Tree

log = logging.getLogger("vecgame.fallback")

Report = Callable[[float, int], None]
"""Called as work goes on with (games finished so far, in fractions, and evaluations so far)."""

Decided = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]
"""A decision of K games: lanes, movers, and `Examples`' observation, legal, policy and, where it is needed, hidden."""

# Games searched at a time, at most: on a CPU in each thread, where the leaves of one simulation then fill a few network
# batches of 2,048. A GPU is told of each operation by the host, whatever the number of games: it takes as many as fit.
CHUNK_GAMES = {"cpu": 2048, "cuda": 262_144}
MEMORY_SHARE = 0.5  # of the free memory that the trees may take

# Games that a thread of its own is worth on a CPU. Games/min on two cores, one thread for each half against two threads
# for all of them: 64 games 657 and 1,177, 512 games 2,816 and 3,294, 4,096 games 4,856 and 4,422.
GAMES_PER_THREAD = 1024

# Games from which on the network's rows are worth to be cut in parts, one for each thread (`net.threads`); with fewer
# each operation is. Seconds of two cores for 64 games 7.0 in parts and 5.5, for 512 games 17.4 and 18.0.
GAMES_SIDE_BY_SIDE = 256


@dataclass(frozen=True)
class SelfPlay:
    """What self-play yields."""

    examples: Examples
    scores: Tensor  # [G, seats] float32, points by absolute seat
    bids_met: float | None  # share of bids met; None in a game without bids
    evaluations: int  # positions judged by the network
    policy_entropy: float  # mean entropy of the targets, nats
    prior_divergence: float  # mean Kullback-Leibler divergence of the targets from the network's policy, nats

    @staticmethod
    def nothing(game: Game, device: torch.device, extras: Collection[str] = ()) -> SelfPlay:
        """Of no games."""
        examples = Examples.empty(0, device, game.features, game.num_actions, game.seats, extras)
        met = None if game.bids_met(game.deal(1)) is None else 0.0
        return SelfPlay(examples, torch.zeros(0, game.seats, device=device), met, 0, 0.0, 0.0)

    def gather(self, group: Group) -> SelfPlay:
        """What all processes have played, as one, in the order of the processes."""
        if group.size == 1:
            return self
        games, examples = len(self.scores), len(self.examples)
        own = [games, examples, games * (self.bids_met or 0.0), self.evaluations]
        own += [examples * self.policy_entropy, examples * self.prior_divergence]
        totals = group.sum(torch.tensor(own, dtype=torch.float64)).tolist()
        games, examples, met, judged, entropy, divergence = totals
        decided = max(examples, 1)
        return SelfPlay(
            examples=self.examples.gather(group),
            scores=group.gather(self.scores),
            bids_met=None if self.bids_met is None else met / max(games, 1),
            evaluations=int(judged),
            policy_entropy=entropy / decided,
            prior_divergence=divergence / decided,
        )


def self_play(
    game: Game,
    evaluator: Evaluator | Network,
    config: SearchConfig,
    games: int,
    seed: int,
    first_index: int = 0,
    device: str | torch.device = "cpu",
    sampled_share: float = 0.5,
    policy_target: str = "improved",
    chunk_games: int = 0,
    graphs: bool = True,
    report: Report | None = None,
    cap: PlayoutCap | None = None,
    extras: Collection[str] = (),
) -> SelfPlay:
    """Plays ``games`` games, numbers ``first_index`` onwards of the run that ``seed`` names.

    Decisions in the first ``sampled_share`` of a game are drawn from the target policy, later ones take its best
    action. A mover with one legal action is neither searched nor stored. Many games on a CPU are played side by side, a
    chunk in each of torch's threads: most operations of a search are too small to be split between them. A GPU that
    runs out of memory gets smaller chunks. ``graphs`` is `vecmcts.search`'s. With a ``cap`` some
    decisions are made by a fast search: they take its best action and are not stored. ``extras`` names the fields of
    `replay.EXTRAS` that examples shall have.
    """
    device = torch.device(device)
    workers = threads_for(games, device)
    sampled = int(sampled_share * game.decisions)
    parts = split(games, chunk_games or largest_chunk(game, config, device, workers), workers)
    largest = max((count for _, count in parts), default=0)
    ways = {"graphs": graphs, "largest": largest}
    terms = _Terms(game, evaluator, config, seed, device, sampled, policy_target, ways, cap, extras)
    chunks = [_Chunk(terms, first_index + start, count) for start, count in parts]

    def tell() -> None:
        if report is not None:
            report(sum(chunk.played for chunk in chunks), sum(chunk.evaluations for chunk in chunks))

    if workers == 1 or len(chunks) == 1:
        with side_by_side(device, worth=games >= GAMES_SIDE_BY_SIDE):
            play_in_turn(chunks, tell)
    else:
        _play_in_threads(chunks, workers, tell)
    examples = Examples.concatenate([chunk.examples for chunk in chunks])
    decided = max(len(examples), 1)
    if not examples.policy.isfinite().all():  # on a GPU a search does not look, so as not to wait
        raise ValueError(f"the network's answers led to policies that are no numbers in a game of {game.name}")
    met = [chunk.met for chunk in chunks if chunk.met is not None]
    return SelfPlay(
        examples=examples,
        scores=torch.cat([chunk.scores for chunk in chunks]),
        bids_met=float(torch.cat(met).float().mean()) if met else None,
        evaluations=sum(chunk.evaluations for chunk in chunks),
        policy_entropy=float(sum(chunk.entropy for chunk in chunks)) / decided,
        prior_divergence=float(sum(chunk.divergence for chunk in chunks)) / decided,
    )


def threads_for(games: int, device: torch.device) -> int:
    """Threads that play chunks side by side."""
    if device.type != "cpu":
        return 1
    return max(1, min(torch.get_num_threads(), games // GAMES_PER_THREAD))


def largest_chunk(game: Game, config: SearchConfig, device: torch.device, workers: int = 1) -> int:
    """Games to search at a time: `CHUNK_GAMES`, or fewer if the memory that is free calls for it."""
    free = free_memory(device)
    if free is None:
        return CHUNK_GAMES[device.type]
    needed = config.worlds * Tree.bytes_per_tree(game, config.simulations)
    return max(1, min(CHUNK_GAMES[device.type], int(MEMORY_SHARE * free) // (workers * needed)))


def split(games: int, largest: int, workers: int) -> list[tuple[int, int]]:
    """Cuts games into (first, count) chunks of nearly one size, at most ``largest``, as many for each worker."""
    rounds = -(-games // (largest * workers))
    chunks = min(games, rounds * workers)
    edges = [games * i // chunks for i in range(chunks + 1)]
    return [(a, b - a) for a, b in pairwise(edges)]


def play_in_turn(chunks: list[Chunk], *arguments: object) -> None:
    """Plays chunk after chunk, with some arguments; one that does not fit in the GPU's memory is cut in two, in its
    place in the list."""
    done = 0
    while done < len(chunks):
        chunk = chunks[done]
        try:
            chunk.play(*arguments)
            done += 1
        except torch.OutOfMemoryError:
            if chunk.count == 1:
                raise
            half = -(-chunk.count // 2)
            log.warning("out of GPU memory with %d games at a time: going on with %d", chunk.count, half)
            chunks[done:] = [part for waiting in chunks[done:] for part in waiting.cut(half)]
            del chunk
            graphs.clear()
            torch.cuda.empty_cache()


class Chunk(Protocol):
    """Games that are played together."""

    count: int

    def play(self, *arguments: object) -> None:
        """Plays them."""

    def cut(self, largest: int) -> list[Chunk]:
        """The same games, not begun, in chunks of at most ``largest``."""


def _play_in_threads(chunks: list[_Chunk], workers: int, tell: Callable[[], None]) -> None:
    """Plays chunks side by side, torch's threads shared out; ``tell`` is called from this one, and may raise."""
    with shared_out(workers) as pool:
        running = {pool.submit(chunk.play) for chunk in chunks}
        try:
            while running:
                done, running = wait(running, timeout=0.1, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                tell()
        except BaseException:
            for chunk in chunks:
                chunk.stopped = True
            raise


@dataclass(frozen=True)
class _Terms:
    """What all chunks of a call of `self_play` have in common: its arguments."""

    game: Game
    evaluator: Evaluator | Network
    config: SearchConfig
    seed: int
    device: torch.device
    sampled: int  # decisions of a game, from its start, that are drawn from the target policy
    policy_target: str
    ways: dict[str, bool | int]  # how searches are run: arguments of `vecmcts.search`
    cap: PlayoutCap | None
    extras: Collection[str]

    def search(self, state: State, config: SearchConfig, past: Past | None) -> SearchResult:
        return search(self.game, state, self.evaluator, config, self.seed, past=past, **self.ways)


class _Chunk:
    """Games that are searched together, and what has been stored of them."""

    def __init__(self, terms: _Terms, first_index: int, count: int) -> None:
        self.terms, self.game = terms, terms.game
        self.first_index, self.count = first_index, count
        self.stored: list[Decided] = []
        self.evaluations = 0
        self.played = 0.0  # games, in fractions
        self.entropy: Tensor | float = 0.0
        self.divergence: Tensor | float = 0.0
        self.stopped = False  # set from another thread: give up

    def cut(self, largest: int) -> list[_Chunk]:
        """The same games, not begun, in chunks of at most ``largest``, whose searches need no room for more."""
        terms = replace(self.terms, ways={**self.terms.ways, "largest": largest})
        return [_Chunk(terms, self.first_index + start, count) for start, count in split(self.count, largest, 1)]

    def play(self, tell: Callable[[], None] = lambda: None) -> None:
        """Deals the games and plays them to the end, calling ``tell`` after each decision."""
        state = self.game.deal(self.count, self.terms.seed, self.terms.device, self.first_index)
        past = Past.none(self.game, self.count, self.terms.device) if self.terms.config.candidates else None
        for decision in range(self.game.decisions):
            if self.stopped:
                return
            over = self.game.is_terminal(state)
            if over.all():  # a search has the host wait anyway
                break
            action = self._decide(state, past, decision)
            past = None if past is None else past.then(state, action)
            state = self.game.step(state, action)
            self.played = max(self.count * (decision + 1) / self.game.decisions, float(over.sum()))
            tell()
        self.played = self.count
        self._finish(state)

    def _decide(self, state: State, past: Past | None, decision: int) -> Tensor:
        """Decision number ``decision`` in every game: [B] int64 actions."""
        game = self.game
        actions = self.terms.config.view(game).legal_actions(state)
        action = actions[:, 0]
        lanes = game.chooses(state, actions).nonzero()[:, 0]
        if len(lanes) and self.terms.cap is None:
            action = action.index_copy(0, lanes, self._search(state, past, lanes, decision))
        elif len(lanes):
            in_full = self.terms.cap.in_full(game, state.take(lanes), self.terms.seed)
            for some, how in ((lanes[in_full], self._search), (lanes[~in_full], self._search_fast)):
                if len(some):
                    action = action.index_copy(0, some, how(state, past, some, decision))
        return action

    def _search(self, state: State, past: Past | None, lanes: Tensor, decision: int) -> Tensor:
        """Searches the decisions of the lanes [K] int64 in full, and stores them: [K] int64 actions."""
        state, past = state.take(lanes), None if past is None else past.take(lanes)
        result = self.terms.search(state, self.terms.config, past)
        policy = result.policy if self.terms.policy_target == "improved" else result.visit_policy
        self._store(lanes, state, policy, result.prior)
        self.evaluations += int(result.evaluations)
        return self._choose(state, policy, result.visits, decision)

    def _search_fast(self, state: State, past: Past | None, lanes: Tensor, decision: int) -> Tensor:
        """Searches the decisions of the lanes [K] int64 by the cap's fast search, as in a match: [K] int64 actions."""
        state, past = state.take(lanes), None if past is None else past.take(lanes)
        result = self.terms.search(state, self.terms.cap.fast, past)
        self.evaluations += int(result.evaluations)
        return best_action(self.game, state, result.policy, result.visits, self.terms.cap.fast, self.terms.seed)

    def _choose(self, state: State, policy: Tensor, visits: Tensor, decision: int) -> Tensor:
        if decision >= self.terms.sampled:
            return policy.argmax(-1)
        if self.terms.config.root_selection == "gumbel":  # whose noise has made a draw already
            return best_action(self.game, state, policy, visits, self.terms.config, self.terms.seed)
        stream = Stream(self.terms.seed, state.index, self.game.turn(state))
        return sample(policy, stream.uniform(Purpose.ACTION, 1)[:, 0])

    def _store(self, lanes: Tensor, state: State, policy: Tensor, prior: Tensor) -> None:
        game = self.game
        columns = game.policy_columns(state, torch.arange(game.num_actions, device=state.device).expand_as(policy))
        framed = torch.zeros_like(policy).scatter(1, columns, policy)
        log_policy = policy.clamp(min=1e-12).log()
        self.entropy = self.entropy - (policy * log_policy).sum()
        self.divergence = self.divergence + (policy * (log_policy - prior.clamp(min=1e-12).log())).sum()
        legal, hidden = pack_mask(game.policy_mask(state)), None
        if "hidden" in self.terms.extras:
            hidden = game.others_hands(state)
        self.stored.append((lanes, game.mover(state), game.observe(state).half(), legal, framed.half(), hidden))

    def _finish(self, state: State) -> None:
        """Adds to every stored decision how its game ended."""
        self.scores = self.game.scores(state)
        self.met = self.game.bids_met(state)
        self.examples = finished(self.game, state, self.stored, self.terms.extras)


def finished(game: Game, state: State, stored: Sequence[Decided], extras: Collection[str]) -> Examples:
    """The examples of decisions once their games are at an end, ``state``: with how they ended for the mover. There may
    be none, as after a playout cap. ``extras`` names the fields of `replay.EXTRAS` that they shall have."""
    values, won = game.values(state), game.tricks_won(state) if "tricks" in extras else None
    none = Examples.empty(0, state.device, game.features, game.num_actions, game.seats, extras)
    return Examples.concatenate(
        [
            Examples(
                observation,
                legal,
                policy,
                to_relative(values[lanes], mover),
                None if won is None else to_relative(won[lanes], mover),
                hidden,
            )
            for lanes, mover, observation, legal, policy, hidden in stored
        ]
        or [none]
    )


def sample(policy: Tensor, uniform: Tensor) -> Tensor:
    """One action a lane from distributions [B, K] by numbers [B] in [0, 1): [B] int64, never one of probability 0."""
    cumulated = policy.double().cumsum(-1)
    draw = uniform[:, None] * cumulated[:, -1:]
    return (cumulated <= draw).sum(-1).clamp(max=policy.shape[1] - 1)
