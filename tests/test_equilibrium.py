"""What is learned of games that are solved, and runs that do."""

import re
from dataclasses import replace
from io import StringIO

import pytest
import torch
from rich.console import Console

from net import InferenceNet
from tests.runs import changed, interrupt_at, metrics_of, quiet, same
from vecgame import Blob, Kuhn, Leduc, make_game
from vecgame.cards import unpack_mask
from veclab.arena.best_response import best_response, network_policy
from veclab.bench.ablation import train
from veclab.exact.solution import solve
from veclab.progress import Display
from veclab.training import equilibrium, judge
from veclab.training.background import BackgroundEvaluation
from veclab.training.curves import player_of
from veclab.training.equilibrium import lessons_of, play
from veclab.training.run import Run
from vecmcts.evaluators import to_relative

CPU = torch.device("cpu")
TWO = Blob(players=2, cards=2, suits=2, ranks=3)
GAMES = pytest.mark.parametrize("game", [Kuhn(), Leduc(), TWO], ids=lambda game: game.name)
SOLVED = changed(learner="policy-gradient", game="kuhn", cards="1", updates=4, update_rule="cfr", device="cpu")
SOLVED = replace(SOLVED, average_decay=0.9, update_games=64, update_epochs=1)


@GAMES
def test_there_is_a_lesson_for_every_decision(game) -> None:
    """All nodes with a choice, each with the solution's policy and with what it is worth to play on by it."""
    lessons = lessons_of(game, CPU)
    state, actions = lessons.state, game.legal_actions(lessons.state)
    assert game.chooses(state, actions).all()
    assert torch.allclose(lessons.policy.sum(-1), torch.ones(len(state)))
    assert not lessons.policy[actions < 0].any()
    nodes = sum(
        int((level.legal.sum(-1) > 1)[level.information].sum())
        for part in solve(game, by_observation=True).parts
        for level in part.solver.levels
    )
    assert len(state) == nodes
    for lane in torch.arange(0, len(state), max(1, len(state) // 7)):
        assert torch.allclose(lessons.value[lane], worth(game, lessons, state[int(lane)]), atol=1e-5)


def worth(game, lessons, state) -> torch.Tensor:
    """What a game is worth to each seat if all play the solution on, by going through all of it."""
    if game.is_terminal(state):
        return game.values(state)[0]
    actions = [action for action in game.legal_actions(state)[0].tolist() if action >= 0]
    after = [worth(game, lessons, game.step(state, torch.tensor([action]))) for action in actions]
    if len(actions) == 1:
        return after[0]
    observed = game.observe(state)[0]
    known = next(lane for lane, row in enumerate(observed_by(game, lessons)) if torch.equal(row, observed))
    chances = lessons.policy[known]
    return sum(chance * value for chance, value in zip(chances.tolist(), after, strict=False))


def observed_by(game, lessons) -> torch.Tensor:
    return game.observe(lessons.state)


@GAMES
def test_decisions_are_drawn_in_proportion_and_count_for_what_they_come_up(game) -> None:
    """64,000 draws: each node as often as its chance, within five standard errors; and what is drawn too often counts
    for less, so that the means of draws are those over all that comes up."""
    lessons, count = lessons_of(game, CPU), 64_000
    chance = lessons.ends.diff(prepend=lessons.ends.new_zeros(1))
    assert float(chance.sum()) == pytest.approx(1) and (chance > 0).all()
    lesson = play(game, None, count, seed=1, first_index=0, device=CPU)
    assert float(lesson.counts.mean()) == pytest.approx(1, abs=0.05)
    assert float((chance * lessons.counts).sum()) == pytest.approx(1)
    values = to_relative(lessons.value, game.mover(lessons.state)).double()
    exact = (chance * lessons.counts)[:, None] * values
    drawn = lesson.counts[:, None].double() * lesson.value
    error = drawn.std(0) / count**0.5
    assert ((drawn.mean(0) - exact.sum(0)).abs() < 5 * error + 1e-9).all()


@GAMES
def test_what_is_drawn_depends_on_its_number_alone(game) -> None:
    whole = play(game, None, 50, seed=3, first_index=10, device=CPU)
    parts = [play(game, None, count, 3, first, CPU) for count, first in ((20, 10), (30, 30))]
    joined = equilibrium.Lesson.concatenate(parts)
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, joined.tensors()[name]), name
    assert joined.games == whole.games == 50 and joined.score == pytest.approx(whole.score)
    other = play(game, None, 50, seed=4, first_index=10, device=CPU)
    assert not torch.equal(other.value, whole.value)


def test_a_match_is_learned_over_all_of_its_deals() -> None:
    """What is worth most at the first decision is what is worth most over the whole match."""
    game = make_game("blob-match", cards=1, games=2, suits=1, ranks=4, players=2)
    lessons = lessons_of(game, CPU)
    assert {int(number) for number in lessons.state.number} == {0, 1}
    solution = solve(game, by_observation=True)
    first = solution.parts[0].states[0]
    assert len(first) < len(lessons.state) and torch.allclose(lessons.policy.sum(-1), torch.tensor(1.0))
    values = [part.share * part.solver.values(part.tables, 0)[0].mean() for part in solution.parts]
    assert float(sum(values)) == pytest.approx(float(solution.points[0]))
    assert lessons.gain == solution.gain and lessons.score == float(solution.points.mean())
    assert play(game, None, 30, 0, 0, CPU).value.shape == (30, 2)


def test_lessons_stand_in_the_columns_of_the_policy() -> None:
    for lesson in (play(game, None, 200, 0, 0, CPU) for game in (Leduc(), TWO)):
        mask = unpack_mask(lesson.legal, lesson.policy.shape[1])
        assert not lesson.policy[~mask].any() and torch.allclose(lesson.policy.sum(-1), torch.ones(200))


def test_suits_in_other_orders_are_the_same_lesson() -> None:
    """Turned back, what is learned is what was drawn."""
    game = Blob(players=2, cards=1, suits=4, ranks=2)
    turned, plain = (play(game, None, 300, 0, 0, CPU, symmetry=which) for which in (game.suit_symmetry(), None))
    assert not torch.equal(turned.observation, plain.observation)
    assert torch.equal(turned.value, plain.value)
    assert torch.equal(turned.policy.sort().values, plain.policy.sort().values)
    bids = slice(52, None)
    assert torch.equal(turned.policy[:, bids], plain.policy[:, bids])
    assert torch.equal(
        unpack_mask(turned.legal, turned.policy.shape[1]).sum(-1),
        unpack_mask(plain.legal, plain.policy.shape[1]).sum(-1),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("solved") / "whole"
    assert Run.create(folder, SOLVED, quiet()).train(judge=False) is not None
    return folder


@pytest.mark.parametrize("solving", [True, False])
def test_it_is_interrupted_and_goes_on_bit_for_bit(finished, tmp_path, solving: bool, monkeypatch) -> None:
    """While the game is solved, and while the network learns. When it goes on the game is solved again."""
    checks = 2 if solving else lessons_of(Kuhn(), CPU).iterations + 2
    monkeypatch.setattr(equilibrium, "_solved", {})
    folder = tmp_path / "stopped"
    run = Run.create(folder, SOLVED, quiet())
    interrupt_at(run, checks)
    assert run.train() is None and run.updates < 4
    monkeypatch.setattr(equilibrium, "_solved", {})
    assert Run.resume(folder, SOLVED, quiet()).train(judge=False) is not None
    assert same(finished, folder) and metrics_of(finished) == metrics_of(folder)


def test_the_time_of_a_run_has_that_of_solving_in_it(tmp_path, monkeypatch) -> None:
    """Though another in the same process has solved the game before: `ablation.train` times it as if alone."""
    solved = []

    def counted(game, **options):
        solved.append(game)
        return solve(game, **options)

    monkeypatch.setattr(equilibrium, "solve", counted)
    monkeypatch.setattr(equilibrium, "_solved", {})
    lessons_of(Kuhn(), CPU)
    assert lessons_of(Kuhn(), CPU) is lessons_of(Kuhn(), CPU) and len(solved) == 1
    train(SOLVED, tmp_path / "run")
    assert len(solved) == 2


def test_a_run_says_how_near_its_solution_comes(tmp_path, monkeypatch) -> None:
    file = StringIO()
    monkeypatch.setattr(judge, "evaluate", lambda *_: {})
    run = Run.create(tmp_path / "run", replace(SOLVED, learning_rate=1e-30), Display(Console(file=file, width=300)))
    assert run.train() == {}
    told = file.getvalue()
    assert re.search(
        r"Kuhn\(\) solved by \d+ iterations of CFR\+: a best response gains 0\.000\d chips of who plays it", told
    )
    assert "equilibrium: 4 updates of 64 decisions of the solution, 0.00 chips a game against itself" in told
    assert "4 updates of an equilibrium" in told and "policy gradient" not in told and "nearly everywhere" not in told


@pytest.mark.slow
def test_its_networks_are_judged_by_their_policy(tmp_path) -> None:
    """A search leads away from what they have learned, beside the run as at its end; a run that searches is another."""
    settings = replace(SOLVED, eval_every=1, updates=10, eval_deals=4, eval_opponents="random")
    run = Run.create(tmp_path / "run", settings, quiet())
    found = run.train()
    assert list(found) == ["before training, network's policy", "trained network alone", "trained, network's policy"]
    assert changed(learner="both", game="kuhn", cards="1", update_rule="cfr").judged_by_search
    networks = tuple(run.folder / f"network-{name}.safetensors" for name in ("update-000010", "000000"))
    beside = BackgroundEvaluation(run.folder, (10, 0), networks, settings, CPU)
    assert beside.process.wait(timeout=100) == 0, beside.log_path.read_text()
    results = beside.results()
    assert list(results) == ["network alone", "network's policy"] and len(results["network alone"]) == 2
    assert all(player_of(name, 10)[0] in results for name in found)  # points of the same curves


TINY_DECK = {"game": "blob", "rules": "players=2", "suits": 2, "ranks": 3}


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        pytest.param({"game": "kuhn"}, 0.03, id="kuhn", marks=pytest.mark.slow),
        pytest.param({**TINY_DECK, "cards": "1-2"}, 0.08, id="two hands", marks=pytest.mark.slow),
        pytest.param({**TINY_DECK, "cards": "1", "leaf_values": "world"}, 0.08, id="critic", marks=pytest.mark.slow),
    ],
)
def test_the_network_comes_near_to_the_solution(changes, most, tmp_path) -> None:
    """In a few seconds; what policy gradient leaves in that time is ten times as much."""
    settings = replace(SOLVED, updates=25, update_games=8192, update_batch=512, average_decay=0.0, **changes)
    run = Run.create(tmp_path / "run", settings, quiet())
    run.train(judge=False)
    network = InferenceNet(run.learner.net, dtype=torch.float32)
    for game in settings.games():
        assert best_response(game, network_policy(network)).gain.mean() < most * (game.highest - game.lowest) / 4
