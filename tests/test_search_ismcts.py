"""SO-ISMCTS: against a scalar search, lane by lane, and in a game in which determinised search is wrong."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tests.helpers import play_randomly, to_reference
from tests.micro_games import Flat, MicroGame, MicroState
from tests.positions import HashEvaluator, hash_reference, mixed_batch
from tests.test_search_lanes import assert_same, lanes_of
from tests.test_search_sync import positions
from vecgame import Blob, Purpose, State, Stream, concatenate, lanes
from veclab.reference import rules as reference
from veclab.reference.mcts import improved_policy
from vecmcts import IsmctsConfig, PlayoutEvaluator, SearchConfig, ismcts, search


def scalar_ismcts(rules, worlds, config: IsmctsConfig, uniform) -> tuple[dict[int, int], dict[int, float], list[float]]:
    """Algorithm 1 of the paper, one game in plain Python; a node is its statistics by action, named by its history.

    Returns:
        Visits and sums of values of the root's actions; sums of the leaves' values by seat.
    """
    nodes: dict[tuple[int, ...], dict[int, list[float]]] = {(): {}}  # action -> [n, W, a]
    total = [0.0] * 4
    for number, world in enumerate(worlds):
        state, history, path = world.copy(), (), []
        while legal := reference.legal_actions(rules, state):
            node = nodes[history]
            known = [action for action in legal if action in node]
            untried = [action for action in legal if action not in node]
            if untried:
                action = untried[int(uniform[number][len(path)] * len(untried))]
                node[action] = [0, 0.0, 0]
                known.append(action)
            else:

                def bound(action: int, node: dict[int, list[float]] = node) -> float:
                    n, value_sum, available = node[action]
                    return value_sum / n + config.exploration * math.sqrt(math.log(available) / n)

                action = max(known, key=bound)
            for other in known:
                node[other][2] += 1
            path.append((node, action, reference.mover(rules, state)))
            reference.apply_action(rules, state, action)
            history = (*history, action)
            if untried:
                nodes[history] = {}
                break
        while len(legal := reference.legal_actions(rules, state)) == 1:
            reference.apply_action(rules, state, legal[0])
        over = [score / rules.max_score for score in reference.scores(rules, state)] if not legal else None
        value = over or hash_reference(rules, state)[1]
        for node, action, seat in path:
            node[action][0] += 1
            node[action][1] += value[seat]
        total = [a + b for a, b in zip(total, value, strict=True)]
    return {a: s[0] for a, s in nodes[()].items()}, {a: s[1] for a, s in nodes[()].items()}, total


@pytest.mark.parametrize(("cards", "simulations"), [(1, 40), (2, 120), (5, 60), (13, 30), (13, 4)])
def test_the_scalar_search_makes_the_same_visits(cards: int, simulations: int) -> None:
    game, config = Blob(cards=cards), IsmctsConfig(simulations=simulations)
    state = mixed_batch(game, 8, seed=cards)
    result = ismcts(game, state, HashEvaluator(), config, seed=3)
    worlds = game.determinize(state, simulations, 3)
    streams = Stream.of_worlds(3, state.index, game.turn(state), simulations)
    uniform = torch.stack(
        [streams.at(k).uniform(Purpose.EXPANSION, 1)[:, 0] for k in range(game.decisions)], 1
    ).tolist()
    for lane in range(state.batch_size):
        mine = range(lane * simulations, (lane + 1) * simulations)
        rules = to_reference(game, state, lane)[0]
        root = to_reference(game, worlds, lane * simulations)[1]
        visits, sums, total = scalar_ismcts(
            rules, [to_reference(game, worlds, w)[1] for w in mine], config, [uniform[w] for w in mine]
        )
        tried = {a: int(n) for a, n in enumerate(result.visits[lane].tolist()) if n}
        assert tried == visits and sum(tried.values()) == simulations
        assert {a: float(result.q[lane, a]) * n for a, n in tried.items()} == pytest.approx(sums, abs=1e-9)
        logits, own = hash_reference(rules, root)
        prior = {action: math.exp(logit) for action, logit in logits.items()}
        prior = {action: weight / sum(prior.values()) for action, weight in prior.items()}
        assert result.prior[lane, list(prior)].tolist() == pytest.approx(list(prior.values()), abs=1e-12)
        improved = improved_policy(
            prior,
            {a: visits.get(a, 0) for a in prior},
            {a: sums.get(a, 0.0) for a in prior},
            own[reference.mover(rules, root)],
        )
        assert result.policy[lane, list(prior)].tolist() == pytest.approx([improved[a] for a in prior], abs=1e-9)
        means = [(v + t) / (1 + simulations) for v, t in zip(own, total, strict=True)]
        assert result.value[lane].tolist() == pytest.approx(means, abs=1e-12)


def test_hidden_cards_have_no_say() -> None:
    """Not in the root's value either, by an evaluator that looks at all hands."""
    game = Blob(cards=3)
    state = mixed_batch(game, 6, seed=4)
    other = game.determinize(state, 1, seed=5)
    assert not other.hands.equal(state.hands)
    config = IsmctsConfig(simulations=2)
    assert_same(*(ismcts(game, which, PlayoutEvaluator(), config, seed=2) for which in (state, other)))


def test_every_position_comes_with_its_own_random_numbers() -> None:
    numbers: list[Tensor] = []

    class Drawing(HashEvaluator):
        def evaluate(self, game: Blob, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
            assert torch.equal(stream.game, state.index)
            numbers.append(stream.uniform(Purpose.PLAYOUT, 1)[:, 0])
            return super().evaluate(game, state, stream)

    game = Blob(cards=3)
    result = ismcts(game, mixed_batch(game, 6, seed=16), Drawing(), IsmctsConfig(simulations=6), seed=1)
    drawn = torch.cat(numbers)
    assert len(drawn) == int(result.evaluations) == len(drawn.unique())


def test_finished_games_are_worth_what_they_are_and_get_no_visits() -> None:
    game = Blob(cards=1)
    start = game.deal(4, seed=4)
    over = play_randomly(game, start, seed=4)[-1][0]
    result = ismcts(game, concatenate([over, start]), HashEvaluator(), IsmctsConfig(simulations=5), seed=1)
    assert result.visits.sum(-1).tolist() == [0] * 4 + [5] * 4
    assert torch.allclose(result.value[:4], game.values(over, torch.float64), rtol=0, atol=1e-12)


@dataclass(frozen=True)
class CoinState(MicroState):
    """B games with a coin that nobody sees."""

    coin: Tensor  # [B] int64, 0 or 1


class GuessTheCoin(MicroGame):
    """Seat 0 takes 0.6 for sure, or goes on and names the side of a hidden coin: 1 if it is right, 0 if not."""

    def __init__(self) -> None:
        super().__init__([0, 0], [[0, 1], [0, 1]], None)

    def new(self, batch: int) -> CoinState:
        return CoinState(**super().new(batch).tensors(), coin=torch.zeros(batch, dtype=torch.int64))

    def values(self, state: CoinState, dtype: torch.dtype = torch.float32) -> Tensor:
        right = (state.moves[:, 1] == state.coin).to(dtype)
        worth = torch.where(state.moves[:, 0] == 0, 0.6, right)[:, None].expand(-1, 4).to(dtype)
        return torch.where(self.is_terminal(state)[:, None], worth, 0)

    def determinize(self, state: CoinState, count: int, seed: int) -> CoinState:
        coin = Stream.of_worlds(seed, state.index, self.turn(state), count).integers(Purpose.WORLD, 2)
        return replace(state.repeat(count), coin=coin)


@pytest.mark.slow
def test_strategy_fusion() -> None:
    """Going on is worth 1/2 to a player who cannot see the coin, and 1 in every world by itself. So determinised search
    goes on, whatever it spends, and SO-ISMCTS takes the 0.6."""
    game = GuessTheCoin()
    state = game.new(20)
    fused = search(game, state, Flat(), SearchConfig(worlds=10, simulations=60), seed=1)
    assert (fused.visits.argmax(-1) == 1).all() and (fused.policy.argmax(-1) == 1).all()
    assert (fused.q[:, 1] > 0.85).all()
    result = ismcts(game, state, Flat(), IsmctsConfig(simulations=600), seed=1)
    assert (result.visits.argmax(-1) == 0).all() and (result.policy.argmax(-1) == 0).all()
    assert (result.q[:, 1] < 0.6).all()


@pytest.mark.parametrize("evaluator", [HashEvaluator(), PlayoutEvaluator()], ids=lambda e: type(e).__name__)
@pytest.mark.slow
def test_lanes_are_independent(evaluator, monkeypatch) -> None:
    game, config = Blob(cards=3), IsmctsConfig(simulations=15)
    state = positions(game, 14)
    whole = ismcts(game, state, evaluator, config, seed=2)
    assert (whole.visits.sum(-1) == 15 * ~game.is_terminal(state)).all()
    order = torch.randperm(14, generator=torch.Generator().manual_seed(0))
    assert_same(ismcts(game, state.take(order), evaluator, config, seed=2), lanes_of(whole, order), atol=1e-12)
    one = torch.tensor([5])
    assert_same(ismcts(game, state.take(one), evaluator, config, seed=2), lanes_of(whole, one), atol=1e-12)
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    carried = ismcts(game, state, evaluator, config, seed=2)
    assert_same(carried, whole, atol=1e-12)
    assert carried.evaluations == whole.evaluations


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"simulations": 0}, "simulations must be an integer from 1"),
        ({"exploration": -0.1}, "exploration must be a finite number of at least 0"),
        ({"c_scale": math.nan}, "c_scale must be a finite number"),
    ],
)
def test_bad_configurations(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IsmctsConfig(**change)
