"""`vecgame solve`: what small games are worth, at the command line."""

import json
import re

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
