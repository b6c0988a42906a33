"""What a search asks of its evaluator, and what it makes of the answers."""

import math

import pytest
import torch
from torch import Tensor

from tests.helpers import bits_of, one_lane, to_reference
from tests.positions import HashEvaluator, fraction, hash_reference, linear_network, mix, mixed_batch
from vecgame import Blob, Purpose, State, Stream
from veclab.reference import mcts
from veclab.reference import rules as reference
from vecmcts import NetworkEvaluator, PlayoutEvaluator, SearchConfig, evaluators, search
from vecmcts.evaluators import PLAYOUT_BLOCKS, play_out
from vecmcts.search import ROOT, plant


class OpenEvaluator(HashEvaluator):
    """Values, and where asked for logits too, that depend on the hidden hands: another answer in every world."""

    def __init__(self, logits: bool) -> None:
        self.logits = logits

    def evaluate(self, game: Blob, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
        logits, values = super().evaluate(game, state, stream)
        h = torch.zeros_like(state.seen)
        for seat in range(4):
            h = mix(h, state.hands[:, seat])
        values = (values + fraction(mix(mix(h[:, None], torch.arange(4)), 7))) / 2
        return logits + (fraction(mix(h, 9))[:, None] * (logits > 0) if self.logits else 0), values


def open_reference(logits: bool) -> mcts.Evaluator:
    def evaluate(rules: reference.Rules, state: reference.State) -> tuple[dict[int, float], list[float]]:
        judged, values = hash_reference(rules, state)
        h = 0
        for hand in state.hands:
            h = mix(h, bits_of(hand))
        values = [(value + fraction(mix(mix(h, seat), 7))) / 2 for seat, value in enumerate(values)]
        return {a: x + (fraction(mix(h, 9)) * (x > 0) if logits else 0) for a, x in judged.items()}, values

    return evaluate


@pytest.mark.parametrize("logits", [False, True], ids=["values", "values and logits"])
@pytest.mark.parametrize("leaves", [1, 4])
@pytest.mark.parametrize("cards", [1, 2, 5])
def test_worlds_that_are_judged_differently(cards: int, leaves: int, logits: bool) -> None:
    """The root's value and prior are the means over the worlds, as in the reference."""
    game = Blob(cards=cards)
    config = SearchConfig(worlds=3, simulations=20, leaves_per_step=leaves)
    state = mixed_batch(game, 10, seed=11)
    worlds = game.determinize(state, 3, seed=12)
    result = search(game, state, OpenEvaluator(logits), config, seed=12)
    spread = 0.0
    for lane in range(10):
        rules, scalar = to_reference(game, state, lane)
        roots = [to_reference(game, worlds, 3 * lane + world)[1] for world in range(3)]
        settings = mcts.SearchConfig(config.simulations, config.c_puct, leaves)
        expected = mcts.search_worlds(rules, roots, open_reference(logits), settings)
        assert {a: int(result.visits[lane, a]) for a in expected.visits} == expected.visits
        assert result.value[lane].tolist() == pytest.approx(expected.value, abs=1e-12)
        root_value = expected.root_value[reference.mover(rules, scalar)]
        improved = mcts.improved_policy(expected.prior, expected.visits, expected.totals, root_value)
        for a in expected.visits:
            assert float(result.prior[lane, a]) == pytest.approx(expected.prior[a], abs=1e-12)
            assert float(result.policy[lane, a]) == pytest.approx(improved[a], abs=1e-9)
        judged = [open_reference(logits)(rules, root)[1] for root in roots]
        spread = max(spread, *(abs(a - b) for a, b in zip(judged[0], judged[1], strict=True)))
    assert spread > 0.1  # the worlds do differ


@pytest.mark.parametrize("cards", [1, 3, 5, 13])
def test_a_network_is_read_by_seat_and_by_suit(cards: int) -> None:
    """The reference asks the same network with columns and seats worked out one by one: relative seat k is k places
    after the mover, and a card's column counts from the trump suit."""
    game = Blob(cards=cards)
    network = linear_network(4)

    def scalar(rules: reference.Rules, state: reference.State) -> tuple[dict[int, float], list[float]]:
        one = one_lane(game, state)
        logits, values = network(game.observe(one), game.policy_mask(one))
        me = reference.mover(rules, state)
        first = 0 if state.trump == reference.NO_TRUMP else 13 * state.trump
        bidding = None in state.bids
        columns = {a: a if bidding else (a - first) % 52 for a in reference.legal_actions(rules, state)}
        return {a: float(logits[0, c]) for a, c in columns.items()}, [float(values[0, (s - me) % 4]) for s in range(4)]

    state = mixed_batch(game, 12, seed=13)
    worlds = game.determinize(state, 2, seed=14)
    result = search(game, state, network, SearchConfig(worlds=2, simulations=16), seed=14)
    evaluations = 0
    for lane in range(12):
        rules, _ = to_reference(game, state, lane)
        roots = [to_reference(game, worlds, 2 * lane + world)[1] for world in range(2)]
        expected = mcts.search_worlds(rules, roots, scalar, mcts.SearchConfig(16))
        assert {a: int(result.visits[lane, a]) for a in expected.visits} == expected.visits
        assert result.value[lane].tolist() == pytest.approx(expected.value, abs=1e-10)
        evaluations += expected.evaluations - 1  # the reference judges the root in both worlds
    assert int(result.evaluations) == evaluations
    movers, trumps = game.mover(state), state.trump
    assert len(movers.unique()) == 4 and len(trumps.unique()) >= 4


def test_a_scalar_network_searches_like_the_network_of_four_seats() -> None:
    """One value of what is public, by relative seat: the same network with its seats turned by k is the view of seat k,
    so a network of four values can be built that says the same."""
    game = Blob(cards=4)
    public = slice(213, 229)  # bids, who has bid, tricks won and needed: four columns each, by relative seat
    weight = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits_of = linear_network(0)

    def values(observation: Tensor, views: int) -> Tensor:
        table = observation[:, public].double().view(-1, 4, 4)
        return torch.stack([(table.roll(-k, 2) * weight).sum((1, 2)).sigmoid() for k in range(views)], dim=1)

    def scalar(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return logits_of(observation, mask)[0], values(observation, 1)

    def by_seat(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return logits_of(observation, mask)[0], values(observation, 4)

    state = mixed_batch(game, 30, seed=15)
    config = SearchConfig(worlds=2, simulations=24)
    one, four = (search(game, state, network, config, seed=1) for network in (scalar, by_seat))
    assert torch.equal(one.visits, four.visits)
    assert one.value.allclose(four.value, rtol=0, atol=1e-12)
    assert float((one.value - one.value.roll(1, 1)).abs().max()) > 0.05  # the seats' values do differ


@pytest.mark.parametrize("sees_hidden", [False, True])
def test_every_position_comes_with_its_own_random_numbers(sees_hidden: bool) -> None:
    """A lane of the stream belongs to the position's game and world, and no two evaluations share numbers, nor does the
    second playout of one with the first of another."""
    game = Blob(cards=3)
    state = mixed_batch(game, 8, seed=16)
    numbers: list[Tensor] = []
    playouts: list[Tensor] = []

    class Drawing(HashEvaluator):
        def evaluate(self, game: Blob, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
            assert torch.equal(stream.game, state.index)
            numbers.append(stream.uniform(Purpose.PLAYOUT, 1)[:, 0])
            playouts.append(stream.at(stream.offset + PLAYOUT_BLOCKS).uniform(Purpose.PLAYOUT, 1)[:, 0])
            return super().evaluate(game, state, stream)

    evaluator = Drawing()
    evaluator.sees_hidden = sees_hidden
    result = search(game, state, evaluator, SearchConfig(worlds=3, simulations=12, leaves_per_step=3), seed=1)
    assert len(numbers[0]) == (24 if sees_hidden else 8)
    drawn = torch.cat(numbers)
    assert len(drawn) == int(result.evaluations) == len(drawn.unique())
    assert len(torch.cat([drawn, *playouts]).unique()) == 2 * len(drawn)


def test_every_choice_of_a_playout_has_a_number_of_its_own(monkeypatch) -> None:
    """Of all playouts of all lanes; and the value is the mean of the playouts."""
    game, drawn = Blob(cards=2), []
    choose = evaluators.random_action
    monkeypatch.setattr(
        evaluators, "random_action", lambda game, state, uniform: drawn.append(uniform) or choose(game, state, uniform)
    )
    state = game.deal(5, seed=1)
    stream = Stream(1, state.index, torch.zeros_like(state.index), offset=3 << 16)
    _, three = PlayoutEvaluator(3).evaluate(game, state, stream)
    assert len(torch.cat(drawn).unique()) == len(torch.cat(drawn)) == 3 * 5 * game.decisions
    alone = [play_out(game, state, stream.at((3 << 16) + PLAYOUT_BLOCKS * number)) for number in range(3)]
    assert torch.allclose(three, sum(alone) / 3) and not torch.equal(alone[0], alone[1])


def test_noise_is_one_draw_a_game_and_mixed_in_proportion() -> None:
    """All worlds of a game get the same noise: an unlucky bid is tried in every world or in none."""
    game = Blob(cards=5)
    state = game.deal(20, seed=17)
    worlds = game.determinize(state, 3, seed=1)
    stream = Stream.of_worlds(1, state.index, game.turn(state), 3)

    def root_prior(fraction: float, alpha: float = 1.0) -> Tensor:
        config = SearchConfig(worlds=3, simulations=1, noise_fraction=fraction, noise_alpha=alpha)
        tree = plant(game, worlds, HashEvaluator(), config, stream)[0]
        return tree.prior[tree.rows(ROOT)].view(20, 3, -1)

    plain, quarter, full = root_prior(0.0), root_prior(0.25), root_prior(1.0)
    legal = plain >= 0
    assert torch.equal(legal, full >= 0)
    assert quarter[legal].allclose((0.75 * plain + 0.25 * full)[legal], rtol=0, atol=1e-12)
    assert torch.equal(full, full[:, :1].expand_as(full))
    assert not torch.equal(full[0], full[1])
    # 20 games x 6 bids: noise of alpha 20 is nearly uniform, noise of alpha 0.05 nearly all on one bid.
    assert root_prior(1.0, 20.0).amax(-1).mean() < 0.3 and root_prior(1.0, 0.05).amax(-1).mean() > 0.8


@pytest.mark.parametrize(
    "dtype",
    [
        torch.bfloat16,
        pytest.param(torch.float16, marks=pytest.mark.slow),
        pytest.param(torch.float32, marks=pytest.mark.slow),
        pytest.param(torch.float64, marks=pytest.mark.slow),
    ],
)
def test_visits_are_counted_exactly_whatever_the_network_computes_in(dtype: torch.dtype) -> None:
    """bfloat16 cannot count beyond 256."""
    game = Blob(cards=1)
    state = game.deal(2, seed=18)

    def network(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(mask.shape, dtype=dtype), torch.full((len(mask), 4), 0.5, dtype=dtype)

    result = search(game, state, network, SearchConfig(worlds=1, simulations=700), seed=1)
    assert result.visits.sum(-1).tolist() == [700, 700]
    assert result.policy.sum(-1).tolist() == pytest.approx([1, 1], abs=1e-6)


def test_virtual_loss_counts_a_pending_visit_with_value_0() -> None:
    """Four leaves at once, equal priors and a root worth 0.5: each pending visit lowers its own action below the rest,
    so four of six bids are tried once; with values that do not count, one bid would be tried four times."""
    game = Blob(cards=5)
    state = game.deal(5, seed=19)

    def network(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(mask.shape), torch.full((len(mask), 4), 0.5)

    result = search(game, state, network, SearchConfig(worlds=1, simulations=4, leaves_per_step=4), seed=1)
    assert result.visits[:, :6].tolist() == [[1, 1, 1, 1, 0, 0]] * 5
    assert result.q[:, :4].tolist() == [[0.5] * 4] * 5  # the loss is gone once the leaf is judged


@pytest.mark.parametrize(
    "change",
    [
        {"c_puct": math.inf},
        {"c_puct": "1"},
        {"noise_fraction": "half"},
        {"noise_alpha": None},
        {"c_visit": math.inf},
        {"c_scale": True},
    ],
)
def test_a_configuration_of_the_wrong_kind_is_a_value_error(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(change))} must be a finite number, got [^\n]*$"):
        SearchConfig(**change)


def test_networks_are_wrapped_and_evaluators_are_not() -> None:
    game = Blob(cards=2)
    state = mixed_batch(game, 6, seed=20)
    network = linear_network(4)
    plain, wrapped = (
        search(game, state, e, SearchConfig(worlds=1), seed=1) for e in (network, NetworkEvaluator(network))
    )
    assert torch.equal(plain.visits, wrapped.visits) and torch.equal(plain.value, wrapped.value)


class Answers:
    """An evaluator, or called a network, that gives what it is told to."""

    sees_hidden = False

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def evaluate(self, game: Blob, state: State, stream: Stream) -> object:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.zeros(3, 52), "Answers must return two tensors, logits and values, got Tensor"),
        (
            (torch.zeros(3, 51), torch.zeros(3, 4)),
            r"return logits \[3, 52\] .* in a game of blob, got \[3, 51\]",
        ),
        ((torch.zeros(3, 52), torch.zeros(3, 1)), r"Answers must return values \[3, 4\] of floating point"),
        ((torch.zeros(3, 52), torch.zeros(3, 4).long()), r"values \[3, 4\] of floating point on cpu .* torch.int64"),
        ((torch.zeros(3, 52), torch.zeros(3, 4, device="meta")), r"values .* on meta"),
    ],
)
def test_an_evaluator_is_told_what_it_must_return(answer: object, message: str) -> None:
    with pytest.raises(TypeError, match=message) as error:
        search(Blob(cards=3), Blob(cards=3).deal(3), Answers(answer), SearchConfig(worlds=2, simulations=3))
    assert "\n" not in str(error.value)


def test_a_network_is_told_too() -> None:
    def narrow(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return observation[:, :52], observation[:, :3]

    with pytest.raises(TypeError, match=r"narrow must return values \[3, 4\] or \[3, 1\] .* got \[3, 3\]"):
        search(Blob(cards=3), Blob(cards=3).deal(3), narrow, SearchConfig(worlds=2, simulations=3))
