"""Curves beside the metrics: TensorBoard's own reader finds in them what the metrics have, whatever stopped the run."""

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.runs import TINY, changed, ends, flags_of, quiet, start
from veclab.settings import Settings
from veclab.training import command as train
from veclab.training import curves, judge, metrics
from veclab.training.curves import Curves, TensorBoard, WandB, event_files, points_of
from veclab.training.run import Run

Read = dict[str, list[tuple[int, float]]]


def read(folder: Path) -> Read:
    """Each curve's steps and values, by TensorBoard's reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def served(folder: Path) -> Read:
    """The same as TensorBoard's server has them, which reads without regard to beginnings: of each curve what was
    written before is forgotten from the step on that is written next."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: Read = {}
    for event in (event for path in event_files(folder) for event in EventFileLoader(str(path)).Load()):
        for value in event.summary.value:
            earlier = [point for point in found.get(value.tag, []) if point[0] < event.step]
            found[value.tag] = [*earlier, (event.step, value.tensor.float_val[0])]
    return found


def drawn(entries: list[metrics.Entry]) -> Read:
    """What the curves of these entries are."""
    found: Read = {}
    for entry in entries:
        for step, values in points_of(entry):
            for name, value in values.items():
                found.setdefault(name, []).append((step, pytest.approx(value, rel=1e-6, nan_ok=True)))
    return found


def update(number: int, score: float, **more: object) -> metrics.Entry:
    return {"kind": "update", "updates": number, "iteration": 0, "score": score, **more}


def evaluation(number: int, lead: float) -> metrics.Entry:
    match = {"lead": {"mean": lead, "half": 0.1}, "games": 4}
    return {"kind": "evaluation", "updates": number, "iteration": 0, "results": {"network alone": {"random": match}}}


# -- from entries to points --


def test_steps_are_updates_and_then_iterations() -> None:
    entry = {"kind": "iteration", "updates": 7, "iteration": 2, "policy_loss": 1.5, "note": "text"}
    assert list(points_of(entry)) == [(9, {"iteration/policy_loss": 1.5})]


def test_an_evaluation_is_a_lead_for_every_player_and_opponent() -> None:
    final = {**evaluation(8, 2.0), "kind": "final evaluation"}
    (match,) = final["results"].values()
    final["results"] = {"before training, search 2x4": match, "trained network alone": match}
    assert list(points_of(final)) == [(8, {"evaluation/lead over random, network alone": 2.0})]


# -- TensorBoard --


def test_a_run_that_goes_on_has_no_step_twice_and_none_missing(tmp_path) -> None:
    """Killed twice, each time beyond its checkpoint, then gone on with without curves, and with them again."""
    entries: list[metrics.Entry] = []

    def go_on(kept: int, more: list[metrics.Entry], draw: bool = True) -> None:
        del entries[kept:]
        drawing = TensorBoard(tmp_path, entries) if draw else None
        for entry in more:
            entries.append(entry)
            if drawing is not None:
                drawing.add(entry)

    go_on(0, [update(n, n / 10) for n in (1, 2, 3, 4)])
    go_on(2, [update(3, 0.33), evaluation(2, 1.0), update(4, 0.44), update(5, math.nan)])  # done again, otherwise
    assert read(tmp_path) == drawn(entries) and len(read(tmp_path)["update/score"]) == 5
    go_on(5, [update(5, 0.5), update(6, 0.6)], draw=False)
    go_on(7, [update(7, 0.7)])
    assert read(tmp_path) == drawn(entries)
    assert [step for step, _ in read(tmp_path)["update/score"]] == [1, 2, 3, 4, 5, 6, 7]


def test_an_event_that_was_cut_off_is_written_again(tmp_path) -> None:
    entries = [update(n, n / 10) for n in (1, 2, 3)]
    drawing = TensorBoard(tmp_path, [])
    for entry in entries:
        drawing.add(entry)
    (path,) = event_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    TensorBoard(tmp_path, entries).add(update(4, 0.4))
    assert read(tmp_path) == drawn([*entries, update(4, 0.4)])


def test_files_are_read_in_the_order_in_which_they_were_written(tmp_path, monkeypatch) -> None:
    """Also where the clock has gone back between them."""
    for now in (2_000_000_000, 1_999_999_000, 1_999_999_000):
        monkeypatch.setattr(curves.time, "time", lambda now=now: now)
        TensorBoard(tmp_path, [update(1, 0.1), update(2, now / 1e10)]).close()
    assert [path.name.split(".")[3] for path in event_files(tmp_path)] == ["2000000000", "2000000001", "2000000002"]
    assert read(tmp_path)["update/score"] == [(1, pytest.approx(0.1)), (2, pytest.approx(1_999_999_000 / 1e10))]


def test_points_that_were_missing_amid_others_are_not_written_after_them(tmp_path) -> None:
    """A reader that takes any earlier step as a new beginning, as TensorBoard's server does, has all of them, too."""
    entries = [update(n, n / 10) for n in (1, 2, 3)]
    drawing = TensorBoard(tmp_path, [])
    drawing.add(entries[0]), drawing.add(entries[2])
    drawing.close()
    TensorBoard(tmp_path, entries).close()
    assert read(tmp_path) == drawn(entries)
    assert [step for step, _ in served(tmp_path)["update/score"]] == [1, 2, 3]


@pytest.mark.slow
def test_curves_of_a_run_that_dies_between_two_checkpoints(tmp_path, monkeypatch, capsys) -> None:
    """Whatever was drawn after the last checkpoint is done again: the curves are those of the metrics at its end."""
    settings = changed(learner="policy-gradient", updates=6, tensorboard=True, checkpoint_seconds=3600)
    folder = tmp_path / "run"
    run = Run.create(folder, settings, quiet())
    add = run.curves.add
    recorded: list[metrics.Entry] = []

    def die(entry: metrics.Entry) -> None:
        add(entry)
        recorded.append(entry)
        if entry["updates"] == 4:
            raise KeyboardInterrupt  # within a step: the checkpoint of the beginning stands

    monkeypatch.setattr(run.curves, "add", die)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert read(folder)["update/score"] and len(recorded) == 4
    assert train.main(["--resume", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"curves: tensorboard --logdir {folder}" in said
    entries = metrics.read(folder / "metrics.jsonl")
    found = read(folder)
    assert found == drawn(entries) == served(folder)
    assert [step for step, _ in found["update/score"]] == [1, 2, 3, 4, 5, 6]
    leads = [name for name in found if name.startswith("evaluation/lead over rule-based")]
    assert leads and [step for step, _ in found["evaluation/lead over random, search 2x4"]] == [6]
    assert len(event_files(folder)) == 2


def test_without_tensorboard_a_run_says_so_in_one_line(tmp_path, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    display = quiet()
    drawing = Curves()
    drawing.open(tmp_path, Settings(), display)
    drawing.add(update(1, 0.5))
    drawing.close()
    assert display.console.file.getvalue().count("\n") == 1
    assert "TensorBoard, which is not installed" in display.console.file.getvalue() and not event_files(tmp_path)


FAILURES = [
    (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    (TypeError("Descriptors cannot be\ncreated directly"), "TypeError: Descriptors cannot be created directly"),
    (ModuleNotFoundError("No module named 'google'", name="google"), "ModuleNotFoundError: No module named 'google'"),
]


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(("error", "said"), FAILURES)
@pytest.mark.parametrize("where", ["flush", "close"])
def test_what_cannot_be_drawn_ends_the_curves_and_not_the_run(where, error, said, tmp_path, monkeypatch) -> None:
    """A full disk, or whatever the packages that draw come to."""
    display, drawing = quiet(), Curves()
    drawing.open(tmp_path, Settings(), display)
    monkeypatch.setattr(drawing.drawings[0].writer, where, failing(error))
    drawing.add(update(1, 0.5))
    drawing.add(update(2, 0.5))
    drawing.close()
    lines = display.console.file.getvalue().splitlines()
    assert lines[1:] == [f"the curves of TensorBoard end here: {said}"]


@pytest.mark.parametrize(("error", "said"), FAILURES)
def test_a_broken_package_is_one_line_and_the_run_learns(error, said, tmp_path, fake, monkeypatch) -> None:
    monkeypatch.setattr(curves, "TensorBoard", failing(error))
    monkeypatch.setattr(fake, "init", failing(error))
    display, drawing = quiet(), Curves()
    drawing.open(tmp_path, Settings(wandb="games"), display)
    drawing.add(update(1, 0.5))
    assert [line.partition(" (")[2] for line in display.console.file.getvalue().splitlines()] == [
        f"{said}); the figures are in metrics.jsonl there"
    ] * 2


def test_a_run_whose_curves_fail_learns_to_its_end(tmp_path, monkeypatch) -> None:
    settings = changed(learner="policy-gradient", updates=3, tensorboard=True, checkpoint_seconds=3600)
    run = Run.create(tmp_path / "run", settings, quiet())
    monkeypatch.setattr(judge, "evaluate", lambda *_: {})
    monkeypatch.setattr(TensorBoard, "add", failing(RuntimeError("out of colours")))
    assert run.train() == {} and run.updates == 3
    said = run.display.console.file.getvalue()
    assert said.count("the curves of TensorBoard end here: RuntimeError: out of colours\n") == 1


def loaded(path: str) -> None:
    """Writes which of the packages for curves a process has loaded that has the training command."""
    Path(path).write_text(json.dumps([name for name in ("tensorboard", "wandb") if name in sys.modules]))


@pytest.mark.slow
def test_commands_that_draw_nothing_load_nothing_for_it(tmp_path) -> None:
    assert ends([start(loaded, str(tmp_path / "found"))]) == [0]
    assert (tmp_path / "found").read_text() == "[]"


# -- Weights & Biases --


@dataclass
class FakeWandB:
    """What this program uses of the package wandb; its runs by their ids."""

    Error: type = RuntimeError
    runs: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    asked: list[dict[str, object]] = field(default_factory=list)
    finished: int = 0
    refusal: str = ""

    def Settings(self, console: str) -> str:  # noqa: N802
        return console

    def init(self, **options: object) -> SimpleNamespace:
        if self.refusal:
            raise self.Error(self.refusal)
        self.asked.append(options)
        rows = self.runs.setdefault(options["id"], [])
        return SimpleNamespace(log=rows.append, define_metric=lambda *a, **k: None, finish=self._finish)

    def _finish(self) -> None:
        self.finished += 1


@pytest.fixture
def fake(monkeypatch) -> Iterator[FakeWandB]:
    module = FakeWandB()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr(curves, "find_spec", lambda name: name)
    yield module


ONLINE = replace(Settings(cards="5"), wandb="games", tensorboard=False)


def test_weights_and_biases_gets_each_step_once(tmp_path, fake: FakeWandB) -> None:
    """After a kill the run goes on under its id; what is done again is not sent again, what was not sent is."""
    first = [update(1, 0.1), update(2, 0.2), evaluation(1, 1.0), update(3, 0.3)]
    drawing = WandB(tmp_path, [], ONLINE)
    for entry in first:
        drawing.add(entry)
    again = [*first[:2], evaluation(1, 1.0)]
    drawing = WandB(tmp_path, again, ONLINE)
    for entry in (update(3, 0.35), update(4, 0.4)):
        drawing.add(entry)
    drawing.close()
    ((identity, rows),) = fake.runs.items()
    assert [(row["step"], row.get("update/score")) for row in rows if "update/score" in row] == [
        (1, 0.1),
        (2, 0.2),
        (3, 0.3),
        (4, 0.4),
    ]
    assert [row["step"] for row in rows if "evaluation/lead over random, network alone" in row] == [1]
    assert {asked["id"] for asked in fake.asked} == {identity} and fake.finished == 1
    asked = fake.asked[0]
    assert (asked["project"], asked["name"], asked["resume"]) == ("games", tmp_path.name, "allow")
    assert asked["config"]["cards"] == "5"
    WandB(tmp_path, again, replace(ONLINE, wandb="others"))  # another project has it from the beginning
    assert [len(rows) for rows in fake.runs.values()] == [5, 3]


@pytest.mark.parametrize(
    ("refusal", "kept", "message"),
    [
        ("api_key not configured\n(no-tty)", None, "api_key not configured (no-tty); with WANDB_MODE=offline"),
        ("", '{"project": "ga', "wandb.json is damaged"),
        ("", '{"project": "games", "id": 5, "sent": {}}', "wandb.json is damaged"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(tmp_path, fake: FakeWandB, refusal: str, kept: str, message: str) -> None:
    fake.refusal = refusal
    if kept is not None:
        (tmp_path / "wandb.json").write_text(kept)
    with pytest.raises(ValueError, match="wandb") as raised:
        WandB(tmp_path, [], ONLINE)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_run_that_needs_it_is_refused_where_it_is_missing(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda name: None)
    assert train.main([*flags_of(TINY), "--wandb=games", f"--run={tmp_path / 'run'}"]) == 2
    assert capsys.readouterr().err == "error: --wandb needs the package wandb: pip install wandb\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_package_itself_offline(tmp_path, monkeypatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for entries in ([], [update(1, 0.1)]):
        drawing = WandB(tmp_path, entries, ONLINE)
        drawing.add(update(len(entries) + 1, 0.2))
        drawing.close()
    kept = json.loads((tmp_path / "wandb.json").read_text())
    assert kept["sent"] == {"update": 2} and wandb.__version__
    logs = list((tmp_path / "wandb").glob(f"offline-run-*-{kept['id']}"))
    assert len(logs) == len({log.name for log in logs}) >= 1 and any(logs[0].iterdir())
