"""The flags of a run's settings, and the words of a command line that give settings their values."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Sequence

from veclab.game_flags import RULES
from veclab.presets import PRESETS
from veclab.settings import OF_POLICY_GRADIENT, Settings, flag_name

OF_THE_SEARCH = ("worlds", "simulations", "c_puct", "leaves_per_step", "merge_equivalent", "root_selection")
OF_THE_SEARCH += ("considered_actions", "candidates", "trust")
OF_SELF_PLAY = ("games_per_iter", "iterations", "sampled_share", "noise_fraction", "noise_alpha", "full_share")
OF_SELF_PLAY += ("fast_simulations", "gate", "gate_error", "gate_deals")
OF_LEARNING = ("learner", *OF_POLICY_GRADIENT, "epochs", "batch_size", "replay_examples", "learning_rate")
OF_LEARNING += ("weight_decay", "grad_clip", "average_decay", "value_weight", "policy_target", "tricks_weight")
OF_LEARNING += ("leaf_values", "augment_suits", "network", "initial_network", "imitated_games", "imitated", "values")
GROUPS = {  # of all settings' flags, as help shows them
    "game": (*RULES, "seed"),
    "search": OF_THE_SEARCH,
    "self-play": OF_SELF_PLAY,
    "learning": OF_LEARNING,
    "evaluation": ("eval_every", "eval_deals", "eval_opponents"),
    "machine": ("device", "precision", "chunk_games", "compile", "graphs", "checkpoint_seconds"),
    "curves": ("tensorboard", "wandb"),
}


def add_flags(parser: argparse.ArgumentParser, names: Collection[str] | None = None, preset: str = "document") -> None:
    """One flag for each setting, or those named, in groups; flags that are not given do not appear in the parsed
    namespace.

    Args:
        preset: whose settings are shown as the defaults.
    """
    items = {item.name: item for item in dataclasses.fields(Settings)}
    for title, members in GROUPS.items():
        shown = [items[name] for name in members if names is None or name in names]
        group = parser.add_argument_group(title) if shown else None
        for item in shown:
            default = PRESETS[preset].get(item.name, item.default)
            options: dict[str, object] = {"default": argparse.SUPPRESS}
            said = default if default != "" else "none"
            options["help"] = f"{item.metadata['help']} (default: {said})".replace("%", "%%")
            if item.type is bool or item.type == "bool":
                options["action"] = argparse.BooleanOptionalAction
            else:
                options["type"] = type(item.default)
                if "choices" in item.metadata:
                    options["choices"] = item.metadata["choices"]
                else:
                    options["metavar"] = {int: "N", float: "X", str: "TEXT"}[type(item.default)]
            group.add_argument(flag_name(item.name), **options)


def as_flags(settings: Settings, names: Collection[str]) -> list[str]:
    """The flags that give these settings their values."""
    values = {name: getattr(settings, name) for name in names}
    return [
        (flag_name(name) if value else flag_name(f"no_{name}"))
        if isinstance(value, bool)
        else f"{flag_name(name)}={value}"
        for name, value in values.items()
    ]


def own_and_settings(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> tuple[argparse.Namespace, dict[str, object]]:
    """What a command line says: the command's own flags, and the settings of `add_flags` that are given beside them, by
    name. ``arguments`` None: those of this process."""
    given = vars(parser.parse_args(arguments))
    own = [name for name in given if parser.get_default(name) is not argparse.SUPPRESS]
    return argparse.Namespace(**{name: given.pop(name) for name in own}), given
