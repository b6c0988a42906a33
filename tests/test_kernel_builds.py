"""The kernels of searches, built for GPUs that are not there: small enough to be built within seconds, and with no more
registers than a thread can have beside enough others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton builds the kernels, and brings NVIDIA's assembler")

# Of a thread; with 80 a multiprocessor has room for 6 programs of 128 threads.
REGISTERS = {"descend_kernel": 80, "back_up_kernel": 40, "grow_kernel": 80, "settle_kernel": 80, "observe_kernel": 80}
REGISTERS |= {"measure_kernel": 40, "deal_kernel": 96}
# The network's program is alone on its multiprocessor, and keeps what a loop does not change in memory around it.
REGISTERS |= {"live_kernel": 64, "evaluate_kernel": 255}
SPILLED = {"evaluate_kernel": 1400}  # bytes of a thread
SHARED = {90: 227 * 1024, 89: 99 * 1024}  # bytes that a program may have
# What the seconds of building a kernel go with, 3 to 9 of a core for each of the three largest: its operations in
# Triton's language, with their square in one stage, and the instructions that NVIDIA's assembler gets.
OPERATIONS, INSTRUCTIONS = 2000, 9000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "cards", "others"), [(90, 5, []), (89, 5, []), (89, 13, ["--float8"]), (90, 13, ["--float8"])]
)
def test_kernels_are_small_and_spill_nothing(capability: int, cards: int, others: list[str]) -> None:
    """The network's, which holds its rows from layer to layer, spills a little around its loops."""
    command = [sys.executable, "-m", "tests.kernel_builds", "--capabilities", str(capability), "--cards", str(cards)]
    command += others
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["kernel"] for row in found} == set(REGISTERS)
    assert not [row for row in found if row["registers"] > REGISTERS[row["kernel"]]]
    assert not [row for row in found if row["spilled"] > SPILLED.get(row["kernel"], 0)]
    assert not [row for row in found if row["shared"] > SHARED[capability]]
    assert not [row for row in found if row["operations"] > OPERATIONS or row["instructions"] > INSTRUCTIONS]
