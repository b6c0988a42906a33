"""Every setting of a training run: one dataclass is the source of the flags, of config.json and of the defaults."""

import argparse
import dataclasses
from dataclasses import dataclass, field

from net import PRESETS as NETWORKS
from training.precision import PRECISIONS
from vecgame import Blob
from vecmcts import SearchConfig
from vecmcts.config import ROOT_SELECTIONS


def _flag(default: object, text: str, **extra: object) -> object:
    return field(default=default, metadata={"help": text, **extra})


@dataclass(frozen=True)
class Settings:
    """Settings of a run; the defaults are the document's workload. Raises ValueError on values that cannot work."""

    games_per_iter: int = _flag(10_000, "searched self-play games in each iteration")
    iterations: int = _flag(500, "iterations of self-play and learning")
    epochs: int = _flag(10, "passes of learning in each iteration, each over as many examples as the iteration added")
    cards: str = _flag("5", "cards dealt to a seat: a number, or a range such as 3-13, mixed within an iteration")
    trump: str = _flag("random", "trump suit: random, rotate, none or a suit's name")
    hook: bool = _flag(True, "forbid the dealer the bid that makes the bids sum to the tricks")

    worlds: int = _flag(3, "sampled deals that a search looks at")
    simulations: int = _flag(30, "simulations in each of them")
    c_puct: float = _flag(0.6, "weight of the prior in the search's selection")
    leaves_per_step: int = _flag(1, "leaves that a tree collects under virtual loss before the network is asked")
    merge_equivalent: bool = _flag(False, "search cards that win and lose against the same cards as one move")
    root_selection: str = _flag(
        "puct",
        "how a search chooses at its root: puct, or gumbel: Sequential Halving with Gumbel, for few simulations",
        choices=ROOT_SELECTIONS,
    )
    considered_actions: int = _flag(16, "root actions that gumbel begins with, at most")
    noise_fraction: float = _flag(0.25, "share of Dirichlet noise in the root's prior during self-play by puct")
    noise_alpha: float = _flag(1.0, "concentration of that noise")
    policy_target: str = _flag(
        "improved",
        "what the policy learns: the prior improved by completed Q-values, or the visit counts",
        choices=("improved", "visits"),
    )
    sampled_share: float = _flag(0.5, "share of a game's decisions, from its start, that are sampled, not greedy")

    network: str = _flag("document", "size of the network", choices=tuple(NETWORKS))
    values: int = _flag(4, "values of the network: 4, one for each seat, or 1, the document's scalar", choices=(1, 4))
    batch_size: int = _flag(2048, "examples in a learning step")
    learning_rate: float = _flag(1e-3, "AdamW's learning rate at the start; falls to a tenth over the run as a cosine")
    weight_decay: float = _flag(1e-4, "AdamW's weight decay")
    grad_clip: float = _flag(1.0, "largest norm of the gradient")
    value_weight: float = _flag(1.0, "weight of the value loss against the policy loss")
    replay_examples: int = _flag(500_000, "examples kept for learning, the newest")

    warmup_updates: int = _flag(0, "updates of policy-gradient self-play without search before the first iteration")
    warmup_games: int = _flag(2048, "games in each of them")
    warmup_entropy: float = _flag(0.01, "weight of the policy's entropy in them")

    eval_every: int = _flag(10, "iterations between evaluations against the bots, 0 = only at the end")
    eval_deals: int = _flag(250, "deals of an evaluation, each played four times with the seats rotated")

    seed: int = _flag(0, "seed of everything random")
    device: str = _flag("auto", "cpu, cuda, cuda:N, or auto: a GPU if there is one")
    precision: str = _flag(
        "auto",
        "arithmetic of the network in self-play and evaluation; auto: bfloat16 where the hardware has it; int8: for "
        "CPUs, faster and a little rougher",
        choices=PRECISIONS,
    )
    chunk_games: int = _flag(0, "games searched at a time, 0 = by device; changes speed and memory, not the games")
    compile: bool = _flag(
        False, "compile the searches of self-play on a GPU; the first of each size takes a minute more"
    )
    checkpoint_seconds: int = _flag(60, "save the run when this long has passed since the last save")

    def __post_init__(self) -> None:
        for name in ("games_per_iter", "iterations", "batch_size", "replay_examples", "warmup_games", "eval_deals"):
            _at_least(self, name, 1)
        for name in ("epochs", "warmup_updates", "eval_every", "chunk_games", "checkpoint_seconds", "warmup_entropy"):
            _at_least(self, name, 0)
        for name in ("learning_rate", "grad_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{_flag_name(name)} must be above 0, got {getattr(self, name)!r}")
        if not 0 <= self.sampled_share <= 1:
            raise ValueError(f"--sampled-share must be from 0 to 1, got {self.sampled_share!r}")
        for name in ("root_selection", "policy_target", "network", "values", "precision"):
            choices = type(self).__dataclass_fields__[name].metadata["choices"]
            if getattr(self, name) not in choices:
                raise ValueError(f"{_flag_name(name)} must be one of {choices}, got {getattr(self, name)!r}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"--seed must be from 0 to 2**64 - 1, got {self.seed}")
        self.games()
        self.search()

    def card_counts(self) -> tuple[int, ...]:
        """The card counts that an iteration mixes."""
        low, _, high = self.cards.partition("-")
        try:
            first, last = int(low), int(high or low)
        except ValueError:
            raise ValueError(f"--cards must be a number or a range such as 3-13, got {self.cards!r}") from None
        if not 1 <= first <= last <= 13:
            raise ValueError(f"--cards must lie within 1-13, got {self.cards!r}")
        return tuple(range(first, last + 1))

    def games(self) -> tuple[Blob, ...]:
        """The rules for each card count."""
        return tuple(Blob(cards=cards, trump=self.trump, hook=self.hook) for cards in self.card_counts())

    def search(self, self_play: bool = False) -> SearchConfig:
        """The search of self-play (with noise at the root) or of a match (without)."""
        return SearchConfig(
            worlds=self.worlds,
            simulations=self.simulations,
            c_puct=self.c_puct,
            leaves_per_step=self.leaves_per_step,
            merge_equivalent=self.merge_equivalent,
            noise_fraction=self.noise_fraction if self_play and self.root_selection == "puct" else 0.0,
            noise_alpha=self.noise_alpha,
            root_selection=self.root_selection,
            considered_actions=self.considered_actions,
            gumbel_scale=1.0 if self_play else 0.0,
        )


PRESETS: dict[str, dict[str, object]] = {
    "document": {},
    "quick": {
        "games_per_iter": 1000,
        "iterations": 3,
        "epochs": 2,
        "network": "small",
        "learning_rate": 1e-3,
        "warmup_updates": 100,
        "eval_every": 0,
    },
}

# What a resumed run may change without becoming another run.
CHANGEABLE = ("iterations", "eval_every", "eval_deals", "device", "chunk_games", "compile", "checkpoint_seconds")


def _flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def _at_least(settings: Settings, name: str, low: int) -> None:
    if getattr(settings, name) < low:
        raise ValueError(f"{_flag_name(name)} must be at least {low}, got {getattr(settings, name)!r}")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag for each setting; flags that are not given do not appear in the parsed namespace."""
    for item in dataclasses.fields(Settings):
        options: dict[str, object] = {"default": argparse.SUPPRESS}
        options["help"] = f"{item.metadata['help']} (default: {item.default})"
        if item.type is bool or item.type == "bool":
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = type(item.default)
            if "choices" in item.metadata:
                options["choices"] = item.metadata["choices"]
            else:
                options["metavar"] = {int: "N", float: "X", str: "TEXT"}[type(item.default)]
        parser.add_argument(_flag_name(item.name), **options)


def from_flags(preset: str, given: dict[str, object]) -> Settings:
    """The preset's settings with the given ones in their place."""
    return Settings(**{**PRESETS[preset], **given})


def for_resume(saved: dict[str, object], given: dict[str, object]) -> Settings:
    """A saved run's settings with the given ones in their place.

    Raises:
        ValueError: naming each setting that would make it another run.
    """
    known = {item.name for item in dataclasses.fields(Settings)}
    unknown = sorted(set(saved) - known)
    if unknown:
        raise ValueError(f"the run has settings that this version does not know: {', '.join(unknown)}")
    settings = Settings(**saved)
    changed = [name for name, value in given.items() if value != getattr(settings, name) and name not in CHANGEABLE]
    if changed:
        listed = ", ".join(f"{_flag_name(n)} (run: {getattr(settings, n)}, flag: {given[n]})" for n in changed)
        raise ValueError(f"a resumed run cannot change {listed}; start a new run for that")
    return dataclasses.replace(settings, **given)
