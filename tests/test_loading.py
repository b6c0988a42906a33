"""Files of one's own that import others beside them."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from vecgame import loading

PARENT = "class Parent:\n    number = {number}\n"
CHILD = """from {parent} import *

class Child(Parent):
    def later(self):
        import {later}
        return {later}.WORD
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that is not the current one; what is loaded from it is forgotten."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, empty in (("_modules", {}), ("_folders", set())):
        monkeypatch.setattr(loading, name, empty)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


def write(folder: Path, number: int = 1, parent: str = "one_parent", later: str = "one_later") -> str:
    """A file that imports two beside it, one of them later; the address of its class."""
    folder.mkdir(exist_ok=True)
    (folder / f"{parent}.py").write_text(PARENT.format(number=number))
    (folder / f"{later}.py").write_text(f"WORD = 'word {number}'\n")
    (folder / "one_child.py").write_text(CHILD.format(parent=parent, later=later))
    return f"{folder / 'one_child.py'}:Child"


def test_files_beside_one_are_imported_when_it_is_loaded_and_later(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        child = loading.load(write(folder))
    assert child.number == 1 and child().later() == "word 1"
    assert loading.load(f"{folder / 'one_parent.py'}:Parent") is child.__mro__[1]  # which is the same module


def test_other_processes_load_it_by_its_address_from_wherever_they_run(folder: Path) -> None:
    code = f"from vecgame.loading import load; print(load({write(folder)!r})().later())"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == "word 1\n" and done.stderr == ""


def test_what_is_installed_comes_first_and_a_warning_says_so(folder: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"one_child.py imports colorsys, which is .*colorsys.py and not the file beside"
    ):
        child = loading.load(write(folder, later="colorsys"))
    import colorsys

    assert not hasattr(colorsys, "WORD") and child.number == 1


def test_a_file_is_not_given_another_one_of_that_name(folder: Path) -> None:
    loading.load(write(folder / "a"))
    with pytest.raises(ValueError, match=r"imports one_\w+, which is another file of that name: .*/a/one_"):
        loading.load(write(folder / "b", number=2))
    assert loading.load(f"{folder / 'a' / 'one_child.py'}:Child").number == 1


def test_a_file_that_is_no_python_is_refused_in_one_line(folder: Path) -> None:
    (folder / "wrong.py").write_text("class (")
    with pytest.raises(ValueError, match=r"wrong.py cannot be loaded: SyntaxError: .*"):
        loading.load(f"{folder / 'wrong.py'}:Wrong")
