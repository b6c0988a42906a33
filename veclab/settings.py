"""Every setting of a training run: one dataclass is the source of flags, config.json, defaults and bounds."""

import dataclasses
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from net import PRESETS as NETWORKS
from net.blobnet import SEATS as SCALAR_SEATS
from vecgame import Game, SuitSymmetry
from vecgame.loading import absolute
from veclab.game_flags import BLOB_FLAGS, RULES, canonical, cards_dealt, described, games_of, read_counts
from veclab.playout_cap import PlayoutCap
from veclab.precision import PRECISIONS
from veclab.typed import like, unknown
from vecmcts import SearchConfig
from vecmcts.config import ROOT_SELECTIONS

LEAF_VALUES = ("mover", "world")
LEARNERS = ("policy-gradient", "search", "both")
PPO, NEURD, CFR = UPDATE_RULES = ("ppo", "neurd", "cfr")

# Settings that one way of learning has and the other has not; all else is for both, or for what the networks play.
OF_POLICY_GRADIENT = ("updates", "update_rule", "update_games", "update_epochs", "update_batch", "entropy")
OF_POLICY_GRADIENT += ("gae_lambda", "magnet", "magnet_rate", "update_share")
OF_SEARCH = ("games_per_iter", "iterations", "epochs", "noise_fraction", "noise_alpha", "policy_target")
OF_SEARCH += ("sampled_share", "full_share", "fast_simulations", "batch_size", "replay_examples")
OF_SEARCH += ("gate", "gate_error", "gate_deals", "chunk_games")
IDLE = {"search": OF_POLICY_GRADIENT, "policy-gradient": OF_SEARCH, "both": ()}  # what changes nothing with a learner
RULE_PLAYERS = "rules"  # as those whose games are imitated
# Where no seat has more than so many decisions in a game, a result says enough of each, and other settings of policy
# gradient come much nearer to an equilibrium (docs/learning.md): unless they are given, these.
SHORT = 4
OF_SHORT_GAMES: dict[str, object] = {"gae_lambda": 1.0, "entropy": 0.04, "update_games": 4096, "update_batch": 768}
# Besides, where all actions are judged, by `NEURD`: the default with tricks, few seats and few cards, where the same
# decisions come up again and again; of more cards drawn actions learn more in the same time. And without tricks, as in
# poker, where the best play is to mix, and policies chase one another if no magnet slows them down.
FEW_SEATS, FEW_CARDS = 3, 12  # at most, in play
OF_SHORT_NEURD: dict[str, object] = {"update_games": 2048, "update_share": 0.12}
# Games that are solved in less than a minute are, by `CFR`, and the network learns their solutions: decisions in the
# place of games, none of which it learns from twice.
OF_SOLVED: dict[str, object] = {"update_games": 16_384, "update_epochs": 1, "update_batch": 1024, "average_decay": 0.99}
OF_SHORT_WITHOUT_TRICKS: dict[str, object] = {"entropy": 0.02, "magnet": 0.5, "magnet_rate": 0.1}
MOST_GAMES = 2**40  # of a run's searched self-play, or its policy gradient: numbers that no other games have

BOUNDS = {  # that a number may have, in the metadata of its field
    "least": (operator.ge, "at least"),
    "above": (operator.gt, "above"),
    "most": (operator.le, "at most"),
    "below": (operator.lt, "below"),
}


def _flag(default: object, text: str, **extra: object) -> object:
    return field(default=default, metadata={"help": text, **extra})


def _in_short_games(name: str) -> str:
    others = {f"by {NEURD}": OF_SHORT_NEURD, f"by {CFR}": OF_SOLVED, "without tricks": OF_SHORT_WITHOUT_TRICKS}
    told = ", ".join(f"{own[name]:,} {where}" for where, own in others.items() if name in own)
    if name in OF_SHORT_GAMES:
        told = f"{OF_SHORT_GAMES[name]:,}" + (f" ({told})" if told else "")
    return f"in games of at most {SHORT} decisions a seat by itself {told}"


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
    update_rule: str = _flag(
        PPO,
        f"policy gradient: {PPO}, clipped steps by the actions that were drawn; {NEURD}, neural replicator dynamics by "
        "all legal actions of one seat's decisions in each game, all played on to its end; by itself the latter in "
        f"games with tricks of at most {SHORT} decisions a seat, {FEW_SEATS} seats and {FEW_CARDS} cards",
        choices=UPDATE_RULES,
    )
    update_games: int = _flag(
        2048,
        f"policy gradient: games in each update, by {CFR} decisions; {_in_short_games('update_games')}",
        least=1,
    )
    update_epochs: int = _flag(3, "policy gradient: passes over the decisions of an update's games", least=1)
    update_share: float = _flag(
        1.0,
        "policy gradient: share of the decisions that each pass learns from, drawn by how much they can teach; "
        f"{_in_short_games('update_share')}",
        above=0,
        most=1,
    )
    update_batch: int = _flag(
        1024, f"policy gradient: decisions in a learning step; {_in_short_games('update_batch')}", least=1
    )
    entropy: float = _flag(
        0.01,
        "policy gradient: weight of the policy's entropy at the start; falls as the learning rate does; "
        f"{_in_short_games('entropy')}",
        least=0,
    )
    gae_lambda: float = _flag(
        0.5,
        "policy gradient: how far an action is judged by the game's result, 1, or by what its seat expects at its next "
        f"decision, 0; {_in_short_games('gae_lambda')}",
        least=0,
        most=1,
    )
    magnet: float = _flag(
        0.0,
        "policy gradient: weight of the policy's divergence from a magnet, which begins as the first network; 0 = "
        f"none; {_in_short_games('magnet')}",
        least=0,
    )
    magnet_rate: float = _flag(
        0.0,
        "policy gradient: share of the way to the policy that the magnet goes at each update; 0 = it stays; "
        f"{_in_short_games('magnet_rate')}",
        least=0,
        most=1,
    )

    games_per_iter: int = _flag(10_000, "searched self-play games in each iteration", least=1)
    iterations: int = _flag(500, "search: iterations of self-play and learning")
    epochs: int = _flag(
        10, "passes of learning in each iteration, each over as many examples as the iteration added", least=0
    )
    cards: str = _flag(
        "auto",
        "cards dealt to a seat: a number, a range such as 3-13, mixed in every update and iteration, or a list of "
        "both, where a repeated one gets a larger share, such as 1-13,5,5; auto is the game's own",
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
        "what the policy learns: the prior improved by completed Q-values, or the visit counts of puct or shared",
        choices=("improved", "visits"),
    )
    sampled_share: float = _flag(
        0.5, "share of a game's decisions, from its start, that are sampled, not greedy", least=0, most=1
    )

    full_share: float = _flag(
        1.0,
        "share of self-play's decisions that are searched in full and learned from; the others are made fast",
        above=0,
        most=1,
    )
    fast_simulations: int = _flag(5, "simulations in each world of the others' searches, which have no noise", least=1)

    network: str = _flag("document", "size of the network", choices=tuple(NETWORKS))
    initial_network: str = _flag("", "file of a saved network of that size to begin with, instead of random weights")
    imitated_games: int = _flag(
        0,
        "games of others that it learns to play like, before it learns from its own",
        least=0,
        most=MOST_GAMES,
    )
    imitated: str = _flag(
        RULE_PLAYERS,
        "who plays these: rules, or files of networks, separated by commas; of those that were trained for a number of "
        "cards, the one that was for the fewest",
    )
    values: int = _flag(
        4, "values of the network: 4, one for each seat however many, or 1, the document's scalar", choices=(1, 4)
    )
    batch_size: int = _flag(2048, "examples in a learning step", least=1)
    learning_rate: float = _flag(
        1e-3,
        "AdamW's learning rate, which the large network's first 50 steps rise to; falls over each learner's steps to a "
        "tenth as a cosine",
        above=0,
    )
    weight_decay: float = _flag(1e-4, "AdamW's weight decay", least=0)
    grad_clip: float = _flag(1.0, "largest norm of the gradient", above=0)
    average_decay: float = _flag(
        0.0,
        "play matches with weights averaged over the steps, so much of the average kept at each; 0 = off",
        least=0,
        below=1,
    )
    value_weight: float = _flag(1.0, "weight of the value loss against the policy loss", least=0)
    tricks_weight: float = _flag(
        0.0,
        "weight of learning, by a head of its own, how many tricks each seat will win; 0 = no such head",
        least=0,
    )
    leaf_values: str = _flag(
        "mover",
        "whose view the values of a search's leaves are: that of the mover, or of a critic that sees the sampled world",
        choices=LEAF_VALUES,
    )
    replay_examples: int = _flag(500_000, "examples kept for learning, the newest", least=1)

    augment_suits: bool = _flag(
        False, "learn from examples with the suits beside trump in a random order, where their names mean nothing"
    )

    gate: str = _flag(
        "always",
        "which network plays self-play: always the newest, or by test the newest once it has beaten the one that plays",
        choices=("always", "test"),
    )
    gate_error: float = _flag(
        0.05, "probability with which such a test lets a network pass that is only as good", above=0, below=1
    )
    gate_deals: int = _flag(  # not fewer, for the normal approximation of the test
        250,
        "deals of such a test at most, but 30 of each number of cards, each played in all seatings with search",
        least=30,
    )

    eval_every: int = _flag(
        10,
        "iterations between evaluations against the bots, or as many times ten updates of policy gradient; 0 = only at "
        "the end",
        least=0,
    )
    eval_deals: int = _flag(250, "deals of an evaluation, each played from every seat", least=1)
    eval_opponents: str = _flag(
        "",
        "whom evaluations play, with commas between, such as random,rules, FILE.py:CLASS for a player of your own; of "
        "long games flat takes minutes; solved, a small game's solution, plays where it is named only; none named: "
        "all other bots that play the game",
    )

    seed: int = _flag(0, "seed of everything random", least=0, below=2**64)
    device: str = _flag("auto", "cpu, cuda, cuda:N, or auto: a GPU if there is one")
    precision: str = _flag(
        "auto",
        "arithmetic of the network in searched games and evaluation (policy gradient's games have that of auto); auto: "
        "bfloat16 where the hardware has it; int8 for CPUs and float8 for GPUs from Ada or Hopper on: faster, rougher",
        choices=PRECISIONS,
    )
    chunk_games: int = _flag(
        0,
        "games searched at a time, 0 = by device; changes speed and memory, and of the games what a network's "
        "rounding, which varies with the batch, decides between nearly equal actions",
        least=0,
    )
    compile: bool = _flag(
        False,
        "on a GPU, compile the network of searched games and the learner by torch.compile, which takes seconds at "
        "their first two sizes",
    )
    graphs: bool = _flag(True, "on a GPU, replay searches and learning as CUDA graphs")
    checkpoint_seconds: int = _flag(60, "save the run when this long has passed since the last save", least=0)
    tensorboard: bool = _flag(True, "write the metrics as curves for TensorBoard, too, where that is installed")
    wandb: str = _flag("", "send them to this project of Weights & Biases, too, which WANDB_MODE=offline keeps here")

    def __post_init__(self) -> None:
        for name, value in check_saved(vars(self)).items():
            object.__setattr__(self, name, value)
        for name, value in canonical(self.game_flags()).items():
            object.__setattr__(self, name, value)
        players = map(absolute, players_of(self.eval_opponents))  # as a game's file is kept
        object.__setattr__(self, "eval_opponents", ",".join(players))
        for name, other in (("updates", "search"), ("iterations", "policy-gradient")):
            if self.learner == other:
                object.__setattr__(self, name, 0)
            elif getattr(self, name) < 1:
                raise ValueError(
                    f"{flag_name(name)} must be at least 1, got {getattr(self, name)!r}; --learner {other} has none"
                )
        for item in dataclasses.fields(self):
            check_bounds(item.metadata, flag_name(item.name), getattr(self, item.name))
        for steps, games in (("iterations", "games_per_iter"), ("updates", "update_games")):
            if getattr(self, steps) * getattr(self, games) > MOST_GAMES:
                raise ValueError(f"{flag_name(steps)} times {flag_name(games)} must be at most {MOST_GAMES:,} games")
        if self.full_share < 1 and self.fast_simulations >= self.simulations:
            raise ValueError(
                f"--fast-simulations must be below --simulations, {self.simulations}, got {self.fast_simulations}"
            )
        if self.imitated != RULE_PLAYERS and not self.imitated_games:
            raise ValueError(f"--imitated {self.imitated} would change nothing without --imitated-games")
        if self.magnet_rate and not self.magnet:
            raise ValueError(f"--magnet-rate {self.magnet_rate} would change nothing without --magnet")
        if self.update_rule == NEURD and self.gae_lambda != 1:
            raise ValueError(
                f"--update-rule {NEURD} judges actions by results: it needs --gae-lambda 1, got {self.gae_lambda}"
            )
        if self.update_rule == CFR and self.tricks_weight > 0:
            raise ValueError(f"--tricks-weight is for games that are played, which by --update-rule {CFR} none is")
        game = self.games()[0]
        self.search(self_play=True)
        if self.policy_target == "visits" and self.root_selection == "gumbel":
            raise ValueError(
                "--policy-target visits needs --root-selection puct or shared, as gumbel's schedule sets how often "
                "actions are visited; with gumbel take --policy-target improved"
            )
        if self.candidates and not game.fixed_hands:
            raise ValueError(f"--candidates is for games whose cards do not change hands, unlike {self.describe()}")
        if self.tricks_weight > 0 and game.tricks_won(game.deal(1)) is None:
            raise ValueError(f"--tricks-weight is for games of tricks, which {self.describe()} is not")
        if self.tricks_weight > 0 and self.values == 1 and game.seats != SCALAR_SEATS:
            raise ValueError(f"--tricks-weight needs --values 4 in a game of {game.seats} seats, {self.describe()}")
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
        """The card counts that every update and iteration mixes, in equal shares."""
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

    def cards_dealt(self) -> str:
        """How many cards a seat is dealt, in words; "" of a game that always deals as many."""
        return cards_dealt(self.game_flags())

    @property
    def judged_by_search(self) -> bool:
        """Whether its networks are judged by how they play with its search: not where a solution is all that a run
        learns, from which a search leads away, but by the policy that they draw their actions from."""
        return self.update_rule != CFR or self.learner != "policy-gradient"

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


def players_of(text: str) -> list[str]:
    """The names of players with commas between. A comma may also be in the path of a full address, which ends with
    ":NAME"."""
    names: list[str] = []
    for part in text.split(","):
        if names and "/" in names[-1] and not re.search(r":\w+\s*$", names[-1]):
            names[-1] += f",{part}"
        else:
            names.append(part)
    return [name.strip() for name in names]


def flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def check_bounds(metadata: Mapping[str, object], flag: str, value: object) -> None:
    """Raises ValueError, in one line, where a setting's value is none of its choices, or beyond a bound of it."""
    if value not in metadata.get("choices", (value,)):
        raise ValueError(f"{flag} must be one of {metadata['choices']}, got {value!r}")
    bounds = {name: metadata[name] for name in BOUNDS if name in metadata}
    if not all(BOUNDS[name][0](value, bound) for name, bound in bounds.items()):
        words = " and ".join(f"{BOUNDS[name][1]} {bound:,}" for name, bound in bounds.items())
        raise ValueError(f"{flag} must be {words}, got {value!r}")


def check_saved(told: Mapping[str, object]) -> dict[str, object]:
    """Settings by name, some or all: known ones, each of the type that it has as a flag.

    Raises:
        ValueError: in one line, that names a setting, and what would be right.
    """
    defaults = {item.name: item.default for item in dataclasses.fields(Settings)}
    if others := unknown(told, defaults):
        raise ValueError(f"the run has settings that this version does not know: {others}")
    return {name: like(defaults[name], value, flag_name(name)) for name, value in told.items()}
