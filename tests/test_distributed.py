"""Several processes that train one run: the same games, the same steps, and an end when one of them dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from net import NetConfig
from tests.killing import command_line
from tests.runs import changed, ends, flags_of, metrics_of, quiet, same, start_group, tensors_of
from tests.runs import start as begin_alone
from tests.test_learner import make_examples
from vecgame import Blob
from vecgame.cards import unpack_mask
from veclab.agents.checkpoint import load_metadata, load_network, load_tensors, save_tensors
from veclab.agents.folder import CHECKPOINT, METRICS, RESULTS
from veclab.agents.networks import newest_network, progress_of
from veclab.settings import CFR, NEURD, Settings
from veclab.training import all_actions, equilibrium, imitation, policy_gradient
from veclab.training import command as train
from veclab.training.distributed import ALONE, Group, LeaderError, process_group
from veclab.training.learner import Learner, learn
from veclab.training.replay import Examples, ReplayBuffer
from veclab.training.run import Run

CPU = torch.device("cpu")
FIRST = "network-000000.safetensors"
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
RUN = changed(games_per_iter=12, iterations=3, eval_deals=2, device="cpu", simulations=3)
RARELY = replace(RUN, checkpoint_seconds=3600)  # no checkpoint but the one at the beginning, unless a stop makes one


# -- exchange ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_shares_are_contiguous_and_even(size: int) -> None:
    groups = [Group(rank, size) for rank in range(size)]
    for count in (0, 1, 7, 12, 10_000):
        rows = torch.arange(count)
        assert torch.cat([group.part(rows) for group in groups]).tolist() == rows.tolist()
        sizes = [group.share(count)[1] for group in groups]
        assert max(sizes) - min(sizes) <= 1


def exchange(folder: Path) -> None:
    """Exchanges all that can be, and writes down what arrived."""
    with process_group() as group:
        rows = torch.arange(4 * group.rank).view(group.rank, 4) + 100 * group.rank  # none in process 0
        kinds = [rows.half(), rows, rows.double(), rows > 100, rows[:, 0].to(torch.int8)]
        gathered = {f"gathered {i}": group.gather(kind) for i, kind in enumerate(kinds)}
        empty = {"empty": group.gather(rows[:0].float()), "sum": group.sum(torch.tensor([1.0, group.rank]))}
        gradients = [torch.full((2, 3), 1.0 + group.rank), torch.tensor(10.0 * group.rank)]
        loss = group.sum_gradients(gradients, torch.tensor(0.5))
        summed = {"gradient": gradients[0], "scalar gradient": gradients[1], "loss": loss}
        mine = {"weights": torch.full((2,), 7.0 if group.leader else 0.0), "count": torch.tensor(3), "none": rows[:0]}
        sent = group.tensors_from_leader(mine if group.leader else {})
        answers = {"any": [group.any(False), group.any(group.rank == 1)], "made": group.from_leader(lambda: [1, "a"])}
        try:
            group.from_leader(lambda: json.loads("{"))
        except LeaderError as error:
            answers["error"] = f"of the leader: {error}"
        except ValueError as error:
            answers["error"] = str(error)
        save_tensors(folder / str(group.rank), {**gathered, **empty, **summed, **sent}, answers)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.slow
def test_every_process_receives_the_same(tmp_path, size: int) -> None:
    assert ends(start_group(size, exchange, tmp_path)) == [0] * size
    rows = torch.cat([torch.arange(4 * rank).view(rank, 4) + 100 * rank for rank in range(size)])
    kinds = [rows.half(), rows, rows.double(), rows > 100, rows[:, 0].to(torch.int8)]
    for rank in range(size):
        tensors, answers = load_tensors(tmp_path / str(rank))
        for number, kind in enumerate(kinds):
            assert (
                torch.equal(tensors[f"gathered {number}"], kind) and tensors[f"gathered {number}"].dtype == kind.dtype
            )
        assert tensors["empty"].shape == (0, 4)
        ranks = sum(range(size))
        assert tensors["sum"].tolist() == [size, ranks]
        assert tensors["gradient"].tolist() == [[size + ranks] * 3] * 2
        assert float(tensors["scalar gradient"]) == 10 * ranks and float(tensors["loss"]) == size / 2
        assert tensors["weights"].tolist() == [7, 7] and int(tensors["count"]) == 3 and tensors["none"].shape == (0, 4)
        assert answers["any"] == [False, True] and answers["made"] == [1, "a"]
        assert answers["error"].startswith("of the leader: Expecting" if rank else "Expecting")


# -- learning ---------------------------------------------------------------------------------------------------------


def learn_alike(group: Group, **changes: object) -> tuple[Learner, dict[str, float], dict[str, float]]:
    """Learns from given examples and a given rollout; the last batches are of one example, less than a process each."""
    tricks = changes.get("tricks_weight", 0) > 0
    settings = Settings(batch_size=16, epochs=2, average_decay=0.9, **changes)
    critic = settings.leaf_values == "world"
    learner = Learner(settings, replace(SMALL, tricks=14 * tricks, critic=156 * critic), CPU, group)
    learner.amp = torch.float32
    buffer = ReplayBuffer(64, CPU, extras=settings.extras())
    buffer.add(told(make_examples(33), settings))
    learned = learn(learner, buffer, 33, seed=1)
    examples = make_examples(50, seed=2)
    played = {
        "observation": examples.observation.float(),
        "legal": examples.legal,
        "value": examples.value,
        "score": 1.5,
        "games": 10,
        "tricks": told(examples, settings).tricks,
        "hidden": told(examples, settings).hidden,
    }
    policy, gain = examples.policy.float(), examples.value[:, 0] - examples.value[:, 1]
    if settings.update_rule == NEURD:
        mask = unpack_mask(examples.legal, 52)
        log_policy = policy.clamp(min=1e-6).log().masked_fill(~mask, 0.0)
        advantage = (gain[:, None] * (policy - 0.1)).masked_fill(~mask, 0.0)
        judged = all_actions.Judged(**played, log_policy=log_policy, advantage=advantage)
        return learner, learned, all_actions.update(learner, judged, 0.01, seed=3)
    if settings.update_rule == CFR:
        lesson = equilibrium.Lesson(**played, policy=policy, counts=0.5 + examples.value[:, 0])
        return learner, learned, equilibrium.update(learner, lesson, 0.01, seed=3)
    column = policy.argmax(-1)
    log_prob = policy.gather(1, column[:, None])[:, 0].log()
    rollout = policy_gradient.Rollout(**played, column=column, log_prob=log_prob, advantage=gain)
    return learner, learned, policy_gradient.update(learner, rollout, 0.01, seed=3)


def told(examples: Examples, settings: Settings) -> Examples:
    """The same with what the settings ask for."""
    extras = {"tricks": (13 * examples.value).to(torch.int8), "hidden": examples.legal[:, None].repeat(1, 3)}
    return replace(examples, **{name: extras[name] for name in settings.extras()})


def learn_and_save(folder: Path, changes: dict[str, object]) -> None:
    with process_group() as group:
        learner, learned, updated = learn_alike(group, **changes)
        save_tensors(folder / str(group.rank), learner.state_dict(), {"learned": learned, "updated": updated})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (2, {}),
        (3, {}),
        (2, {"augment_suits": True}),
        (2, {"tricks_weight": 0.5, "leaf_values": "world"}),
        (3, {"update_rule": NEURD, "gae_lambda": 1.0}),
        (3, {"update_rule": CFR}),
    ],
)
def test_from_the_same_examples_the_same_update_as_one_process(tmp_path, size: int, changes: dict[str, object]) -> None:
    assert ends(start_group(size, learn_and_save, tmp_path, changes)) == [0] * size
    learner, learned, updated = learn_alike(ALONE, **changes)
    expected = learner.state_dict()
    first = load_tensors(tmp_path / "0")[0]
    for rank in range(size):
        tensors, numbers = load_tensors(tmp_path / str(rank))
        assert all(torch.equal(tensors[name], first[name]) for name in first)
        assert tensors.keys() == expected.keys()
        for name, tensor in tensors.items():
            assert torch.allclose(tensor, expected[name], rtol=1e-3, atol=1e-5), name
        assert numbers["learned"] == pytest.approx(learned, rel=1e-4)
        assert numbers["updated"] == pytest.approx(updated, rel=1e-4)
    fresh = Learner(Settings(average_decay=0.9), SMALL, CPU).state_dict()
    moved = (expected["net.policy_out.weight"] - fresh["net.policy_out.weight"]).abs().max()
    assert moved > 100 * 1e-5  # so the comparison means something


# -- self-play --------------------------------------------------------------------------------------------------------


def play_iteration(folder: Path, games: int, chunk_games: int, changes: dict[str, object]) -> None:
    """The games of one iteration and of one update of policy gradient; every process saves what it then holds."""
    with process_group() as group:
        save_played(folder, games, chunk_games, changes, group)


def save_played(folder: Path, games: int, chunk_games: int, changes: dict[str, object], group: Group) -> None:
    settings = changed(games_per_iter=games, chunk_games=chunk_games, device="cpu", cards="1-3", **changes)
    run = Run.create(folder / "run", settings, quiet(), group)
    figures = run._self_play()
    network = policy_gradient.InferenceNet(run.learner.net, dtype=torch.float32)
    first, count = group.share(30)
    rules, fields, scores = {"rollout": policy_gradient, "judged": all_actions}, {}, {}
    for name, rule in rules.items():
        played = rule.play(Blob(cards=2), network, count, 0, first, CPU, extras=settings.extras()).gather(group)
        fields |= {f"{name}.{field}": tensor for field, tensor in played.tensors().items()}
        scores[f"{name} score"], games_played = played.score, played.games
    tensors = {**run.buffer.state_dict(), **fields}
    counts = {name: figures[name] for name in ("games", "examples", "evaluations")}
    means = {name: figures[name] for name in ("score", "bids_met", "policy_entropy", "prior_divergence")}
    means |= scores
    save_tensors(folder / str(group.rank), tensors, {"counts": counts, "means": means, "played": games_played})


OPTIONS = {"full_share": 0.5, "fast_simulations": 2, "tricks_weight": 0.5, "leaf_values": "world"}


@pytest.mark.parametrize(
    ("size", "games", "changes"),
    [(2, 12, {}), (3, 15, {}), (2, 12, OPTIONS), (5, 12, {})],
)
@pytest.mark.slow
def test_together_the_same_games_as_one_process(tmp_path, size: int, games: int, changes: dict[str, object]) -> None:
    """A third of the games for each of three card counts; four games leave one of five processes idle. One process that
    plays in chunks of the same games holds bit for bit the same examples, in the same order."""
    several, one = tmp_path / "several", tmp_path / "one"
    several.mkdir(), one.mkdir()
    assert ends(start_group(size, play_iteration, several, games, 0, changes)) == [0] * size
    save_played(one, games, max(Group(rank, size).share(games // 3)[1] for rank in range(size)), changes, ALONE)
    expected, told = load_tensors(one / "0")
    for rank in range(size):
        tensors, numbers = load_tensors(several / str(rank))
        assert numbers["counts"] == told["counts"] and numbers["played"] == 30
        assert numbers["means"] == pytest.approx(told["means"], rel=1e-6)
        for name, tensor in tensors.items():
            if not name.startswith(("rollout.", "judged.")):
                assert torch.equal(tensor, expected[name]), name
        for names in (("column", "value"), ("observation",)):
            rule = "rollout" if "column" in names else "judged"
            fields = [f"{rule}.{name}" for name in ("legal", *names, "tricks", "hidden")]
            ours, theirs = (rows_of(t, *(name for name in fields if name in expected)) for t in (tensors, expected))
            assert ours == theirs  # in another order: a process's games are together


def rows_of(tensors: dict[str, torch.Tensor], *names: str) -> list[list[float]]:
    return sorted(torch.cat([tensors[n].double().view(len(tensors[n]), -1) for n in names], dim=1).tolist())


# -- whole runs -------------------------------------------------------------------------------------------------------


def train_in_group(arguments: list[str], folder: Path) -> None:
    """train.py with arguments; its errors go to a file for each process."""
    sys.stdout, sys.stderr = StringIO(), (folder / f"errors-{os.environ['RANK']}").open("w", buffering=1)
    sys.exit(train.main(arguments))


def start_training(size: int, folder: Path, settings: Settings = RUN) -> list[BaseProcess]:
    folder.mkdir(exist_ok=True)
    return start_group(size, train_in_group, [*flags_of(settings), f"--run={folder}", "--resume-if-exists"], folder)


def wait_for_iterations(folder: Path, count: int, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not (folder / METRICS).exists() or (folder / METRICS).read_text().count('"kind": "iteration"') < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def errors_of(folder: Path, size: int) -> list[str]:
    return [(folder / f"errors-{rank}").read_text() for rank in range(size)]


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """A run of two processes that nothing disturbed."""
    folder = tmp_path_factory.mktemp("distributed") / "run"
    assert ends(start_training(2, folder)) == [0, 0]
    return folder


@pytest.mark.slow
def test_a_run_of_two_processes_is_whole(two: Path) -> None:
    kinds = [entry["kind"] for entry in metrics_of(two)]
    assert kinds == ["update"] * 2 + ["iteration"] * 3 + ["final evaluation"]
    assert (two / RESULTS).exists() and (two / "network-000003.safetensors").exists()
    assert errors_of(two, 2) == ["", ""]
    entry = metrics_of(two)[2]
    assert entry["games"] == 12 and entry["examples_learned"] == 2 * entry["examples"]


def assert_newest_network_is_saved(folder: Path) -> None:
    """It is that of the checkpoint, of an iteration at least; killed within a checkpoint, it may be the next."""
    tensors, counters = load_tensors(folder / CHECKPOINT)
    newest, progress = newest_network(folder), (counters["iteration"], counters["updates"])
    assert progress_of(newest) >= max(progress, (1, 2))
    weights, first = (load_network(path).state_dict() for path in (newest, folder / "network-000000.safetensors"))
    assert not torch.equal(weights["policy_out.weight"], first["policy_out.weight"])
    if progress_of(newest) == progress:
        assert all(torch.equal(tensor, tensors[f"net.{name}"]) for name, tensor in weights.items())


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_it_goes_on_bit_for_bit(two: Path, tmp_path, victim: int) -> None:
    """The leader saves what it has when the other is gone; when it is the leader, its last checkpoint stands."""
    folder = tmp_path / "run"
    processes = start_training(2, folder, RARELY if victim else RUN)
    wait_for_iterations(folder, 1 if victim else 2)  # whose line is there before its checkpoint
    processes[victim].kill()
    codes = ends(processes, 30)
    assert codes[victim] == -signal.SIGKILL and codes[1 - victim] == 2
    error = errors_of(folder, 2)[1 - victim]
    assert error.startswith(f"error (process {2 - victim} of 2): another process of this job has ended")
    assert error.count("\n") == 1
    assert_newest_network_is_saved(folder)
    assert ends(start_training(2, folder)) == [0, 0]
    assert same(folder, two) and metrics_of(folder) == metrics_of(two)


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_and_the_run_goes_on_with_another_number(two: Path, tmp_path) -> None:
    folder = tmp_path / "run"
    processes = start_training(2, folder)
    wait_for_iterations(folder, 1)
    for process in processes:
        os.kill(process.pid, signal.SIGINT)
    assert ends(processes, 30) == [130, 130]
    assert errors_of(folder, 2) == ["", ""]
    saved = tensors_of(folder)
    assert ends(start_training(2, folder)) == [0, 0]
    assert same(folder, two) and metrics_of(folder) == metrics_of(two)
    assert any(not torch.equal(saved[name], tensor) for name, tensor in tensors_of(two).items() if name in saved)
    assert train.main(["--resume", str(folder), "--iterations=4"]) == 0  # alone
    assert [entry["iteration"] for entry in metrics_of(folder) if entry["kind"] == "iteration"] == [1, 2, 3, 4]


def imitate_in_group(arguments: list[str], folder: Path) -> None:
    """As `train_in_group`, with rounds of 8 games to imitate."""
    imitation.AT_ONCE = 8
    train_in_group(arguments, folder)


def imitated(folder: Path) -> int:
    """Games that a run which imitates has learned from, as its checkpoint says; 0 where none is there now."""
    try:
        return load_metadata(folder / CHECKPOINT)["imitation"]["games"]
    except (ValueError, KeyError):
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("kill", [False, True])
def test_two_processes_go_on_with_imitation_bit_for_bit(tmp_path, kill: bool) -> None:
    """After Ctrl+C, and when the one that imitates is killed, while the other waits. What is learned is what a single
    process learns."""
    settings = changed(cards="2", learner="policy-gradient", imitated_games=120, eval_deals=2, device="cpu")
    folders = whole, cut, alone = [tmp_path / name for name in ("whole", "cut", "alone")]
    flags = {folder: [*flags_of(settings), f"--run={folder}", "--resume-if-exists"] for folder in folders}

    def begin(folder: Path) -> list[BaseProcess]:
        folder.mkdir(exist_ok=True)
        return start_group(2, imitate_in_group, flags[folder], folder)

    assert ends(begin(whole)) == [0, 0] and ends([begin_alone(command_line, flags[alone])]) == [0]
    processes, deadline = begin(cut), time.monotonic() + 60
    while imitated(cut) < 16:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for process in processes[: 1 if kill else 2]:
        os.kill(process.pid, signal.SIGKILL if kill else signal.SIGINT)
    assert ends(processes, 30) == ([-signal.SIGKILL, 2] if kill else [130, 130])
    assert 16 <= imitated(cut) < 120 and not (cut / FIRST).exists()
    assert ends(begin(cut)) == [0, 0]
    assert same(cut, whole) and metrics_of(cut) == metrics_of(whole)
    assert (cut / FIRST).read_bytes() == (whole / FIRST).read_bytes() == (alone / FIRST).read_bytes()


@pytest.mark.slow
def test_sigterm_to_all_processes_leaves_the_newest_network(two: Path, tmp_path) -> None:
    """As torchrun sends it when it is stopped itself, or when a process on another machine has ended."""
    folder = tmp_path / "run"
    processes = start_training(2, folder, RARELY)
    wait_for_iterations(folder, 1)
    for process in processes:
        process.terminate()
    assert ends(processes, 30) == [130, 130]
    assert errors_of(folder, 2) == ["", ""]
    assert_newest_network_is_saved(folder)
    assert ends(start_training(2, folder)) == [0, 0]
    assert same(folder, two) and metrics_of(folder) == metrics_of(two)


@pytest.mark.slow
def test_what_the_leader_cannot_do_it_says_once(two: Path) -> None:
    assert ends(start_training(2, two, changed(seed=5))) == [2, 2]
    leader, other = errors_of(two, 2)
    assert "a resumed run cannot change" in leader and "--seed (run: 0, flag: 5)" in leader
    assert leader.count("\n") == 1 and other == ""


# -- torchrun ---------------------------------------------------------------------------------------------------------


def torchrun(*options: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", *options, "train.py"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds torchrun's processes in /proc")
def test_torchrun_restarts_a_killed_process_and_the_run_is_the_same(two: Path, tmp_path) -> None:
    """Leader or not: each is killed once."""
    folder, root = tmp_path / "run", Path(__file__).parents[1]
    command = [*torchrun("--nproc-per-node=2", "--max-restarts=2"), *flags_of(RUN), f"--run-folder={folder}"]
    refused = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert refused.returncode != 0
    assert refused.stderr.count("give --run-folder FOLDER --resume-if-exists") == 3
    with (tmp_path / "output").open("w") as output:
        job = subprocess.Popen([*command, "--resume-if-exists"], cwd=root, stdout=output, stderr=output)
        for iterations, rank in ((1, 1), (2, 0)):
            wait_for_iterations(folder, iterations)
            os.kill(rank_of_job(job.pid, rank), signal.SIGKILL)
        assert job.wait(300) == 0
    assert same(folder, two) and metrics_of(folder) == metrics_of(two)
    assert (folder / RESULTS).read_text() == (two / RESULTS).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_torchrun_that_is_stopped_leaves_the_newest_network(two: Path, tmp_path, number: int) -> None:
    folder, root = tmp_path / "run", Path(__file__).parents[1]
    command = [*torchrun("--nproc-per-node=2"), *flags_of(RARELY), f"--run-folder={folder}"]
    with (tmp_path / "output").open("w") as output:
        job = subprocess.Popen(command, cwd=root, stdout=output, stderr=output)
        wait_for_iterations(folder, 1)
        job.send_signal(number)
        assert job.wait(60) != 0
    shown = (tmp_path / "output").read_text()
    assert "Stopped and saved. Go on with: torchrun " in shown and f"train.py --resume {folder}\n" in shown
    assert f"the network: {newest_network(folder)}\n" in shown
    assert_newest_network_is_saved(folder)
    assert ends(start_training(2, folder)) == [0, 0]
    assert same(folder, two) and metrics_of(folder) == metrics_of(two)


def rank_of_job(agent: int, rank: int) -> int:
    """The process of a rank, by its environment, among the children of torchrun's agent."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if re.search(rf"^PPid:\s+{agent}$", status.read_text(), re.M):
                variables = (status.parent / "environ").read_bytes().split(b"\0")
                if f"RANK={rank}".encode() in variables:
                    return int(status.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise AssertionError(f"torchrun has no rank {rank}")
