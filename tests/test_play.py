"""play.py: every way in and out works."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from net import BlobNet
from tests.tables import SMALL, Recorder, answers, of_blob
from tests.tables import run_without_agents as run
from vecgame import Blob, identity
from vecgame.cards import STANDARD
from veclab import play
from veclab.agents.checkpoint import save_network
from veclab.agents.folder import NEWEST
from veclab.arena.bots import RuleBot
from veclab.lock import alone_at
from veclab.presets import from_flags
from veclab.table import lines
from veclab.table.agents import BOTS, default_agent
from veclab.table.app import Sitting
from veclab.table.glyphs import ASCII, UNICODE
from veclab.table.saving import load_match, save_match
from veclab.table.session import PERSON, Match, begin, walk
from veclab.table.sight import look
from veclab.table.ui import PlainLines, Screen

ROOT = Path(__file__).parents[1]


def test_a_whole_match_by_stdin(monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / "match.json"
    flags = ("--cards", "2", "--games", "3", "--seed", "6", "--agent", "rules", "--save", str(path))
    typed = "?\nxx\nu\nh\n" + answers(30)
    status, output, error = run(monkeypatch, capsys, typed, *flags)
    assert (status, error) == (0, "")
    assert "\x1b" not in output
    for part in (
        "no choice of yours to take back",
        "by its name or its number: bid ",
        "Hint by random playouts",
        "Enter makes",
    ):
        assert part in output
    match = load_match(path)
    assert match.over and match.settings == of_blob(cards=2, games=3, seed=6, agent="rules")
    totals = ", ".join(f"{who} {p:g}" for who, p in zip(("You", "West", "North", "East"), match.totals, strict=True))
    assert f"After 3 of 3 games: {totals}." in output
    assert output.rstrip().splitlines()[-1] == lines.final_line(look(match, PERSON))


@pytest.mark.slow
def test_undo_and_the_same_answers_give_the_same_match(monkeypatch, capsys, tmp_path) -> None:
    histories = []
    for number, typed in enumerate(("1\n1\n2\n", "1\n1\nu\n1\n2\n", "1\nu\n0\nu\n1\n1\n2\n")):
        path = tmp_path / f"{number}.json"
        flags = ("--cards", "3", "--seed", "14", "--agent", "flat", "--worlds", "4", "--save", str(path))
        status, _, _ = run(monkeypatch, capsys, typed, *flags)
        assert status == 0
        histories.append(load_match(path).history)
    assert histories[0] == histories[1] == histories[2] and len(histories[0]) > 9


@pytest.mark.slow
def test_a_match_left_in_mid_trick_goes_on_as_if_never_left(monkeypatch, capsys, tmp_path) -> None:
    whole, parts = tmp_path / "whole.json", tmp_path / "parts.json"
    flags = ("--cards", "3", "--games", "2", "--seed", "5", "--agent", "random")
    assert run(monkeypatch, capsys, answers(20), *flags, "--save", str(whole))[0] == 0
    match = load_match(whole)
    steps = zip(walk(match.settings, match.history[:-1]), match.history, strict=True)
    own = [(before, action) for before, action in steps if before.mover == PERSON]
    typed = [f"{action if len(before.moves) < 4 else ASCII.card(STANDARD, action)}\n" for before, action in own]
    assert len(typed) == 3 + 1 + 2 + 1
    run(monkeypatch, capsys, typed[0], *flags, "--save", str(parts))
    for line in typed[1:]:  # one answer a sitting
        status, output, _ = run(monkeypatch, capsys, "", "--resume", str(parts))
        assert status == 0 and output.endswith(f"go on by vecgame play --resume {parts}\n")
        assert load_match(parts).history == match.history[: len(load_match(parts).history)]
        assert run(monkeypatch, capsys, line, "--resume", str(parts))[0] == 0
    assert load_match(parts) == match and match.over
    status, output, _ = run(monkeypatch, capsys, "", "--resume", str(parts))  # a finished one shows its end
    assert status == 0 and lines.final_line(look(match, PERSON)) in output


@pytest.mark.slow
def test_the_match_is_saved_after_every_action(tmp_path) -> None:
    path, record, lengths = tmp_path / "match.json", Recorder(), []

    def read(prompt: str) -> str:
        saved = load_match(path)
        lengths.append(len(saved.history))
        return str(saved.legal[0]) if "bid" in prompt else "1"

    match = begin(of_blob(cards=1, seed=2))

    def save(match: Match) -> None:
        save_match(path, match)
        assert load_match(path) == match

    assert Sitting(RuleBot(), PERSON, PlainLines(record.console, UNICODE, read), save).play(match, "")
    assert len(load_match(path).history) == 5 * 8 and lengths == sorted(lengths) and len(set(lengths)) == 10


def test_screen_pauses_between_games_and_can_go_back() -> None:
    record, asked, typed = Recorder(), [], iter(["0", "", "u", "0", "1", "x", "", "q"])

    def read(prompt: str) -> str:
        asked.append(prompt)
        return next(typed)

    saved: list[Match] = []
    screen = Screen(record.console, UNICODE, read)
    assert not Sitting(RuleBot(), PERSON, screen, saved.append).play(begin(of_blob(cards=1, seed=5)), "")
    pauses = [prompt for prompt in asked if "next game" in prompt]
    assert len(pauses) == 3 and "bid" in asked[3]
    assert len(saved[-1].results) == 1 and record.take().count("points (won/bid)") == 2


def test_the_end_of_a_match_is_shown_at_once() -> None:
    record = Recorder()
    screen = Screen(record.console, UNICODE, lambda prompt: pytest.fail(prompt) if "next" in prompt else "")
    match = begin(of_blob(cards=1, games=1))
    while match.mover != PERSON or len(match.moves) < 4:
        match = match.act(match.legal[0])
    assert Sitting(RuleBot(), PERSON, screen, lambda match: None).play(match, "")
    assert "The match is over" in record.take()


@pytest.mark.parametrize("how", ["q\n", ""])
def test_leaving_is_one_line(how: str, monkeypatch, capsys) -> None:
    status, output, error = run(monkeypatch, capsys, how, "--seed", "1", "--cards", "1")
    assert (status, error) == (0, "")
    assert output.splitlines()[-1] == "You have left the match; it is not saved (--save FILE would)"


@pytest.mark.parametrize("kept", [False, True])
def test_leaving_what_nothing_keeps_is_asked_once(kept: bool, monkeypatch, capsys, tmp_path) -> None:
    """An early Enter after the q of a queen is no end of a match, within a game as between two."""
    flags = ["--cards", "2", "--seed", "14", "--agent", "rules", *["--save", str(tmp_path / "match.json")] * kept]
    status, output, error = run(monkeypatch, capsys, "1\nq\n1\nq\n?\nq\nq\n1\n", *flags)
    assert (status, error) == (0, "")
    assert output.count("Nothing keeps this match (--save FILE would): q again leaves it.") == (0 if kept else 3)
    assert ("You play" in output) == (not kept)
    typed = iter(["0", "q", "", "0", "q", "q"])
    screen = Screen(Recorder().console, UNICODE, lambda prompt: next(typed))
    saved: list[Match] = []
    sitting = Sitting(RuleBot(), PERSON, screen, saved.append if kept else None)
    assert not sitting.play(begin(of_blob(cards=1, seed=5)), "") and (list(typed) != []) == kept


def test_ctrl_c_leaves_cleanly(monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / "match.json"

    def interrupt(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    status, output, error = run(monkeypatch, capsys, "", "--seed", "1", "--save", str(path))
    assert status == 130 and output.endswith("\n")
    assert error == f"You have left the match; go on by vecgame play --resume {path}\n"
    assert len(load_match(path).history) == 3


def test_watch_plays_a_match_in_plain_lines(monkeypatch, capsys) -> None:
    flags = ("--watch", "--cards", "2", "--agent", "rules", "--seed")
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail("asks for input"))
    outputs = [run(monkeypatch, capsys, "", *flags, seed)[1] for seed in ("1", "1", "2")]
    assert outputs[0] == outputs[1] != outputs[2]
    assert "\x1b" not in outputs[0] and "You" not in outputs[0]
    assert outputs[0].count("\nGame ") == 7 and "The match is over" in outputs[0].splitlines()[-1]


def test_a_new_seed_is_said(monkeypatch, capsys) -> None:
    monkeypatch.setattr(play.secrets, "randbelow", lambda bound: 77)
    flags = ("--watch", "--cards", "1", "--games", "1", "--agent", "rules")
    first, second = (run(monkeypatch, capsys, "", *flags, *seed)[1] for seed in ((), ("--seed", "77")))
    assert first == second and "seed 77." in first.splitlines()[0]


def test_delay_is_kept_between_moves(monkeypatch, capsys) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    run(monkeypatch, capsys, "", "--watch", "--cards", "1", "--games", "1", "--agent", "rules", "--delay", "2.5")
    assert waits == [2.5] * 8


@pytest.mark.parametrize("agent", [*(name for name in BOTS if name != "solved"), "network"])  # for that small games
def test_every_agent_plays(agent: str, monkeypatch, capsys, tmp_path) -> None:
    if agent == "network":
        agent = str(tmp_path / "network-000007.safetensors")
        save_network(Path(agent), BlobNet(SMALL), {"iteration": 7})
    thinking = {"random": (), "rules": (), "flat": ("--worlds", "2")}.get(
        agent, ("--worlds", "2", "--simulations", "4")
    )
    flags = ("--watch", "--cards", "2", "--games", "1", "--agent", agent, *thinking)
    status, output, error = run(monkeypatch, capsys, "", *flags)
    assert (status, error) == (0, "") and "The match is over" in output
    assert "network-000007, search 2x4" in output or agent in BOTS


@pytest.mark.parametrize(
    ("agent", "flags", "named"),
    [
        ("flat", ("--simulations", "500"), "--simulations"),
        ("random", ("--worlds", "5"), "--worlds"),
        ("rules", ("--worlds", "5", "--simulations", "3"), "--simulations, --worlds"),
    ],
)
def test_what_an_agent_makes_no_use_of_is_refused(agent: str, flags, named: str, monkeypatch, capsys) -> None:
    status, _, error = run(monkeypatch, capsys, "", "--watch", "--cards", "2", "--agent", agent, *flags)
    assert status == 2 and f"{named} would change nothing with the agent {agent}" in error and error.count("\n") == 1


def test_a_resumed_match_may_change_its_agent(monkeypatch, capsys, tmp_path) -> None:
    path, network = tmp_path / "match.json", tmp_path / "net.safetensors"
    save_network(network, BlobNet(SMALL), {})
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, capsys, "q\n", "--cards", "1", "--seed", "1", "--agent", network.name, "--save", str(path))
    assert load_match(path).settings.agent == str(network.resolve())
    network.unlink()
    status, _, error = run(monkeypatch, capsys, "", "--resume", str(path))
    assert status == 2 and "is no file" in error and error.count("\n") == 1
    assert run(monkeypatch, capsys, "", "--resume", str(path), "--agent", "random")[0] == 0
    assert load_match(path).settings.agent == "random"


def test_a_match_is_played_by_one_process_at_a_time(monkeypatch, capsys, tmp_path) -> None:
    """Else each would write what the other has not played."""
    path = tmp_path / "match.json"
    with alone_at(path):
        status, _, error = run(monkeypatch, capsys, "", "--cards", "1", "--agent", "random", "--save", str(path))
    assert status == 2 and f"{path} is in use by process {os.getpid()}" in error and error.count("\n") == 1
    assert not path.exists()
    save_match(path, begin(of_blob(cards=1, games=1, agent="random")))
    with alone_at(path):
        assert run(monkeypatch, capsys, "", "--resume", str(path))[0] == 2
    assert run(monkeypatch, capsys, "", "--resume", str(path))[0] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["match.json"]


@pytest.mark.parametrize("flag", ["--resume", "--look"])
def test_another_agent_of_a_saved_match_thinks_as_is_usual(flag: str, tmp_path) -> None:
    path, network = tmp_path / "match.json", tmp_path / "net.safetensors"
    save_network(network, BlobNet(SMALL), {})
    save_match(path, begin(of_blob(cards=2, games=1, agent="flat")))
    web = ["--web"] * (flag == "--look")

    def thinking(*more: str) -> str:
        with ExitStack() as held:
            asked = play.parse([flag, str(path), *web, "--agent", str(network), *more])
            match, _ = play.open_match(*asked, held)
        return match.settings.thinking

    assert (thinking(), thinking("--simulations", "9")) == ("rollouts", "search")
    assert thinking("--thinking", "search") == "search"
    save_match(path, begin(of_blob(cards=2, games=1, agent=str(network))))
    assert thinking() == "search"  # the same one as it did


def test_a_run_stands_for_its_newest_network(tmp_path) -> None:
    for number in (0, 3, 12):
        save_network(tmp_path / f"network-{number:06d}.safetensors", BlobNet(SMALL), {"iteration": number})
    assert play.with_agent({"agent": str(tmp_path)}) == {"agent": str(tmp_path / "network-000012.safetensors")}
    assert play.with_agent({"agent": "flat"}) == {"agent": "flat"}
    save_network(tmp_path / NEWEST, BlobNet(SMALL), {"iteration": 13, "updates": 0})  # of one that was stopped
    assert play.with_agent({"agent": str(tmp_path)}) == {"agent": str(tmp_path / NEWEST)}


def test_default_agent_is_the_one_for_the_largest_hand(tmp_path) -> None:
    for name, low, high in (("a", 1, 13), ("b", 10, 13), ("c", 2, 4)):
        games = [identity(Blob(cards=cards)) for cards in range(low, high + 1)]
        save_network(tmp_path / f"{name}.safetensors", BlobNet(SMALL), {"games": games})
    save_network(tmp_path / "unknown.safetensors", BlobNet(SMALL), {})

    def chosen(folder: Path, **flags: object) -> str:
        return Path(default_agent(folder, from_flags("document", flags))).stem

    assert [chosen(tmp_path, cards=str(cards)) for cards in (1, 2, 5, 10, 13)] == ["a", "c", "a", "b", "b"]
    assert chosen(tmp_path / "none", cards="5") == "flat"
    for other in ({"rules": "players=3"}, {"rules": "exact_bonus=5"}, {"ranks": 6}, {"game": "hearts"}):
        assert chosen(tmp_path, **other) == "flat"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cards", "14"], "cards must be an integer from 1 to 13"),
        (["--cards", "five"], "--cards"),
        (["--games", "-1"], "--games must be an integer from 0 to 13"),
        (["--games", "14"], "--games must be an integer from 0 to 13"),
        (["--seed", "-1"], "seed must be"),
        (["--worlds", "0"], "worlds must be"),
        (["--simulations", "0"], "simulations must be"),
        (["--delay", "-1"], "--delay must be"),
        (["--delay", "nan"], "--delay must be"),
        (["--delay", "inf"], "--delay must be"),
        (["--agent", "no-such"], "no-such is no file"),
        (["--agent", "pyproject.toml"], "damaged or no checkpoint"),
        (["--agent", "tests"], "tests holds no network"),
        (["--resume", "no-such.json"], "no-such.json cannot be read"),
        (["--resume", "tests"], "tests is a folder"),
        (["--resume", "no-such.json", "--cards", "3"], "leave out --cards"),
        (["--resume", "no-such.json", "--save", "other.json"], "leave out --save"),
        (["--resume", "no-such.json", "--watch"], "leave one of them out"),
        (["--save", "no-such-folder/match.json"], "no-such-folder"),
        (["--save", "tests"], "--save tests is a folder; name a file in it, such as tests/match.json"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_flags_get_one_line(flags: list[str], message: str, monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    status, output, error = run(monkeypatch, capsys, "q\n", *flags)
    assert status == 2 and message in error and error.count("\n") == 1
    assert error.startswith("error: ") and output == ""


def test_save_overwrites_nothing(monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / "precious.txt"
    path.write_text("mine")
    status, _, error = run(monkeypatch, capsys, "q\n", "--save", str(path))
    assert status == 2 and f"{path} exists" in error and error.count("\n") == 1
    assert path.read_text() == "mine"


def test_an_undo_is_saved(monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / "match.json"
    flags = ("--cards", "3", "--seed", "14", "--agent", "rules")
    run(monkeypatch, capsys, "1\nu\nq\n", *flags, "--save", str(path))
    assert len(load_match(path).history) == 3


def test_a_full_disk_is_said_in_one_line(monkeypatch, capsys, tmp_path) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    status, _, error = run(monkeypatch, capsys, "0\n", "--seed", "1", "--save", str(tmp_path / "match.json"))
    assert status == 2 and "No space left" in error and error.count("\n") == 1


@pytest.mark.slow
def test_on_a_real_terminal(tmp_path) -> None:
    """A screen with colours at the first decision; Ctrl+C ends it in one line, and the match is saved."""
    path = tmp_path / "match.json"
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", "PYTHONUTF8": "1"}
    environment.pop("NO_COLOR", None)
    flags = ["--cards", "3", "--seed", "2", "--agent", "rules", "--delay", "0", "--save", str(path)]
    command = [sys.executable, str(ROOT / "play.py"), *flags]
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment)
    os.close(follower)

    def read_until(part: str, idle: Callable[[], object] = lambda: None) -> str:
        text, deadline = "", time.monotonic() + 120
        while part not in text and time.monotonic() < deadline:
            if select.select([leader], [], [], 1)[0]:
                try:
                    text += os.read(leader, 65536).decode(errors="replace")
                except OSError:  # Linux says so when the other end is closed
                    break
            else:
                idle()
        assert part in text, text
        return text

    try:
        first = read_until("Your bid")
        assert "\x1b[2J" in first and re.search(r"\x1b\[1(;\d+)?m╭────╮", first)
        os.write(leader, b"1\n")
        read_until("Your card")

        def interrupt() -> None:
            process.send_signal(signal.SIGINT)

        interrupt()
        # One that comes between the prompt and Python's wait for the answer is noticed only when something else comes.
        assert "Traceback" not in read_until(f"--resume {path}", idle=interrupt)
        assert process.wait(20) == 130
    finally:
        process.kill()
        os.close(leader)
    assert len(load_match(path).history) > 4
