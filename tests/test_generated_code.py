"""The Triton kernels that inductor writes for compiled simulations: few, and short enough to be compiled in seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="inductor writes Triton code only where the package is")

# Lines of the longest kernel. Triton 3.6 compiles one of 343 lines (5 cards, PyTorch 2.11) for sm_90 in 1.3 s, and all
# four forms of it that inductor tries in 5 s; the whole walk is 15 s of one core, 45 s in all forms, which are compiled
# side by side. Unrolled sums make it 519 lines with 2 cards; they and kernels of any size made it 2,950 with 5 (366 s).
LONGEST = 450
LAUNCHES = {2: 46, 5: 52, 13: 56}  # of Triton kernels, both graphs

OTHERS = [(2, "puct"), (13, "puct"), (5, "gumbel"), (5, "shared")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cards", "selection"),
    [(5, "puct"), *(pytest.param(*other, marks=pytest.mark.sampled) for other in OTHERS)],
)
def test_kernels_are_few_and_short(cards: int, selection: str) -> None:
    command = [sys.executable, "-m", "tests.generated_code", "--cards", str(cards), "--selection", selection]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [graph["graph"] for graph in found] == ["walk", "finish"]
    assert max(graph["longest"] for graph in found) <= LONGEST
    assert sum(graph["launches"] for graph in found) <= LAUNCHES[cards]
