"""How exactly ways of learning play: the comparison's arithmetic by hand, and a small run of its command."""

import json

import pytest

from veclab.bench import exact
from veclab.bench.exact import BOTH, DECKS, OPTIONS, Played, settings_of, summary

SMALLEST = list(DECKS)[2]
LENGTHS = {"policy-gradient": {"updates": 7}, "search": {"iterations": 3}, "both": {"updates": 7, "iterations": 3}}


def played(gains: list[float]) -> list[Played]:
    return [Played(BOTH, SMALLEST, seed, {"updates": 5}, 10.0, gain) for seed, gain in enumerate(gains)]


def test_an_interval_by_hand() -> None:
    """Of 0.3, 0.5 and 0.7: standard deviation 0.2, and 4.30 * 0.2 / sqrt(3)."""
    (row,) = summary(played([0.3, 0.5, 0.7]))
    assert row["gain"] == pytest.approx(0.5) and row["half"] == pytest.approx(4.30 * 0.2 / 3**0.5)
    assert summary(played([0.3]))[0]["half"] is None


@pytest.mark.parametrize("deck", DECKS)
@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_settings(option: str, deck: str) -> None:
    lengths = LENGTHS[OPTIONS[option]["learner"]]
    settings = settings_of(option, deck, 3, lengths)
    assert {**OPTIONS[option], **lengths}.items() <= vars(settings).items() and settings.seed == 3
    assert settings.games()[0].seats == int(deck[0])
    for unit, count in lengths.items():  # the trial runs of each part
        assert getattr(settings_of(option, deck, 3, {unit: count}), unit) == count


@pytest.mark.slow
def test_runs_are_kept_and_not_repeated(tmp_path, capsys) -> None:
    out = tmp_path / "exact.json"
    flags = ["--options", "policy gradient", "--decks", SMALLEST, "--seconds", "2", "--seeds", "1", "--json", str(out)]
    assert exact.main(flags) == 0 and "policy gradient" in capsys.readouterr().out
    stored = json.loads(out.read_text())
    (run,) = stored["runs"]
    assert 0 < run["gain"] < 10 and run["seconds"] > 0 and stored["results"][0]["gain"] == run["gain"]
    assert exact.main(flags) == 0 and json.loads(out.read_text())["runs"] == [run]
    assert exact.main([*flags, "--seconds", "3"]) == 2
    assert "has runs of 2.0 seconds, not 3.0" in capsys.readouterr().err
    out.write_text("{}")
    assert exact.main(flags) == 2 and "holds no runs of this comparison" in capsys.readouterr().err
