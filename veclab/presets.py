"""What a run is begun with: the presets' settings, and those that are given in their place.

Given settings that would change nothing are refused.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence

from vecgame import Game
from veclab.exact.solution import is_small, nodes_of
from veclab.game_flags import overlaid
from veclab.settings import (
    CFR,
    FEW_CARDS,
    FEW_SEATS,
    IDLE,
    NEURD,
    OF_SEARCH,
    OF_SHORT_GAMES,
    OF_SHORT_NEURD,
    OF_SHORT_WITHOUT_TRICKS,
    OF_SOLVED,
    PPO,
    SHORT,
    Settings,
    flag_name,
)

PRESETS: dict[str, dict[str, object]] = {
    "document": {},
    "quick": {
        "games_per_iter": 1000,
        "iterations": 3,
        "epochs": 2,
        "simulations": 8,
        "leaf_values": "world",
        "network": "small",
        "learning_rate": 1e-3,
        "updates": 100,
        "eval_every": 0,
    },
    "evening": {
        "game": "blob",
        "cards": "1-13,5,5",
        "updates": 2000,
        "games_per_iter": 1500,
        "iterations": 3,
        "epochs": 2,
        "simulations": 8,
        "leaf_values": "world",
        "network": "small",
        "eval_every": 50,
    },
}

OF_PLAYED = ("entropy", "gae_lambda", "magnet", "magnet_rate", "update_share")  # of policy gradient, but not of `CFR`
NEEDS: dict[str, tuple[str, Callable[[Settings], bool]]] = {  # of settings that are nothing by themselves
    "gate_error": ("--gate test", lambda settings: settings.gate == "test"),
    "gate_deals": ("--gate test", lambda settings: settings.gate == "test"),
    "fast_simulations": ("--full-share below 1", lambda settings: settings.full_share < 1),
    "trust": ("--candidates", lambda settings: settings.candidates > 0),
    "considered_actions": ("--root-selection gumbel", lambda settings: settings.root_selection == "gumbel"),
    "noise_fraction": ("--root-selection puct or shared", lambda settings: settings.root_selection != "gumbel"),
    "noise_alpha": (
        "--root-selection puct or shared, and a --noise-fraction above 0",
        lambda settings: settings.root_selection != "gumbel" and settings.noise_fraction > 0,
    ),
    "merge_equivalent": (
        "a game that knows moves that are alike, such as blob",
        lambda settings: type(settings.games()[0]).merged is not Game.merged,
    ),
    **{name: (f"--update-rule {PPO} or {NEURD}", lambda settings: settings.update_rule != CFR) for name in OF_PLAYED},
}


def from_flags(preset: str, given: dict[str, object]) -> Settings:
    """The preset's settings with the given ones in their place; the critic of a preset where the game has hidden hands,
    what suits small games where all are (`of_small_games`), and no search after a solution unless it is asked for.

    Raises:
        ValueError: in one line, where they contradict each other or cannot work.
    """
    settings = overlaid(PRESETS[preset], given)
    refuse_idle(settings.get("learner", Settings.learner), given)
    if settings.get("leaf_values") == "world" and "leaf_values" not in given:
        (game, *_) = Settings(**{**settings, "leaf_values": "mover", "update_rule": PPO}).games()
        if game.others_hands(game.deal(1)) is None:
            settings["leaf_values"] = "mover"
    asked = Settings(**{**settings, "update_rule": PPO})
    if asked.updates:
        settings = {**of_small_games(asked.games(), settings), **settings}
        if settings.get("update_rule") == CFR and not given.keys() & {"learner", *OF_SEARCH}:
            settings["learner"] = "policy-gradient"  # search would only lead away from the solution
    asked = Settings(**settings)
    if asked.updates and asked.update_rule == CFR:
        for game in asked.games():
            nodes_of(game)  # which raises where there are too many
    for name, needed in without_effect(asked, given).items():
        raise ValueError(f"{flag_name(name)} {given[name]} would change nothing without {needed}")
    return asked


def of_small_games(games: Sequence[Game], given: Mapping[str, object]) -> dict[str, object]:
    """What suits small games: those that are solved in less than a minute are, unless something that is ``given`` is
    for games that are played; of others short ones have settings of their own (`of_short_games`)."""
    rule, played = given.get("update_rule"), {*OF_PLAYED, "tricks_weight"} & set(given)
    if rule == CFR or (rule is None and not played and all(map(is_small, games))):
        return {"update_rule": CFR, **OF_SOLVED}
    return of_short_games(games, given) if all(game.decisions <= SHORT * game.seats for game in games) else {}


def of_short_games(games: Sequence[Game], given: Mapping[str, object]) -> dict[str, object]:
    """What suits short games: with tricks, few seats and few cards all actions are judged, unless something that is
    ``given`` does not go with that; without tricks there is a magnet, unless another one is given, or none."""
    tricks = all(game.tricks_won(game.deal(1)) is not None for game in games)
    small = games[0].seats <= FEW_SEATS and all(game.deck_size <= FEW_CARDS for game in games)
    fits = tricks and small and given.get("gae_lambda", 1) == 1
    rule = given.get("update_rule", NEURD if fits else PPO)
    own = {"update_rule": rule, **OF_SHORT_GAMES, **(OF_SHORT_NEURD if rule == NEURD else {})}
    own |= {} if tricks else OF_SHORT_WITHOUT_TRICKS
    left_out = ("magnet", "magnet_rate") if "magnet" in given else ()
    return {name: value for name, value in own.items() if name not in left_out}


def without_effect(settings: Settings, names: Collection[str]) -> dict[str, str]:
    """Those of the named settings that change nothing though they have not their default, and what they would need."""
    defaults = {item.name: item.default for item in dataclasses.fields(Settings)}
    return {
        name: needed
        for name, (needed, has_it) in NEEDS.items()
        if name in names and getattr(settings, name) != defaults[name] and not has_it(settings)
    }


def refuse_idle(learner: str, given: Collection[str]) -> None:
    """Raises ValueError, in one line, where a setting is given that belongs to a learner that the run has not."""
    used = ("batch_size",) if "imitated_games" in given else ()  # imitation takes steps of that size
    if named := [flag_name(name) for name in IDLE.get(learner, ()) if name in given and name not in used]:
        raise ValueError(
            f"{', '.join(named)} would change nothing with --learner {learner}; leave out one or the other"
        )
