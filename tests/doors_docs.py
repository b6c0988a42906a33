"""What the tests of the doors share: every game, choices in it, and running what docs/doors.md shows, its first piece
of code under each heading, and the example scripts."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from tests.every_game import BLOB, EVERY, MATCHES

ROOT = Path(__file__).parents[1]

# Those with many decisions a game, and every other variant of Blob, are slow; `make doors` plays them too.
LONG = (*MATCHES, *(named for named in EVERY if named.game in ("hearts", "doppelkopf", "briscola", "euchre", "skat")))
SLOW = (*LONG, *BLOB[3:5], *BLOB[8:])
every_game = pytest.mark.parametrize(
    "named", [pytest.param(n, id=str(n), marks=[pytest.mark.slow] if n in SLOW else []) for n in EVERY]
)


def choice(observation: np.ndarray, mask: np.ndarray) -> int:
    """Some legal action, the same for the same observation."""
    legal = np.flatnonzero(mask)
    return int(legal[int(1000 * np.abs(observation).sum()) % len(legal)])


def choices(observations: np.ndarray, infos: dict) -> np.ndarray:
    """Those of a batch of Gymnasium's: [games] int64."""
    return np.array([choice(*pair) for pair in zip(observations, infos["action_mask"], strict=True)])


def run_snippet(heading: str) -> None:
    """The first Python code under a heading of the page."""
    section = (ROOT / "docs/doors.md").read_text().split(f"\n## {heading}\n")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    exec(compile(code, f"docs/doors.md, {heading}", "exec"), {})


def run_example(monkeypatch: pytest.MonkeyPatch, name: str, arguments: str) -> None:
    """A script of examples/ with the words of `arguments` on its command line. Raises SystemExit where it fails."""
    monkeypatch.setattr("sys.argv", [name, *arguments.split()])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    if end.value.code != 0:
        raise end.value
