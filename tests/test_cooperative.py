"""Games in which all seats have the same score: each player's games are compared with the other's, by every tool."""

import io
import json
import re
from pathlib import Path

import pytest
import torch

from tests.hint import PAYS, Hint, Table, best
from vecgame import contract
from veclab.arena.bots import FlatMonteCarlo, RandomBot
from veclab.arena.gate import judge
from veclab.arena.intervals import Interval, span_of
from veclab.arena.matches import even_seatings_of, play_deals, play_match, seatings_of, side_points, win_shares
from veclab.arena.told import game_told
from veclab.cli import call
from veclab.exploit.gain import gains

GAME = Hint()
ADDRESS = f"{Path(__file__).with_name('hint.py')}:Hint"
CHANCE = torch.tensor([[1, 2], [2, 1]]) / 6  # of the kinds of both cards: of four cards one is gone
EVEN = float((CHANCE * PAYS.mean((-2, -1))).sum())  # what even play wins
CAREFUL = Table((1, 1), ((1, 1, 1), (1, 1, 1)))  # wins 8 without a hint


class Undeclared(Hint):
    cooperative = False


class Unequal(Hint):
    def scores(self, state):
        return super().scores(state) * torch.tensor([1.0, 0.5])


class Sides(Hint):
    partners = True


def test_the_game_keeps_the_contract() -> None:
    assert contract.check(GAME) == ()


@pytest.mark.parametrize(
    ("game", "said"),
    [
        (Undeclared(), "in each game all seats have the same score: say cooperative = True"),
        (Unequal(), "scores of a cooperative game differ"),
        (Sides(), "two sides of partners are no cooperative game"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Hint) else "",
)
def test_what_it_says_of_itself_is_checked(game: Hint, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        contract.check(game)


def test_each_player_plays_every_deal_with_itself() -> None:
    player, worth = best()
    assert worth == pytest.approx(10)  # as the game's authors say
    assert seatings_of(GAME) == even_seatings_of(GAME) == ((0, 0), (1, 1))
    match = play_match([GAME], player, RandomBot(), 300, seed=1)
    assert match.player == Interval(10, pytest.approx(span_of([GAME]) * (1 - 0.05 ** (1 / 300))))  # in all of 300 deals
    assert match.games == 600 and match.significant
    mean, half = match.opponents.mean, match.opponents.half
    assert abs(mean - EVEN) < 1.5 * half and match.lead.mean == pytest.approx(10 - mean)
    other = play_match([GAME], RandomBot(), player, 300, seed=1)
    assert other.lead.mean == pytest.approx(-match.lead.mean)


def test_who_wins_a_deal_is_who_has_more_in_it() -> None:
    seatings = even_seatings_of(GAME)
    points = torch.tensor([[[4.0, 4], [0, 0]], [[8, 8], [10, 10]], [[4, 4], [4, 4]]], dtype=torch.float64)
    assert win_shares(points, seatings).tolist() == [1, 0, 0.5]
    assert side_points(points, seatings).tolist() == [[4, 0], [8, 10], [4, 4]]
    points = play_deals([GAME], (best()[0], FlatMonteCarlo(8)), seatings, 200, seed=1)
    assert 0.6 < float(win_shares(points, seatings).mean()) < 0.95


def test_the_gate_lets_the_better_one_pass() -> None:
    player, careful = best()[0], CAREFUL
    assert not judge([GAME], careful, player, 0.05, 1000, seed=1, first_index=0).passed
    verdict = judge([GAME], player, careful, 0.05, 1000, seed=1, first_index=0)
    assert verdict.lead.mean == 2 and verdict.passed
    assert not judge([GAME], player, player, 0.05, 1000, seed=1, first_index=0).passed


def test_an_exploiter_is_one_seat_among_the_others() -> None:
    """The careful one's partner can only spoil the second's answer, or make the first's action worth less."""
    player, careful = best()[0], CAREFUL
    gained = gains([GAME], careful, player, 100, seed=1, first_index=0)
    assert gained.shape == (100, 2) and (gained < 0).any() and (gained <= 0).all()


@pytest.mark.slow
def test_nobody_wins_it_at_the_table(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n" * 9))
    assert call(["play", "--game", ADDRESS, "--agent", "random", "--seed", "1", "--games", "1"]) == 0
    assert re.search(r"The match is over: \d+ points? for all\.", capsys.readouterr().out)


def test_what_a_program_is_told() -> None:
    assert game_told(GAME)["cooperative"] is True and game_told(Undeclared())["cooperative"] is False


def test_openspiel_is_told() -> None:
    pyspiel = pytest.importorskip("pyspiel")
    from veclab.doors.openspiel_game import game_type

    assert game_type(GAME).utility == pyspiel.GameType.Utility.IDENTICAL
    assert game_type(Undeclared()).utility == pyspiel.GameType.Utility.GENERAL_SUM


@pytest.mark.slow
def test_a_run_learns_it_and_every_command_says_how_it_is_compared(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--preset", "quick", "--game", ADDRESS, "--network", "small", "--device", "cpu", "--run", "run"]
    flags += ["--updates", "40", "--update-games", "512", "--learning-rate", "0.002", "--iterations", "1"]
    flags += ["--games-per-iter", "64", "--gate", "test", "--gate-deals", "30", "--eval-deals", "100"]
    assert call(["train", *flags]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "beside the games of random" in told and "each deal played by each with itself" in told
    assert call(["evaluate", "run", "--players", "alone", "--opponents", "random", "--json", "strength.json"]) == 0
    result = json.loads(Path("strength.json").read_text())["results"]["network alone"]["random"]
    assert result["games"] == 500 and result["lead"]["mean"] - result["lead"]["half"] > 3
    assert call(["ladder", "run", "--json", "ladder.json", "--eval-deals", "60", "--device", "cpu"]) == 0
    ratings = json.loads(Path("ladder.json").read_text())["ratings"]
    assert max(one["elo"] for name, one in ratings.items() if name != "random") > 100
    assert call(["best-response", "run"]) == 0
    small = ["--updates", "1", "--update-games", "64", "--deals", "50", "--curve-deals", "50"]
    assert call(["exploit", "run", *small]) == 0
