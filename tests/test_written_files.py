"""Files that commands write: never in the place of a device, of a link or of what they read, nor two at once."""

import os
import shutil
from pathlib import Path

import pytest

from vecgame import Blob
from veclab import export, lock, play
from veclab.agents import rounded
from veclab.arena import best_response, evaluate, ladder
from veclab.bench import ablation, beliefs, exact, rule_players, searches, values
from veclab.bench import command as bench
from veclab.command_line import check_place
from veclab.exploit import command as exploit
from veclab.files import open_own
from veclab.lock import alone_at
from veclab.report import page
from veclab.table.saving import save_match
from veclab.table.session import Settings, begin

AGENT = Path(__file__).parents[1] / "veclab" / "agents" / "blob-4-players.safetensors"
ALL = [
    (evaluate.main, ["AGENT", "--json"]),
    (ladder.main, ["AGENT", "--json"]),
    (best_response.main, ["AGENT", "--json"]),
    (exploit.main, ["AGENT", "--json"]),
    (exploit.main, ["AGENT", "--save"]),
    (export.main, ["AGENT", "--onnx"]),
    (rounded.main, ["AGENT"]),
    (ablation.main, ["AGENT", "--json"]),
    (searches.main, ["AGENT", "--json"]),
    (values.main, ["AGENT", "--json"]),
    (beliefs.main, ["AGENT", "--json"]),
    (bench.main, ["agreement", "--weights", "AGENT", "--json"]),
    (page.main, ["run", "--out"]),
    (exact.main, ["--json"]),
    (rule_players.main, ["--json"]),
]


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch) -> Path:
    """A folder with a network, which is the working directory's ``run``."""
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    shutil.copy(AGENT, "run/network-000001.safetensors")
    return Path("run")


def refused(main, arguments: list[str], capsys) -> str:
    assert main([one.replace("AGENT", "run/network-000001.safetensors") for one in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize(("main", "arguments"), ALL)
def test_what_is_no_file_stays(main, arguments: list[str], capsys) -> None:
    os.mkfifo("pipe")
    assert "is a device, pipe or socket" in refused(main, [*arguments, "pipe"], capsys)
    assert Path("pipe").is_fifo()


def test_a_device_stays_and_so_does_a_link() -> None:
    with pytest.raises(ValueError, match="--json /dev/null is a device, pipe or socket"):
        check_place("--json", Path("/dev/null"))
    for target in ("file", "run", "nothing"):  # `nothing` is not there, nor could one say what would come of it
        Path("file").touch()
        Path(f"link-{target}").symlink_to(target)
        with pytest.raises(ValueError, match=f"--json link-{target} is a link"):
            check_place("--json", Path(f"link-{target}"))
    with pytest.raises(ValueError, match=r"--json game.py would be a Python program by its name"):
        check_place("--json", Path("game.py"))  # of one's own --game, say
    check_place("--json", Path("file"), Path("run"), None)
    check_place("--json", Path("new"), Path("new"))


@pytest.mark.parametrize(
    ("main", "arguments"), [one for one in ALL if "AGENT" in one[1]] + [(page.main, ["run", "--out"])]
)
def test_what_a_command_reads_stays(main, arguments: list[str], run: Path, capsys) -> None:
    """Under another name too."""
    os.link(run / "network-000001.safetensors", "twin")
    said = refused(main, [*arguments, "twin"], capsys)
    assert "read by this command" in said or "not the agent's own file" in said
    assert Path("twin").read_bytes() == AGENT.read_bytes()


def test_a_match_is_not_gone_on_with_through_a_link(capsys) -> None:
    save_match(Path("match.json"), begin(Settings(Blob(cards=1), agent="rules")))
    Path("link.json").symlink_to("match.json")
    assert "--resume link.json is a link" in refused(play.main, ["--plain", "--resume", "link.json"], capsys)


@pytest.mark.parametrize(
    ("main", "arguments"), [(ladder.main, ["AGENT"]), (ablation.main, ["AGENT"]), (exact.main, ["--seconds", "1"])]
)
def test_one_process_at_a_time_goes_on_with_results(main, arguments: list[str], capsys) -> None:
    Path("found.json").write_text("no results")  # which is said once it is read
    with alone_at(Path("found.json")):
        said = refused(main, [*arguments, "--json", "found.json"], capsys)
    assert f"found.json is in use by process {os.getpid()} on " in said and "name another file" in said
    assert "name another --json" in refused(main, [*arguments, "--json", "found.json"], capsys)
    assert sorted(path.name for path in Path().iterdir()) == ["found.json", "run"]


def test_a_lock_that_was_let_go_meanwhile_is_taken_anew(monkeypatch) -> None:
    """Else two hold it: one the file that was removed, one the next of its name."""
    held, opened = alone_at(Path("found.json")), []
    held.__enter__()

    def open_late(path: Path) -> object:
        opened.append(open_own(path))
        if len(opened) == 1:
            held.__exit__(None, None, None)
        return opened[-1]

    monkeypatch.setattr(lock, "open_own", open_late)
    with alone_at(Path("found.json")):
        assert len(opened) == 2
        with pytest.raises(ValueError, match="is in use by"), alone_at(Path("found.json")):
            pass
    with alone_at(None):
        assert not Path("found.json.lock").exists()
