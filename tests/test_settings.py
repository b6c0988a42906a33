"""Settings, their flags, and what the command line says of bad ones."""

import argparse
import dataclasses
import json

import pytest

from veclab.agents.folder import as_named_today
from veclab.going_on import for_resume
from veclab.presets import PRESETS, from_flags
from veclab.setting_flags import add_flags, as_flags
from veclab.settings import Settings
from veclab.training import command as train


def parsed(*arguments: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return vars(parser.parse_args(arguments))


def test_defaults_are_the_documents_workload() -> None:
    settings = from_flags("document", {})
    assert (settings.iterations, settings.games_per_iter, settings.epochs) == (500, 10_000, 10)
    assert (settings.worlds, settings.simulations, settings.batch_size) == (3, 30, 2048)
    assert settings.network == "document" and settings.card_counts() == (5,)


def test_every_setting_is_a_flag_that_is_read() -> None:
    other = {int: "3", float: "0.5", str: "3-4"}
    for field in dataclasses.fields(Settings):
        flag = "--" + field.name.replace("_", "-")
        if field.type is bool:
            assert parsed("--no-" + flag[2:]) == {field.name: False}
        else:
            value = str(field.metadata["choices"][-1]) if "choices" in field.metadata else other[type(field.default)]
            assert parsed(flag, value) == {field.name: type(field.default)(value)}


def test_flags_override_the_preset() -> None:
    settings = from_flags("quick", parsed("--iterations", "7"))
    assert settings.iterations == 7
    assert settings.updates == PRESETS["quick"]["updates"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_learns_by_policy_gradient_and_then_by_search(preset: str) -> None:
    settings = from_flags(preset, {})
    assert settings.learner == "both" and settings.updates > 0 < settings.iterations
    assert from_flags(preset, {"game": "kuhn"}).describe().startswith("kuhn")


def test_a_learner_that_is_not_asked_for_has_no_steps() -> None:
    gradient, search = (from_flags("quick", {"learner": name}) for name in ("policy-gradient", "search"))
    assert (gradient.updates, gradient.iterations) == (PRESETS["quick"]["updates"], 0)
    assert (search.updates, search.iterations) == (0, PRESETS["quick"]["iterations"])


@pytest.mark.parametrize(
    ("learner", "flags", "named"),
    [
        ("search", ["--updates", "5"], "--updates"),
        ("search", ["--entropy", "0", "--update-games", "3"], "--update-games, --entropy"),
        ("policy-gradient", ["--iterations", "5"], "--iterations"),
        ("policy-gradient", ["--chunk-games", "8", "--batch-size", "9"], "--batch-size, --chunk-games"),
    ],
)
def test_settings_of_a_learner_that_is_not_asked_for_are_refused(learner, flags, named, tmp_path, capsys) -> None:
    assert train.main(["--learner", learner, *flags, "--run", str(tmp_path / "run")]) == 2
    error = f"error: {named} would change nothing with --learner {learner}; leave out one or the other\n"
    assert capsys.readouterr().err == error and not (tmp_path / "run").exists()


def test_policy_gradient_still_takes_what_its_networks_are_evaluated_with() -> None:
    given = parsed("--learner", "policy-gradient", "--simulations", "4", "--leaf-values", "world", "--eval-every", "2")
    assert from_flags("document", given).search().simulations == 4


def test_settings_of_earlier_versions_are_read_as_what_they_meant() -> None:
    """They had a warm-up, of no updates at all or of some, in steps of 4,096 decisions judged by the result alone."""
    meant = Settings(updates=7, update_games=64, update_batch=4096, entropy=0.5, gae_lambda=1.0, iterations=3)
    saved = dataclasses.asdict(meant)
    del saved["learner"], saved["update_epochs"], saved["update_batch"], saved["gae_lambda"]
    for new, old in (("updates", "warmup_updates"), ("update_games", "warmup_games"), ("entropy", "warmup_entropy")):
        saved[old] = saved.pop(new)
    assert Settings(**as_named_today(saved)) == meant
    without = as_named_today({**saved, "warmup_updates": 0})
    assert Settings(**without) == dataclasses.replace(meant, learner="search", updates=0)


def test_the_quick_preset_has_a_critic_where_hands_are_hidden() -> None:
    assert from_flags("quick", {}).leaf_values == "world"
    assert from_flags("quick", {"game": "kuhn"}).leaf_values == "mover"
    with pytest.raises(ValueError, match="--leaf-values world is for games of hidden hands, which kuhn is not"):
        from_flags("quick", {"game": "kuhn", "leaf_values": "world"})


def test_card_ranges() -> None:
    assert Settings(cards="3-13").card_counts() == tuple(range(3, 14))
    assert [game.cards for game in Settings(cards="2-4").games()] == [2, 3, 4]


def test_a_repeated_card_count_gets_a_larger_share() -> None:
    assert Settings(cards="1-3,5,5").card_counts() == (1, 2, 3, 5, 5)


def test_reduced_decks() -> None:
    (game,) = Settings(cards="2", suits=2, ranks=4).games()
    assert (game.rules.suits, game.rules.ranks, game.rules.trumps) == (2, 4, ("spades", "hearts", "none"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cards": "14"}, "cards must be an integer from 1 to 13, got 14"),
        ({"cards": "64"}, "--cards must lie within 0-63"),
        ({"cards": "5-3"}, "--cards must lie within"),
        ({"cards": "five"}, "--cards must be a number, a range"),
        ({"cards": "3,,5"}, "--cards must be a number, a range"),
        ({"learner": "gradient"}, "--learner must be one of"),
        ({"updates": 0}, "--updates must be at least 1, got 0; --learner search has none"),
        ({"iterations": 0}, "--iterations must be at least 1, got 0; --learner policy-gradient has none"),
        ({"games_per_iter": 0}, "--games-per-iter must be at least 1"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"average_decay": 1.0}, "--average-decay must be at least 0 and below 1"),
        ({"sampled_share": 1.5}, "--sampled-share must be at least 0 and at most 1"),
        ({"full_share": 0.0}, "--full-share must be above 0 and at most 1"),
        ({"full_share": 1.1}, "--full-share must be above 0 and at most 1"),
        ({"fast_simulations": 0}, "--fast-simulations must be at least 1"),
        ({"full_share": 0.5, "fast_simulations": 30}, "--fast-simulations must be below --simulations, 30, got 30"),
        ({"simulations": 0}, "simulations must be an integer from 1"),
        ({"trump": "gold"}, "trump must be one of"),
        ({"seed": -1}, "--seed must be at least 0 and below"),
        ({"policy_target": "best"}, "--policy-target must be one of"),
        ({"policy_target": "visits", "root_selection": "gumbel"}, "--policy-target visits needs --root-selection puct"),
        ({"network": "huge"}, "--network must be one of"),
        ({"leaf_values": "all"}, "--leaf-values must be one of"),
        ({"leaf_values": "world", "values": 1}, "--leaf-values world needs --values 4"),
        ({"gate": "never"}, "--gate must be one of"),
        ({"gate_error": 0.0}, "--gate-error must be above 0 and below 1"),
        ({"gate_deals": 29}, "--gate-deals must be at least 30"),
        ({"update_rule": "reinforce"}, "--update-rule must be one of"),
        ({"update_rule": "neurd"}, r"--update-rule neurd judges .* it needs --gae-lambda 1, got 0\.5"),
        ({"suits": 1, "ranks": 13}, "deck has 1 suits x 13 ranks"),
    ],
)
def test_bad_settings(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Settings(**change)
    assert "\n" not in str(caught.value)


def test_resume_takes_the_runs_settings_and_names_what_cannot_change() -> None:
    saved = dataclasses.asdict(Settings(seed=4, iterations=3))
    assert for_resume(saved, {"iterations": 9}) == Settings(seed=4, iterations=9)
    assert for_resume(saved, {"seed": 4}) == Settings(seed=4, iterations=3)
    moved = {"device": "cpu", "precision": "int8"}
    assert for_resume(saved, moved) == Settings(seed=4, iterations=3, **moved)
    with pytest.raises(ValueError, match=r"--seed \(run: 4, flag: 5\)"):
        for_resume(saved, {"seed": 5})
    with pytest.raises(ValueError, match=r"--updates \(run: 2000, flag: 5\)"):
        for_resume(saved, {"updates": 5})
    gradient = dataclasses.asdict(Settings(learner="policy-gradient", updates=3))
    assert for_resume(gradient, {"updates": 9}) == Settings(learner="policy-gradient", updates=9)
    with pytest.raises(ValueError, match="--iterations would change nothing with --learner policy-gradient"):
        for_resume(gradient, {"iterations": 9})
    with pytest.raises(ValueError, match="does not know: colour"):
        for_resume({**saved, "colour": 1}, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cards", "14"], "cards must be an integer from 1 to 13, got 14"),
        (["--cards", "5-3"], "a range from low to high, got '5-3'"),
        (["--initial-network", "none.safetensors"], "none.safetensors is not a file"),
        (["--game", "chess"], "there is no game 'chess'; there are blob"),
        (["--device", "tpu"], "device must be 'cpu', 'cuda' or 'cuda:N'"),
        (["--device", "cuda:99"], "device"),
        (["--resume", "no-such-run"], "no-such-run holds no run"),
        (["--resume", "no-such-run", "--preset", "quick"], "leave --run and --preset out"),
    ],
)
def test_command_line_errors_are_one_line(arguments, message, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_help_does_not_say_that_chunks_leave_all_games_alone() -> None:
    """A network's rounding varies with its batch."""
    (told,) = (item.metadata["help"] for item in dataclasses.fields(Settings) if item.name == "chunk_games")
    assert "rounding" in told and "not the games" not in told


@pytest.mark.parametrize("flag", [["--preset", "quikc"], ["--nonsense"], ["--iter", "3"], ["--seed"]])
def test_unknown_flags_get_one_line(flag: list[str], capsys) -> None:
    """Abbreviated ones too, and without the list of all flags."""
    with pytest.raises(SystemExit) as stopped:
        train.main(flag)
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.count("\n") == 1
    assert error.startswith("error: ") and flag[0] in error and error.endswith("(--help lists all flags)\n")


def test_an_unknown_flag_gets_the_nearest(capsys) -> None:
    with pytest.raises(SystemExit):
        train.main(["--simulation", "3"])
    assert "unrecognized arguments: --simulation 3; the nearest is --simulations (" in capsys.readouterr().err


def test_a_run_needs_a_folder(tmp_path, capsys) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        assert train.main(["--run", str(path)]) == 2
        error = capsys.readouterr().err
        assert "file; name a folder" in error and error.count("\n") == 1


def test_a_run_is_not_begun_over_another(tmp_path, capsys) -> None:
    (tmp_path / "config.json").write_text(json.dumps({}))
    assert train.main(["--run", str(tmp_path)]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_flags_give_the_settings_again() -> None:
    settings = Settings(cards="2-4", hook=False, merge_equivalent=True, c_puct=1.25, rules="dealer=rotate", seed=3)
    parser = argparse.ArgumentParser()
    add_flags(parser)
    names = [item.name for item in dataclasses.fields(Settings)]
    assert from_flags("document", vars(parser.parse_args(as_flags(settings, names)))) == settings
    assert as_flags(settings, ("hook", "cards")) == ["--no-hook", "--cards=2-4"]


@pytest.mark.parametrize(
    ("flags", "needed"),
    [
        (["--gate-error", "0.2"], "--gate-error 0.2 would change nothing without --gate test"),
        (["--gate-deals", "90"], "without --gate test"),
        (["--fast-simulations", "3"], "without --full-share below 1"),
        (["--trust", "0.5"], "without --candidates"),
        (["--considered-actions", "4"], "without --root-selection gumbel"),
        (["--root-selection", "gumbel", "--noise-alpha", "0.3"], "without --root-selection puct or shared"),
        (["--noise-fraction", "0", "--noise-alpha", "0.3"], "and a --noise-fraction above 0"),
        (["--game", "hearts", "--merge-equivalent"], "without a game that knows moves that are alike, such as blob"),
        (["--rules", "players=3", "--values", "1", "--tricks-weight", "0.1"], "needs --values 4 in a game of 3 seats"),
    ],
)
def test_what_would_change_nothing_by_itself_is_refused(flags, needed, tmp_path, capsys) -> None:
    assert train.main([*flags, "--run", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert needed in error and error.count("\n") == 1


def test_a_default_that_is_given_is_no_mistake() -> None:
    """As programs give them; with what they need they are taken."""
    assert from_flags("document", {"trust": 0.9, "gate_deals": 250}) == from_flags("document", {})
    assert from_flags("document", {"trust": 0.5, "candidates": 8}).trust == 0.5


def test_short_games_have_settings_of_their_own() -> None:
    """Unless they are given; a run that mixes longer ones has the usual ones, and search none of them."""

    def told(**given: object) -> tuple[float, float, int, int]:
        settings = from_flags("quick", given)
        return settings.gae_lambda, settings.entropy, settings.update_games, settings.update_batch

    assert told(cards="3") == told(cards="1-3") == told(rules="players=3", cards="3") == (1.0, 0.04, 4096, 768)
    assert told(game="kuhn", update_rule="ppo") == told(game="leduc", update_rule="ppo") == (1.0, 0.02, 4096, 768)
    assert told(cards="4") == told(cards="1-4") == told(game="hearts") == (0.5, 0.01, 2048, 1024)
    assert told(cards="3", gae_lambda=0.7, update_games=64) == (0.7, 0.04, 64, 768)
    assert told(cards="3", learner="search") == (0.5, 0.01, 2048, 1024)


def test_short_games_without_tricks_have_a_magnet() -> None:
    """Unless something else is given, or none."""

    def told(**given: object) -> tuple[float, float]:
        settings = from_flags("quick", given)
        return settings.magnet, settings.magnet_rate

    assert told(game="kuhn", update_rule="ppo") == told(game="leduc", entropy=0.02) == (0.5, 0.1)
    assert told(game="kuhn", magnet=0.2) == (0.2, 0.0) and told(game="kuhn", magnet=0.2, magnet_rate=0.3) == (0.2, 0.3)
    assert told(game="kuhn", magnet=0.0) == told(cards="3") == told(game="hearts") == (0.0, 0.0)
    assert told(game="kuhn", learner="search") == (0.0, 0.0)


def test_in_short_games_of_few_cards_with_tricks_all_actions_are_judged() -> None:
    """Unless what is given does not go with that; in others where it is given."""

    def told(**given: object) -> tuple[str, float, int, int, float]:
        settings = from_flags("quick", given)
        names = ("update_rule", "gae_lambda", "update_games", "update_batch", "update_share")
        return tuple(getattr(settings, name) for name in names)

    deck = {"suits": 2, "ranks": 6}
    two, drawn = {"rules": "players=2", "cards": "3", **deck}, ("ppo", 1.0, 4096, 768, 1.0)
    assert told(rules="players=3", cards="2", **deck) == told(rules="players=3", cards="1-2", **deck) == told(**two)
    assert told(rules="players=2", cards="3") == told(rules="players=3", cards="2", suits=1, ranks=13) == drawn
    assert told(cards="2", **deck) == drawn
    assert told(**two) == told(cards="3", update_rule="neurd") == ("neurd", 1.0, 2048, 768, 0.12)
    assert told(game="leduc", update_rule="neurd") == told(**two)
    assert told(**two, update_games=64) == ("neurd", 1.0, 64, 768, 0.12)
    assert told(**two, update_share=0.5) == ("neurd", 1.0, 2048, 768, 0.5)
    assert told(**two, update_rule="ppo") == drawn
    assert told(**two, gae_lambda=0.7) == ("ppo", 0.7, 4096, 768, 1.0)
    assert told(rules="players=2", cards="5", **deck) == told(**two, learner="search") == ("ppo", 0.5, 2048, 1024, 1.0)
    assert told(cards="5", update_rule="neurd", gae_lambda=1.0) == ("neurd", 1.0, 2048, 1024, 1.0)
    with pytest.raises(ValueError, match=r"it needs --gae-lambda 1, got 0\.5$"):
        told(cards="5", update_rule="neurd")


def test_games_that_are_solved_in_a_minute_are() -> None:
    """Without a search after it, unless search is asked for; and not where something that is given is for games that
    are played."""

    def told(**given: object) -> tuple[str, str, int]:
        settings = from_flags("quick", given)
        return settings.update_rule, settings.learner, settings.update_games

    deck, solved = {"suits": 2, "ranks": 4}, ("cfr", "policy-gradient", 16_384)
    assert told(game="kuhn") == told(game="leduc") == told(cards="2", rules="players=3", **deck) == solved
    assert told(game="kuhn", update_games=64) == ("cfr", "policy-gradient", 64)
    settings = from_flags("quick", {"game": "kuhn"})
    assert (settings.update_epochs, settings.update_batch, settings.average_decay) == (1, 1024, 0.99)
    for wanted in ({"learner": "both"}, {"iterations": 2}, {"games_per_iter": 8}):
        assert told(game="kuhn", **wanted) == ("cfr", "both", 16_384)
    assert told(game="kuhn", learner="search")[0] == told(cards="3")[0] == told(game="hearts")[0] == "ppo"
    for wanted in (
        {"entropy": 0.1},
        {"gae_lambda": 0.9},
        {"magnet": 0.1},
        {"update_share": 0.5},
        {"update_rule": "ppo"},
    ):
        assert told(game="leduc", **wanted)[:2] == ("ppo", "both")
    assert told(cards="1", rules="players=2", suits=2, ranks=4, tricks_weight=0.1)[0] == "neurd"
    large = {"cards": "3", "rules": "players=2", "suits": 2, "ranks": 6}
    assert told(**large)[0] == "neurd" and told(**large, update_rule="cfr")[0] == "cfr"  # in minutes


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"game": "kuhn", "update_rule": "cfr", "entropy": 0.1},
            "--entropy 0.1 would change nothing without --update-ru",
        ),
        (
            {"game": "kuhn", "update_rule": "cfr", "magnet": 0.1},
            "--magnet 0.1 would change nothing without --update-rule",
        ),
        ({"cards": "5", "update_rule": "cfr"}, r"too large to enumerate: .* deals, where 3,000,000 are the most"),
        pytest.param(
            {"cards": "3", "suits": 2, "ranks": 6, "update_rule": "cfr"},
            "too large",
            marks=pytest.mark.slow,
            id="nodes",
        ),
        ({"game": "hearts", "update_rule": "cfr"}, "too large to enumerate"),
        ({"cards": "1", "suits": 2, "ranks": 4, "update_rule": "cfr", "tricks_weight": 0.1}, "--tricks-weight is for"),
    ],
)
def test_what_cannot_be_solved_is_refused_in_one_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said) as found:
        from_flags("quick", given)
    assert "\n" not in str(found.value)
