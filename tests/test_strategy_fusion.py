"""The example on determinised search: it runs, it says what it measured, and the coin game shows the finding."""

import sys

import pytest

from tests.doors_docs import run_example


@pytest.mark.slow
def test_the_finding_and_the_chart(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("matplotlib")
    chart = tmp_path / "chart.png"
    arguments = f"--budget 90 --worlds 1,10 --cards 1 --deals 2 --output {chart}"
    run_example(monkeypatch, "strategy_fusion.py", arguments)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    coin = {words[0]: float(words[3]) for words in lines if "coin" in words}
    deep = {words[0]: float(words[-4]) for words in lines if "each" in words}
    assert coin["1x90"] > 90 > 20 > coin["10x9"]  # at an equal budget more worlds help ..
    assert min(deep.values()) > 90  # .. but only because their trees are small
    assert {words[0] for words in lines if "points" in words and "rule-based" in words} == {
        "1x90",
        "10x9",
        "SO-ISMCTS",
        "cheating",
    }
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_a_budget_that_is_not_shared_out_evenly(monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_example(monkeypatch, "strategy_fusion.py", "--budget 90 --worlds 1,7")
    assert capsys.readouterr().err == "error: --worlds must be divisors of the budget 90, got 1,7\n"


def test_another_game_and_what_cannot_be_had(monkeypatch, tmp_path, capsys) -> None:
    pytest.importorskip("matplotlib")
    chart = tmp_path / "chart.png"
    arguments = f"--budget 4 --worlds 2 --game kuhn --rules players=3 --deals 2 --output {chart}"
    run_example(monkeypatch, "strategy_fusion.py", arguments)
    assert "chips a game of kuhn against flat Monte Carlo" in capsys.readouterr().out and chart.exists()
    with pytest.raises(SystemExit, match="2"):
        run_example(monkeypatch, "strategy_fusion.py", "--game heart")
    error = capsys.readouterr().err
    assert "the nearest is hearts" in error and error.count("\n") == 1


def test_a_missing_extra_is_one_line_and_help_needs_none(monkeypatch, capsys) -> None:
    extras = {
        "strategy_fusion.py": ("matplotlib", "plot"),
        "openspiel_cfr.py": ("pyspiel", "openspiel"),
        "gymnasium_actor_critic.py": ("gymnasium", "gymnasium"),
        "pettingzoo_agents.py": ("pettingzoo", "pettingzoo"),
        "torchrl_ppo.py": ("tensordict", "torchrl"),
    }
    for name, (module, extra) in extras.items():
        with monkeypatch.context() as patch:
            for loaded in [name for name in sys.modules if name.startswith("veclab.doors.")]:
                patch.delitem(sys.modules, loaded)
            patch.setitem(sys.modules, module, None)
            run_example(patch, name, "--help")
            assert "usage:" in capsys.readouterr().out
            with pytest.raises(SystemExit, match="2"):
                run_example(patch, name, "")
            error = capsys.readouterr().err  # of that module, or of another of the extra that is not there either
            assert error.endswith(f" is not installed: pip install 'vecgame[{extra}]'\n") and error.count("\n") == 1
