"""Every game is searched by itself: not its batch, its place in it nor the device matters."""

from dataclasses import replace

import pytest
import torch

from tests.positions import HashEvaluator, counting, linear_network, mixed_batch
from vecgame import Blob, concatenate, lanes
from vecmcts import Evaluator, NetworkEvaluator, PlayoutEvaluator, SearchConfig, SearchResult, search
from vecmcts.evaluators import to_absolute, to_relative

CONFIG = SearchConfig(worlds=2, simulations=12, noise_fraction=0.3)
FIELDS = ("visits", "policy", "value", "prior", "q")
EVALUATORS = [HashEvaluator(), PlayoutEvaluator(playouts=2), NetworkEvaluator(linear_network(4))]


def config_for(evaluator: Evaluator) -> SearchConfig:
    """A smaller search by playouts, whose every leaf takes games to the end."""
    return replace(CONFIG, simulations=5) if isinstance(evaluator, PlayoutEvaluator) else CONFIG


def assert_same(ours: SearchResult, theirs: SearchResult, atol: float = 0.0) -> None:
    assert torch.equal(ours.visits, theirs.visits)
    for name in FIELDS:
        assert getattr(ours, name).allclose(getattr(theirs, name), rtol=0, atol=atol, equal_nan=True)


def lanes_of(result: SearchResult, index: torch.Tensor) -> SearchResult:
    return SearchResult(*(getattr(result, name)[index] for name in FIELDS), result.evaluations)


def assert_lanes_are_independent(evaluator, config: SearchConfig, monkeypatch) -> None:
    """Alone, in another order, with lanes left out and with all carried along: every game is searched alike."""
    game = Blob(cards=3)
    state = mixed_batch(game, 12, seed=3)
    whole = search(game, state, evaluator, config, seed=2)
    for some in (torch.randperm(12, generator=torch.Generator().manual_seed(0)), torch.tensor([7])):
        assert_same(search(game, state.take(some), evaluator, config, seed=2), lanes_of(whole, some), atol=1e-12)
    monkeypatch.setattr(lanes, "FEW", 0)
    assert_same(search(game, state, evaluator, config, seed=2), whole, atol=1e-12)
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    assert_same(search(game, state, evaluator, config, seed=2), whole, atol=1e-12)


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("cards", [1, 5])
def test_one_game_alone_is_the_same_lane_of_a_batch(evaluator, cards: int) -> None:
    game = Blob(cards=cards)
    state = mixed_batch(game, 30, seed=1)
    config = config_for(evaluator)
    whole = search(game, state, evaluator, config, seed=2)
    for lane in (0, 13, 29):
        one = torch.tensor([lane])
        assert_same(search(game, state.take(one), evaluator, config, seed=2), lanes_of(whole, one), atol=1e-12)


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
def test_a_permuted_batch_gives_permuted_results(evaluator) -> None:
    game = Blob(cards=4)
    state = mixed_batch(game, 25, seed=3)
    order = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    config = config_for(evaluator)
    whole = search(game, state, evaluator, config, seed=2)
    assert_same(search(game, state.take(order), evaluator, config, seed=2), lanes_of(whole, order), atol=1e-12)


def test_finished_games_are_harmless_and_get_no_visits() -> None:
    game = Blob(cards=2)
    state = mixed_batch(game, 10, seed=4)
    over = state
    for _ in range(game.decisions):
        over = game.step(over, game.legal_actions(over)[:, 0])
    mixed = concatenate([over, state])
    result = search(game, mixed, HashEvaluator(), CONFIG, seed=2)
    first, rest = torch.arange(10), torch.arange(10, 20)
    assert (result.visits[first] == 0).all() and (result.visit_policy[first] == 0).all()
    assert result.value[first].allclose(game.values(over, torch.float64), rtol=0, atol=1e-12)
    assert_same(lanes_of(result, rest), search(game, state, HashEvaluator(), CONFIG, seed=2))


def test_no_games_at_all() -> None:
    game = Blob(cards=2)
    result = search(game, game.deal(3)[:0], HashEvaluator(), CONFIG, seed=0)
    assert result.visits.shape == (0, 52) and result.evaluations == 0


def test_a_game_with_one_legal_action_gets_all_visits_there() -> None:
    game = Blob(cards=1)
    state = game.deal(6, seed=0)
    for _ in range(4):
        state = game.step(state, game.legal_actions(state)[:, 0])
    result = search(game, state, HashEvaluator(), CONFIG, seed=0)
    assert torch.equal(result.visits > 0, game.legal_mask(state))
    assert (result.policy.sum(-1) == 1).all()


def test_seeds() -> None:
    game = Blob(cards=5)
    state = mixed_batch(game, 40, seed=5)
    first, again, other = (search(game, state, HashEvaluator(), CONFIG, seed) for seed in (1, 1, 2))
    assert_same(first, again)
    assert not torch.equal(first.visits, other.visits)


def test_noise_moves_visits_but_not_the_prior_of_the_target() -> None:
    game = Blob(cards=5)
    state = game.deal(40, seed=5)
    plain = search(game, state, HashEvaluator(), SearchConfig(worlds=1, simulations=20), seed=1)
    noisy = search(game, state, HashEvaluator(), SearchConfig(worlds=1, simulations=20, noise_fraction=0.9), seed=1)
    assert torch.equal(plain.prior, noisy.prior)
    assert not torch.equal(plain.visits, noisy.visits)


@pytest.mark.parametrize(("leaves", "merge"), [(1, False), (5, False), (1, True)])
@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
def test_carrying_all_lanes_along_changes_nothing(evaluator, leaves: int, merge: bool, monkeypatch) -> None:
    """The way of a GPU, which leaves no lane out, on a CPU."""
    config = replace(config_for(evaluator), leaves_per_step=leaves, merge_equivalent=merge)
    for cards in (1, 3, 6) if isinstance(evaluator, HashEvaluator) else (1, 4):
        game = Blob(cards=cards)
        state = mixed_batch(game, 20, seed=6)
        few = search(game, state, evaluator, config, seed=2)
        monkeypatch.setattr(lanes, "FEW", 0)
        compact = search(game, state, evaluator, config, seed=2)
        monkeypatch.setitem(lanes.COMPACT, "cpu", False)
        whole = search(game, state, evaluator, config, seed=2)
        monkeypatch.undo()
        assert_same(few, compact)
        assert_same(compact, whole, atol=1e-12)
        assert few.evaluations == compact.evaluations == whole.evaluations


def test_carrying_all_lanes_along_plays_forced_moves_alike(monkeypatch) -> None:
    for cards in (1, 2, 5, 13):
        game = Blob(cards=cards)
        state = mixed_batch(game, 60, seed=7)
        few = game.play_forced(state)
        monkeypatch.setattr(lanes, "FEW", 0)
        compact = game.play_forced(state)
        monkeypatch.setitem(lanes.COMPACT, "cpu", False)
        whole = game.play_forced(state)
        monkeypatch.undo()
        assert few == compact == whole


@pytest.mark.gpu
@pytest.mark.parametrize("cards", [1, 5, pytest.param(13, marks=pytest.mark.slow)])
def test_a_gpu_makes_the_same_visits(cards: int) -> None:
    game = Blob(cards=cards)
    state = mixed_batch(game, 40, seed=8)

    class OnDevice(HashEvaluator):
        def evaluate(self, game, state, stream):
            logits, values = super().evaluate(game, state.to("cpu"), stream)
            return logits.to(state.device), values.to(state.device)

    on_cpu = search(game, state, OnDevice(), CONFIG, seed=2)
    on_gpu = search(game, state.to("cuda"), OnDevice(), CONFIG, seed=2)
    moved = SearchResult(*(getattr(on_gpu, name).cpu() for name in (*FIELDS, "evaluations")))
    assert_same(on_cpu, moved, atol=1e-12)


def test_a_root_is_judged_once_a_game_unless_hidden_cards_count() -> None:
    game = Blob(cards=5)
    state = game.deal(7, seed=1)
    for evaluator, roots in ((NetworkEvaluator(linear_network(4)), 7), (PlayoutEvaluator(), 21)):
        calls: list[int] = []
        result = search(game, state, counting(evaluator, calls), SearchConfig(worlds=3, simulations=5), seed=1)
        assert calls[0] == roots
        assert sum(calls) == int(result.evaluations)


def test_a_scalar_network_is_asked_for_every_seat() -> None:
    """A network whose one value is a function of the viewer's features equals one that is given all seats' views."""
    game = Blob(cards=4)
    state = mixed_batch(game, 20, seed=9)
    scalar = linear_network(1)
    logits, values = NetworkEvaluator(scalar).evaluate(game, state, None)
    mover = game.mover(state)
    for seat in range(4):
        view = scalar(game.observe(state, torch.full_like(mover, seat)), None)[1][:, 0]
        assert torch.equal(values[:, seat], view)
    assert torch.equal(logits, scalar(game.observe(state), None)[0])
    search(game, state, scalar, CONFIG, seed=1)


def test_seats_turn_by_hand() -> None:
    relative = torch.tensor([[10.0, 11.0, 12.0, 13.0]])
    absolute = to_absolute(relative, torch.tensor([3]))
    assert absolute.tolist() == [[11.0, 12.0, 13.0, 10.0]]  # seat 3 is relative seat 0, seat 0 is relative seat 1
    assert torch.equal(to_relative(absolute, torch.tensor([3])), relative)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"worlds": 0}, "worlds must be an integer from 1"),
        ({"simulations": 2.5}, "simulations must be an integer"),
        ({"leaves_per_step": True}, "leaves_per_step must be an integer"),
        ({"c_puct": 0.0}, "c_puct must be above 0"),
        ({"noise_fraction": 1.5}, "noise_fraction must be from 0 to 1"),
        ({"noise_alpha": -1.0}, "noise_alpha must be above 0"),
        ({"c_visit": float("nan")}, "c_visit must be at least 0"),
        ({"trusted_visits": -1}, "trusted_visits must be at least 0"),
    ],
)
def test_bad_configurations(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SearchConfig(**change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("playouts", [0, 257])
def test_bad_playouts(playouts: int) -> None:
    with pytest.raises(ValueError, match=f"playouts must be from 1 to 256, got {playouts}"):
        PlayoutEvaluator(playouts)
