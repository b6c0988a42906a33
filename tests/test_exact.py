"""How exactly ways of learning play: the comparison's arithmetic by hand, and a small run of its command."""

import json
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from veclab.bench import compared, exact
from veclab.bench.exact import BOTH, DECKS, OPTIONS, USUAL, Played, settings_of, summary

SMALLEST = list(DECKS)[2]
LENGTHS = {"policy-gradient": {"updates": 7}, "search": {"iterations": 3}, "both": {"updates": 7, "iterations": 3}}


def played(gains: list[float]) -> list[Played]:
    return [Played(BOTH, SMALLEST, seed, {"updates": 5}, 10.0, gain) for seed, gain in enumerate(gains)]


def test_an_interval_by_hand() -> None:
    """Of 0.3, 0.5 and 0.7: standard deviation 0.2, and 4.30 * 0.2 / sqrt(3)."""
    (row,) = summary(played([0.3, 0.5, 0.7]))
    assert row["gain"] == pytest.approx(0.5) and row["half"] == pytest.approx(4.30 * 0.2 / 3**0.5)
    assert summary(played([0.3]))[0]["half"] is None


def test_a_run_is_as_long_as_the_time_allows_after_its_start() -> None:
    """By hand: a start of five seconds and half a second each, and twenty seconds more in a process's first; and trials
    that took no longer with more."""
    first = iter((20, *[0] * 2))
    assert compared.fitting(lambda length: next(first) + 5 + 0.5 * length, 120) == 230
    assert compared.fitting(lambda length: 5 + 0.5 * length, 120) == 230
    assert compared.fitting(lambda length: 5 + 0.5 * length, 1) == 1
    assert compared.fitting(lambda length: 2.0, 60) == 120


def test_runs_of_the_same_seed_count_once() -> None:
    """Of a file that holds them, too: they would make the interval smaller than that of the seeds."""
    runs = played([0.3, 0.5, 0.7])
    assert summary([*runs, *played([0.9, 0.9])]) == summary(runs)


def test_a_name_given_twice_is_run_once(monkeypatch, tmp_path) -> None:
    ran = []

    def submit(run, option: str, deck: str, seed: int, seconds: float) -> Future:
        ran.append((option, deck, seed))
        future = Future()
        future.set_result(Played(option, deck, seed, {"updates": 5}, 10.0, 0.1 * seed))
        return future

    monkeypatch.setattr(exact, "workers", lambda jobs: nullcontext(SimpleNamespace(submit=submit)))
    asked = ["--options", *["policy gradient"] * 2, "--decks", *[SMALLEST] * 2, "--seeds", "2"]
    assert exact.main([*asked, "--json", str(tmp_path / "exact.json")]) == 0
    assert sorted(ran) == [("policy gradient", SMALLEST, 1), ("policy gradient", SMALLEST, 2)]
    assert len(json.loads((tmp_path / "exact.json").read_text())["runs"]) == 2


@pytest.mark.parametrize("deck", USUAL)
@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_settings(option: str, deck: str) -> None:
    lengths = LENGTHS[OPTIONS[option]["learner"]]
    settings = settings_of(option, deck, 3, lengths)
    assert {**OPTIONS[option], **lengths}.items() <= vars(settings).items() and settings.seed == 3
    assert settings.games()[0].seats == int(deck[0])
    for unit, count in lengths.items():  # the trial runs of each part
        assert getattr(settings_of(option, deck, 3, {unit: count}), unit) == count


def test_an_option_that_a_game_cannot_have_is_refused_before_anything_is_run(tmp_path, capsys) -> None:
    assert all(settings_of("policy gradient", deck, 1, {"updates": 3}).games() for deck in DECKS)
    asked = ["--options", "policy gradient", "policy gradient, tricks head", "--decks", "Kuhn poker"]
    assert exact.main([*asked, "--json", str(tmp_path / "exact.json")]) == 2
    error = capsys.readouterr().err
    assert error == "error: --tricks-weight is for games of tricks, which kuhn is not\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("flag", "value"), [("--seconds", "inf"), ("--seconds", "nan"), ("--seeds", "0")])
def test_numbers_that_no_run_can_have_are_refused(flag: str, value: str, capsys) -> None:
    assert exact.main([flag, value]) == 2
    assert capsys.readouterr().err == f"error: {flag} must be above 0 and finite, got {value}\n"


@pytest.mark.parametrize(
    ("run", "settings", "said"),
    [
        (Played("of old", SMALLEST, 1, {"updates": 5}, 10.0, 0.1), {}, "'of old: 2 players, 3 cards of 2 x 4', which"),
        (Played(BOTH, "of old", 1, {"updates": 5}, 10.0, 0.1), {}, f"'{BOTH}: of old', which is no option here"),
        (played([0.1])[0], None, "does not say by which settings"),
        (played([0.1])[0], {**exact.shared_by(played([0.1])[0]), "gae_lambda": 0.5}, "gae_lambda (file: 0.5, here: "),
    ],
)
def test_other_runs_are_not_gone_on_with(run, settings, said, tmp_path, capsys) -> None:
    """Of options that are no more, or whose settings have changed, or were not kept in earlier versions."""
    out = tmp_path / "exact.json"
    stored = {"asked": 2.0, "runs": [asdict(run)], "settings": {exact.label_of(run): settings}}
    out.write_text(json.dumps(stored))
    assert exact.main(["--options", BOTH, "--seconds", "2", "--json", str(out)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith(f"error: {out}") and error.count("\n") == 1


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
