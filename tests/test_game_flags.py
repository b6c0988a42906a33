"""A game that flags name: kept in one way, found again from every folder, and refused in one line where it is none."""

import dataclasses
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from net import BlobNet
from tests.every_game import EVERY, Named
from tests.runs import changed, quiet
from vecgame import GAMES, Blob, HandGame, Whist, default_rules, game_class, identity, loading, make_game
from veclab.agents.checkpoint import save_network
from veclab.agents.folder import read_config
from veclab.agents.networks import load_agent, network_config, other_rules, settings_for
from veclab.game_flags import (
    DEFAULTS,
    canonical,
    counts_text,
    flags_of,
    games_of,
    is_named,
    overlaid,
    read_counts,
    read_rules,
    rules_text,
)
from veclab.going_on import for_restart, for_resume
from veclab.presets import from_flags
from veclab.settings import Settings
from veclab.training import command as train
from veclab.training import judge
from veclab.training.run import Run

TEXTS = (
    "",
    "x",
    "-1",
    "0",
    "1",
    "3.5",
    "99",
    "1e9",
    "nan",
    "-inf",
    "true",
    "none",
    "1_0",
    "9" * 30,
    "a.py:b",
    "os:path",
)
SLOW_TO_MAKE = [pytest.param(name, marks=pytest.mark.slow) for name in ("spades", "spades-match")]
VALUES = ("5", 2.5, None, [], float("nan"), -1, 10**30, True, b"x", len, 1.0)


@pytest.mark.parametrize("named", EVERY, ids=str)
def test_one_way_to_name_a_game(named: Named, own_games) -> None:
    """The flags that are kept are a fixed point, and the game comes back from them and from what it says it is."""
    kept = canonical({**DEFAULTS, "game": named.game, "rules": named.rules})
    assert canonical(kept) == kept
    games = games_of(kept)
    assert games == (named.make(),) and flags_of(games) == kept


def test_a_game_of_a_file_is_found_from_every_folder(own_games, monkeypatch) -> None:
    whole = [
        Settings(game=name).game for name in ("polignac.py:Polignac", "polignac.py", "polignac:Polignac", "polignac")
    ]
    assert set(whole) == {f"{own_games / 'polignac.py'}:Polignac"}
    monkeypatch.chdir("/")
    assert Settings(game=whole[0]).games()[0].name == "polignac"


def test_a_scoring_of_a_file_is_found_from_every_folder(tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.py").write_text("def points(bids, won):\n    return won - bids\n")
    monkeypatch.chdir(tmp_path)
    settings = Settings(rules="scoring=mine.py:points", cards="2")
    monkeypatch.chdir("/")
    assert Settings(rules=settings.rules, cards="2") == settings
    assert identity(settings.games()[0])["rules"]["scoring"] == f"{tmp_path / 'mine.py'}:points"


def test_a_scoring_may_lie_in_a_folder_with_commas(tmp_path, monkeypatch) -> None:
    """What it is kept as has the whole path, which is read again with the rules around it."""
    (folder := tmp_path / "mine, or=theirs,as,ever").mkdir()
    (folder / "mine.py").write_text("def points(bids, won):\n    return won - bids\n")
    monkeypatch.chdir(folder)
    settings = Settings(rules="miss_penalty=2,scoring=mine.py:points,players=3,", cards="2")
    monkeypatch.chdir("/")
    assert Settings(rules=settings.rules, cards="2") == settings
    rules = settings.games()[0].rules
    assert (rules.players, rules.miss_penalty, rules.scoring) == (3, 2, f"{folder / 'mine.py'}:points")


def test_a_rule_is_told_once() -> None:
    told = Settings(rules="cards=7,trump=hearts,hook=true,miss_penalty=2")
    assert (told.cards, told.trump, told.rules) == ("7", "hearts", "miss_penalty=2")
    assert Settings(cards="7", trump="hearts", rules="miss_penalty=2.0,players=4") == told
    assert told.describe() == "Blob, 7 cards, trump hearts, miss_penalty=2"
    assert Settings(cards="1", hook=False, ranks=8).describe() == "Blob, 1 card, trump random, no hook, 8 ranks"
    assert Settings(game="kuhn").describe() == "kuhn"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cards": "1-3", "rules": "cards=7"}, "--cards 1-3 and --rules cards=7 contradict each other; leave one"),
        ({"trump": "random", "rules": "trump=hearts"}, "--trump random and --rules trump=hearts contradict"),
        ({"hook": False, "rules": "hook=true"}, "--no-hook and --rules hook=true contradict"),
        ({"rules": "cards=2,cards=3"}, "--rules says cards twice, 2 and 3"),
        ({"rules": "mis_penalty=2"}, "is no NAME=VALUE of this game; the nearest is miss_penalty; its rules are cards"),
        ({"rules": "scoring=os:path,miss=2"}, "--rules 'miss=2' is no NAME=VALUE of this game"),
        ({"rules": "scoring=mine.py"}, "'mine.py' is no FILE.py:NAME or MODULE:NAME"),
        ({"rules": "players=2.5"}, "--rules players must be a whole number such as 4, got '2.5'"),
        ({"rules": "zero_bonus=much"}, "--rules zero_bonus must be none or a number, got 'much'"),
        ({"rules": "exact_bonus=nan"}, "exact_bonus must be a number of points up to 1,000,000, got nan"),
        ({"rules": "scoring=5"}, "scoring must be FILE.py:NAME or a function of bids and tricks won, got 5"),
        ({"rules": "scoring=os:path"}, "scoring os:path fails: TypeError"),
        ({"game": "heart"}, "there is no game 'heart'; the nearest is hearts; there are blob"),
        ({"game": "json"}, "json must have one game to go without its name, FILE.py:CLASS; found: none"),
        ({"game": "gone.py:Mine"}, "gone.py cannot be loaded: FileNotFoundError"),
        ({"game": "vecgame:Hart"}, "vecgame has no 'Hart'; the nearest is Hearts"),
        ({"game": "whist", "trump": "hearts"}, "--trump is for blob; other games take --rules trump=VALUE if at all"),
        ({"game": "kuhn", "cards": "2"}, "--cards must be 1 in kuhn, got '2'"),
    ],
)
def test_what_is_no_game_is_one_line(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_flags("document", given)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in GAMES if not name.startswith("spades")] + SLOW_TO_MAKE)
def test_every_value_of_every_rule_is_one_or_refused(name: str) -> None:
    """As text and from Python: a game, or a ValueError of one line."""
    for rule in default_rules(name):
        for text in TEXTS:
            try:
                kept = canonical({**DEFAULTS, "game": name, "rules": f"{rule}={text}"})
            except ValueError as error:
                assert "\n" not in str(error), (rule, text)
            else:
                assert canonical(kept) == kept and flags_of(games_of(kept)) == kept, (rule, text)
        for value in VALUES:
            try:
                make_game(name, **{rule: value})
            except ValueError as error:
                assert "\n" not in str(error), (rule, value)


def test_another_games_rule_of_the_name_of_a_flag_of_blobs_contradicts_no_flag() -> None:
    """`evaluate` and the like are given all that a run was trained by, Blob's flags at their defaults among it."""
    kept = vars(from_flags("quick", {"game": "whist", "rules": "trump=hearts,cards=3"}))
    assert from_flags("document", kept).games() == (Whist(trump="hearts", cards=3),)
    assert from_flags("document", overlaid(kept, {"rules": "trump=clubs"})).games() == (Whist(trump="clubs", cards=3),)


@dataclass(frozen=True)
class ShedRules:
    """A game that deals as many cards as its number of players says."""

    players: int = 3


class Shed(HandGame):
    """One whose hands no rule of its name decides on."""

    name, rules_type, decisions, lowest, highest = "shed", ShedRules, 4, 0.0, 1.0

    def set_up(self) -> None:
        self.cards = 12 // self.seats

    def act(self, state, action, card):
        return replace(state, to_move=(state.to_move + 1) % self.seats)

    def points(self, state):
        return torch.zeros(state.batch_size, self.seats)


def test_other_rules_may_deal_other_hands(monkeypatch) -> None:
    """Whoever has an agent of three players play with four gave no number of cards that could be wrong."""
    monkeypatch.setitem(GAMES, "shed", Shed)
    kept = vars(from_flags("document", {"game": "shed"}))
    assert kept["cards"] == "4"
    assert from_flags("document", overlaid(kept, {"rules": "players=4"})).games() == (Shed(players=4),)


def test_a_resumed_run_may_be_told_its_game_in_other_words() -> None:
    run = vars(Settings(cards="7", trump="hearts", rules="players=3"))
    assert for_resume(run, {"rules": "cards=7,trump=hearts,players=3"}) == Settings(**run)
    with pytest.raises(ValueError, match=r"--cards \(run: 7, flag: 6\)"):
        for_resume(run, {"rules": "cards=6,players=3"})
    assert for_resume(run, {"rules": "trump=hearts"}) == Settings(**run)
    with pytest.raises(ValueError, match=r"--rules \(run: players=3, flag: \)"):
        for_restart(run, "document", {"cards": "7", "trump": "hearts"})


def test_card_counts_are_written_as_they_are_read() -> None:
    for text in ("5", "1-3", "1-13,5,5", "1,3", "2,1"):
        assert counts_text(read_counts(text)) == text


# -- what a saved network says --


def saved(path: Path, *games, **older: object) -> Path:
    """A network for these games, in a file."""
    game = games[0] if games else Blob()
    told = {"games": [identity(game) for game in games]} if games else older
    save_network(path, BlobNet(network_config("small", game)), told)
    return path


def test_a_network_brings_its_rules_wherever_it_lies(tmp_path) -> None:
    games = [Blob(cards=cards, points_per_trick=5.0, miss_penalty=10.0, exact_bonus=0.0) for cards in (1, 2, 3)]
    path = saved(tmp_path / "network.safetensors", *games)
    settings = settings_for(path, {})
    assert settings.games() == tuple(games) and other_rules(path, settings) is None
    assert other_rules(path, settings_for(path, {"cards": "2"})) is None  # one of those that it knows
    told = other_rules(path, settings_for(path, {"rules": "points_per_trick=1,exact_bonus=10"}))
    assert (
        "by other rules than" in told and "not Blob, 1-3 cards, trump random, " in told and "points_per_trick=5" in told
    )


def test_an_agent_is_loaded_with_its_games(tmp_path) -> None:
    path = saved(tmp_path / "network-000001.safetensors", Blob(cards=2, players=3), Blob(cards=3, players=3))
    for given in (str(path), str(tmp_path)):
        agent = load_agent(given)
        assert agent.path == path and [game.cards for game in agent.games] == [2, 3]
        logits, values = agent.network(agent.games[0].observe(agent.games[0].deal(4)))
        assert logits.shape == (4, 52) and values.shape == (4, 3)


def test_a_network_of_before_is_read_by_its_runs_config_or_asks(tmp_path) -> None:
    path = saved(tmp_path / "network.safetensors", game="blob")
    with pytest.raises(ValueError, match="does not say its rules; give --game blob, with --rules if it has others"):
        settings_for(path, {})
    assert settings_for(path, {"rules": "cards=2"}).games() == (Blob(cards=2),)
    (tmp_path / "config.json").write_text(json.dumps({"cards": "3", "trump": "hearts", "seed": 1}))
    assert settings_for(path, {}).games() == (Blob(cards=3, trump="hearts"),)


def test_a_network_of_a_run_that_cannot_go_on_any_more_still_plays(tmp_path) -> None:
    """Settings that are refused by now say nothing of how its network is searched."""
    path = saved(tmp_path / "network-000001.safetensors", game="blob")
    told = {**dataclasses.asdict(Settings(cards="3")), "root_selection": "gumbel", "policy_target": "visits"}
    (tmp_path / "config.json").write_text(json.dumps(told))
    assert load_agent(tmp_path).games == (Blob(cards=3),) == settings_for(path, {}).games()
    with pytest.raises(ValueError, match="the run's settings: --policy-target visits needs --root-selection puct or"):
        for_resume(told, {})


def test_another_game_takes_nothing_along(tmp_path) -> None:
    path = saved(tmp_path / "network.safetensors", Blob(cards=3, players=3))
    assert settings_for(path, {"game": "whist"}).games() == (Whist(),)


def test_a_game_that_has_moved_is_found_where_it_is_now(own_games) -> None:
    path = saved(own_games / "network.safetensors", make_game("polignac.py:Polignac", polignac=5))
    (own_games / "polignac.py").rename(own_games / "moved.py")
    loading._modules.clear()
    del sys.modules["polignac"]  # as in another process
    with pytest.raises(
        ValueError, match=r"network.safetensors is for the game .*polignac.py:Polignac: .*cannot be loaded"
    ):
        settings_for(path, {})
    settings = settings_for(path, {"game": "moved.py:Polignac"})
    assert settings.rules == "polignac=5" and game_class(settings.game).__module__ == "moved"


def test_a_run_goes_on_where_its_game_has_moved_to(own_games, capsys, monkeypatch) -> None:
    monkeypatch.setattr(judge, "evaluate", lambda *_: {})
    folder = own_games / "run"
    settings = changed(game="polignac.py:Polignac", cards="8", learner="policy-gradient", updates=1, update_games=4)
    assert Run.create(folder, settings, quiet()).train() == {}
    (own_games / "polignac.py").rename(own_games / "moved.py")
    loading._modules.clear()
    del sys.modules["polignac"]  # as in another process
    assert train.main(["--resume", str(folder), "--updates", "2"]) == 2
    assert "polignac.py cannot be loaded" in capsys.readouterr().err
    flags = ["--resume", str(folder), "--updates", "2", "--game"]
    for given in ("gone.py:Polignac", "whist"):
        assert train.main([*flags, given]) == 2 and capsys.readouterr().err.count("\n") == 1
    assert train.main([*flags, "moved.py:Polignac"]) == 0, capsys.readouterr().err
    assert read_config(folder)["game"] == f"{own_games / 'moved.py'}:Polignac"
    assert train.main(["--resume", str(folder), "--updates", "3"]) == 0  # which knows it from then on


def test_another_class_of_the_same_name_is_another_game(tmp_path) -> None:
    """Unless its own file is gone, as where it was moved."""
    text = "from vecgame.games.whist import Whist\n\n\nclass Mine(Whist):\n    name = 'mine'\n"
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(text)
    here = game_class(f"{tmp_path / 'a'}.py:Mine")
    assert is_named(here, f"{tmp_path / 'a'}.py:Mine") and not is_named(here, f"{tmp_path / 'b'}.py:Mine")
    (tmp_path / "b.py").unlink()
    assert is_named(here, f"{tmp_path / 'gone'}.py:Mine")


def test_a_class_without_all_methods_is_told_what_it_lacks(tmp_path) -> None:
    (tmp_path / "half.py").write_text("from vecgame import TrickGame\n\n\nclass Half(TrickGame):\n    name = 'half'\n")
    with pytest.raises(ValueError, match="is no whole game: it has no "):
        make_game(f"{tmp_path / 'half'}.py:Half")


@pytest.mark.parametrize("several", [(1, 0.5), (None, 2.0), (2.5, None), (True, False), (3,), (), (-1, 2)], ids=str)
def test_a_rule_of_several_values_is_read_as_it_is_written(several: tuple) -> None:
    rules = {"odds": several}
    assert read_rules(rules_text(rules), rules) == rules
