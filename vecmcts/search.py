"""Determinised Monte Carlo tree search over many games at once.

Every game is searched in several worlds, deals drawn from what its mover can know, each as a game of perfect
information with one value for each seat (max^n, Luckhardt and Irani 1986; determinization, Ginsberg 2001). It is a
strong heuristic, not an equilibrium: it suffers from strategy fusion (Frank and Basin 1998).
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from einops import rearrange, reduce, repeat
from torch import Tensor

from vecgame.game import Game
from vecgame.philox import Stream, check_seed, dirichlet
from vecgame.state import State
from vecmcts import kernels
from vecmcts.config import SearchConfig, check_config
from vecmcts.evaluators import Evaluator, Network, NetworkEvaluator, as_evaluator, check_answer, is_plain
from vecmcts.graphs import recordable, replayed
from vecmcts.inference import Past, check_past, infer
from vecmcts.root import SELECTIONS
from vecmcts.selection import improved_policy
from vecmcts.simulation import back_up, descend, expand, write_evaluation
from vecmcts.sizes import filled
from vecmcts.tree import ROOT, Tree

log = logging.getLogger("vecgame.fallback")

WAYS: Counter[str] = Counter()
"""How often this process has searched each way, for measurements: by the names of `way_of`."""


@dataclass(frozen=True)
class SearchResult:
    """What a search says of the decisions of B games. Columns are the game's own action ids (real cards)."""

    visits: Tensor  # [B, num_actions] float, visits of the root's actions, summed over the worlds
    policy: Tensor  # [B, num_actions] float, the prior improved by completed Q-values
    value: Tensor  # [B, seats] float, mean value of each absolute seat over root and leaves
    prior: Tensor  # [B, num_actions] float, the evaluator's policy, without noise
    q: Tensor  # [B, num_actions] float, mean value to the mover of each visited action, nan where there is none
    evaluations: Tensor  # [] int64, positions judged by the evaluator

    @property
    def visit_policy(self) -> Tensor:
        """Visits as a distribution: [B, num_actions]; all zero in a game that is over."""
        return self.visits / self.visits.sum(-1, keepdim=True).clamp(min=1)

    def first(self, games: int) -> SearchResult:
        """The result for the first games of the batch."""
        lanes = {name: value[:games] for name, value in vars(self).items() if name != "evaluations"}
        return replace(self, **lanes)

    def map(self, function: Callable[[Tensor], Tensor]) -> SearchResult:
        """The result with ``function`` applied to every field."""
        return replace(self, **{name: function(value) for name, value in vars(self).items()})


@torch.no_grad()
def search(
    game: Game,
    state: State,
    evaluator: Evaluator | Network,
    config: SearchConfig = SearchConfig(),
    seed: int = 0,
    graphs: bool = True,
    past: Past | None = None,
    largest: int = 0,
) -> SearchResult:
    """Searches the current decision of every game.

    A game's result depends on the seed, the game's own number and position only, not on the rest of the batch (up to
    the rounding of a network, which may change with the batch's shape). On a GPU the host waits once, for what bounds
    the worlds (`vecgame.worlds`).

    Args:
        game: the rules.
        state: B games, at any decisions. One with a single legal action is searched like any other; callers save time
            by leaving it out. A finished one gets no visits.
        evaluator: an `Evaluator`, or a network (observation, legal mask) -> (logits, values by relative seat).
        config: how much to search.
        seed: of the worlds, the noise and the playouts; may be the seed of the deal.
        graphs: on a GPU, replay the search as one CUDA graph (`vecmcts.graphs`) from the second one of its kind on, if
            the evaluator is a network that says it may be recorded (``capturable``), as `net.InferenceNet` does. All
            but the drawing of worlds is in it. Elsewhere it changes nothing.
        past: of these games, for ``config.candidates``.
        largest: the most games that the caller searches at once, if it knows. Recorded searches are for some numbers of
            games only (`vecmcts.sizes`), which then suit it.

    Returns:
        A `SearchResult`.

    Raises:
        ValueError: when the state is of another game; when the config has candidates and there is no past, the
            evaluator has no policy of what the mover knows, or the game's hands are not fixed.
    """
    game.check_state(state)
    check_config(config, SearchConfig)
    evaluator, played, game = as_evaluator(evaluator), game, config.view(game)
    seed, games = check_seed(seed), state.batch_size
    worlds = _worlds(played, game, state, evaluator, config, seed, past)
    record = graphs and games > 0 and isinstance(evaluator, NetworkEvaluator)
    record = record and recordable(evaluator.network, state.device)
    if record and not is_plain(evaluator):
        _tell_of_own_way(type(evaluator).__name__)
    if not (record and is_plain(evaluator)):
        result = _search(game, state, worlds, None, evaluator, config, seed)
        WAYS[way_of(kernels.usable(state.device), False)] += 1
        return result

    def body(state: State, worlds: State, live: Tensor) -> SearchResult:
        return _search(game, state, worlds, live, evaluator, config, seed)

    lanes, live = filled(games, largest, state.device)
    each = torch.arange(config.worlds, device=state.device)
    inputs = state.take(lanes), worlds.take((lanes[:, None] * config.worlds + each).flatten()), live
    key = (game, config, seed, type(evaluator), len(lanes))
    result, from_graph = replayed(evaluator.network, key, body, *inputs)
    WAYS[way_of(kernels.usable(state.device), from_graph)] += 1
    return result.first(games)


@cache
def _tell_of_own_way(name: str) -> None:
    """Says that an evaluator of somebody's own is not recorded: a graph would keep what it was at that time."""
    log.warning("searches by %s go on without graphs, for its own way to judge may change", name)


def way_of(kernels: bool, graph: bool) -> str:
    """What to call the way that a search runs: by "kernels" (`vecmcts.kernels`) for parts of its simulations, or by
    functions of tensors alone; and that by a "graph", or not; "eager" if neither."""
    return " ".join(["kernels"] * kernels + ["graph"] * graph) or "eager"


def _worlds(
    played: Game,
    game: Game,
    state: State,
    evaluator: Evaluator,
    config: SearchConfig,
    seed: int,
    past: Past | None,
) -> State:
    """The worlds that B games are searched in: B * config.worlds lanes, those of a game adjacent.

    Args:
        played: the rules of ``past``; ``game`` are those of the search, which may take some of its moves for one.
    """
    if not config.candidates:
        return game.determinize(state, config.worlds, seed)
    check_past(played, past, evaluator, config.candidates)
    return infer(played, state, past, evaluator, config, seed)[0] if state.batch_size else state


def _search(
    game: Game,
    state: State,
    worlds: State,
    live: Tensor | None,
    evaluator: Evaluator,
    config: SearchConfig,
    seed: int,
) -> SearchResult:
    """`search` in worlds that are drawn already. Where no lane is left out (`vecgame.lanes`), nothing in it waits for
    the device.

    Args:
        state: B games.
        worlds: B * config.worlds lanes.
        live: [B] bool, the lanes that are not just there to fill the batch; None for all.
    """
    stream = Stream.of_worlds(seed, state.index, game.turn(state), config.worlds)
    tree, log_prior, root_value, evaluations = plant(game, worlds, evaluator, config, stream)
    leaf_sum = torch.zeros_like(tree.value[: tree.trees])
    log_prior, root_value = over_worlds(log_prior, root_value, config.worlds)
    own_value = root_value.gather(1, game.mover(state)[:, None])[:, 0]
    choose = SELECTIONS[config.root_selection](game, state, log_prior, own_value, config, seed)
    if live is not None:
        tree.open[: tree.trees] &= repeat(live, "b -> (b w)", w=config.worlds)
        evaluations = live.sum() * (config.worlds if evaluator.sees_hidden else 1)
    by_kernel = kernels.of_trees(game, tree)
    walk, back, parts = descend, back_up, ()
    if by_kernel:
        walk, back, parts = by_kernel.descend, by_kernel.back_up, (by_kernel.grow, by_kernel.settle)
    if by_kernel and by_kernel.observe and is_plain(evaluator):
        evaluator = evaluator.observing(by_kernel.observe)
    for first in range(1, config.simulations + 1, config.leaves_per_step):
        nodes = range(first, min(first + config.leaves_per_step, config.simulations + 1))
        descents = [walk(game, tree, node, min(node, game.decisions), config, choose(tree, node)) for node in nodes]
        evaluations += expand(game, tree, nodes, descents, evaluator, stream, *parts)
        for descent in descents:
            back(tree, descent, leaf_sum)
    return summarize(game, state, tree, log_prior, root_value, leaf_sum, evaluations, config)


def plant(
    game: Game, worlds: State, evaluator: Evaluator, config: SearchConfig, stream: Stream
) -> tuple[Tree, Tensor, Tensor, Tensor]:
    """Trees whose roots are evaluated, so that even the first descents follow the prior.

    Args:
        worlds: T = B * config.worlds lanes, those of a game adjacent.
        stream: T lanes of random numbers.

    Returns:
        The trees; the root's log prior without noise, [T, A]; the root's values, [T, seats]; evaluations, [] int64.
    """
    finished = game.is_terminal(worlds)
    game_stream = stream.take(torch.arange(0, stream.game.shape[0], config.worlds, device=worlds.device))
    if evaluator.sees_hidden:
        logits, values = check_answer(evaluator.evaluate(game, worlds, stream), evaluator, game, worlds)
    else:  # the mover knows the same in all worlds of a game, so the first speaks for them all
        some = worlds[:: config.worlds]
        logits, values = check_answer(evaluator.evaluate(game, some, game_stream), evaluator, game, some)
        logits, values = (repeat(x, "b ... -> (b w) ...", w=config.worlds) for x in (logits, values))
    values = values.to(torch.promote_types(values.dtype, torch.float32))  # bfloat16 counts visits to 256 only
    values = torch.where(finished[:, None], game.values(worlds, values.dtype), values)

    tree = Tree.allocate(game, worlds, config.simulations, values.dtype)
    slot_logits = write_evaluation(game, tree, tree.rows(ROOT), worlds, logits, values)
    log_prior = slot_logits.log_softmax(-1)
    tree.open[tree.rows(ROOT)] = ~finished
    if config.noise_fraction > 0:
        legal = reduce(log_prior > -torch.inf, "(b w) slot -> b slot", "max", w=config.worlds)
        noise = dirichlet(game_stream, legal, config.noise_alpha).to(values.dtype)
        noisy = (1 - config.noise_fraction) * log_prior.exp() + config.noise_fraction * repeat(
            noise, "b slot -> (b w) slot", w=config.worlds
        )
        tree.prior[tree.rows(ROOT)] = torch.where(log_prior > -torch.inf, noisy, -torch.inf)
    judged = tree.trees if evaluator.sees_hidden else tree.trees // config.worlds
    # Filled in on the device: torch.tensor(judged, device=..) would copy from the host, which waits for the copy.
    return tree, log_prior, values, torch.full((), judged, dtype=torch.int64, device=worlds.device)


def over_worlds(log_prior: Tensor, root_value: Tensor, worlds: int) -> tuple[Tensor, Tensor]:
    """The mean over the worlds of a game, which differ only under an evaluator that lets hidden cards speak.

    Args:
        log_prior: [T, A], the evaluator's in each world.
        root_value: [T, seats].

    Returns:
        [B, A] the logarithm of the mean prior; [B, seats].
    """
    log_prior = rearrange(log_prior, "(b w) slot -> b w slot", w=worlds).logsumexp(1) - math.log(worlds)
    return log_prior, reduce(root_value, "(b w) seat -> b seat", "mean", w=worlds)


def summarize(
    game: Game,
    state: State,
    tree: Tree,
    log_prior: Tensor,
    root_value: Tensor,
    leaf_sum: Tensor,
    evaluations: Tensor,
    config: SearchConfig,
) -> SearchResult:
    """Sums the worlds of each game and puts the slots back at the game's action ids.

    Args:
        log_prior: [B, A], see `over_worlds`.
        root_value: [B, seats] likewise.
        leaf_sum: [T, seats], sums of the leaves' values.
    """
    visits, value_sum = tree.root_sums(config.worlds)
    leaf_mean = reduce(leaf_sum, "(b w) seat -> b seat", "sum", w=config.worlds) / config.worlds
    own_value = root_value.gather(1, game.mover(state)[:, None])[:, 0]
    policy = improved_policy(log_prior, visits, value_sum, own_value, config)

    actions = game.legal_actions(state)
    return SearchResult(
        visits=at_actions(game, actions, visits),
        policy=at_actions(game, actions, policy),
        value=(root_value + leaf_mean) / (1 + config.simulations),
        prior=at_actions(game, actions, log_prior.exp()),
        q=at_actions(game, actions, value_sum / visits.where(visits > 0, torch.nan), torch.nan),
        evaluations=evaluations,
    )


def at_actions(game: Game, actions: Tensor, slots: Tensor, empty: float = 0.0) -> Tensor:
    """Numbers of some actions at the columns of their ids.

    Args:
        actions: [B, K] action ids, -1 where there is none.
        slots: [B, K].
        empty: in the columns of all others.

    Returns:
        [B, num_actions].
    """
    columns = torch.where(actions >= 0, actions, game.num_actions)
    wide = slots.new_full((len(slots), game.num_actions + 1), empty)  # the last column takes the filler
    return wide.scatter(1, columns, slots)[:, :-1]
