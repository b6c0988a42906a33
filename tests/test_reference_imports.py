"""The reference imports nothing that it judges."""

import ast
import sys
from pathlib import Path

import pytest

from veclab.reference import maxn, mcts, rules, worlds


@pytest.mark.parametrize("module", [rules, worlds, mcts, maxn])
def test_oracle_imports_only_the_standard_library(module):
    tree = ast.parse(Path(module.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    outside = {name.split(".")[0] for name in names if not name.startswith("veclab.reference")}
    assert outside <= set(sys.stdlib_module_names)
