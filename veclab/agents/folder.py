"""Names of the files in a run's folder, and its settings."""

from __future__ import annotations

import re
from pathlib import Path

from veclab.agents.checkpoint import load_metadata
from veclab.files import DIGEST, TEMPORARY, DamagedError, is_intact, read_json
from veclab.settings import check_saved

CHECKPOINT, CONFIG, METRICS, RESULTS = "checkpoint.safetensors", "config.json", "metrics.jsonl", "results.json"
# What settings and metrics were called before policy gradient was a way of learning of its own.
RENAMED = {"warmup_updates": "updates", "warmup_games": "update_games", "warmup_entropy": "entropy"}
BEFORE = {"update_epochs": 3, "update_batch": 4096, "gae_lambda": 1.0}  # what was no setting yet
UPDATE, OLD_UPDATE = "update", "warm-up"  # kind of the metrics' entries of policy gradient
NEWEST = "network-newest.safetensors"  # the checkpoint's network, while no network-NNNNNN.safetensors is it
AHEAD = "-ahead-"  # in the names of networks of work that the checkpoint does not have, before their number
PREVIOUS = "checkpoint-previous.safetensors"  # the checkpoint before the last, to go on from where that is damaged
DAMAGED = "checkpoint-damaged.safetensors"  # what was found damaged then
# Files that a process which was killed may have left half written: the name of one of the run's, and the process.
UNFINISHED = re.compile(
    r"(checkpoint|network-(update-)?[0-9]+|network-newest|config|metrics|results|evaluation-(update-)?[0-9]+|report)"
    rf"\.(safetensors|jsonl?|html)\.[0-9]+{re.escape(TEMPORARY)}"
)


def read_config(folder: Path) -> dict[str, object]:
    """The settings that a run's folder holds, by the names of today, each of the type that it should have.

    Raises:
        ValueError: in one line, where there are none, or they are not as a run or a person would write them. People
            may: a file without its digest is taken as it is.
    """
    path = folder / CONFIG
    if not path.is_file():
        return _settings_of_checkpoint(folder)
    told = read_json(path)
    settings = told.get("settings") if DIGEST in told else told.get("settings", told)  # they stood alone once
    if not isinstance(settings, dict) or (settings is not told and set(told) - {"settings", "made_by", DIGEST}):
        raise DamagedError(f"{path} is damaged: it must hold the settings and who made it, and nothing else")
    settings = as_named_today(settings)
    try:
        check_saved(settings)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not is_intact(told):
        raise DamagedError(
            f"{path} is not as the run wrote it. Flags of --resume change settings; if you have changed it yourself, "
            f'remove its field "{DIGEST}"; if not, the file, as the checkpoint has the settings too'
        )
    return settings


def _settings_of_checkpoint(folder: Path) -> dict[str, object]:
    """The settings of a run whose config.json is gone."""
    for name in (CHECKPOINT, PREVIOUS):
        if (folder / name).is_file() and isinstance(told := load_metadata(folder / name).get("settings"), dict):
            check_saved(settings := as_named_today(told))
            return settings
    raise ValueError(f"{folder} holds no run: it has no {CONFIG}")


def holds_run(folder: Path) -> bool:
    """Whether a run was begun in a folder."""
    return any((folder / name).exists() for name in (CONFIG, CHECKPOINT, PREVIOUS))


def remove_unfinished(folder: Path) -> None:
    """Removes what writes of the run's files that were cut off have left."""
    for path in folder.glob(f"*{TEMPORARY}"):
        if UNFINISHED.fullmatch(path.name) and (path.is_file() or path.is_symlink()):
            path.unlink(missing_ok=True)


def as_named_today(settings: dict[str, object]) -> dict[str, object]:
    """Saved settings; those of earlier versions, which had no name for the learner, with what they meant."""
    if "games_per_iter" not in settings:
        return settings
    settings = {**BEFORE, **settings}
    if "learner" in settings:
        return settings
    learner = "both" if settings.get("warmup_updates") else "search"
    return {"learner": learner, **{RENAMED.get(name, name): value for name, value in settings.items()}}


def entry_of_today(entry: dict[str, object]) -> dict[str, object]:
    """An entry of the metrics; one of an earlier version with the kind and the iteration that it would have now."""
    if entry.get("kind") == OLD_UPDATE:
        return {**entry, "kind": UPDATE}
    if "of" in entry:  # an evaluation, and the iteration of its network
        return {**{name: value for name, value in entry.items() if name != "of"}, "iteration": entry["of"]}
    return entry
