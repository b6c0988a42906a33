"""Names of the files in a run's folder, and its settings."""

from __future__ import annotations

import json
from pathlib import Path

CHECKPOINT, CONFIG, METRICS, RESULTS = "checkpoint.safetensors", "config.json", "metrics.jsonl", "results.json"
# What settings and metrics were called before policy gradient was a way of learning of its own.
RENAMED = {"warmup_updates": "updates", "warmup_games": "update_games", "warmup_entropy": "entropy"}
BEFORE = {"update_epochs": 3, "update_batch": 4096}  # what was no setting yet
UPDATE, OLD_UPDATE = "update", "warm-up"  # kind of the metrics' entries of policy gradient
NEWEST = "network-newest.safetensors"  # the checkpoint's network, while no network-NNNNNN.safetensors is it


def read_config(folder: Path) -> dict[str, object]:
    """The settings that a run's folder holds, by the names of today, or a ValueError in one line."""
    try:
        return as_named_today(json.loads((folder / CONFIG).read_text()))
    except OSError:
        raise ValueError(f"{folder} holds no run: it has no {CONFIG}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / CONFIG} is damaged: {error}") from None


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
