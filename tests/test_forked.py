"""Work that is shared out among forked processes, and matches by them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from net import BlobNet, InferenceNet, NetConfig
from vecgame import Blob, Hearts
from veclab.arena import forked, matches
from veclab.arena.bots import FlatMonteCarlo, NetworkPlayer, RandomBot
from veclab.arena.forked import MOST, in_processes, most_processes, shared
from veclab.arena.matches import ONE_AGAINST_THREE, play_deals
from veclab.arena.mirror import MirroredPlayer
from veclab.arena.outsiders import own_player
from veclab.arena.programs import ProgramPlayer

SECONDS = 60  # after which a process that ought to end is waited for in vain

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")


@pytest.fixture
def two_threads():
    """As a command has on a laptop, whatever the tests' own environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def ended(pid: int) -> bool:
    """Whether a process, of whoever, is gone or a zombie, within `SECONDS`."""
    limit = time.monotonic() + SECONDS
    while time.monotonic() < limit:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def meet(by: torch.Tensor, number: int) -> None:
    """Notes who does a piece, and waits until every other piece has somebody too: so each process gets one."""
    by[number] = os.getpid()
    limit = time.monotonic() + SECONDS
    while not by.all() and time.monotonic() < limit:
        time.sleep(0.005)


# -- work -------------------------------------------------------------------------------------------------------------


def test_each_piece_is_done_once_by_processes_of_one_thread(two_threads) -> None:
    by, times, threads = (shared(3, dtype=torch.int64) for _ in range(3))
    told = []

    def work(number, report):
        times[number] += 1
        threads[number] = torch.get_num_threads()
        meet(by, number)
        report(0.5)

    in_processes(work, 3, 3, told.append)
    assert times.tolist() == threads.tolist() == [1, 1, 1] and torch.get_num_threads() == 2
    assert len(set(by.tolist())) == 3 and os.getpid() in by.tolist()
    assert told == sorted(told) and told[-1] == 1.0
    assert all(ended(pid) for pid in by.tolist() if pid != os.getpid())


def test_in_one_process_nothing_is_forked_and_threads_stay(two_threads, monkeypatch) -> None:
    monkeypatch.setattr(forked, "_Others", None)
    seen, told = [], []

    def work(number, report):
        seen.append((number, torch.get_num_threads()))
        report(0.5)

    in_processes(work, 3, 1, told.append)
    in_processes(work, 1, 4, told.append)
    assert seen == [(0, 2), (1, 2), (2, 2), (0, 2)]
    assert told == pytest.approx([0.5 / 3, 1.5 / 3, 2.5 / 3, 0.5])


@pytest.mark.parametrize("pieces", [0, MOST + 1])
def test_as_many_pieces_as_a_pipe_does_not_hold_are_refused(pieces) -> None:
    with pytest.raises(ValueError, match=f"1 to 1,024 pieces, got {pieces:,}"):
        in_processes(lambda number, report: None, pieces, 2, lambda share: None)


def test_as_many_pieces_as_a_pipe_holds_are_done() -> None:
    done = shared(MOST, dtype=torch.int64)

    def work(number, report):
        done[number] += 1

    in_processes(work, MOST, 2, lambda share: None)
    assert bool((done == 1).all())


class OddError(Exception):
    """An error that cannot be made again of what it says."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__("odd")


@pytest.mark.parametrize(
    "error, kind, said",
    [(ValueError("no such card"), ValueError, "^no such card$"), (OddError(1, 2), RuntimeError, "^OddError: odd$")],
    ids=["as it was", "in words"],
)
def test_an_error_of_another_process_is_raised_here_and_ends_the_others(error, kind, said) -> None:
    by, here = shared(3, dtype=torch.int64), os.getpid()

    def work(number, report):
        meet(by, number)
        failing = next(pid for pid in by.tolist() if pid != here)
        if os.getpid() == failing:
            raise error
        while True:  # until it is ended, or here until the error is noticed
            report(0.5)
            time.sleep(0.01)

    with pytest.raises(kind, match=said):
        in_processes(work, 3, 3, lambda share: None)
    assert all(ended(pid) for pid in by.tolist() if pid != here)


def test_what_was_added_to_an_error_comes_with_it() -> None:
    by = shared(2, dtype=torch.int64)

    def work(number, report):
        meet(by, number)
        if os.getpid() != parent:
            error = ValueError("no move")
            error.add_note(" in mine of mine.py:Mine")
            raise error

    parent = os.getpid()
    with pytest.raises(ValueError) as caught:
        in_processes(work, 2, 2, lambda share: None)
    assert caught.value.__notes__ == [" in mine of mine.py:Mine"]


def test_a_process_that_is_killed_is_told_in_one_line() -> None:
    by, here = shared(2, dtype=torch.int64), os.getpid()

    def work(number, report):
        meet(by, number)
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ChildProcessError, match=r"^a process .* was killed, by signal 9; with OMP_NUM_THREADS=1 .*$"):
        in_processes(work, 2, 2, lambda share: None)


@pytest.mark.parametrize("error", [KeyboardInterrupt("stopped"), ValueError("mine")], ids=["stopped", "failed"])
def test_an_error_of_this_process_ends_the_others(error, two_threads) -> None:
    by, here = shared(2, dtype=torch.int64), os.getpid()

    def work(number, report):
        meet(by, number)
        if os.getpid() == here:
            raise error
        time.sleep(SECONDS)

    with pytest.raises(type(error), match=str(error)):
        in_processes(work, 2, 2, lambda share: None)
    assert all(ended(pid) for pid in by.tolist() if pid != here) and torch.get_num_threads() == 2


def test_what_is_called_with_the_share_can_end_it() -> None:
    """As where an evaluation's run is gone."""
    by, here = shared(2, dtype=torch.int64), os.getpid()

    def work(number, report):
        meet(by, number)
        if os.getpid() != here:
            time.sleep(SECONDS)

    def report(share):
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone"):
        in_processes(work, 2, 2, report)
    assert all(ended(pid) for pid in by.tolist() if pid != here)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl+C", "closed terminal"])
def test_what_is_said_to_all_processes_at_once_is_this_ones_to_decide(number) -> None:
    by, done, here = shared(2, dtype=torch.int64), shared(2, dtype=torch.int64), os.getpid()

    def work(piece, report):
        meet(by, piece)
        if os.getpid() != here:
            os.kill(os.getpid(), number)
        done[piece] = 1

    in_processes(work, 2, 2, lambda share: None)
    assert done.tolist() == [1, 1]


ORPHANS = """
import os, sys, time
from tests.test_forked import meet
from veclab.arena.forked import in_processes, shared
import torch

by = shared(2, dtype=torch.int64)
parent = os.getpid()

def work(number, report):
    meet(by, number)
    if os.getpid() == parent:
        print(*by.tolist(), flush=True)
        time.sleep(60)
    while True:
        report(0.5)
        time.sleep(0.01)

in_processes(work, 2, 2, lambda share: None)
"""


def test_forked_processes_end_when_this_one_is_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    pids = list(map(int, process.stdout.readline().split()))
    process.kill()
    process.wait()
    process.stdout.close()
    assert len(set(pids)) == 2 and all(map(ended, pids))


# -- matches ----------------------------------------------------------------------------------------------------------


def beginner() -> InferenceNet:
    torch.manual_seed(0)
    return InferenceNet(BlobNet(NetConfig(dim=32, layers=1, ffn=32)), dtype=torch.float32)


class OneByOne(FlatMonteCarlo):
    games_a_process = 1


@pytest.mark.parametrize("cards", [(3,), (1, 2, 3), (4, 1)], ids=["one rule", "three", "unsorted"])
@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_match_is_the_same_in_any_number_of_processes(cards, processes, monkeypatch) -> None:
    games = [Blob(cards=number) for number in cards]
    forks, work = [], forked.in_processes
    monkeypatch.setattr(matches, "in_processes", lambda *given: (forks.append(given[1:3]), work(*given)))
    players = (NetworkPlayer(beginner()), OneByOne(2))
    one, some = (play_deals(games, players, ONE_AGAINST_THREE, 52, 5, processes=number) for number in (1, processes))
    assert torch.equal(one, some) and some.shape == (52, 4, 4)
    assert forks[0] == (len(games), 1) and forks[1][0] >= 4 * processes and forks[1][1] == processes


def test_a_players_illegal_action_in_another_process_ends_the_match_in_one_line() -> None:
    here, by = os.getpid(), shared(2, dtype=torch.int64)

    class Elsewhere(RandomBot):
        games_a_process = 1

        def act(self, game, state, seed):
            meet(by, int(os.getpid() != here))  # or this process could have played all before the other has begun
            action = super().act(game, state, seed)
            return action if os.getpid() == here else action + 1000

    with pytest.raises(ValueError, match=r"^random in hearts took action 1\d\d\d at decision 1 .* is not legal; legal"):
        play_deals([Hearts()], (Elsewhere(), Elsewhere()), ONE_AGAINST_THREE, 2, 0, processes=2)


@given(
    rules=st.integers(1, 5),
    more=st.integers(0, 200),
    seatings=st.integers(1, 8),
    processes=st.integers(1, 9),
    least=st.integers(1, 700),
)
def test_pieces_of_a_match_are_its_deals(rules, more, seatings, processes, least) -> None:
    games, deals = [Blob(cards=1 + number) for number in range(rules)], rules + more
    pieces = matches._pieces(games, seatings, deals, processes, least)
    ordered = sorted(pieces, key=lambda piece: piece[1])
    ends = [first + count for _, first, count in ordered]
    assert [first for _, first, _ in ordered] == [0, *ends[:-1]] and ends[-1] == deals
    for game, share in zip(games, matches.even_shares(deals, rules), strict=True):
        own = [count for other, _, count in pieces if other is game]
        assert sum(own) == share and min(own) > 0 and max(own) - min(own) <= 1
        assert len(own) == 1 or (min(own) + 1) * seatings > least
        wanted = -(-4 * processes // rules) if processes > 1 else 1
        assert len(own) <= wanted
        assert len(own) in (wanted, share) or share * seatings < (len(own) + 1) * least  # no more would have enough
    if processes == 1:
        assert [game for game, _, _ in pieces] == games
    else:
        costs = [game.decisions * count for game, _, count in pieces]
        assert costs == sorted(costs, reverse=True)


def test_players_say_how_many_games_are_worth_a_process(tmp_path, monkeypatch) -> None:
    assert ProgramPlayer("true").games_a_process is None and MirroredPlayer.games_a_process == 1
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "from veclab.arena.bots import RandomBot\n"
        "class Mine(RandomBot):\n    pass\n"
        "class Own(RandomBot):\n    games_a_process = 8\n"
        "class Wrong(RandomBot):\n    games_a_process = 0\n"
    )
    assert own_player("mine.py:Mine").games_a_process is None and own_player("mine.py:Own").games_a_process == 8
    with pytest.raises(ValueError, match=r"games_a_process is a number of games from 1 on, or None, not 0$"):
        own_player("mine.py:Wrong")


@pytest.mark.parametrize("least", [None, 500, "none says"])
def test_what_must_stay_in_one_process_or_gains_nothing_by_more_does(least, monkeypatch) -> None:
    monkeypatch.setattr(forked, "_Others", None)
    player = FlatMonteCarlo(1) if least == "none says" else OneByOne(1)
    players = [player, OneByOne(1)] if least is None else [player, RandomBot()]
    if least != "none says":
        player.games_a_process = least
    assert play_deals([Blob(cards=1)], players, ONE_AGAINST_THREE, 60, 0, processes=2).shape == (60, 4, 4)


def test_a_cpu_under_linux_has_as_many_processes_as_threads(two_threads, monkeypatch) -> None:
    assert most_processes(torch.device("cpu")) == 2 and most_processes(torch.device("cuda")) == 1
    monkeypatch.setattr(sys, "platform", "darwin")
    assert most_processes(torch.device("cpu")) == 1
