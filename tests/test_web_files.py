"""Matches of the browser's table in files: kept, taken back, opened again, and held by one process at a time."""

import json
import os
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'vecgame[web]'")
pytest.importorskip("uvicorn", reason="pip install 'vecgame[web]'")

from tests.web import Served, a_match, actions, random_bots, waits_for_the_person
from veclab import play
from veclab.lock import alone_at
from veclab.table.saving import load_match, save_match
from veclab.table.session import Match
from veclab.web import server
from veclab.web.files import matches_in
from veclab.web.sitting import Table

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")


def test_a_match_is_kept_taken_back_and_opened_again(served: Served) -> None:
    first = served.wait(waits_for_the_person)
    assert served.ask("undo")[0] == 409  # there is nothing yet
    assert served.ask("save")[0] == 200
    (name,) = json.loads(served.request("GET", "/saved")[2])["saved"]
    action = actions(first)[0]
    assert served.ask("act", action=action)[0] == 200
    later = served.wait(waits_for_the_person)
    assert later["kept"] == name and load_match(Path(name)) == served.table._sitting.match
    assert served.ask("undo")[0] == 200
    again = served.wait(waits_for_the_person)
    stamps = ("version", "turn", "kept")
    assert {k: v for k, v in again.items() if k not in stamps} == {k: v for k, v in first.items() if k not in stamps}
    assert load_match(Path(name)) == served.table._sitting.match
    assert served.ask("act", action=action)[0] == 200
    served.wait(waits_for_the_person)
    left = served.table._sitting.match
    assert served.ask("new")[0] == 200
    assert served.table._sitting.match.settings.seed != 3 or served.table._sitting.match.history != left.history
    assert load_match(Path(name)) == left  # another match, in another file
    assert served.ask("open", name=name)[0] == 200
    assert served.table._sitting.match == left and served.told()["kept"] == name


def test_only_saved_matches_of_the_folder_are_opened(served: Served) -> None:
    Path("mine.json").write_text('{"format": "something else"}')
    save_match(Path("..") / "match.json", a_match())
    before = served.wait(waits_for_the_person)
    for name in ("../match.json", "none.json", "/etc/passwd", "mine.json", 7, None, ["a"]):
        status, answer = served.ask("open", name=name)
        assert status == 409 and "no saved match" in answer["error"] and served.told() == before


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have names in UTF-8 only")
def test_a_file_whose_name_is_not_utf8_is_told_and_opened(served: Served) -> None:
    odd, plain = Path(os.fsdecode(b"caf\xe9.json")), Path("caf\u00e9 ♠.json")
    for path in (odd, plain):
        save_match(path, a_match(seed=8))
    served.wait(waits_for_the_person)
    status, _, body = served.request("GET", "/saved")
    assert status == 200 and plain.name in body.decode()  # as UTF-8, whatever else there is
    assert json.loads(body)["saved"] == sorted([odd.name, plain.name])
    assert served.ask("open", name=odd.name)[0] == 200 and served.told()["kept"] == odd.name


def test_a_damaged_match_is_not_opened(served: Served) -> None:
    Path("bad.json").write_text('{"format": "vecgame-match-2", "settings": 1}')
    before = served.wait(waits_for_the_person)
    status, answer = served.ask("open", name="bad.json")
    assert status == 409 and "damaged" in answer["error"] and "\n" not in answer["error"] and served.told() == before


def test_a_file_is_played_on_by_one_process_at_a_time(served: Served) -> None:
    """The page has the file of its present match for itself, and lets go of the one before."""

    def held() -> list[str]:
        return sorted(path.name.removesuffix(".lock") for path in Path().glob("*.lock"))

    save_match(Path("other.json"), a_match(seed=5))
    served.wait(waits_for_the_person)
    assert held() == []
    assert served.ask("save")[0] == 200
    first = served.told()["kept"]
    assert held() == [first]
    with pytest.raises(ValueError, match="in use by"), alone_at(Path(first)):
        pass
    with alone_at(Path("other.json")):
        before = served.wait(waits_for_the_person)
        status, answer = served.ask("open", name="other.json")
        assert status == 409 and "other.json cannot be opened: " in answer["error"]
        assert f"is in use by process {os.getpid()}" in answer["error"] and served.told() == before
    assert held() == [first]
    Path("bad.json").write_text('{"format": "vecgame-match-2", "settings": 1}')
    assert served.ask("open", name="bad.json")[0] == 409 and held() == [first]
    for name in ("other.json", "other.json", first):  # its own file is not refused
        assert served.ask("open", name=name)[0] == 200 and served.told()["kept"] == name
        assert held() == [name]
    assert served.ask("new")[0] == 200
    assert held() == [served.told()["kept"]] != [first]
    served.table.close()
    assert held() == []


def test_a_match_is_not_kept_in_a_file_that_is_in_use(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veclab.web.sitting.new_file", lambda folder: folder / "match.json")
    before = served.wait(waits_for_the_person)
    with alone_at(Path("match.json")):
        status, answer = served.ask("save")
        assert status == 409 and "cannot be kept" in answer["error"] and "is in use by" in answer["error"]
        assert served.told() == before and not Path("match.json").exists()


def test_agents_that_are_watched_let_go_of_their_file_when_another_match_is_opened() -> None:
    save_match(Path("mine.json"), a_match(games=1))
    with pytest.raises(ValueError, match="in use by"), alone_at(Path("own.json")):
        Table(a_match(), random_bots, None, Path("own.json"))
    table = Table(a_match(seed=4), random_bots, None, Path("own.json"), delay=60)
    try:
        with pytest.raises(ValueError, match="in use by"), alone_at(Path("own.json")):
            pass
        with alone_at(Path("mine.json")):  # it is only read
            table.open("mine.json")
        with alone_at(Path("own.json")):
            assert table.path is None
    finally:
        table.close()


def test_the_page_of_the_command_lets_go_of_a_file_with_its_match(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(table: Table, bound: object) -> None:
        with pytest.raises(ValueError, match="in use by"), alone_at(Path("match.json")):
            pass
        table.begin()
        with alone_at(Path("match.json")):
            assert load_match(Path("match.json")).history == ()
        with pytest.raises(ValueError, match="in use by"), alone_at(table.path):
            pass

    monkeypatch.setattr(server, "serve", serve)
    assert play.main(["--web", "--agent", "random", "--cards", "1", "--save", "match.json"]) == 130
    assert not list(Path().glob("*.lock"))


def test_agents_that_are_watched_do_not_play_a_persons_match_on_in_its_file() -> None:
    """Not even one in which nobody has moved yet."""
    save_match(Path("mine.json"), a_match(games=1))
    before, table = Path("mine.json").read_bytes(), Table(a_match(seed=4), random_bots, None, delay=0)
    try:
        table.open("mine.json")
        one = Served(table)
        assert one.wait(lambda told: told["over"])["kept"] is None
        assert Path("mine.json").read_bytes() == before
        one.stop()
    finally:
        table.close()


def test_a_match_that_cannot_be_written_goes_on_and_says_so(served: Served, monkeypatch) -> None:
    told = served.wait(waits_for_the_person)
    assert served.ask("save")[0] == 200

    def full(path: Path, match: Match) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("veclab.web.sitting.save_match", full)
        assert served.ask("act", action=actions(told)[0])[0] == 200
        told = served.wait(waits_for_the_person)
        assert "cannot be written: No space left on device" in told["trouble"]
    if not told["resting"]:
        assert served.ask("act", action=actions(told)[0])[0] == 200
        assert not served.wait(waits_for_the_person)["trouble"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_the_folder_is_no_match_and_keeps_nobody_waiting() -> None:
    os.mkfifo("pipe.json")
    save_match(Path("match.json"), a_match())
    found: list[str] = []
    looking = threading.Thread(target=lambda: found.extend(matches_in(Path())), daemon=True)
    looking.start()
    looking.join(20)
    if looking.is_alive():
        os.close(os.open("pipe.json", os.O_RDWR))  # ends it
    assert found == ["match.json"]
