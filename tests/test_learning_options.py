"""Runs with the options of learning switched on: they do something, and go on exactly where they were stopped."""

import pytest

from tests.runs import changed, metrics_of, quiet, same, tensors_of
from veclab.training.run import Run

OPTIONS = {
    "cap and suits": {"full_share": 0.5, "fast_simulations": 2, "augment_suits": True},
    "tricks": {"tricks_weight": 0.3, "average_decay": 0.9},
    "critic": {"leaf_values": "world"},
}
# What their heads leave in a checkpoint and in the metrics.
TRACES = {
    "tricks": ("replay.tricks", "net.tricks_out.bias", "tricks_loss"),
    "critic": ("replay.hidden", "net.critic_out.bias", "critic_loss"),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.slow
def test_a_run_stopped_after_policy_gradient_and_after_an_iteration_goes_on_exactly(
    tmp_path, monkeypatch, name
) -> None:
    settings = changed(**OPTIONS[name], device="cpu", cards="2", games_per_iter=6, updates=1)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    Run.create(whole, settings, quiet()).train(judge=False)
    run = Run.create(parts, settings, quiet())
    for stage in ("_policy_gradient", "_iterate"):
        monkeypatch.setattr(run, stage, stopping_after(run, getattr(run, stage)))
        monkeypatch.setattr(run, "save_if_due", run.check)
        assert run.train() is None
        assert not same(whole, parts)
        run = Run.resume(parts, settings, quiet())
    assert run.train(judge=False) is not None
    assert same(whole, parts) and metrics_of(whole) == metrics_of(parts)
    tensors, entry = tensors_of(whole), metrics_of(whole)[1]
    for option, traces in TRACES.items():
        assert all((trace in tensors or trace in entry) == (name == option) for trace in traces), option


def stopping_after(run: Run, work):
    """The work, and then what Ctrl+C does."""

    def both() -> None:
        work()
        run.stopping = True

    return both
