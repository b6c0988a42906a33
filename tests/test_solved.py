"""The solution of a small game as a player: exactly so good as it is, wherever it sits, and drawn as it says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from net import BlobNet
from tests.every_game import write_tutorials
from tests.small_hands import Raise
from tests.tables import run_without_agents as run
from vecgame import Blob, Game, Kuhn, Leduc, identity, make_game
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.arena import evaluate, ladder
from veclab.arena.best_response import best_response
from veclab.arena.bots import why_not
from veclab.arena.solved import SolvedBot
from veclab.doors.seated import players_of
from veclab.exact import solution
from veclab.exact import table as module
from veclab.exact.solution import Solution, solve
from veclab.exact.table import Table, table_of
from veclab.exploit.command import opponent_of
from veclab.progress import silent
from veclab.table.advice import give_hint
from veclab.table.session import Settings, begin

CPU = torch.device("cpu")
TWO = Blob(players=2, cards=2, suits=2, ranks=3)
THREE = Blob(players=3, cards=2, suits=2, ranks=3)
FORGETS = Blob(players=2, cards=3, suits=2, ranks=4)  # in which a network does not see who has played what
MATCH = make_game("blob-match", cards=1, games=2, suits=1, ranks=4, players=2)


def bluff(folder: Path) -> Game:
    """The small game of docs/new-game-without-tricks.md."""
    write_tutorials(folder)
    return make_game(f"{folder}/bluff.py:Bluff")


FORGETFUL = pytest.param("forgets", marks=pytest.mark.slow)


@pytest.fixture(params=["kuhn", "leduc", "two", "three", FORGETFUL, "match", "bluff"])
def game(request, tmp_path, monkeypatch) -> Game:
    if request.param == "bluff":
        monkeypatch.setattr(solution, "ENOUGH", 5e-3)  # which takes seconds
    made = {"kuhn": Kuhn(), "leduc": Leduc(), "two": TWO, "three": THREE, "forgets": FORGETS, "match": MATCH}
    return made[request.param] if request.param in made else bluff(tmp_path)


def test_a_best_response_gains_what_the_solution_says(game: Game) -> None:
    """By the player as it looks decisions up, in all that can happen."""
    gains, known = best_response(game, SolvedBot().chances), table_of(game)
    assert torch.allclose(gains.policy, known.points, atol=1e-6)
    assert float(gains.gain.mean()) == pytest.approx(known.gain, abs=1e-6)
    assert 0 <= known.gain < 0.01 * (game.highest - game.lowest)


def test_against_itself_it_has_the_solutions_points(game: Game) -> None:
    """Of each seat, counted on from the dealer where that is drawn, within four standard errors."""
    state, games = game.deal(3000, seed=2), 3000
    turned = (game.seats - 1 - state.dealer.long()) if "dealer" in state.tensors() else torch.zeros(games).long()
    while not bool(game.is_terminal(state).all()):
        state = game.step(state, SolvedBot().act(game, state, 4))
    seats = (torch.arange(game.seats) - turned[:, None]) % game.seats  # who sits there if the last seat deals
    scores = game.scores(state).double().gather(1, seats)
    error = scores.std(0) / games**0.5
    assert ((scores.mean(0) - table_of(game).points).abs() < 4 * error + 1e-6).all()
    assert float(error.max()) < 0.05 * (game.highest - game.lowest)


@pytest.mark.parametrize("dealer", [0, 1])
def test_another_dealer_turns_the_seats(dealer: int) -> None:
    """Solved with the last seat as the dealer: with another one the same seats after it have the same points."""
    turned, known = Blob(players=3, cards=2, suits=2, ranks=3, dealer=dealer), table_of(THREE)

    def policy(game: Game, state: object) -> torch.Tensor:
        return SolvedBot().chances(THREE, state)

    gains = best_response(turned, policy)
    assert torch.allclose(gains.policy, known.points.roll(dealer + 1), atol=1e-6)
    assert torch.allclose(gains.response.mean() - gains.policy.mean(), torch.tensor(known.gain).double(), atol=1e-6)
    assert known.points.std() > 0.1  # else turning would be no matter


def test_every_decision_after_every_dealer_is_known() -> None:
    """What other players do leads to decisions that the solution itself never comes to."""
    state, decisions = THREE.deal(2000, seed=3), 0
    assert len(state.dealer.unique()) == 3
    generator = torch.Generator().manual_seed(0)
    while not bool(THREE.is_terminal(state).all()):
        actions = THREE.legal_actions(state)
        chances = SolvedBot().chances(THREE, state)
        assert ((chances > 0) <= (actions >= 0)).all() and torch.allclose(chances.sum(-1), torch.ones(2000).double())
        decisions += int(THREE.chooses(state, actions).sum())
        slot = torch.multinomial((actions >= 0).double(), 1, generator=generator)
        state = THREE.step(state, actions.gather(1, slot)[:, 0])
    assert decisions > 2000


def test_where_a_network_sees_which_seat_it_is_the_solution_is_of_every_dealer() -> None:
    game = Raise()

    def policy(_: Game, state: object) -> torch.Tensor:
        return SolvedBot().chances(game, state)

    gains = torch.stack([best_response(Raise(dealer=seat), policy).gain for seat in range(3)])
    assert float(gains.mean()) == pytest.approx(table_of(game).gain, abs=1e-6)
    assert float(gains.max()) < 0.01 * (game.highest - game.lowest)
    for seat, gain in enumerate(gains):  # of seats after the dealer, who play alike whoever deals
        assert torch.allclose(gain.roll(-seat), gains[0], atol=0.01 * (game.highest - game.lowest))


def test_what_is_drawn_depends_on_each_game_alone() -> None:
    bot, state = SolvedBot(), Leduc().deal(64, seed=5)
    drawn = bot.act(Leduc(), state, 7)
    one_by_one = torch.cat([bot.act(Leduc(), state[lane : lane + 1], 7) for lane in range(64)])
    assert drawn.equal(one_by_one) and drawn.equal(bot.act(Leduc(), state, 7))
    assert not drawn.equal(bot.act(Leduc(), state, 8))
    backwards = torch.arange(64).flip(0)
    assert drawn[backwards].equal(bot.act(Leduc(), state.take(backwards), 7))


def test_it_draws_as_often_as_it_says() -> None:
    """Kuhn's second player calls with the queen, and bets with the jack, one time in three."""
    game, many = Kuhn(), 20_000
    state = game.deal(1, seed=0).repeat(many)
    state = replace(state, index=torch.arange(many), cards=torch.tensor([[2, 1]], dtype=torch.int8).expand(many, 2))
    called = SolvedBot().act(game, game.step(state, torch.ones(many, dtype=torch.int64)), 1).double().mean()
    assert float(called) == pytest.approx(1 / 3, abs=0.02)
    state = replace(state, cards=torch.tensor([[2, 0]], dtype=torch.int8).expand(many, 2))
    bluffed = SolvedBot().act(game, game.step(state, torch.zeros(many, dtype=torch.int64)), 1).double().mean()
    assert float(bluffed) == pytest.approx(1 / 3, abs=0.02)
    never = SolvedBot().act(game, game.step(state, torch.ones(many, dtype=torch.int64)), 1)
    assert float(never.double().mean()) < 0.001  # a jack does not call


def test_what_it_does_not_know_is_an_error(monkeypatch) -> None:
    known = table_of(Kuhn())
    some = torch.arange(1, len(known.keys))
    lacking = replace(known, keys=known.keys[some], policy=known.policy[some], worth=known.worth[some])
    monkeypatch.setitem(module._tables, Kuhn(), lacking)
    state = Kuhn().deal(500, seed=0)
    with pytest.raises(LookupError, match=r"the solution of Kuhn\(\) knows no such decision: "):
        for _ in range(Kuhn().decisions):
            state = Kuhn().step(state, SolvedBot().act(Kuhn(), state, 1))


def test_parts_that_look_alike_must_be_played_alike() -> None:
    found = solve(TWO, by_observation=True)
    assert len(found.parts) == 3  # by trump
    first = found.parts[0]
    tables = [
        table.flip(-1).where(level.legal.all(-1, keepdim=True), table)
        for level, table in zip(first.solver.levels, first.tables, strict=True)
    ]
    doubled = Solution(TWO, [first, replace(first, tables=tables)], 1, found.points, found.response)
    with pytest.raises(ValueError, match="solved by more than a network sees of it"):
        Table.of(doubled)


def test_what_actions_are_worth() -> None:
    """Kuhn's are known; and those of the first decision come to the points of who makes it."""
    table, game = table_of(Kuhn()), Kuhn()
    state = game.deal(1, seed=0).repeat(3)
    state = replace(state, cards=torch.tensor([[2, 0], [0, 1], [0, 2]], dtype=torch.int8))
    bet = game.step(state, torch.ones(3, dtype=torch.int64))
    passing, calling = table.worth[table.find(bet)].unbind(-1)
    assert torch.allclose(passing, torch.tensor(-1.0).double())
    assert torch.allclose(calling, torch.tensor([-2.0, -1.0, 2.0]).double(), atol=0.05)  # a queen's is all the same
    for small in (Kuhn(), Leduc(), TWO, THREE):
        parts = solve(small, by_observation=True).parts
        known, total = table_of(small), 0.0
        for part in parts:
            first = part.states[0]
            place = known.find(first)
            total += part.share * float((known.policy[place] * known.worth[place]).sum(-1).mean())
        assert total == pytest.approx(float(known.points[0]), abs=1e-6)


def test_evaluations_play_it_where_it_is_asked_for(tmp_path, monkeypatch, capsys) -> None:
    """And say how near to an equilibrium it is."""
    monkeypatch.chdir(tmp_path)
    network = saved("kuhn", Kuhn())
    flags = [network, "--players", "policy", "--eval-deals=40", "--device=cpu", "--json=found.json"]
    assert evaluate.main([*flags, "--opponents", "random", "solved"]) == 0
    shown, told = capsys.readouterr().out, json.loads(Path("found.json").read_text())
    assert list(told["results"]["network's policy"]) == ["random", "solved"]
    notes = told["opponents"]["solved"]
    assert notes["best_response_gains"] == table_of(Kuhn()).gain
    assert notes["points"][0] == pytest.approx(-1 / 18, abs=1e-3)
    assert f"solved: a best response gains {notes['best_response_gains']:.4f} chips a game against it" in shown
    assert evaluate.main(flags) == 0
    told = json.loads(Path("found.json").read_text())
    assert list(told["results"]["network's policy"]) == ["random", "flat Monte Carlo"] and "opponents" not in told


def test_a_game_is_solved_once_before_processes_share_the_work(monkeypatch) -> None:
    asked = []

    def noted(game: Game, *arguments, **options) -> Solution:
        asked.append(game)
        return solve(game, *arguments, **options)

    monkeypatch.setattr(module, "solve", noted)
    monkeypatch.setattr(module, "_tables", {})
    play = evaluate.play_match

    def playing(*arguments) -> object:
        assert asked == [Kuhn()]
        return play(*arguments)

    monkeypatch.setattr(evaluate, "play_match", playing)
    bot, games = SolvedBot(), [Kuhn(), Kuhn()]
    evaluate.evaluate(games, [SolvedBot()], [bot], 20, 1, CPU, silent())
    bot.get_ready([Leduc()], silent())
    assert asked == [Kuhn(), Leduc()]


def test_ladders_hold_it_where_it_is_asked_for(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--game=kuhn", "--eval-deals=30", "--device=cpu", "--json=ladder.json"]
    assert ladder.main(["solved", *flags]) == 0
    told = json.loads(Path("ladder.json").read_text())
    assert set(told["ratings"]) == {"random", "flat Monte Carlo", "solved"}
    assert told["agents"]["solved"] == SolvedBot().digest(Kuhn())
    assert told["ratings"]["solved"]["elo"] > 0
    capsys.readouterr()
    assert ladder.main(["solved", "--game=hearts", "--eval-deals=2", "--device=cpu", "--json=hearts.json"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: there is no solution to play by: Hearts() is too large") and error.count("\n") == 1


def test_who_cannot_be_had_is_refused_in_one_line(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    reason = "there is no solution to play by: Blob(cards=5) is too large to enumerate"
    large = Blob(cards=5)
    assert reason in why_not(SolvedBot(), Kuhn(), large) and why_not(SolvedBot(), Kuhn(), TWO) is None
    with pytest.raises(ValueError, match=r"--eval-opponents solved: there is no solution to play by"):
        evaluate.bots_of([large], "random,solved")
    assert evaluate.bots_of([Kuhn()], "solved,random") == ["random", "solved"]
    assert "solved" not in evaluate.bots_of([Kuhn()])
    with pytest.raises(ValueError, match=r"--opponents solved: there is no solution to play by"):
        opponent_of("solved", None, "float32", [large])
    assert isinstance(opponent_of("solved", None, "float32", [Kuhn()]), SolvedBot)
    with pytest.raises(ValueError, match="there is no solution to play by"):
        players_of("solved", large)
    assert isinstance(players_of("solved", Kuhn())[0], SolvedBot)
    status, _, error = run(monkeypatch, capsys, "", "--game", "hearts", "--agent", "solved")
    assert status == 2 and error.startswith("error: --agent solved: there is no solution to play by: Hearts() is too")
    assert error.count("\n") == 1
    status, _, error = run(monkeypatch, capsys, "", "--game", "kuhn", "--agent", "solved", "--worlds", "3")
    assert status == 2 and "--worlds would change nothing with the agent solved" in error


def test_at_the_table_it_plays_and_its_hints_are_the_solution(monkeypatch, capsys) -> None:
    flags = ("--game", "kuhn", "--games", "3", "--seed", "3", "--agent", "solved")
    status, shown, error = run(monkeypatch, capsys, "h\npass\n" * 12, *flags)
    assert (status, error) == (0, "") and "(solved)" in shown and "Hint by the solution of the game" in shown
    match, known = begin(Settings(Kuhn(), games=1, seed=1)), table_of(Kuhn())
    hint = give_hint(SolvedBot(), match)
    place = int(known.find(match.state))
    assert {one.action: one.probability for one in hint.advice} == dict(enumerate(known.policy[place].tolist()))
    assert hint.told(1 / 3) == "0.333"
    for one in hint.advice:
        assert one.points == pytest.approx(float(known.worth[place, one.action]), abs=1e-9)


def saved(name: str, game: Game) -> str:
    """The file of a small network for a game, in the run ``name``."""
    path = Path(name) / "network-000001.safetensors"
    path.parent.mkdir()
    save_network(path, BlobNet(network_config("small", game)), {"games": [identity(game)]})
    return str(path)
