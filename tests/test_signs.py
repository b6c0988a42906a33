"""What a run says when its network comes to nothing without any figure's being NaN."""

from pathlib import Path

import pytest
import torch

from net import BlobNet, NetConfig
from tests.runs import changed, metrics_of, quiet
from tests.test_exploit import beginner, exploiter
from vecgame import Blob, Kuhn
from veclab.precision import positions
from veclab.training.run import Run
from veclab.training.signs import COLLAPSED, SETTLED, Signs, spread_of

SMALL = NetConfig(dim=32, layers=2, heads=2, ffn=64, policy_hidden=32, value_hidden=16)


def said_by(signs: Signs) -> str:
    return " ".join(signs.display.console.file.getvalue().split())


def blind(net: BlobNet) -> BlobNet:
    """The network with nothing of a position in it."""
    with torch.no_grad():
        net.embed.weight.zero_()
    return net


def test_spread_tells_a_network_that_sees_from_one_that_does_not() -> None:
    observations = positions([Blob(cards=2)], 300)
    net = BlobNet(SMALL)
    some = observations[::5]  # 60 of 300, as 64 would be more than every fifth
    assert spread_of(net, observations) == pytest.approx(float(net.encode(some).detach().std(0).mean()))
    assert spread_of(net, observations) > 0.2 and spread_of(net, observations.half()) > 0.2
    assert spread_of(net, observations[:1]) is None and spread_of(net, observations[:1].expand(9, -1)) is None
    assert spread_of(net, observations[:0]) is None
    assert spread_of(blind(net), observations) < 1e-4


def test_each_sign_is_said_once() -> None:
    signs = Signs(quiet())
    signs.look_at_entropy(SETTLED, "1 update")
    signs.look_at_spread(COLLAPSED, 1e-3, "1 update")
    signs.look_at_spread(None, 1e-3, "1 update")
    assert said_by(signs) == ""
    for number in (2, 3):
        signs.look_at_entropy(0.0012, f"{number} updates")
        signs.look_at_spread(0.003, 1e-3, f"{number} updates")
    said = said_by(signs)
    assert said.startswith("after 2 updates the policy takes one action nearly everywhere (entropy 0.0012)")
    assert (
        "after 2 updates the network answers nearly the same in all positions (its encoder's outputs differ by 0.0030,"
        in said
    )
    assert said.endswith("begin anew with a smaller --learning-rate than 0.001") and "3 updates" not in said


def test_a_network_that_recovers_is_told_of_too() -> None:
    signs = Signs(quiet())
    for number, spread in enumerate((0.003, None, 0.05, 0.18, 0.2, 0.01, 0.01), start=1):
        signs.look_at_spread(spread, 2e-3, f"{number} updates")
    said = said_by(signs)
    assert [number for number in range(1, 8) if f"after {number} updates" in said] == [1, 4, 6]
    assert "after 4 updates the network tells positions apart again (by 0.18)" in said


@pytest.mark.parametrize(
    ("learned", "of", "said"),
    [
        ({"learner": "policy-gradient", "updates": 1}, "update", "after 1 update the network"),
        ({"learner": "search", "iterations": 1}, "iteration", "after 1 iteration the network"),
        (
            {"learner": "policy-gradient", "updates": 1, "imitated_games": 20},
            "update",
            "after 20 imitated games the network",
        ),
    ],
)
def test_a_run_says_when_its_network_has_collapsed(learned: dict, of: str, said: str, tmp_path: Path) -> None:
    """And its metrics have by how much the network tells positions apart."""
    for sees in (True, False):
        run = Run.create(tmp_path / str(sees), changed(**learned, learning_rate=1e-9), quiet())
        if not sees:
            blind(run.learner.net)
            if run.imitation is not None:
                blind(run.imitation.student.net)
        run.train(judge=False)
        text = " ".join(run.display.console.file.getvalue().split())
        assert text.count(said) == (not sees) and text.count("answers nearly the same") == (not sees)
        (entry,) = [entry for entry in metrics_of(run.folder) if entry["kind"] == of]
        assert (entry["spread"] > COLLAPSED) == sees


def test_an_exploiter_says_so_too() -> None:
    """Whose curve would else be that of one for which there is nothing to be found."""
    game, display = Kuhn(), quiet()
    terms = {"minutes": None, "update_games": 16, "every": 1, "curve_deals": 2, "critic_updates": 0}
    for sees in (True, False):
        learner = exploiter(game, beginner(game), updates=2, learning_rate=1e-9, **terms)
        if not sees:
            blind(learner.learner.net)
        list(learner.learn(display))
        said = " ".join(display.console.file.getvalue().split())
        assert said.count("after 1 update the network answers nearly the same") == (not sees)
    assert said.count("nearly the same") == 1 and "than 1e-09" in said


@pytest.mark.parametrize("learner", ["policy-gradient", "search"])
def test_what_was_learned_is_saved_though_nobody_reads_the_sign(learner: str, tmp_path: Path, monkeypatch) -> None:
    """As where the output's reader has gone: by then the step has been made and written down."""
    settings = changed(learner=learner, learning_rate=1e-9)
    run = Run.create(tmp_path / "run", settings, quiet())
    blind(run.learner.net)

    def unread(text: str, **_: bool) -> None:
        if "nearly the same" in text:
            raise BrokenPipeError

    monkeypatch.setattr(run.display, "line", unread)
    with pytest.raises(BrokenPipeError):
        run.train(judge=False)
    made = (1, 0) if learner == "policy-gradient" else (0, 1)
    assert run.progress == Run.resume(run.folder, settings, quiet()).progress == made
