"""The emulated GPU itself: what it must refuse, count and replay, or the tests that run on it would prove nothing."""

import copy
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from net import PRESETS, BlobNet
from tests.emulated_gpu import (
    EmulatedGpu,
    EmulatedTensor,
    EmulationError,
    NoCompilerError,
    emulated_gpu,
    guard,
    launches,
)
from vecgame import Blob, cards

pytestmark = pytest.mark.gpu
CAPTURE_FAILED = "operation failed due to a previous error during capture"


@pytest.fixture(autouse=True)
def emulation(gpu: EmulatedGpu | None) -> EmulatedGpu:
    if gpu is None:
        pytest.skip("there is a real CUDA device")
    return gpu


def errors_of(gpu: EmulatedGpu) -> str:
    """The errors so far, which are then forgotten, so that the test does not fail by them."""
    with pytest.raises(EmulationError) as caught:
        gpu.record.raise_errors()
    gpu.record.errors.clear()
    return str(caught.value)


# --- tensors and rules ---


def test_its_tensors_say_where_they_are_and_compute() -> None:
    x = torch.arange(6, device="cuda").view(2, 3)
    assert isinstance(x, EmulatedTensor) and x.is_cuda and x.device == torch.device("cuda:0")
    assert (x * 2).sum(1).tolist() == [6, 24] and int(x[1, 2]) == 5
    assert torch.equal(x.cpu(), torch.arange(6).view(2, 3)) and not x.cpu().is_cuda
    x[0] = 7
    assert x.cpu().tolist() == [[7, 7, 7], [3, 4, 5]]
    assert torch.tensor([1.5], device="cuda").is_cuda and torch.zeros(2).cuda().is_cuda
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        x.numpy()
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.zeros(1, device="cuda:1")


def test_devices_that_do_not_mix_are_an_error(emulation: EmulatedGpu) -> None:
    x = torch.ones(3, device="cuda")
    x + 1, x + torch.tensor(1.0)  # numbers of the host may be mixed in
    emulation.record.raise_errors()
    x + torch.ones(3)
    message = errors_of(emulation)
    assert "aten.add.Tensor at tests/test_emulated_gpu.py:" in message and "devices" in message
    torch.equal(x, torch.ones(3))
    torch.cat([x, torch.ones(3)])
    assert errors_of(emulation).count("\n") == 2


def test_layouts_that_a_gpu_refuses_are_an_error(emulation: EmulatedGpu) -> None:
    a = torch.ones(16, 32, device="cuda").to(torch.float8_e4m3fn)
    one = torch.ones((), device="cuda")
    torch._scaled_mm(a, a.t(), one, one, out_dtype=torch.float32)
    emulation.record.raise_errors()
    torch._scaled_mm(a, a.t().contiguous(), one, one, out_dtype=torch.float32)
    assert "_scaled_mm" in errors_of(emulation)


@pytest.mark.slow
def test_errors_fail_the_test_that_made_them(pytester_run) -> None:
    done = pytester_run(
        "@pytest.mark.gpu\ndef test_mixed():\n    torch.ones(3, device='cuda') + torch.ones(3)\n"
        "@pytest.mark.gpu\ndef test_after():\n    torch.ones(3, device='cuda') + 1\n"
        "@pytest.mark.gpu(emulated=False, reason='needs a clock')\ndef test_skipped():\n    assert False\n"
        "def test_ordinary(gpu):\n    assert gpu is None and not torch.cuda.is_available()\n"
    )
    assert "2 passed" in done and "1 failed" in done and "1 skipped" in done
    assert "a GPU would not do this" in done and "needs a real CUDA device: needs a clock" in done


@pytest.fixture
def pytester_run(tmp_path):
    """Runs some tests under the project's conftest: the run's output."""

    def run(source: str) -> str:
        (tmp_path / "test_it.py").write_text("import pytest, torch\n" + source)
        command = [sys.executable, "-m", "pytest", "-n", "0", "-rs", "--rootdir=.", "-c", "pyproject.toml", "-p"]
        command += ["tests.conftest", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True).stdout

    return run


# --- waits ---


def test_waits_are_counted_by_line(emulation: EmulatedGpu) -> None:
    x = torch.arange(4, device="cuda")
    emulation.record.clear()
    x.sum().item()
    x[x > 1]
    x.tolist()
    x.cpu()
    x + 1
    x.nonzero()
    torch.cuda.synchronize()
    assert emulation.record.waits.total() == 6
    assert all(where.startswith("tests/test_emulated_gpu.py:") for where, _ in emulation.record.waits)


def test_the_debug_mode_raises_on_waits(emulation: EmulatedGpu) -> None:
    x = torch.arange(4, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    assert torch.cuda.get_sync_debug_mode() == 2
    x.index_select(0, x) + 1
    for waits in (x.sum().item, x.nonzero, x.cpu, lambda: torch.tensor(1, device="cuda"), lambda: bool(x[0] > 1)):
        with pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
            waits()
    torch.cuda.set_sync_debug_mode("default")
    assert x.sum().item() == 6
    with pytest.raises(RuntimeError, match="invalid value of debug_mode"):
        torch.cuda.set_sync_debug_mode("loud")


def test_kernels_are_counted_by_phase(emulation: EmulatedGpu) -> None:
    record = emulation.record
    record.clear()
    x = torch.empty(4, device="cuda")
    x.fill_(1).view(2, 2)[0]
    with record.phase("outer"):
        x + 1
        with record.phase("inner"):
            x.mul_(2).sum()
        x + 1
    assert record.by_phase() == {"other": 1, "outer": 2, "inner": 2} and record.launches == 5


@pytest.mark.slow
def test_a_searchs_kernels_do_not_depend_on_the_number_of_games(emulation: EmulatedGpu) -> None:
    few, more = (launches.search_launches(emulation, 1, 2, games, worlds=2) for games in (2, 5))
    assert few == more and few.keys() == launches.PHASES.keys() | {"other"}


# --- memory ---


def test_memory_is_counted_and_given_back(emulation: EmulatedGpu) -> None:
    before = torch.cuda.memory_allocated()
    x = torch.zeros(1000, device="cuda")
    view = x[:10]
    assert torch.cuda.memory_allocated() - before == 4096
    del x
    assert torch.cuda.memory_allocated() - before == 4096
    del view
    assert torch.cuda.memory_allocated() == before and torch.cuda.max_memory_allocated() >= before + 4096
    emulation.memory.total = 1 << 20
    emulation.memory.taken_by_others = 1 << 19
    assert torch.cuda.mem_get_info() == ((1 << 19) - before, 1 << 20)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        torch.zeros(1 << 20, device="cuda")


def test_memory_runs_out_where_the_test_says_so(emulation: EmulatedGpu) -> None:
    emulation.memory.fail_at = 2
    torch.zeros(1, device="cuda")
    with pytest.raises(torch.OutOfMemoryError):
        torch.zeros(1, device="cuda")
    torch.zeros(1, device="cuda")
    emulation.memory.limit = emulation.memory.allocated + 1024
    kept = torch.zeros(256, device="cuda")
    with pytest.raises(torch.OutOfMemoryError):
        torch.zeros(256, device="cuda")
    del kept
    torch.zeros(256, device="cuda")


# --- gradients ---


@pytest.mark.parametrize(("dtype", "share"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-2)])
def test_gradients_are_the_cpus(dtype: torch.dtype, share: float) -> None:
    """Of a network with and without autocast (which has other lists of operations there), added up over two losses."""
    torch.manual_seed(0)
    here = BlobNet(PRESETS["small"])
    there = copy.deepcopy(here).to("cuda")
    rows = torch.rand(5, 256)
    for net, x in ((here, rows), (there, rows.to("cuda"))):
        for _ in range(2):
            with torch.autocast(x.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                logits, values = net(x)
            (logits.float().square().mean() + values.float().sum()).backward()
    for ours, theirs in zip(there.parameters(), here.parameters(), strict=True):
        assert ours.grad.is_cuda
        assert (ours.grad.cpu() - theirs.grad).norm() <= share * theirs.grad.norm()


def test_gradients_of_broadcasts_and_of_operations_with_several_results() -> None:
    grads = []
    for device in ("cpu", "cuda"):
        w = torch.arange(1.0, 4.0, device=device).requires_grad_()
        b = nn.Parameter(torch.ones(2, 1, device=device))
        first, second, _ = (w * b).exp().unbind(1)
        largest, _ = torch.stack([first * second, second]).max(0)
        (largest * b).sum().backward()
        grads.append([w.grad.cpu(), b.grad.cpu()])
    for ours, theirs in zip(*grads, strict=True):
        assert torch.allclose(ours, theirs)


# --- graphs and streams ---


def captured(work, graph=None, **options: object) -> torch.cuda.CUDAGraph:
    graph = graph or torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, **options):
        work()
    return graph


def test_a_replay_works_on_the_same_memory(emulation: EmulatedGpu) -> None:
    x, results = torch.arange(4.0, device="cuda"), []
    graph = captured(lambda: results.append((x + 1).cumsum(0)[1:]))
    x.copy_(torch.tensor([10.0, 0, 0, 0]))
    launches = emulation.record.launches
    graph.replay()
    assert results[0].tolist() == [12, 13, 14]
    assert emulation.record.replays == 1 and emulation.record.launches == launches
    x.zero_()
    graph.replay()
    assert results[0].tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x.to("cpu"),
        lambda x: x.copy_(torch.zeros(4)),
        lambda x: torch.tensor(1.0, device="cuda"),
        lambda x: torch.cuda.synchronize(),
        lambda x: torch.cuda.current_stream().synchronize(),
    ],
)
def test_a_wait_breaks_a_capture_and_leaves_its_stream_the_current_one(wait) -> None:
    x = torch.zeros(4, device="cuda")
    before = torch.cuda.current_stream()
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    with pytest.raises(RuntimeError, match=CAPTURE_FAILED) as caught:
        captured(lambda: wait(x), graph, pool=pool)
    assert "stream is capturing" in str(caught.value.__context__) or "graph capture" in str(caught.value.__context__)
    assert torch.cuda.current_stream() is not before
    assert not torch.cuda.is_current_stream_capturing()
    torch.cuda.set_stream(before)
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        graph.replay()
    with pytest.raises(RuntimeError, match="already recording to mempool_id"):
        captured(lambda: x + 1, pool=pool)
    torch.cuda.set_stream(before)
    captured(lambda: x + 1).replay()
    assert torch.cuda.current_stream() is before


def test_nothing_goes_on_in_a_broken_capture() -> None:
    x = torch.zeros(4, device="cuda")
    graph, side = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with pytest.raises(RuntimeError, match="non-default stream"):
        graph.capture_begin()
    with torch.cuda.stream(side):
        graph.capture_begin(capture_error_mode="thread_local")
        with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
            x.sum().item()
        with pytest.raises(RuntimeError, match=CAPTURE_FAILED):
            x + 1
        with pytest.raises(RuntimeError, match=CAPTURE_FAILED):
            graph.capture_end()
    assert torch.cuda.current_stream() is torch.cuda.default_stream()
    assert int(x.sum()) == 0


def test_work_on_another_stream_is_not_captured() -> None:
    x, y, side = torch.zeros(4, device="cuda"), torch.zeros(4, device="cuda"), torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())

    def work() -> None:
        x.add_(1)
        with torch.cuda.stream(side):
            y.add_(10)

    graph = captured(work)
    assert x.tolist() == [0] * 4 and y.tolist() == [10] * 4
    graph.replay()
    assert x.tolist() == [1] * 4 and y.tolist() == [10] * 4


def test_a_capture_does_nothing_itself() -> None:
    """Nor do the changes that it makes in views, and in several tensors at once."""
    x, y = torch.zeros(4, device="cuda"), [torch.ones(2, device="cuda"), torch.ones(1, device="cuda")]

    def work() -> None:
        x[1:].add_(x[0] + 1)
        torch._foreach_mul_(y, 3.0)
        x[:1].copy_(y[1])

    graph = captured(work)
    assert x.tolist() == [0] * 4 and y[0].tolist() == [1, 1] and y[1].tolist() == [1]
    for _ in range(2):
        graph.replay()
    assert x.tolist() == [9, 5, 5, 5] and y[0].tolist() == [9, 9] and y[1].tolist() == [9]


def test_the_rate_of_a_recorded_optimiser_is_a_number_on_the_gpu(emulation: EmulatedGpu) -> None:
    """Which torch has no rule for."""
    weight = nn.Parameter(torch.ones(3, device="cuda"))
    weight.grad = torch.ones(3, device="cuda")
    for rate in (torch.tensor(0.5, device="cuda"), torch.tensor(0.5, dtype=torch.float64, device="cuda")):
        torch.optim.AdamW([weight], lr=rate, fused=True, weight_decay=0.0).step()
    assert "lr must be a number of float32 on the GPU, not torch.float64" in errors_of(emulation)


def test_pools_hold_the_largest_graph_and_end_with_the_last(emulation: EmulatedGpu) -> None:
    x = torch.zeros(1024, device="cuda")
    pool = torch.cuda.graph_pool_handle()
    small = captured(lambda: x + 1, pool=pool)
    large = captured(lambda: [x + 1, x + 2], pool=pool)
    assert small.pool() == large.pool() == pool and emulation.memory.pooled == 8192
    assert torch.cuda.memory_reserved() == torch.cuda.memory_allocated() + 8192
    del large
    assert emulation.memory.pooled == 4096
    small.reset()
    assert emulation.memory.pooled == 0
    with pytest.raises(RuntimeError, match="INTERNAL ASSERT"):
        captured(lambda: x + 1, pool=pool)


# --- the installation ---


def test_threads_that_begin_meanwhile_have_it() -> None:
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(lambda: torch.zeros(2, device="cuda") + 1).result()
    assert made.is_cuda and made.tolist() == [1, 1]


@pytest.mark.slow
def test_all_of_it_is_put_back() -> None:
    """In a process of its own, as this test is under an emulation itself."""
    script = "from tests.emulated_gpu import emulated_gpu, install\nimport torch\n"
    script += "owners = [torch.cuda, torch.cuda.graph, torch._C, torch.Tensor, torch.optim.Optimizer]\n"
    script += "before = [dict(vars(owner)) for owner in owners]\n"
    script += "with emulated_gpu():\n    assert torch.cuda.is_available()\n"
    script += "    assert [dict(vars(owner)) for owner in owners] != before\n"
    script += "assert [dict(vars(owner)) for owner in owners] == before and not torch.cuda.is_available()\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_tables_of_the_emulation_are_dropped_with_it() -> None:
    """Within a test's emulation none other can begin; its end is seen from what the next begins with."""
    Blob(cards=2).observe(Blob(cards=2).deal(3, 1, "cuda"))
    assert any(table.cache_info().currsize for table in vars(cards).values() if hasattr(table, "cache_info"))
    with pytest.raises(RuntimeError, match="there is a CUDA device already"), emulated_gpu():
        pass


def test_a_missing_compiler_is_said(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NoCompilerError, match=r"needs a C\+\+ compiler"):
        guard.compile_guard(tmp_path / "guard.so")
