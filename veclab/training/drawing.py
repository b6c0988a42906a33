"""Games without search: how their decisions are drawn from the network's policy, and what is kept of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import torch
from torch import Tensor

from net import InferenceNet
from net.threads import side_by_side
from vecgame import Game, Purpose, State, Stream, SuitSymmetry
from vecgame.cards import unpack
from veclab.training.distributed import Group
from veclab.training.listed import listed
from veclab.training.selfplay import play_in_turn, sample, split
from veclab.training.steps import WAYS
from vecmcts import graphs as recordings

PLAY = "games of policy gradient"  # what is recorded, for the log
PlayedT = TypeVar("PlayedT", bound="Played")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Played:
    """What games leave to learn from, in the frame of the movers of E decisions; base of what each rule adds."""

    observation: Tensor  # [E, features] float32
    legal: Tensor  # [E] int64, bitboard of the legal policy columns; [E, words] with more than 52 (`cards.pack_mask`)
    value: Tensor  # [E, seats] float32, what the network's values learn for each relative seat
    score: float  # mean points a game and seat
    games: int
    tricks: Tensor | None = None  # [E, seats] int8, see `Examples`
    hidden: Tensor | None = None  # [E, seats - 1] int64, likewise

    def check(self) -> None:
        """Raises ValueError, in one line, where there was nothing to decide."""
        if not len(self.observation):
            raise ValueError(f"in {self.games:,} games there was nothing to decide: nothing can be learned from them")

    def tensors(self) -> dict[str, Tensor]:
        """The fields that say something of each decision, by name, without what is None."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if isinstance(value, Tensor)}

    def gather(self, group: Group) -> Self:
        """What all processes have played as one, in the order of the processes."""
        if group.size == 1:
            return self
        points, games = group.sum(torch.tensor([self.score * self.games, self.games], dtype=torch.float64)).tolist()
        fields = {name: group.gather(tensor) for name, tensor in self.tensors().items()}
        return type(self)(**fields, score=points / games, games=int(games))

    @staticmethod
    def concatenate(parts: Sequence[PlayedT]) -> PlayedT:
        """The decisions of several as one's, in their order."""
        if len(parts) == 1:
            return parts[0]
        fields = [part.tensors() for part in parts]
        joined = {name: torch.cat([own[name] for own in fields]) for name in fields[0]}
        games = sum(part.games for part in parts)
        return type(parts[0])(**joined, score=sum(part.games * part.score for part in parts) / games, games=games)


@dataclass(frozen=True)
class View:
    """L decisions as the network sees them, with what it says of them and the numbers that are drawn by."""

    observation: Tensor  # [L, features] float32
    mask: Tensor  # [L, actions] bool, the legal policy columns
    columns: Tensor  # [L, max_legal] int64, the policy column of each action
    hidden: Tensor | None  # [L, seats - 1] int64, the hands of the seats after the mover, where a critic is to see them
    log_policy: Tensor  # [L, actions] float32, -inf where illegal
    baseline: Tensor  # [L] float32, value of the mover
    stream: Stream  # L lanes


def as_seen(
    game: Game, state: State, actions: Tensor, stream: Stream, symmetry: SuitSymmetry | None, with_hidden: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The fields of `View` that say how the network sees L decisions with the ``actions`` [L, max_legal]: observation,
    mask, columns and hidden, all with the suits in an order of the ``stream`` where there is a symmetry."""
    observation, columns = game.observe(state), game.policy_columns(state, actions)
    mask = game.mask_at(actions, columns)
    hidden = game.others_hands(state) if with_hidden else None
    if symmetry is not None:
        orders = symmetry.orders(stream, observation)
        observation, mask = orders.observations(observation), orders.policies(mask)
        columns = orders.columns(columns, game.num_actions)
        hidden = None if hidden is None else orders.cards(hidden)
    return observation, mask, columns, hidden


def by_column(slots: Tensor, columns: Tensor, legal: Tensor, width: int) -> Tensor:
    """What is said of actions by their slots, [E, max_legal], by their policy columns: [E, width], 0 elsewhere.

    Args:
        columns: [E, max_legal] int64.
        legal: [E, max_legal] bool, slots that hold an action.
    """
    framed = slots.new_zeros((len(slots), width + 1))  # a column for what is no action
    return framed.scatter(1, torch.where(legal, columns, width), slots)[:, :width]


@dataclass(frozen=True)
class Terms:
    """What all games of one call have in common."""

    game: Game
    network: InferenceNet
    seed: int
    device: torch.device
    symmetry: SuitSymmetry | None
    with_hidden: bool
    with_tricks: bool
    graphs: bool

    def deal(self, count: int, first_index: int, together: int = 1) -> State:
        """Games ``first_index`` onwards, in whose number so many that follow one another have one deal, if deals are
        `listed`: ``count`` lanes."""
        if (deals := listed(self.game, self.device)) is not None:
            return deals.deal(count, self.seed, first_index, together)
        return self.game.deal(count, self.seed, self.device, first_index)

    def look(self, state: State, actions: Tensor, choice: Tensor | None = None) -> View:
        """Has the network look at L decisions with the ``actions`` [L, max_legal].

        Args:
            choice: [L] bool, those that are to be judged; what is said of the others has no meaning. None: all.
        """
        game = self.game
        stream = Stream(self.seed, state.index, game.turn(state))
        observation, mask, columns, hidden = as_seen(game, state, actions, stream, self.symmetry, self.with_hidden)
        # A critic's baseline, which may depend on what the policy must not see, for the action does not change it.
        others = None if hidden is None else unpack(hidden, torch.float32, game.layout.size).flatten(1)
        skips = choice is not None and getattr(self.network, "skips_rows", False)
        logits, values = self.network(observation, mask, others, **({"live": choice} if skips else {}))
        log_policy = logits.masked_fill(~mask, -torch.inf).log_softmax(-1)
        return View(observation, mask, columns, hidden, log_policy, values[:, 0], stream)

    def draw(self, view: View, actions: Tensor) -> tuple[Tensor, Tensor]:
        """One of the ``actions`` [L, max_legal] of each decision, drawn from its policy: [L] int64, and its policy
        column [L] int64."""
        column = sample(view.log_policy.exp(), view.stream.uniform(Purpose.ACTION, 1)[:, 0])
        slot = ((view.columns == column[:, None]) & (actions >= 0)).to(torch.int8).argmax(-1)
        return actions.gather(1, slot[:, None])[:, 0], column

    def recorded(self, body: Callable[..., T], *inputs: State | Tensor) -> T:
        """What a method of these terms makes of a decision of B games, by a recorded graph if that can be."""
        by_graph = False
        if self.graphs:
            key = (body.__name__, self.game, self.seed, self.symmetry, self.with_hidden, len(inputs[0]))
            made, by_graph = recordings.replayed(self.network, key, body, *inputs, what=PLAY)
        else:
            made = body(*inputs)
        WAYS["graph" if by_graph else "eager"] += 1
        return made


class Chunk:
    """Games that are played together, and what they leave; base of what plays them."""

    def __init__(self, terms: Terms, first_index: int, count: int) -> None:
        self.terms, self.first_index, self.count = terms, first_index, count
        self.rows: dict[str, Tensor] = {}  # the fields of `Played` [E, ..], by decision
        self.counts: list[int] = []  # rows of each decision
        self.score = 0.0  # mean points a game and seat

    def cut(self, largest: int) -> list[Self]:
        """The same games, not begun, in chunks of at most ``largest``."""
        parts = split(self.count, largest, 1)
        return [type(self)(self.terms, self.first_index + start, count) for start, count in parts]


def play_all(chunks: list[Chunk], games: int, device: torch.device) -> dict[str, object]:
    """Plays all chunks of so many ``games``, and tells the fields of `Played` and of what each rule adds: rows in the
    order that they have in one chunk, by decision, and by game in each."""
    with side_by_side(device):  # for the network
        play_in_turn(chunks)
    rows = chunks[0].rows if len(chunks) == 1 else _by_decision(chunks)
    return {**rows, "score": sum(chunk.count / games * chunk.score for chunk in chunks), "games": games}


def _by_decision(chunks: Sequence[Chunk]) -> dict[str, Tensor]:
    """The rows of several chunks."""
    most = max(len(chunk.counts) for chunk in chunks)  # decisions of the longest game
    counts = [chunk.counts + [0] * (most - len(chunk.counts)) for chunk in chunks]
    cut = [
        {name: tensor.split(each) for name, tensor in chunk.rows.items()}
        for chunk, each in zip(chunks, counts, strict=True)
    ]
    decisions = range(most)
    return {name: torch.cat([parts[name][place] for place in decisions for parts in cut]) for name in cut[0]}
