"""Names of the files in a run's folder, and its settings."""

from __future__ import annotations

import json
from pathlib import Path

CHECKPOINT, CONFIG, METRICS, RESULTS = "checkpoint.safetensors", "config.json", "metrics.jsonl", "results.json"
NEWEST = "network-newest.safetensors"  # the checkpoint's network, while no network-NNNNNN.safetensors is it


def read_config(folder: Path) -> dict[str, object]:
    """The settings that a run's folder holds, or a ValueError in one line."""
    try:
        return json.loads((folder / CONFIG).read_text())
    except OSError:
        raise ValueError(f"{folder} holds no run: it has no {CONFIG}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / CONFIG} is damaged: {error}") from None
