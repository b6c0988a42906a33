"""The reference imports nothing that it judges."""

import ast
import sys
from pathlib import Path

import pytest

from veclab import reference
from veclab.reference import maxn, mcts, rules, worlds

MEMORY = "vecgame.memory"  # how much there is, which judges no game


def imports_of(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    kept = {name for name in names if name == MEMORY}
    own = {name for name in names if name.startswith("veclab.reference")}
    return kept | {name.split(".")[0] for name in names - kept - own}


def test_reference_imports_nothing_that_it_judges() -> None:
    for path in Path(reference.__file__).parent.glob("*.py"):
        allowed = set(sys.stdlib_module_names)
        if path.stem in {"network", "batched_evaluator", "measure", "processes", "strategies"}:
            allowed |= {"torch", "net", MEMORY}
        assert imports_of(path) <= allowed, path.name


@pytest.mark.parametrize("module", [rules, worlds, mcts, maxn])
def test_oracle_imports_only_the_standard_library(module):
    tree = ast.parse(Path(module.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    outside = {name.split(".")[0] for name in names if not name.startswith("veclab.reference")}
    assert outside <= set(sys.stdlib_module_names)
