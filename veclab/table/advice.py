"""Hints: what an adviser would do in the mover's place, by what the mover knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vecgame import Game, State, Stream
from vecgame.cards import unpack
from veclab.arena.bots import CANDIDATES, HistoryPlayer, NetworkPlayer, Player, RolloutPlayer, SearchPlayer
from veclab.arena.solved import SolvedBot
from veclab.exact.table import table_of
from veclab.table.session import Match
from vecmcts import RolloutConfig, SearchConfig, SearchResult, rollouts, search
from vecmcts.evaluators import as_evaluator, play_out
from vecmcts.selection import improved_policy

WORLDS = 512  # most deals in which every action is tried: points then have a standard error of about 0.2
LEAST_WORLDS = 32
RANDOM_MOVES = 500_000  # of random playouts for one hint, which lowers the worlds in long games
NETWORK_EVALUATIONS = 30_000  # of the network for one hint, likewise

Finish = Callable[[Game, State, Stream], Tensor]
"""(rules, K unfinished games, random numbers for each) -> values of each seat at their ends, [K, seats]."""


@dataclass(frozen=True)
class Advice:
    """What a hint says of one legal action."""

    action: int
    name: str
    probability: float  # that the adviser takes it
    points: float  # expected in this game after it
    prior: float | None = None  # its probability by the network alone, before it thinks; None without a network
    copies: tuple[
        int, ...
    ] = ()  # other actions of the same name, as with cards that look alike, of which this tells too


@dataclass(frozen=True)
class Hint:
    """What an adviser thinks of a decision."""

    source: str
    unit: str  # what points count
    decimals: int  # of points, so many that matter
    advice: tuple[Advice, ...]  # the most probable first
    values: tuple[float, ...] | None = None  # points of each seat to expect after thinking; None without a network

    def told(self, points: float) -> str:
        """Points with its decimals, never -0."""
        return f"{round(points, self.decimals) + 0.0:.{self.decimals}f}"


def give_hint(agent: Player | HistoryPlayer, match: Match) -> Hint:
    """The agent's own advice when it plays by a network or the game's solution, else that of random playouts (flat
    Monte Carlo)."""
    game, state, seed = match.game, match.state, match.settings.seed
    actions = torch.tensor(match.legal)
    moves = len(actions) * (game.decisions - len(match.moves))  # of one world, at most
    span = game.highest - game.lowest
    decimals = 1 if span >= 10 else 2 if span > 1 else 3
    if isinstance(agent, SearchPlayer | RolloutPlayer):
        worlds, finish = NETWORK_EVALUATIONS // moves, network_finish(NetworkPlayer(agent.evaluator))
        how = "that it played out"
        if worlds < LEAST_WORLDS // 4:  # a match: too long to be played out
            worlds, finish, how = WORLDS, network_judgement(agent), "that it judged"
        worlds = min(WORLDS, max(LEAST_WORLDS, worlds))
        source = f"the agents' network ({agent.name}; {game.unit}: {worlds} deals {how})"
        values = action_values(game, state, actions, finish, worlds, seed)
        found = _thought(agent, match)
        policy, priors = found.policy[0, actions], found.prior[0, actions].tolist()
        expected = tuple(game.score_of(found.value[0]).tolist())
    elif isinstance(agent, SolvedBot) and game.chooses(state, game.legal_actions(state)):
        table = table_of(game)
        place, count = table.find(state), len(actions)
        policy = table.policy[place, :count][0]
        values, decimals = (table.worth[place, :count][0] - game.lowest) / span, 3
        source, priors, expected = "the solution of the game, exactly", [None] * count, None
    elif isinstance(agent, NetworkPlayer):
        worlds = min(WORLDS, max(LEAST_WORLDS, NETWORK_EVALUATIONS // moves))
        policy, values, expected = _by_policy(agent, match, worlds)
        likely = "likely " * game.fixed_hands
        source = f"the agents' network ({agent.name}; {game.unit}: {worlds} {likely}deals that it played out)"
        priors = [None] * len(actions)
    else:
        worlds = min(WORLDS, max(LEAST_WORLDS, RANDOM_MOVES // moves))
        source = f"random playouts of {worlds} deals"
        values = action_values(game, state, actions, play_out, worlds, seed)
        policy, priors, expected = _policy_of_values(values, worlds), [None] * len(actions), None
    names = (game.action_name(action, state) for action in match.legal)
    rows = zip(match.legal, names, policy.tolist(), game.score_of(values).tolist(), priors, strict=True)
    advice = sorted(_together(Advice(*row) for row in rows), key=lambda one: (-one.probability, -one.points))
    return Hint(source, game.unit, decimals, tuple(advice), expected)


def _together(advice: Iterable[Advice]) -> Iterator[Advice]:
    """What is said of all actions of a name: their probabilities added up, and points as those of the most probable."""
    by_name: dict[str, list[Advice]] = {}
    for one in advice:
        by_name.setdefault(one.name, []).append(one)
    for same in by_name.values():
        best = max(same, key=lambda one: (one.probability, one.points))
        prior = None if best.prior is None else sum(one.prior for one in same)
        copies = tuple(one.action for one in same if one is not best)
        yield replace(best, probability=sum(one.probability for one in same), prior=prior, copies=copies)


def _thought(agent: SearchPlayer | RolloutPlayer, match: Match) -> SearchResult:
    """What the agent finds, by a search or by rollouts."""
    game, state, seed = match.game, match.state, match.settings.seed
    if isinstance(agent, RolloutPlayer):
        return rollouts(game, state, agent.evaluator, agent.config, seed, match.past)
    return search(game, state, agent.evaluator, agent.config, seed)


def _by_policy(agent: NetworkPlayer, match: Match, worlds: int) -> tuple[Tensor, Tensor, tuple[float, ...]]:
    """What a network does that thinks no further: the probabilities of the legal actions, [A]; their mean values to the
    mover where all play on by its policy, [A], in deals that its policy makes likely, if hands are fixed, else in any;
    and the points that it expects for each seat."""
    game, state, seed, actions = match.game, match.state, match.settings.seed, torch.tensor(match.legal)
    evaluator = as_evaluator(agent.network)
    candidates = CANDIDATES * worlds * game.fixed_hands
    every = {"actions": max(2, game.max_legal), "least_prior": 0.0}
    config = RolloutConfig(worlds=worlds, candidates=candidates, **every)
    found = rollouts(game, state, evaluator, config, seed, match.past if candidates else None)
    _, judged = evaluator.evaluate(game, state, Stream(seed, state.index, game.turn(state)))
    own = judged[0, int(game.mover(state))].float()  # what the only action is worth, which is not tried
    values = found.q[0, actions].float()
    values = torch.where(values.isnan(), own, values)
    return found.prior[0, actions], values, tuple(game.score_of(judged[0].float()).tolist())


def where_cards_lie(match: Match, worlds: int = WORLDS) -> Tensor:
    """How often each card lies with each seat in deals that the mover takes for possible, as a search samples them:
    [size of the layout, seats] float32; without rows in a game without hands."""
    game, state = match.game, match.state
    if "hands" not in state.tensors():
        return torch.zeros(0, game.seats)
    hands = game.determinize(state, worlds, match.settings.seed).hands[:, : game.seats]
    return unpack(hands, size=game.layout.size).float().mean(0).T


def action_values(game: Game, state: State, actions: Tensor, finish: Finish, worlds: int, seed: int) -> Tensor:
    """Mean value to the mover of each action [A] over sampled deals that are played to their ends: [A] float32.

    Every action is tried in all of the same worlds. The Q-values of a search would not do: its trees go where their own
    world makes an action good, so that a mean over their visits promises too much.

    Args:
        state: a batch of one.
    """
    tried = actions.repeat(worlds)
    stream = Stream.of_worlds(seed, state.index, game.turn(state), worlds)
    stream = stream.take(torch.arange(worlds).repeat_interleave(len(actions)))
    after = game.play_forced(game.step(game.determinize(state, worlds, seed).repeat(len(actions)), tried))
    values = game.values(after)
    going = (~game.is_terminal(after)).nonzero()[:, 0]
    if len(going):
        values[going] = finish(game, after.take(going), stream.take(going))
    return values[:, int(game.mover(state))].view(worlds, len(actions)).mean(0)


def network_finish(player: NetworkPlayer) -> Finish:
    """Plays games to their ends by a network alone, in all seats."""

    def finish(game: Game, state: State, stream: Stream) -> Tensor:
        while len(going := (~game.is_terminal(state)).nonzero()[:, 0]):
            some = state.take(going)
            state = state.put(going, game.play_forced(game.step(some, player.act(game, some, stream.seed))))
        return game.values(state)

    return finish


def network_judgement(agent: SearchPlayer | RolloutPlayer) -> Finish:
    """The network's own values where the games are, without playing them on."""

    def finish(game: Game, state: State, stream: Stream) -> Tensor:
        return as_evaluator(agent.evaluator).evaluate(game, state, stream)[1].float()

    return finish


def _policy_of_values(values: Tensor, worlds: int) -> Tensor:
    """The search's own formula from values [A] that were each tried in all worlds, with a uniform prior: [A]."""
    visits = torch.full_like(values, worlds)[None]
    uniform = torch.zeros_like(visits).log_softmax(-1)
    return improved_policy(uniform, visits, visits * values, values.mean()[None], SearchConfig())[0]
