"""The Triton kernels that inductor writes for compiled simulations: few, and short enough to be compiled in seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="inductor writes Triton code only where the package is")

# Lines of the longest kernel. One of 821 lines, with 13 cards, is the longest that is known to compile in time: the
# whole walk takes Triton 3.6 less than 30 s for sm_90. Unrolled sums make kernels of 1,108 lines (2 cards, PyTorch
# 2.13) and of 2,950 (5 cards, PyTorch 2.11), the latter taking 366 s.
LONGEST = {2: 700, 5: 900, 13: 900}
LAUNCHES = {2: 41, 5: 43, 13: 44}  # of Triton kernels, both graphs


@pytest.mark.parametrize(
    ("cards", "selection"),
    [
        (2, "puct"),
        pytest.param(5, "puct", marks=pytest.mark.slow),
        pytest.param(13, "puct", marks=pytest.mark.slow),
        pytest.param(5, "gumbel", marks=pytest.mark.slow),
        pytest.param(5, "shared", marks=pytest.mark.slow),
    ],
)
def test_kernels_are_few_and_short(cards: int, selection: str) -> None:
    command = [sys.executable, "-m", "tests.generated_code", "--cards", str(cards), "--selection", selection]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [graph["graph"] for graph in found] == ["walk", "finish"]
    assert max(graph["longest"] for graph in found) <= LONGEST[cards]
    assert sum(graph["launches"] for graph in found) <= LAUNCHES[cards]
