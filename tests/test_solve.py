"""`vecgame solve`: what small games are worth, at the command line."""

import csv
import json
import re
from pathlib import Path

import pytest

from veclab import cli, solve
from veclab.exact import solution

BLOB = ["blob", "--rules", "players=2,suits=2,ranks=3"]


def test_poker_is_worth_what_it_is_known_to_be(capsys, tmp_path) -> None:
    """-1/18 of a chip for who begins; and a network sees all that a seat has seen, so that it is told once."""
    file = tmp_path / "kuhn.json"
    assert cli.call(["solve", "kuhn", "--json", str(file), "--quiet"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "chips a game, by seat" in told and "-0.056 0.056" in told and "what a network sees" not in told
    written = json.loads(file.read_text())
    assert written["complete"] and written["solved"][0]["game"] == {"game": "kuhn", "rules": {}}
    (found,) = written["solved"][0]["solutions"].values()
    assert found["points"][0] == pytest.approx(-1 / 18, abs=1e-3)
    gain = sum(best - own for best, own in zip(found["best_response"], found["points"], strict=True)) / 2
    assert found["mean_gain"] == pytest.approx(gain) and found["mean_gain"] < 1e-3
    assert written["environment"]["command"].startswith("vecgame solve kuhn")


def test_each_number_of_cards_in_turn(capsys, tmp_path) -> None:
    file = tmp_path / "blob.json"
    assert cli.call(["solve", *BLOB, "--cards", "1-2", "--json", str(file), "--quiet"]) == 0
    assert len(re.findall(r"Blob\(cards=[12], ", capsys.readouterr().out)) == 2
    one, two = json.loads(file.read_text())["solved"]
    assert one["nodes"] < two["nodes"] and set(two["solutions"]) == {solve.ALL}


def test_who_sees_less_is_told_beside(capsys, monkeypatch) -> None:
    """With three cards each a network forgets who has played what."""
    monkeypatch.setattr(solution, "ENOUGH", 0.05)
    assert cli.call(["solve", "blob", "--rules", "players=2,suits=2,ranks=4", "--cards", "3", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert 0 < shown.index(solve.ALL) < shown.index(solve.OBSERVED)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["hearts"], "Hearts() is too large to enumerate: "),
        (["blob", "--cards", "5"], "Blob(cards=5) is too large to enumerate: "),
        (["blob", "--cards", "3", "--rules", "suits=2,ranks=6"], "is too large to enumerate: "),
        (["kuhn", "--rules", "players=9"], "players must be"),
        (["nothing"], "there is no game 'nothing'"),
        (["kuhn", "--json", "."], "--json"),
    ],
    ids=["hearts", "five cards", "nodes", "players", "no game", "no file"],
)
def test_what_cannot_be_solved_is_told_in_one_line(flags: list[str], said: str, capsys) -> None:
    assert cli.call(["solve", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("error: ") and error.count("\n") == 1


def test_what_is_solved_when_it_is_stopped_is_kept(monkeypatch, capsys, tmp_path) -> None:
    file, made = tmp_path / "blob.json", solve.solve

    def stopping(game, *arguments):
        if game.cards == 2:
            raise KeyboardInterrupt
        return made(game, *arguments)

    monkeypatch.setattr(solve, "solve", stopping)
    assert cli.call(["solve", *BLOB, "--cards", "1-2", "--json", str(file), "--quiet"]) == 130
    written = json.loads(file.read_text())
    assert len(written["solved"]) == 1 and not written["complete"]
    assert capsys.readouterr().err.startswith("stopped")


def lines_of(file: Path, *game: str) -> list[dict[str, str]]:
    """The lines of a page of what to do."""
    assert cli.call(["solve", *game, "--policy", str(file), "--quiet"]) == 0
    return list(csv.DictReader(file.open(encoding="utf-8", newline="")))


def chances(line: dict[str, str]) -> dict[str, float]:
    """The probabilities of a line's actions, by their names."""
    numbers = [number for number in range(1, len(line)) if line.get(f"action {number}")]
    return {line[f"action {number}"]: float(line[f"probability {number}"]) for number in numbers}


def test_the_page_of_kuhn_is_one_of_its_known_equilibria(tmp_path) -> None:
    """Kuhn 1950: who begins bets the jack with a probability of at most 1/3, the king with three times as much, never
    the queen, and calls with the queen a third more often than it bets the jack; the other has one way to play."""
    lines = lines_of(tmp_path / "kuhn.csv", "kuhn")
    assert len(lines) == 12 and {*lines[0]} >= {"comes up", "seat", "moves", "sees", "chips", "action 1"}
    often = [float(line["comes up"]) for line in lines]
    assert often == sorted(often, reverse=True) and often[:3] == pytest.approx([1 / 3] * 3, abs=1e-6)
    bets, points = {}, {}
    for line in lines:
        card = re.search(r"\(you\): ♠ (.)", line["sees"])[1]
        bets[line["seat"], line["moves"], card] = chances(line)["bet"]
        points[line["seat"], line["moves"], card] = float(line["chips"])
        assert line["sees"].count("1 card") == 1  # the other's
    bluff = bets["0", "", "J"]
    assert 0 <= bluff <= 1 / 3 + 0.02 and bets["0", "", "Q"] == pytest.approx(0, abs=0.01)
    assert bets["0", "", "K"] == pytest.approx(3 * bluff, abs=0.05)
    passed, bet = "seat 0: pass", "seat 0: bet"
    again = f"{passed}, seat 1: bet"
    assert bets["0", again, "Q"] == pytest.approx(bluff + 1 / 3, abs=0.03)
    known = {("1", passed, "J"): 1 / 3, ("1", passed, "Q"): 0, ("1", passed, "K"): 1}
    known |= {("1", bet, "J"): 0, ("1", bet, "Q"): 1 / 3, ("1", bet, "K"): 1}
    known |= {("0", again, "J"): 0, ("0", again, "K"): 1}
    assert {place: bets[place] for place in known} == pytest.approx(known, abs=0.02)
    assert points["1", bet, "K"] == pytest.approx(2) and points["1", passed, "J"] == pytest.approx(-1, abs=0.01)
    assert sum(points["0", "", card] for card in "JQK") / 3 == pytest.approx(-1 / 18, abs=1e-3)


@pytest.mark.parametrize(
    "game",
    [["leduc"], [*BLOB, "--cards", "2"], ["blob", "--rules", "players=2,suits=2,ranks=3,bidding=once,hook=false"]],
    ids=["leduc", "blob", "bids at once"],
)
def test_a_page_has_each_thing_that_a_seat_may_know_once(game: list[str], tmp_path) -> None:
    game = [*game, "--cards", "1"] if "bidding" in game[-1] else game
    lines = lines_of(tmp_path / "page.csv", *game)
    assert len({(line["seat"], line["moves"], line["sees"]) for line in lines}) == len(lines) > 30
    unit = "chips" if game[0] == "leduc" else "points"
    for line in lines:
        own = chances(line)
        assert len(own) > 1 and sum(own.values()) == pytest.approx(1, abs=1e-3)
        worth = sum(p * float(line[f"{unit} {number}"]) for number, p in enumerate(own.values(), 1))
        assert worth == pytest.approx(float(line[unit]), abs=0.01)
    first = [line for line in lines if not line["moves"]]
    assert sum(float(line["comes up"]) for line in first) == pytest.approx(1, abs=1e-3)
    assert any("seat 0: ?" in line["moves"] for line in lines) == ("bidding" in " ".join(game))


def test_a_page_is_of_one_game(tmp_path, capsys) -> None:
    assert cli.call(["solve", *BLOB, "--cards", "1-2", "--policy", str(tmp_path / "page.csv")]) == 2
    assert capsys.readouterr().err == "error: --policy is of one game, not of 2: give --cards one number\n"
    assert not list(tmp_path.iterdir())
