"""`vecgame contract`: a game is checked from the command line, and what is found is one line."""

from pathlib import Path

import pytest

from tests.crazy_eights import CrazyEights
from tests.every_game import write_tutorials
from vecgame import Kuhn, contract
from veclab import cli

BROKEN = """
from tests.small_games import Kuhn


class TooMuch(Kuhn):
    name, highest = "too-much", 1.0


class Fails(Kuhn):
    name = "fails"

    def scores(self, state):
        return self.nowhere


class Silent(Kuhn):
    name = "silent"

    def scores(self, state):
        assert state is None
"""


def test_a_game_that_keeps_it(capsys) -> None:
    assert cli.call(["contract", "kuhn"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "kuhn: 2 players, 3 decisions",
        "met in 1000 games played at random",
        "  decisions of the longest game: 3 (decisions=3)",
        "  most legal actions: 2 (max_legal=2)",
        "  longest run of forced moves: 0 (max_forced_run=0)",
        "keeps the contract",
    ]


def test_a_note_and_each_number_of_cards(capsys) -> None:
    flags = ["--rules", "players=2,ranks=3", "--cards", "1-2", "--seed", "4", "--pasts", "1", "--quiet"]
    assert cli.call(["contract", "blob", *flags]) == 0
    shown = capsys.readouterr().out
    assert shown.count("blob: 2 players, ") == 2 and shown.count("keeps the contract") == 2
    assert cli.call(["contract", "blob", "--cards", "1", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "\nnote: worlds: not enough positions" in shown
    assert shown.endswith("\nkeeps the contract, but for what is said above\n")


def test_a_game_of_a_file(tmp_path: Path, capsys, monkeypatch) -> None:
    write_tutorials(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.call(["contract", "bluff.py", "--rules", "bet=2"]) == 0
    assert capsys.readouterr().out.startswith("bluff: 3 players, 3 decisions\n")


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ("TooMuch", "error: too-much breaks the contract: a score of 2 is outside of -2 to 1\n"),
        (
            "Fails",
            "error: fails fails: AttributeError: 'Fails' object has no attribute 'nowhere' (broken.py, line 12)\n",
        ),
        ("Silent", "error: silent breaks the contract: broken.py, line 19\n"),
    ],
)
def test_what_is_wrong_is_one_line(game: str, message: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "broken.py").write_text(BROKEN.lstrip())
    assert cli.call(["contract", f"{tmp_path}/broken.py:{game}"]) == 2
    shown = capsys.readouterr()
    assert shown.err == message and "keeps" not in shown.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("kuhn --pasts 0", "--pasts must be at least 1"),
        ("kuhn --seed -1", "--seed must be at least 0"),
        ("kuhm", "there is no game 'kuhm'; the nearest is kuhn"),
        ("kuhn --rules ante=2", "ante=2"),
        ("kuhn --cards 4", "--cards must be 1 in kuhn"),
    ],
)
def test_wrong_flags_are_one_line(arguments: str, message: str, capsys) -> None:
    assert cli.call(["contract", *arguments.split()]) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1


def test_another_seed_plays_other_games() -> None:
    seen = []

    class Seen(Kuhn):
        def deal(self, *args, **kwargs):
            state = super().deal(*args, **kwargs)
            seen.append(state)
            return state

    assert contract.check(Seen()) == contract.check(Seen(), seed=5) == ()
    half = len(seen) // 2
    pairs = [pair for pair in zip(seen[:half], seen[half:], strict=True) if len(pair[0]) >= 12]
    assert pairs and not any(one == other for one, other in pairs)
    few = CrazyEights(players=2, cards=2, suits=2, ranks=4)
    assert len({contract.met(few, games=20, seed=seed).decisions for seed in range(4)}) > 1
