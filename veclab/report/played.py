"""Games that a run's network plays for its report: what it thought, and how well its values and bids held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import torch
from torch import Tensor
from torch.nn.functional import pad

from net import InferenceNet
from vecgame import Game, State
from vecgame.games.match import Standing
from vecgame.lanes import has_choice
from vecgame.state import concatenate
from veclab.arena.intervals import Interval
from veclab.arena.matches import FIRST_INDEX
from veclab.progress import Display
from veclab.report.charts import bar_chart, calibration_chart
from veclab.report.markup import grid, number_text
from veclab.room import Need, check_room, state_bytes
from veclab.training.mixing import shared_out

GAMES = 2000  # played by default; with the document's network on one core 4 s at 5 cards, 9 s at 13
AT_ONCE = 4096  # games that are played side by side, at most: Ctrl+C waits for one operation on all of them
DECISION_BYTES = 26  # of the columns of `Played`
BINS = 10
SHOWN_GAMES = 3

Bin = tuple[float, float, int, float, float]
"""Low, high, count, mean predicted and mean realised score; nan for the means of an empty one."""


@dataclass(frozen=True)
class Thought:
    """What the network thought at one decision of the first K games."""

    state: State  # the K games before it
    actions: Tensor  # [K, max_legal] int64, the legal ones, -1 = none
    chances: Tensor  # [K, max_legal] float32, their probabilities
    values: Tensor  # [K, V] float32, worth to the mover and the seats after it, or with V = 1 to the mover alone


@dataclass(frozen=True)
class Played:
    """G games that the network played alone, D decisions at most; tensors of decisions are [D, G].

    In a game that is over by then, decisions are not `live`, and what else is told of them means nothing.
    """

    game: Game
    start: State
    end: State
    live: Tensor  # bool, the game was going on
    mover: Tensor  # int64
    action: Tensor  # int64
    chance: Tensor  # float32, the network's probability of the action
    value: Tensor  # float32, what it expected for the mover, as a worth
    free: Tensor  # bool, the mover had a choice
    thoughts: tuple[Thought, ...]  # D of the first games

    def expected(self) -> Tensor:
        """The score that the mover of each decision was thought to get: [D, G] float32."""
        return self.game.score_of(self.value)

    def realised(self) -> Tensor:
        """The score that it got: [D, G] float32."""
        return self.game.scores(self.end).gather(1, self.mover.T).T


def play(
    game: Game, network: InferenceNet, games: int, seed: int, report: Callable[[float], None] = lambda share: None
) -> Played:
    """Plays games that no run learns from; every seat takes the network's most probable action.

    Args:
        report: called with the share of the most decisions that are made.
    """
    kept = games * (state_bytes(game) + game.decisions * DECISION_BYTES)
    check_room(torch.device("cpu"), Need(f"what is kept of {games:,} games", kept, "a smaller --games"))
    parts = []
    for first in range(0, games, AT_ONCE):
        count = min(AT_ONCE, games - first)

        def told(share: float, first: int = first, count: int = count) -> None:
            report((first + share * count) / games)

        parts.append(_play(game, network, game.deal(count, seed, "cpu", FIRST_INDEX + first), told))
    return _together(parts)


def _play(game: Game, network: InferenceNet, start: State, report: Callable[[float], None]) -> Played:
    """`play` of games that have just been dealt, side by side."""
    state, games = start, start.batch_size
    decisions, thoughts = [], []
    while not bool((over := game.is_terminal(state)).all()):
        lanes = (~over).nonzero()[:, 0]
        part = state.take(lanes)
        legal = game.legal_actions(part)
        logits, values = network(game.observe(part), game.policy_mask(part))
        policy = game.slot_logits(part, legal, logits).softmax(-1)
        chance, slot = policy.max(-1)
        action = legal.gather(1, slot[:, None])[:, 0]
        several = has_choice(legal)
        live = torch.ones_like(several)
        columns = (live, game.mover(part), action, chance, values[:, 0], several)
        decisions.append([_spread(column, lanes, games) for column in columns])
        shown = (lanes < SHOWN_GAMES).nonzero()[:, 0]
        told = (_spread(tensor[shown], lanes[shown], min(games, SHOWN_GAMES)) for tensor in (legal, policy, values))
        thoughts.append(Thought(state[:SHOWN_GAMES], *told))
        state = state.put(lanes, game.step(part, action))
        report(len(decisions) / game.decisions)
    columns = (torch.stack(column) for column in zip(*decisions, strict=True))
    return Played(game, start, state, *columns, thoughts=tuple(thoughts))


def _together(parts: Sequence[Played]) -> Played:
    """Parts of the same games as one, with as many decisions as the longest; the thoughts are the first part's."""
    longest = max(len(part.live) for part in parts)
    columns = {
        name: torch.cat([pad(getattr(part, name), (0, 0, 0, longest - len(part.live))) for part in parts], dim=1)
        for name in ("live", "mover", "action", "chance", "value", "free")
    }
    start, end = (concatenate([getattr(part, name) for part in parts]) for name in ("start", "end"))
    return Played(parts[0].game, start, end, **columns, thoughts=parts[0].thoughts)


def _spread(values: Tensor, lanes: Tensor, count: int) -> Tensor:
    """Values [L, ...] of some lanes [L] int64 among zeros for the others: [count, ...]."""
    return values.new_zeros(count, *values.shape[1:]).index_copy(0, lanes, values)


def play_all(games: Sequence[Game], network: InferenceNet, seed: int, count: int, display: Display) -> list[Played]:
    """``count`` games, shared out among the rules of a run."""
    rules = tuple(dict.fromkeys(games))  # a card count that is repeated for a larger share would repeat its deals
    played, finished = [], 0
    with display.task("games for the report", count, "games") as task:
        for game, _, share in shared_out(rules, count, 0):

            def report(part: float, before: int = finished, share: int = share) -> None:
                task.update(before + part * share)

            played.append(play(game, network, share, seed, report))
            finished += share
    return played


# -- how well values and bids held ------------------------------------------------------------------------------------


def calibration(
    predicted: Tensor, realised: Tensor, low: float = 0.0, high: float = 1.0, bins: int = BINS
) -> list[Bin]:
    """Means of the scores that were predicted and realised, [N] each, by equal bins of the prediction.

    Predictions outside ``low`` .. ``high`` belong to the first or the last bin.
    """
    number = ((predicted - low) / (high - low) * bins).floor().clamp(0, bins - 1)
    rows = []
    for index in range(bins):
        inside = number == index
        means = float(predicted[inside].double().mean()), float(realised[inside].double().mean())
        ends = (low + (high - low) * end / bins for end in (index, index + 1))
        rows.append((*ends, int(inside.sum()), *means))
    return rows


def calibration_error(rows: Sequence[Bin]) -> float:
    """Mean distance of predicted and realised over the bins, weighted by their counts."""
    total = sum(row[2] for row in rows)
    return sum(count * abs(predicted - realised) for _, _, count, predicted, realised in rows if count) / max(total, 1)


def bids_met(played: Sequence[Played]) -> list[tuple[str, float, float]]:
    """For each card count: its name, the share of bids met, and half of the 95% interval over games; nothing in a game
    without bids."""
    met = [(str(p.game.cards), p.game.bids_met(p.end)) for p in sorted(played, key=lambda part: part.game.cards)]
    shares = [(name, Interval.of(bids.double().mean(-1), span=1)) for name, bids in met if bids is not None]
    return [(name, share.mean, share.half) for name, share in shares]


def played_charts(played: Sequence[Played], network: str) -> str:
    """Calibration of the value head, and bids met by card count; ``network`` is the name of the one that played."""
    games, unit = [part.game for part in played], played[0].game.unit
    low, high = min(game.lowest for game in games), max(game.highest for game in games)
    predicted = torch.cat([part.expected()[part.free] for part in played])
    realised = torch.cat([part.realised()[part.free] for part in played])
    rows = calibration(predicted, realised, low, high)
    count = sum(part.start.batch_size for part in played)
    text = (
        f"{count:,} games that {escape(network)} played alone, every seat its most probable action, on deals that "
        "no run learns from."
    )
    note = (
        f"At {sum(row[2] for row in rows):,} decisions with a choice, in {unit}; a game gives from {number_text(low)} "
        f"to {number_text(high)}. Mean distance from the diagonal: {number_text(calibration_error(rows))}. Bars: "
        "decisions in each bin."
    )
    title, x_label = "Calibration of the value head", f"predicted {unit} of the mover"
    figures = [calibration_chart(title, rows, x_label, "realised", note)]
    if bids := bids_met(played):
        last = " Of a match, its last game." if isinstance(played[0].end, Standing) else ""
        figures.append(
            bar_chart("Bids met by card count", bids, "cards", "share", 1.0, f"With 95% intervals over games.{last}")
        )
    return f"<p>{text}</p>{grid(figures)}"
