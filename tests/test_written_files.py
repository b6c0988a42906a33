"""Files that commands write: never in the place of a device, of a link or of what they read."""

import os
import shutil
from pathlib import Path

import pytest

from vecgame import Blob
from veclab import export, play
from veclab.agents import rounded
from veclab.arena import best_response, evaluate, ladder
from veclab.bench import ablation, beliefs, exact, rule_players, searches, values
from veclab.bench import command as bench
from veclab.command_line import check_place
from veclab.exploit import command as exploit
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
