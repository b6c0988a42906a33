"""A CUDA device that is not there, for tests: its tensors say that they are on ``cuda:0`` and compute on the CPU.

    with emulated_gpu() as gpu:
        state = game.deal(6, seed=1, device="cuda")
        ...
    gpu.record.raise_errors()

Every operation on such tensors is looked at on its way (`operations`):

* it is run once for each signature under torch's own rules for CUDA tensors (`rules`), so that mixed devices, dtypes
  and layouts that a GPU would refuse are errors here;
* what makes the host wait for the device is counted by the project's line that did it, and raises where CUDA would
  raise: in a capture, or after ``torch.cuda.set_sync_debug_mode("error")``;
* kernels are counted, by phase of the work if the test names phases (`Record.phase`);
* Triton's kernels are run by its interpreter, and count as one each (`kernels`);
* memory is counted, and runs out where the test says so (`memory`);
* CUDA graphs are captured and replayed on the same memory, streams are kept track of (`graphs`);
* gradients are made by the real formulas of autograd, walked from Python (`autograd`), as its engine wants a driver.

It tells nothing about time, races between streams, or the rounding of the real kernels. Everything that it changes in
torch is put back at the end of the `with` block, except for the device guard (`guard`) that a CPU build of torch is
given once in a process.
"""

import os

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is first imported

from tests.emulated_gpu.gpu import EmulatedGpu, gpu_way, sized
from tests.emulated_gpu.guard import NoCompilerError
from tests.emulated_gpu.install import emulated_gpu
from tests.emulated_gpu.record import EmulationError, Record
from tests.emulated_gpu.tensors import EmulatedTensor

__all__ = [
    "EmulatedGpu",
    "EmulatedTensor",
    "EmulationError",
    "NoCompilerError",
    "Record",
    "emulated_gpu",
    "gpu_way",
    "sized",
]
