"""Every setting of a training run: one dataclass is the source of the flags, of config.json and of the defaults."""

import argparse
import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from net import PRESETS as NETWORKS
from vecgame import Game, SuitSymmetry
from veclab.game_flags import BLOB_FLAGS, RULES, canonical, described, games_of, overlaid, read_counts
from veclab.playout_cap import PlayoutCap
from veclab.precision import PRECISIONS
from veclab.typed import like, unknown
from vecmcts import SearchConfig
from vecmcts.config import ROOT_SELECTIONS

LEAF_VALUES = ("mover", "world")
LEARNERS = ("policy-gradient", "search", "both")

# Settings that one way of learning has and the other has not; all else is for both, or for what the networks play.
OF_POLICY_GRADIENT = ("updates", "update_games", "update_epochs", "update_batch", "entropy", "gae_lambda")
OF_SEARCH = ("games_per_iter", "iterations", "epochs", "noise_fraction", "noise_alpha", "policy_target")
OF_SEARCH += ("sampled_share", "full_share", "fast_simulations", "batch_size", "replay_examples")
OF_SEARCH += ("gate", "gate_error", "gate_deals", "chunk_games")
IDLE = {"search": OF_POLICY_GRADIENT, "policy-gradient": OF_SEARCH, "both": ()}  # what changes nothing with a learner
MOST_GAMES = 2**40  # of a run's searched self-play, or its policy gradient: numbers that no other games have

OF_THE_SEARCH = ("worlds", "simulations", "c_puct", "leaves_per_step", "merge_equivalent", "root_selection")
OF_THE_SEARCH += ("considered_actions", "candidates", "trust")
OF_SELF_PLAY = ("games_per_iter", "iterations", "sampled_share", "noise_fraction", "noise_alpha", "full_share")
OF_SELF_PLAY += ("fast_simulations", "gate", "gate_error", "gate_deals")
OF_LEARNING = ("learner", *OF_POLICY_GRADIENT, "epochs", "batch_size", "replay_examples", "learning_rate")
OF_LEARNING += ("weight_decay", "grad_clip", "average_decay", "value_weight", "policy_target", "tricks_weight")
OF_LEARNING += ("leaf_values", "augment_suits", "network", "initial_network", "imitated_games", "values")
GROUPS = {  # of all settings' flags, as help shows them
    "game": (*RULES, "seed"),
    "search": OF_THE_SEARCH,
    "self-play": OF_SELF_PLAY,
    "learning": OF_LEARNING,
    "evaluation": ("eval_every", "eval_deals"),
    "machine": ("device", "precision", "chunk_games", "compile", "graphs", "checkpoint_seconds"),
    "curves": ("tensorboard", "wandb"),
}


def _flag(default: object, text: str, **extra: object) -> object:
    return field(default=default, metadata={"help": text, **extra})


@dataclass(frozen=True)
class Settings:
    """Settings of a run; the defaults are the document's workload, begun by policy gradient.

    A learner that is not asked for has no steps: ``updates`` is 0 then, or ``iterations``, whatever was given.
    Raises ValueError on values that cannot work.
    """

    learner: str = _flag(
        "both",
        "how the run learns: policy-gradient, by self-play without search; search, from searched self-play; both, one "
        "after the other",
        choices=LEARNERS,
    )
    updates: int = _flag(2000, "policy gradient: updates, each from games of its own")
    update_games: int = _flag(2048, "policy gradient: games in each update")
    update_epochs: int = _flag(3, "policy gradient: passes over the decisions of an update's games")
    update_batch: int = _flag(1024, "policy gradient: decisions in a learning step")
    entropy: float = _flag(
        0.01, "policy gradient: weight of the policy's entropy at the start; falls as the learning rate does"
    )
    gae_lambda: float = _flag(
        0.5,
        "policy gradient: how far an action is judged by the game's result, 1, or by what its seat expects at its next "
        "decision, 0",
    )

    games_per_iter: int = _flag(10_000, "searched self-play games in each iteration")
    iterations: int = _flag(500, "search: iterations of self-play and learning")
    epochs: int = _flag(10, "passes of learning in each iteration, each over as many examples as the iteration added")
    cards: str = _flag(
        "auto",
        "cards dealt to a seat: a number, a range such as 3-13, mixed within an iteration, or a list of both, where a "
        "repeated one gets a larger share, such as 1-13,5,5; auto is the game's own",
    )
    trump: str = _flag(
        BLOB_FLAGS["trump"],
        "blob: trump suit: random, rotate, turned (of the next card of the deck, which all see), none or a suit's name",
    )
    hook: bool = _flag(BLOB_FLAGS["hook"], "blob: forbid the dealer the bid that makes the bids sum to the tricks")
    suits: int = _flag(BLOB_FLAGS["suits"], "blob: suits of the deck, 1 to 4; small decks can be solved")
    ranks: int = _flag(BLOB_FLAGS["ranks"], "blob: ranks of each suit, 1 to 13, two upwards")
    game: str = _flag("blob", "the game by its name, see vecgame games, or your own: FILE.py:CLASS or MODULE:CLASS")
    rules: str = _flag("", "other rules of the game, as NAME=VALUE,..; an unknown name lists those that there are")

    worlds: int = _flag(3, "sampled deals that a search looks at")
    simulations: int = _flag(30, "simulations in each of them")
    c_puct: float = _flag(0.6, "weight of the prior in the search's selection")
    leaves_per_step: int = _flag(1, "leaves that a tree collects under virtual loss before the network is asked")
    merge_equivalent: bool = _flag(False, "search cards that win and lose against the same cards as one move")
    root_selection: str = _flag(
        "puct",
        "how a search chooses at its root: puct in each world; shared: puct over the sums of all worlds; gumbel: "
        "Sequential Halving with Gumbel, for few simulations",
        choices=ROOT_SELECTIONS,
    )
    considered_actions: int = _flag(16, "root actions that gumbel begins with, at most")
    candidates: int = _flag(
        0, "worlds of which a search's are drawn by how likely they make what was bid and played; 0: all alike"
    )
    trust: float = _flag(0.9, "then: how far the others are thought to play by the network rather than at random")
    noise_fraction: float = _flag(0.25, "share of Dirichlet noise in the root's prior during self-play by puct")
    noise_alpha: float = _flag(1.0, "concentration of that noise")
    policy_target: str = _flag(
        "improved",
        "what the policy learns: the prior improved by completed Q-values, or the visit counts",
        choices=("improved", "visits"),
    )
    sampled_share: float = _flag(0.5, "share of a game's decisions, from its start, that are sampled, not greedy")

    full_share: float = _flag(
        1.0,
        "share of self-play's decisions that are searched in full and learned from; the others are made fast",
    )
    fast_simulations: int = _flag(5, "simulations in each world of the others' searches, which have no noise")

    network: str = _flag("document", "size of the network", choices=tuple(NETWORKS))
    initial_network: str = _flag("", "file of a saved network of that size to begin with, instead of random weights")
    imitated_games: int = _flag(
        0, "games between rule-based players that it learns to play like, before it learns from its own"
    )
    values: int = _flag(
        4, "values of the network: 4, one for each seat however many, or 1, the document's scalar", choices=(1, 4)
    )
    batch_size: int = _flag(2048, "examples in a learning step")
    learning_rate: float = _flag(
        1e-3, "AdamW's learning rate at the start of each learner; falls to a tenth over its steps as a cosine"
    )
    weight_decay: float = _flag(1e-4, "AdamW's weight decay")
    grad_clip: float = _flag(1.0, "largest norm of the gradient")
    average_decay: float = _flag(
        0.0, "play matches with weights averaged over the steps, so much of the average kept at each; 0 = off"
    )
    value_weight: float = _flag(1.0, "weight of the value loss against the policy loss")
    tricks_weight: float = _flag(
        0.0, "weight of learning, by a head of its own, how many tricks each seat will win; 0 = no such head"
    )
    leaf_values: str = _flag(
        "mover",
        "whose view the values of a search's leaves are: that of the mover, or of a critic that sees the sampled world",
        choices=LEAF_VALUES,
    )
    replay_examples: int = _flag(500_000, "examples kept for learning, the newest")

    augment_suits: bool = _flag(
        False, "learn from examples with the suits beside trump in a random order, where their names mean nothing"
    )

    gate: str = _flag(
        "always",
        "which network plays self-play: always the newest, or by test the newest once it has beaten the one that plays",
        choices=("always", "test"),
    )
    gate_error: float = _flag(0.05, "probability with which such a test lets a network pass that is only as good")
    gate_deals: int = _flag(250, "deals of such a test at most, each played six times with search")

    eval_every: int = _flag(
        10,
        "iterations between evaluations against the bots, or as many times ten updates of policy gradient; 0 = only at "
        "the end",
    )
    eval_deals: int = _flag(250, "deals of an evaluation, each played from every seat")

    seed: int = _flag(0, "seed of everything random")
    device: str = _flag("auto", "cpu, cuda, cuda:N, or auto: a GPU if there is one")
    precision: str = _flag(
        "auto",
        "arithmetic of the network in self-play and evaluation; auto: bfloat16 where the hardware has it; int8 for "
        "CPUs and float8 for GPUs from Ada or Hopper on: faster and rougher",
        choices=PRECISIONS,
    )
    chunk_games: int = _flag(0, "games searched at a time, 0 = by device; changes speed and memory, not the games")
    compile: bool = _flag(
        False,
        "on a GPU, compile the network and the learner by torch.compile, which takes seconds at their first two sizes",
    )
    graphs: bool = _flag(True, "on a GPU, replay searches and learning as CUDA graphs")
    checkpoint_seconds: int = _flag(60, "save the run when this long has passed since the last save")
    tensorboard: bool = _flag(True, "write the metrics as curves for TensorBoard, too, where that is installed")
    wandb: str = _flag("", "send them to this project of Weights & Biases, too, which WANDB_MODE=offline keeps here")

    def __post_init__(self) -> None:
        for name, value in check_saved(vars(self)).items():
            object.__setattr__(self, name, value)
        for name, value in canonical(self.game_flags()).items():
            object.__setattr__(self, name, value)
        if self.learner not in LEARNERS:
            raise ValueError(f"--learner must be one of {LEARNERS}, got {self.learner!r}")
        for name, other in (("updates", "search"), ("iterations", "policy-gradient")):
            if self.learner == other:
                object.__setattr__(self, name, 0)
            elif getattr(self, name) < 1:
                raise ValueError(
                    f"{flag_name(name)} must be at least 1, got {getattr(self, name)!r}; --learner {other} has none"
                )
        at_least_one = ("games_per_iter", "batch_size", "replay_examples", "eval_deals")
        for name in (*at_least_one, "update_games", "update_epochs", "update_batch"):
            _at_least(self, name, 1)
        at_least_zero = ("epochs", "eval_every", "chunk_games", "checkpoint_seconds", "entropy", "weight_decay")
        for name in (*at_least_zero, "value_weight", "tricks_weight", "imitated_games"):
            _at_least(self, name, 0)
        for steps, games in (("iterations", "games_per_iter"), ("updates", "update_games")):
            if getattr(self, steps) * getattr(self, games) > MOST_GAMES:
                raise ValueError(f"{flag_name(steps)} times {flag_name(games)} must be at most {MOST_GAMES:,} games")
        if self.imitated_games > MOST_GAMES:
            raise ValueError(f"--imitated-games must be at most {MOST_GAMES:,}")
        _at_least(self, "gate_deals", 30)  # for the test's normal approximation
        for name in ("learning_rate", "grad_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{flag_name(name)} must be above 0, got {getattr(self, name)!r}")
        if not 0 <= self.gae_lambda <= 1:
            raise ValueError(f"--gae-lambda must be from 0 to 1, got {self.gae_lambda!r}")
        if not 0 <= self.average_decay < 1:
            raise ValueError(f"--average-decay must be from 0 to below 1, got {self.average_decay!r}")
        if not 0 <= self.sampled_share <= 1:
            raise ValueError(f"--sampled-share must be from 0 to 1, got {self.sampled_share!r}")
        if not 0 < self.full_share <= 1:
            raise ValueError(f"--full-share must be above 0 and at most 1, got {self.full_share!r}")
        _at_least(self, "fast_simulations", 1)
        if self.full_share < 1 and self.fast_simulations >= self.simulations:
            raise ValueError(
                f"--fast-simulations must be below --simulations, {self.simulations}, got {self.fast_simulations}"
            )
        if not 0 < self.gate_error < 1:
            raise ValueError(f"--gate-error must lie between 0 and 1, got {self.gate_error!r}")
        for name in ("root_selection", "policy_target", "network", "values", "leaf_values", "gate", "precision"):
            choices = type(self).__dataclass_fields__[name].metadata["choices"]
            if getattr(self, name) not in choices:
                raise ValueError(f"{flag_name(name)} must be one of {choices}, got {getattr(self, name)!r}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"--seed must be from 0 to 2**64 - 1, got {self.seed}")
        game = self.games()[0]
        self.search(self_play=True)
        if self.candidates and not game.fixed_hands:
            raise ValueError(f"--candidates is for games whose cards do not change hands, unlike {self.describe()}")
        if self.tricks_weight > 0 and game.tricks_won(game.deal(1)) is None:
            raise ValueError(f"--tricks-weight is for games of tricks, which {self.describe()} is not")
        if self.leaf_values == "world" and game.others_hands(game.deal(1)) is None:
            raise ValueError(f"--leaf-values world is for games of hidden hands, which {self.describe()} is not")
        if self.leaf_values == "world" and self.values == 1:
            raise ValueError("--leaf-values world needs --values 4, as the critic judges all seats at once")
        if self.augment_suits and self.suit_symmetry() is None:
            raise ValueError(
                f"--augment-suits needs suits that only their names tell apart, which {self.describe()} has not"
            )

    def game_flags(self) -> dict[str, object]:
        """The settings that say what is played."""
        return {name: getattr(self, name) for name in RULES}

    def card_counts(self) -> tuple[int, ...]:
        """The card counts that an iteration mixes, in equal shares."""
        return read_counts(self.cards)

    def games(self) -> tuple[Game, ...]:
        """The rules for each card count."""
        return games_of(self.game_flags())

    def suit_symmetry(self) -> SuitSymmetry | None:
        """Which columns follow their suit where suits are put into random orders, else None. Card counts share them."""
        return self.games()[0].suit_symmetry() if self.augment_suits else None

    def describe(self) -> str:
        """The game in a few words."""
        return described(self.game_flags())

    def search(self, self_play: bool = False) -> SearchConfig:
        """The search of self-play (with noise at the root) or of a match (without)."""
        return SearchConfig(
            worlds=self.worlds,
            simulations=self.simulations,
            c_puct=self.c_puct,
            leaves_per_step=self.leaves_per_step,
            merge_equivalent=self.merge_equivalent,
            noise_fraction=self.noise_fraction if self_play and self.root_selection != "gumbel" else 0.0,
            noise_alpha=self.noise_alpha,
            root_selection=self.root_selection,
            considered_actions=self.considered_actions,
            gumbel_scale=1.0 if self_play else 0.0,
            candidates=self.candidates,
            trust=self.trust,
        )

    def extras(self) -> tuple[str, ...]:
        """What examples must tell beside the usual (`veclab.training.replay.EXTRAS`)."""
        return ("tricks",) * (self.tricks_weight > 0) + ("hidden",) * (self.leaf_values == "world")

    def playout_cap(self) -> PlayoutCap | None:
        """Which of self-play's decisions are searched in full; None where all are."""
        if self.full_share == 1:
            return None
        return PlayoutCap(self.full_share, dataclasses.replace(self.search(), simulations=self.fast_simulations))


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


def flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def _at_least(settings: Settings, name: str, low: int) -> None:
    if getattr(settings, name) < low:
        raise ValueError(f"{flag_name(name)} must be at least {low}, got {getattr(settings, name)!r}")


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


def from_flags(preset: str, given: dict[str, object]) -> Settings:
    """The preset's settings with the given ones in their place; the critic of a preset where the game has hidden hands.

    Raises:
        ValueError: in one line, where they contradict each other or cannot work.
    """
    settings = overlaid(PRESETS[preset], given)
    refuse_idle(settings.get("learner", Settings.learner), given)
    if settings.get("leaf_values") == "world" and "leaf_values" not in given:
        (game, *_) = Settings(**{**settings, "leaf_values": "mover"}).games()
        if game.others_hands(game.deal(1)) is None:
            settings["leaf_values"] = "mover"
    return Settings(**settings)


def check_saved(told: Mapping[str, object]) -> dict[str, object]:
    """Settings by name, some or all: known ones, each of the type that it has as a flag.

    Raises:
        ValueError: in one line, that names a setting, and what would be right.
    """
    defaults = {item.name: item.default for item in dataclasses.fields(Settings)}
    if others := unknown(told, defaults):
        raise ValueError(f"the run has settings that this version does not know: {others}")
    return {name: like(defaults[name], value, flag_name(name)) for name, value in told.items()}


def refuse_idle(learner: str, given: Collection[str]) -> None:
    """Raises ValueError, in one line, where a setting is given that belongs to a learner that the run has not."""
    if named := [flag_name(name) for name in IDLE.get(learner, ()) if name in given]:
        raise ValueError(
            f"{', '.join(named)} would change nothing with --learner {learner}; leave out one or the other"
        )
