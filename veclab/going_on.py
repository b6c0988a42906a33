"""The settings of a run that goes on: those that it has, and the few that flags may change."""

import dataclasses
from collections.abc import Mapping

from veclab.game_flags import DEFAULTS, RULES, canonical, moved, overlaid
from veclab.presets import from_flags, refuse_idle
from veclab.settings import Settings, check_saved, flag_name

# What a resumed run may change without becoming another run; where there is nothing but policy gradient, its updates
# as well: after the first iteration there is no going back to it. Not every device has every precision.
CHANGEABLE = ("iterations", "eval_every", "eval_deals", "eval_opponents", "device", "precision", "chunk_games")
CHANGEABLE += ("compile", "graphs", "checkpoint_seconds", "tensorboard", "wandb")


def of_saved(told: Mapping[str, object]) -> Settings:
    """The settings that a file of a run tells. Raises ValueError, in one line, where they are none."""
    try:
        return Settings(**check_saved(told))
    except ValueError as error:
        raise ValueError(f"the run's settings: {error}") from None


def for_resume(saved: dict[str, object], given: dict[str, object]) -> Settings:
    """A saved run's settings with the given ones in their place; its game where that is now, if it has moved.

    Raises:
        ValueError: naming each setting that would make it another run.
    """
    settings = of_saved(moved(saved, given.get("game")))
    refuse_idle(settings.learner, given)
    game = overlaid(settings.game_flags(), {name: given[name] for name in RULES if name in given})
    other = {name: value for name, value in given.items() if name not in RULES}
    return _gone_on(settings, {**other, **canonical({**DEFAULTS, **game})})


def for_restart(saved: dict[str, object], preset: str, given: dict[str, object]) -> Settings:
    """As `for_resume`, for the command line that has begun the run: its preset must be the run's too."""
    asked = dataclasses.asdict(from_flags(preset, given))
    settings = of_saved(moved(saved, asked["game"]))
    return _gone_on(settings, {n: v for n, v in asked.items() if n not in _changeable(settings) or n in given})


def _gone_on(settings: Settings, asked: dict[str, object]) -> Settings:
    """A run's settings with those of the ones that are asked for that may change."""
    if changed := fixed_changes(settings, asked):
        listed = ", ".join(f"{flag} (run: {ours}, flag: {theirs})" for flag, ours, theirs in changed)
        raise ValueError(f"a resumed run cannot change {listed}; start a new run for that")
    return dataclasses.replace(settings, **{name: asked[name] for name in _changeable(settings) if name in asked})


def _changeable(settings: Settings) -> tuple[str, ...]:
    """The settings that the run may change when it goes on."""
    return (*CHANGEABLE, "updates") if settings.learner == "policy-gradient" else CHANGEABLE


def fixed_changes(settings: Settings, asked: dict[str, object]) -> list[tuple[str, object, object]]:
    """What would change of a run's settings that may not: (flag, the run's value, the value that is asked for)."""
    return [
        (flag_name(name), getattr(settings, name), value)
        for name, value in asked.items()
        if name not in _changeable(settings) and value != getattr(settings, name)
    ]
