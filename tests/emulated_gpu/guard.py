"""A device guard for CUDA in builds of torch that have none.

Before an operation on a CUDA tensor torch makes that tensor's device the current one, by a device guard that only CUDA
builds register. Torch has one that does nothing (`NoOpDeviceGuardImpl`): CUDA builds take it where there is no driver,
CPU builds have to be given it, which takes a few lines of C++.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

SOURCE = """
#include <c10/core/impl/DeviceGuardImplInterface.h>
namespace {
const c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA> guard;
const c10::impl::DeviceGuardImplRegistrar registrar(c10::DeviceType::CUDA, &guard);
}
"""


class NoCompilerError(RuntimeError):
    """This torch has no device guard for CUDA, and there is no C++ compiler to make one."""


@cache
def ensure() -> None:
    """Registers the guard that does nothing, for the life of this process.

    Raises:
        NoCompilerError: when it has to be built and there is no compiler.
        RuntimeError: when the compiler fails.
    """
    if torch.backends.cuda.is_built():
        torch._C._ensureCUDADeviceGuardSet()
    else:
        ctypes.CDLL(str(built()))


def built() -> Path:
    """The shared library with the guard for this version of torch: built once a machine and user."""
    version = hashlib.sha256(f"{torch.__version__} {torch.__path__[0]} {SOURCE}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"vecgame-tests-{os.getuid()}"
    library = folder / f"cuda-guard-{version}.so"
    if not library.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as own:
            compile_guard(Path(own) / "guard.so").replace(library)  # another process may be at it too
    return library


def compile_guard(library: Path) -> Path:
    """Compiles the guard to ``library``."""
    compiler = shutil.which(os.environ.get("CXX", "")) or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise NoCompilerError("emulating a GPU on a CPU build of PyTorch needs a C++ compiler (c++ or g++)")
    root = Path(torch.__path__[0])
    source = library.with_suffix(".cpp")
    source.write_text(SOURCE)
    command = [compiler, "-std=c++20", "-O1", "-shared", "-fPIC", f"-I{root}/include", str(source)]
    command += ["-o", str(library), f"-L{root}/lib", "-lc10"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the device guard of the emulated GPU does not compile:\n{done.stderr}")
    return library
