"""Self-play by tree search, one game at a time or several taking turns in one thread."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from veclab.reference.mcts import Evaluation, Evaluator, Node, SearchConfig, Steps, improved_policy, search_worlds_steps
from veclab.reference.observation import COLUMNS, observe, policy_column
from veclab.reference.rules import Rules, apply_action, deal, legal_actions, mover, scores
from veclab.reference.worlds import sample_world

Judge = Callable[[Sequence[Node]], Sequence[Evaluation]]
"""An evaluator of several nodes at once, none of them terminal."""

POLICY_TARGETS = ("improved", "visits")


@dataclass(frozen=True)
class PlayConfig:
    """How the players of a game search and choose."""

    worlds: int = 3  # sampled for each decision, each searched in a tree of its own
    search: SearchConfig = field(default_factory=SearchConfig)
    worlds_together: bool = False  # search a decision's worlds in step, so that their leaves share a batch
    noise_fraction: float = 0.0  # share of Dirichlet noise in the root's prior
    noise_alpha: float = 1.0
    sampled_share: float = 0.5  # share of a game's decisions that are drawn from the policy; later ones take its best
    policy_target: str = "improved"  # or "visits"

    def __post_init__(self) -> None:
        if self.worlds < 1:
            raise ValueError(f"worlds must be at least 1, got {self.worlds}")
        if self.policy_target not in POLICY_TARGETS:
            raise ValueError(f"policy_target must be one of {POLICY_TARGETS}, got {self.policy_target!r}")


@dataclass(frozen=True)
class Decision:
    """A decision that was searched."""

    seat: int
    action: int
    visits: dict[int, int]  # by action, summed over the worlds
    observation: list[float]  # 256 features of what the seat knew
    columns: list[int]  # policy columns of its legal actions
    policy: list[float]  # the target, 52 columns


@dataclass(frozen=True)
class Example:
    """What a network can learn from one decision."""

    observation: list[float]  # 256
    columns: list[int]  # policy columns of the legal actions
    policy: list[float]  # 52 columns
    value: list[float]  # score / highest score of each seat, the mover's first


@dataclass(frozen=True)
class GameResult:
    """One game from the deal to its end."""

    scores: list[float]  # by seat
    values: list[float]  # scores as shares of the highest one
    decisions: list[Decision]  # forced moves are none
    evaluations: int

    @property
    def examples(self) -> list[Example]:
        """One for each decision."""
        return [
            Example(d.observation, d.columns, d.policy, self.values[d.seat :] + self.values[: d.seat])
            for d in self.decisions
        ]


def game_rng(seed: int, index: int) -> random.Random:
    """The source of everything random in game number `index` of a run."""
    return random.Random(f"{seed}:{index}")


def one_by_one(rules: Rules, evaluator: Evaluator) -> Judge:
    """A judge that calls a scalar evaluator."""
    return lambda nodes: [evaluator(rules, node.state) for node in nodes]


def play_game(rules: Rules, judge: Judge, config: PlayConfig, rng: random.Random) -> GameResult:
    """Deal a random game (hands, dealer, trump or none) and play it to its end."""
    results: list[GameResult] = []
    play_games(rules, judge, config, iter([(0, rng)]), lambda _, result: results.append(result))
    return results[0]


def play_games(
    rules: Rules,
    judge: Judge,
    config: PlayConfig,
    games: Iterator[tuple[int, random.Random]],
    on_end: Callable[[int, GameResult], None],
    concurrent: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Play games until there are no more or `stop` says so; the games under way are then dropped.

    Args:
        judge: called with the nodes that all the games under way ask for.
        games: (number, source of randomness) of each game to play.
        on_end: called with the number and the result of each game that ends.
        concurrent: games under way at a time.
        stop: asked before each call of the judge.

    Returns:
        Evaluations made, those of the dropped games included.
    """
    evaluations = 0
    active: list[tuple[int, Steps[GameResult], list[Node]]] = []

    def go_on(number: int, steps: Steps[GameResult], reply: Sequence[Evaluation] | None) -> bool:
        """Run a game until it asks for evaluations (True) or ends."""
        try:
            nodes = steps.send(reply)
        except StopIteration as end:
            on_end(number, end.value)
            return False
        active.append((number, steps, nodes))
        return True

    def fill_up() -> None:
        while len(active) < concurrent:
            for number, rng in games:
                if go_on(number, game_steps(rules, config, rng), None):
                    break
            else:
                return

    fill_up()
    while active and not stop():
        judged = judge([node for _, _, nodes in active for node in nodes])
        evaluations += len(judged)
        waiting, active[:] = list(active), []
        start = 0
        for number, steps, nodes in waiting:
            go_on(number, steps, judged[start : start + len(nodes)])
            start += len(nodes)
        fill_up()
    return evaluations


def game_steps(rules: Rules, config: PlayConfig, rng: random.Random) -> Steps[GameResult]:
    """`play_game` as a generator that yields nodes to judge."""
    state = deal(rules, rng)
    sampled = int(config.sampled_share * rules.players * (1 + rules.cards))
    decisions: list[Decision] = []
    evaluations = 0
    while actions := legal_actions(rules, state):
        action = actions[0]
        if len(actions) > 1:
            seat = mover(rules, state)
            worlds = [sample_world(rules, state, rng) for _ in range(config.worlds)]
            noise = _dirichlet(actions, config.noise_alpha, rng) if config.noise_fraction > 0 else None
            result = yield from search_worlds_steps(
                rules, worlds, config.search, noise, config.noise_fraction, config.worlds_together
            )
            evaluations += result.evaluations
            if config.policy_target == "improved":
                policy = improved_policy(result.prior, result.visits, result.totals, result.root_value[seat])
            else:
                policy = {a: n / (config.worlds * config.search.simulations) for a, n in result.visits.items()}
            if len(state.history) < sampled:
                (action,) = rng.choices(list(policy), list(policy.values()))
            else:
                action = max(policy, key=policy.get)
            columns = [policy_column(state, a) for a in actions]
            target = [0.0] * COLUMNS
            for column, a in zip(columns, actions, strict=True):
                target[column] = policy[a]
            decisions.append(Decision(seat, action, result.visits, observe(rules, state, seat), columns, target))
        apply_action(rules, state, action)
    points = scores(rules, state)
    return GameResult(points, [rules.worth(score) for score in points], decisions, evaluations)


def _dirichlet(actions: Sequence[int], alpha: float, rng: random.Random) -> Mapping[int, float]:
    draws = [rng.gammavariate(alpha, 1) for _ in actions]
    total = sum(draws) or 1.0
    return {action: draw / total for action, draw in zip(actions, draws, strict=True)}
