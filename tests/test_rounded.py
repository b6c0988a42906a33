"""Networks kept in half the size."""

import torch

from net import InferenceNet
from tests.runs import changed, quiet
from vecgame import Blob
from veclab.agents.checkpoint import load_metadata, load_network, save_tensors
from veclab.agents.networks import newest_network
from veclab.agents.rounded import main
from veclab.training.run import Run


def test_a_rounded_network_is_nearly_the_whole_one(tmp_path, capsys) -> None:
    """The newest of a run, with the games that it is for; rounding twice changes nothing."""
    run, target = tmp_path / "run", tmp_path / "agent.safetensors"
    Run.create(run, changed(learner="policy-gradient", updates=1, cards="2"), quiet()).train(judge=False)
    whole = newest_network(run)
    assert main([str(run), str(target)]) == 0
    assert target.stat().st_size < 0.6 * whole.stat().st_size
    assert load_metadata(target)["games"] == load_metadata(whole)["games"]
    observation = Blob(cards=2).observe(Blob(cards=2).deal(5))
    rounded, other = (InferenceNet(load_network(path), dtype=torch.float32) for path in (target, whole))
    torch.testing.assert_close(rounded(observation), other(observation), rtol=0, atol=0.02)
    assert main([str(target), str(tmp_path / "again")]) == 0
    again, once = (load_network(path).state_dict() for path in (tmp_path / "again", target))
    assert all(torch.equal(again[name], tensor) for name, tensor in once.items())


def test_what_is_no_network_is_one_line(tmp_path, capsys) -> None:
    save_tensors(tmp_path / "other", {"x": torch.zeros(1)}, {})
    assert main([str(tmp_path / "other"), str(tmp_path / "out")]) == 2
    assert "holds no network" in capsys.readouterr().err and not (tmp_path / "out").exists()
