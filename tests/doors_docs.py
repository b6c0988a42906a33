"""Running what docs/doors.md shows: its first piece of code under each heading, and the example scripts."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_snippet(heading: str) -> None:
    """The first Python code under a heading of the page."""
    section = (ROOT / "docs/doors.md").read_text().split(f"\n## {heading}\n")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    exec(compile(code, f"docs/doors.md, {heading}", "exec"), {})


def run_example(monkeypatch: pytest.MonkeyPatch, name: str, arguments: str) -> None:
    """A script of examples/ with the words of `arguments` on its command line."""
    monkeypatch.setattr("sys.argv", [name, *arguments.split()])
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
