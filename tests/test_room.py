"""What cannot fit into memory is refused before any work, in one line that names the flag; and what memory there is."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.runs import changed, quiet
from tests.small_benches import small
from vecgame import Blob, memory
from veclab import room
from veclab.agents.networks import network_config
from veclab.arena import evaluate, ladder
from veclab.bench import command as bench
from veclab.command_line import out_of_memory
from veclab.exploit import command as exploit
from veclab.presets import from_flags
from veclab.report import page
from veclab.room import Need, NoRoomError, check_room, of_search
from veclab.table.agents import make_agent
from veclab.table.session import Settings as MatchSettings
from veclab.training import command as train
from veclab.training.distributed import ALONE, Group
from veclab.training.room import check_run
from veclab.training.run import Run
from vecmcts import SearchConfig

CPU = torch.device("cpu")
AGENT = str(Path(__file__).parents[1] / "veclab" / "agents" / "blob-4-players.safetensors")
GIB = 2**30


@pytest.fixture(autouse=True)
def small_machine(monkeypatch) -> None:
    monkeypatch.setattr(room, "free_memory", lambda device: GIB)


@pytest.mark.parametrize(
    ("main", "arguments", "flag"),
    [
        (train.main, ["--replay-examples=50000000"], "--replay-examples"),
        (train.main, ["--games-per-iter=5000000", "--iterations=1"], "--games-per-iter"),
        (train.main, ["--batch-size=1000000", "--replay-examples=1000000"], "--batch-size"),
        (train.main, ["--chunk-games=50000", "--games-per-iter=50000"], "--chunk-games"),
        (train.main, ["--simulations=30000", "--worlds=300"], "--worlds"),
        (train.main, ["--update-games=5000000"], "--update-games"),
        (train.main, ["--update-batch=10000000", "--update-games=1000000"], "--update-batch"),
        (train.main, ["--eval-deals=100000"], "--eval-deals"),
        (evaluate.main, [AGENT, "--cards=5", "--eval-deals=100000"], "--eval-deals"),
        (evaluate.main, [AGENT, "--cards=5", "--players=alone", "--eval-deals=10000000"], "--eval-deals"),
        (ladder.main, [AGENT, "--cards=5", "--search", "--eval-deals=100000", "--json=ladder.json"], "--eval-deals"),
        (exploit.main, [AGENT, "--deals=10000000"], "--deals"),
        (exploit.main, [AGENT, "--curve-deals=10000000"], "--curve-deals"),
        (exploit.main, [AGENT, "--update-games=50000000"], "--update-games"),
    ],
)
def test_what_cannot_fit_is_refused_before_any_work(
    main, arguments: list[str], flag: str, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    device = ["--device=cpu", *(["--run=run"] if main is train.main else [])]
    assert main([*arguments, *device]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    assert "GiB of memory" in error and "1.0 GiB are free; a smaller " in error
    assert flag in error.rpartition(";")[2]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["self-play", "engine", "net", "search", "sweep"])
def test_a_row_that_cannot_fit_is_left_out(what: str, monkeypatch, capsys) -> None:
    sizes = ["--set", "games=100000000"] if what == "sweep" else ["--batches", "100000000"]
    assert bench.main([*small(what), *sizes]) == 3
    output = capsys.readouterr().out
    assert "100000000" in output.replace(",", "") and "1.0 GiB are free; a smaller " in output


def test_a_report_and_a_table_that_cannot_fit(tmp_path, monkeypatch) -> None:
    with pytest.raises(NoRoomError, match="--worlds or --simulations needs less"):
        make_agent(MatchSettings(Blob(), agent=AGENT, worlds=300, simulations=30_000))
    with pytest.raises(NoRoomError, match=r"10,000,000 games .* a smaller --games needs less"):
        page.play_all([Blob()], None, 0, 10_000_000, page.Display(quiet=True))


def test_a_magnets_policy_of_every_decision_counts() -> None:
    """38,000 games leave 0.87 GiB of observations; the magnet's probabilities are a fifth of that more."""
    settings = from_flags("quick", {"learner": "policy-gradient", "updates": 1, "update_games": 38_000})
    game = settings.games()[0]
    check_run(settings, [game], network_config("small", game), CPU, ALONE)
    with pytest.raises(NoRoomError, match="a smaller --update-games needs less"):
        check_run(replace(settings, magnet=0.1), [game], network_config("small", game), CPU, ALONE)


def test_every_process_of_a_machine_holds_what_it_learns_from() -> None:
    settings = from_flags("quick", {"learner": "policy-gradient", "updates": 1, "update_games": 38_000})
    game = settings.games()[0]
    check_run(settings, [game], network_config("small", game), CPU, Group(0, 2, 0, 1))  # on two machines
    with pytest.raises(NoRoomError, match="a smaller --update-games needs less"):
        check_run(settings, [game], network_config("small", game), CPU, Group(0, 2, 0, 2))


def test_of_games_with_all_actions_judged_those_that_are_judged_count() -> None:
    """Some 31 of a game, in all its branches: 19,000 games leave 0.8 GiB, observations and what is said of every
    action; 26,000 do not fit."""
    told = {"learner": "policy-gradient", "updates": 1, "update_games": 19_000, "gae_lambda": 1.0}
    settings = from_flags("quick", {**told, "update_rule": "neurd"})
    game = settings.games()[0]
    check_run(settings, [game], network_config("small", game), CPU, ALONE)
    with pytest.raises(NoRoomError, match="a smaller --update-games needs less"):
        check_run(replace(settings, update_games=26_000), [game], network_config("small", game), CPU, ALONE)


def test_a_game_that_is_solved_is_laid_out() -> None:
    """Nine million nodes take more than a GiB, some 700,000 do not."""
    told = {"suits": 2, "ranks": 4, "learner": "policy-gradient"}
    fits, large = ({"rules": "players=2", "cards": "3"}, {"cards": "2"})
    settings = from_flags("quick", {**told, **fits})
    game = settings.games()[0]
    check_run(settings, [game], network_config("small", game), CPU, ALONE)
    settings = from_flags("quick", {**told, **large})
    game = settings.games()[0]
    assert settings.update_rule == "cfr"
    with pytest.raises(NoRoomError, match=r"laid out, .* --update-rule ppo or a smaller deck needs less"):
        check_run(settings, [game], network_config("small", game), CPU, ALONE)


def test_a_run_whose_updates_are_done_needs_no_room_for_them(tmp_path, monkeypatch) -> None:
    """It could not go on with less of them, as it may not change --update-games."""
    told = {"learner": "policy-gradient", "updates": 1, "update_games": 1000, "eval_every": 0, "eval_deals": 1}
    settings = changed(cards="2", device="cpu", **told)
    run = Run.create(tmp_path / "run", settings, quiet())
    run.train(judge=False)
    monkeypatch.setattr(room, "free_memory", lambda device: GIB // 256)
    Run.resume(tmp_path / "run", settings, quiet()).lock.release()
    for again in (
        lambda: Run.resume(tmp_path / "run", replace(settings, updates=2), quiet()),
        lambda: Run.create(tmp_path / "other", settings, quiet()),
    ):
        with pytest.raises(NoRoomError, match="a smaller --update-games needs less"):
            again()


def test_needs_of_one_time_add_up() -> None:
    some = Need("a part", GIB // 2, "a smaller --part")
    check_room(CPU, some, some)
    with pytest.raises(NoRoomError, match=r"^the rest would take 0\.8 GiB of memory of 1\.2 GiB in all, and 1\.0"):
        check_room(CPU, some, Need("the rest", 3 * GIB // 4, "less"))
    with pytest.raises(ValueError) as caught:
        check_room(CPU, Need("it", 2 * GIB, "less"))
    assert out_of_memory(caught.value)  # so that a benchmark leaves the row out


def test_the_need_of_a_search_is_that_of_its_trees_or_of_its_candidates() -> None:
    config = SearchConfig(worlds=3, simulations=30)
    assert of_search(1, Blob(), config).bytes * 10_000 == of_search(10_000, Blob(), config).bytes
    assert 0.5 * GIB < of_search(10_000, Blob(), config).bytes < GIB  # measured: 0.9 GB with all else
    many = SearchConfig(worlds=3, simulations=30, candidates=10_000)
    assert of_search(1, Blob(), many).less == "a smaller --candidates"


# -- the memory that there is -----------------------------------------------------------------------------------------


def write_group(folder: Path, version: int, limit: object, used: int, files: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    total = "total_" if version == 1 else ""
    (folder / "memory.stat").write_text(f"anon {used}\n{total}inactive_file {files}\n")


@pytest.fixture
def groups(tmp_path, monkeypatch) -> Path:
    """Folders of groups that a system of 100 GiB has."""
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_of_system", lambda: 100 * GIB)
    monkeypatch.setattr(memory, "_of_process", lambda: None)
    return tmp_path


def test_the_limit_of_a_container_counts(groups: Path) -> None:
    assert memory.available_memory() == 100 * GIB
    write_group(groups / "cgroup", 2, 4 * GIB, 3 * GIB, GIB)  # its files can be given back
    assert memory.available_memory() == 2 * GIB
    write_group(groups / "cgroup", 2, "max", 3 * GIB, 0)
    assert memory.available_memory() == 100 * GIB
    write_group(groups / "cgroup" / "memory", 1, 2 * GIB, GIB, 0)
    assert memory.available_memory() == GIB


@pytest.mark.parametrize(("version", "line"), [(2, "0::/slice/job/step"), (1, "4:memory:/slice/job/step")])
def test_the_limits_of_all_groups_around_the_process_count(groups: Path, version: int, line: str) -> None:
    (groups / "own").write_text(f"9:name=systemd:/\n{line}\n")
    root = groups / "cgroup" / ("memory" if version == 1 else "")
    write_group(root / "slice" / "job" / "step", version, 8 * GIB, 0, 0)
    assert memory.available_memory() == 8 * GIB
    write_group(root / "slice", version, 5 * GIB, GIB, 0)
    assert memory.available_memory() == 4 * GIB
    write_group(root / "others", version, GIB, 0, 0)
    assert memory.available_memory() == 4 * GIB


def test_what_ulimit_leaves_counts(monkeypatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda which: (1 << 50, resource.RLIM_INFINITY))
    left = memory._of_process()
    assert (left is None) == (not Path("/proc/self/statm").exists()) and 0 < (left or 1) < 1 << 50
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert memory._of_process() is None
