"""A run as one web page: strength, learning, speed, the value head's calibration, and games with what it thought.

vecgame report runs/NAME               writes runs/NAME/report.html
vecgame report runs/NAME --games 0     from the metrics alone, without playing

The page needs nothing beside itself, neither scripts nor other files, and is the same whenever it is made again.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import torch
from torch import Tensor

from net import InferenceNet
from vecgame import Blob, BlobState
from vecgame.cards import RANKS, STANDARD, TRUMP_NAMES, unpack
from vecgame.text import AS_TEXT, card_name
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.folder import METRICS, RESULTS, read_config
from veclab.agents.networks import label, newest_network
from veclab.arena.matches import FIRST_INDEX, Interval
from veclab.command_line import parser_of
from veclab.progress import Display
from veclab.report.charts import (
    Chart,
    Series,
    bar_chart,
    calibration_chart,
    details,
    grid,
    is_number,
    line_chart,
    metric_charts,
    number_text,
    other_charts,
    page,
    table_html,
)
from veclab.settings import Settings, for_resume

GAMES = 2000  # played by default; with the document's network on one core 4 s at 5 cards, 9 s at 13
BINS = 10
SHOWN_GAMES = 3
TARGETS = ((100, "document: minimum 100"), (500, "document: target 500"), (1000, "document: stretch 1,000"))
LEAD_LABEL = "points a game, 0 = even"

Entry = dict[str, object]


# -- reading a run ----------------------------------------------------------------------------------------------------


def read_metrics(folder: Path) -> list[Entry]:
    """The entries of a run's metrics; a line that was being written when the machine stopped is left out.

    Raises:
        ValueError: in one line, when there are none.
    """
    path = folder / METRICS
    entries = []
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and "kind" in entry:
            entries.append(entry)
    if not entries:
        raise ValueError(f"{folder} has no metrics yet; its first line comes with the first update or iteration")
    return entries


@dataclass(frozen=True)
class Strength:
    """One player of one iteration against one opponent at all other seats."""

    player: str  # as it is called at every iteration: "search 3x30", "network alone"
    opponent: str
    iteration: int
    match: dict[str, object]  # of MatchResult.to_dict


def read_strength(folder: Path, entries: Sequence[Entry]) -> list[Strength]:
    """All evaluations in the order of iterations; of two of the same the later one counts."""
    last = max((int(entry.get("iteration", 0)) for entry in entries), default=0)
    found = [(e.get("of", e.get("iteration", last)), e["results"]) for e in entries if "results" in e]
    if not any(entry["kind"] == "final evaluation" for entry in entries) and (folder / RESULTS).is_file():
        found.append((last, json.loads((folder / RESULTS).read_text())))
    matches: dict[tuple[str, str, int], Strength] = {}
    for iteration, results in found:
        for name, row in results.items():
            player, at = _player(name, int(iteration))
            for opponent, match in row.items():
                matches[player, opponent, at] = Strength(player, opponent, at, match)
    return sorted(matches.values(), key=lambda strength: strength.iteration)


def _player(name: str, iteration: int) -> tuple[str, int]:
    """Name and iteration of a player of the final evaluation, whose names say which network it is."""
    if name.startswith("before training, "):
        return name.removeprefix("before training, "), 0
    return ("network alone" if name == "trained network alone" else name.removeprefix("trained, ")), iteration


# -- charts of the metrics --------------------------------------------------------------------------------------------


LEARNING = (
    Chart("Policy loss and total loss", {"policy_loss": "policy", "total_loss": "total"}, "nats"),
    Chart("Value loss", {"value_loss": "value"}, "squared error, sum over seats"),
    Chart(
        "Policy targets",
        {"policy_entropy": "entropy", "prior_divergence": "divergence from the prior"},
        "nats",
        note="How undecided the search is, and how much it changes the network's mind.",
    ),
    Chart("Bids met in self-play", {"bids_met": "bids met"}, "share"),
    Chart("Points in self-play", {"score": "points"}, "points a game and seat"),
)
SPEED = (
    Chart("Self-play throughput", {"games_per_minute": "games/min"}, "games/min", log=True, references=TARGETS),
    Chart("Evaluations", {"evaluations_per_second": "evaluations/s"}, "evaluations/s", zero=True),
    Chart("Learning throughput", {"examples_per_second": "examples/s"}, "examples/s", zero=True),
    Chart("Where the time goes", {"self_play_seconds": "self-play", "learn_seconds": "learning"}, "seconds", zero=True),
    Chart(
        "Work of an iteration",
        {"games": "games", "examples": "examples", "examples_learned": "learned from", "evaluations": "evaluations"},
        "count",
        log=True,
    ),
)
WARMUP = (
    Chart("Points", {"score": "points"}, "points a game and seat"),
    Chart("Entropy of the policy", {"entropy": "entropy"}, "nats"),
    Chart("Value loss of the warm-up", {"value_loss": "value"}, "squared error, sum over seats"),
    Chart("Surrogate objective", {"surrogate": "surrogate"}),
    Chart("Time of an update", {"seconds": "seconds"}, "seconds", zero=True),
)


def strength_charts(strengths: Sequence[Strength]) -> str:
    """For every player its lead over the opponents, and a table of all points."""
    drawn = []
    for player in dict.fromkeys(strength.player for strength in strengths):
        own = [strength for strength in strengths if strength.player == player]
        series = []
        for opponent in dict.fromkeys(strength.opponent for strength in own):
            of = [strength for strength in own if strength.opponent == opponent]
            points = [(strength.iteration, strength.match["lead"]["mean"]) for strength in of]
            series.append(Series(f"over {opponent}", points, [strength.match["lead"]["half"] for strength in of]))
        drawn.append(line_chart(f"Lead, {player}", series, "iteration", LEAD_LABEL, references=((0.0, ""),)))
    header = ["player", "against", "iteration", "points", "±", "an opponent's", "±", "lead", "±", "games"]
    rows = [
        [s.player, s.opponent, s.iteration]
        + [s.match[side][part] for side in ("player", "opponents", "lead") for part in ("mean", "half")]
        + [s.match["games"]]
        for s in strengths
    ]
    table = details("All matches: points a game with 95% intervals", table_html("All matches", header, rows))
    return grid(drawn) + table


# -- games played for the page ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    """G games that the network played alone, D decisions each; tensors of decisions are [D, G]."""

    game: Blob
    start: BlobState
    end: BlobState
    mover: Tensor  # int64
    action: Tensor  # int64
    chance: Tensor  # float32, the network's probability of the action
    value: Tensor  # float32, what it expected for the mover, as a share of the most points
    free: Tensor  # bool, the mover had a choice

    def realised(self) -> Tensor:
        """How the game ended for the mover of each decision, on the scale of `value`: [D, G] float32."""
        return self.game.values(self.end).gather(1, self.mover.T).T


def play(
    game: Blob, network: InferenceNet, games: int, seed: int, report: Callable[[float], None] = lambda share: None
) -> Played:
    """Plays games that no run learns from; every seat takes the network's most probable action.

    Args:
        report: called with the share of the decisions that are made.
    """
    start = state = game.deal(games, seed, "cpu", FIRST_INDEX)
    decisions = []
    for decision in range(game.decisions):
        mask, legal = game.policy_mask(state), game.legal_actions(state)
        logits, values = network(game.observe(state), mask)
        policy = logits.masked_fill(~mask, -torch.inf).softmax(-1)
        chances = policy.gather(1, game.policy_columns(state, legal)).masked_fill(legal < 0, -1.0)
        chance, slot = chances.max(-1)
        action = legal.gather(1, slot[:, None])[:, 0]
        decisions.append((game.mover(state), action, chance, values[:, 0], legal[:, 1] >= 0))
        state = game.step(state, action)
        report((decision + 1) / game.decisions)
    return Played(game, start, state, *(torch.stack(column) for column in zip(*decisions, strict=True)))


def play_all(settings: Settings, network: InferenceNet, games: int, display: Display) -> list[Played]:
    """``games`` games, shared out among the run's card counts."""
    rules = tuple(dict.fromkeys(settings.games()))  # a count that is repeated for a larger share would repeat its deals
    played, finished = [], 0
    with display.task("games for the report", games, "games") as task:
        for number, game in enumerate(rules):
            count = games // len(rules) + (number < games % len(rules))
            if count == 0:
                continue

            def report(share: float, before: int = finished, count: int = count) -> None:
                task.update(before + share * count)

            played.append(play(game, network, count, settings.seed, report))
            finished += count
    return played


def calibration(predicted: Tensor, realised: Tensor, bins: int = BINS) -> list[tuple[float, float, int, float, float]]:
    """Means of what was predicted and realised [N] by equal bins of the prediction in 0 .. 1.

    Returns:
        (low, high, count, mean predicted, mean realised) of each bin; nan for the means of an empty one. Predictions
        outside 0 .. 1 belong to the first or the last bin.
    """
    number = (predicted * bins).floor().clamp(0, bins - 1)
    rows = []
    for index in range(bins):
        inside = number == index
        means = float(predicted[inside].double().mean()), float(realised[inside].double().mean())
        rows.append((index / bins, (index + 1) / bins, int(inside.sum()), *means))
    return rows


def calibration_error(rows: Sequence[tuple[float, float, int, float, float]]) -> float:
    """Mean distance of predicted and realised over the bins, weighted by their counts."""
    total = sum(row[2] for row in rows)
    return sum(count * abs(predicted - realised) for _, _, count, predicted, realised in rows if count) / max(total, 1)


def bids_met(played: Sequence[Played]) -> list[tuple[str, float, float]]:
    """For each card count: its name, the share of bids met, and half of the 95% interval over games."""
    shares = [Interval.of((part.end.bids == part.end.won).double().mean(-1)) for part in played]
    return [(str(part.game.cards), share.mean, share.half) for part, share in zip(played, shares, strict=True)]


def played_charts(played: Sequence[Played], network: str) -> str:
    """Calibration of the value head, and bids met by card count; ``network`` is the name of the one that played."""
    predicted = torch.cat([part.value[part.free] for part in played])
    realised = torch.cat([part.realised()[part.free] for part in played])
    rows = calibration(predicted, realised)
    games = sum(part.start.batch_size for part in played)
    text = (
        f"{games:,} games that {escape(network)} played alone, every seat its most probable action, on deals that "
        "no run learns from."
    )
    note = (
        f"At {sum(row[2] for row in rows):,} decisions with a choice; 1 is the most points that a game gives. Mean "
        f"distance from the diagonal: {number_text(calibration_error(rows))}. Bars: decisions in each bin."
    )
    figures = [
        calibration_chart("Calibration of the value head", rows, "predicted value of the mover", "realised", note),
        bar_chart("Bids met by card count", bids_met(played), "cards", "share", 1.0, "With 95% intervals over games."),
    ]
    return f"<p>{text}</p>{grid(figures)}"


# -- annotated games --------------------------------------------------------------------------------------------------


def annotated_games(played: Sequence[Played], count: int = SHOWN_GAMES) -> str:
    """The first games, of different card counts as far as there are some."""
    chosen = [played[round(k * (len(played) - 1) / max(count - 1, 1))] for k in range(count)]
    shown = []
    for number, part in enumerate(chosen):
        lane = sum(part is earlier for earlier in chosen[:number])
        if lane < part.start.batch_size:
            shown.append(_game_html(part, lane, number + 1))
    text = (
        "The first games of those, not picked. Under each bid and card: the probability that the network gave it, and "
        "the points that it then expected for that seat. The winner of a trick is in bold."
    )
    return f"<p>{text}</p>{''.join(shown)}"


def _game_html(part: Played, lane: int, number: int) -> str:
    game, end = part.game, part.end
    hands = unpack(part.start.hands[lane]).tolist()
    dealer, trump = int(part.start.dealer[lane]), TRUMP_NAMES[int(part.start.trump[lane])]
    scores = game.scores(end)[lane].tolist()
    rows = []
    for decision in range(game.seats):
        seat = int(part.mover[decision, lane])
        hand = " ".join(_card(card) for card in _sorted_hand(hands[seat]))
        bid = f"{int(part.action[decision, lane])}{_thought(part, decision, lane)}"
        rows.append((f"Seat {seat}", hand, bid, str(int(end.won[lane, seat])), f"{scores[seat]:g}"))
    title = f"Game {number}: {game.cards} card{'s' * (game.cards > 1)}, trump {trump}, seat {dealer} deals"
    hands_table = _plain_table(f"{title}: hands and bids", ("Seat", "Hand", "Bid", "Won", "Points"), rows)
    tricks = [_trick_cells(part, lane, trick) for trick in range(game.cards)]
    tricks_table = _plain_table(f"{title}: tricks", ("Trick", *(f"Seat {seat}" for seat in range(game.seats))), tricks)
    return f'<article class="game"><h3>{title}</h3>{hands_table}{tricks_table}</article>'


def _trick_cells(part: Played, lane: int, trick: int) -> list[str]:
    """The trick's number and the card of each seat, with who led and who won."""
    seats = part.game.seats
    first = seats * (trick + 1)
    following = first + seats
    last = following == part.game.decisions
    winner = int(part.end.leader[lane] if last else part.mover[following, lane])  # who wins leads next
    cells = [""] * seats
    for decision in range(first, following):
        seat = int(part.mover[decision, lane])
        card = _card(int(part.action[decision, lane]))
        roles = ", ".join(role for role, his in (("leads", decision == first), ("wins", seat == winner)) if his)
        shown = f"{card}<small>{roles}</small>" if roles else card
        if seat == winner:
            shown = f'<div class="won">{shown}</div>'
        cells[seat] = f"{shown}{_thought(part, decision, lane)}"
    return [str(trick + 1), *cells]


def _thought(part: Played, decision: int, lane: int) -> str:
    expected = part.game.score_of(float(part.value[decision, lane]))
    chance = f"{100 * float(part.chance[decision, lane]):.0f}%" if part.free[decision, lane] else "forced"
    return f"<small>{chance}, {expected:.1f}\u00a0pt</small>".replace("-", "\N{MINUS SIGN}")


def _card(card: int) -> str:
    red = " red" if card // RANKS % 2 else ""
    return f'<span class="card{red}">{card_name(STANDARD, card)}{AS_TEXT}</span>'


def _sorted_hand(held: Sequence[bool]) -> list[int]:
    """Suits in order, the highest card of each first."""
    return sorted((card for card in range(len(held)) if held[card]), key=lambda card: (card // RANKS, -card))


def _plain_table(label: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of markup."""
    heads = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table aria-label="{label}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


# -- the page ---------------------------------------------------------------------------------------------------------


def report(folder: Path, games: int, display: Display) -> str:
    """The page of a run as text.

    Raises:
        ValueError: in one line, when the folder holds no run or no metrics, or a network that cannot be read.
    """
    settings = for_resume(read_config(folder), {})
    if games and settings.game != "blob":
        raise ValueError(f"the games of a report are those of blob; for a run of {settings.game} give --games 0")
    entries = read_metrics(folder)
    iterations = [_with_total(entry, settings) for entry in entries if entry["kind"] == "iteration"]
    warmups = [entry for entry in entries if entry["kind"] == "warm-up"]
    strengths = read_strength(folder, entries)
    others = other_charts(iterations, (*LEARNING, *SPEED)), other_charts(warmups, WARMUP)
    values = shown = ""
    if games:
        path = newest_network(folder)
        which = label(path)  # before the games are played: a run that is at work may write another
        network = InferenceNet(load_network(path, game=settings.games()[0]), dtype=torch.float32)
        played = play_all(settings, network, games, display)
        values, shown = played_charts(played, which), annotated_games(played)
    rows = [[name, str(value)] for name, value in dataclasses.asdict(settings).items()]
    sections = {
        "Strength": strength_charts(strengths) if strengths else "",
        "Learning": metric_charts(iterations, LEARNING, "iteration", "iteration"),
        "Speed": metric_charts(iterations, SPEED, "iteration", "iteration"),
        "Other numbers": metric_charts(iterations, others[0], "iteration", "iteration"),
        "Warm-up": metric_charts(warmups, (*WARMUP, *others[1]), "updates", "update"),
        "Values and bids": values,
        "Games": shown,
        "Settings": details("All settings", table_html("Settings", ["setting", "value"], rows)),
    }
    body = "".join(f"<section><h2>{title}</h2>{content}</section>\n" for title, content in sections.items() if content)
    name = folder.resolve().name
    return page(f"vecgame: {name}", _header(name, settings, iterations, strengths) + body)


def _with_total(entry: Entry, settings: Settings) -> Entry:
    """The entry with the loss that was minimised."""
    if not (is_number(entry.get("policy_loss")) and is_number(entry.get("value_loss"))):
        return entry
    total = entry["policy_loss"] + settings.value_weight * entry["value_loss"]
    if is_number(entry.get("tricks_loss")):
        total += settings.tricks_weight * entry["tricks_loss"]
    if is_number(entry.get("critic_loss")):
        total += settings.value_weight * entry["critic_loss"]
    return {**entry, "total_loss": total}


def _header(name: str, settings: Settings, iterations: Sequence[Entry], strengths: Sequence[Strength]) -> str:
    """The run's name, what it is, and a few figures."""
    tiles = [("Iterations", f"{len(iterations)} of {settings.iterations}")]
    if games := [entry["games"] for entry in iterations if is_number(entry.get("games"))]:
        tiles.append(("Self-play games", number_text(sum(games))))
    if rates := [entry["games_per_minute"] for entry in iterations if is_number(entry.get("games_per_minute"))]:
        tiles.append(("Games/min, last", number_text(round(rates[-1]))))
    for strength in {(s.player, s.opponent): s for s in strengths if s.opponent == "rule-based"}.values():
        lead = Interval(**strength.match["lead"])
        tiles.append((f"Lead over rule-based, {strength.player}", str(lead).replace("-", "\N{MINUS SIGN}")))
    text = (
        f"{settings.describe()}; search of {settings.worlds} worlds x "
        f"{settings.simulations} simulations; network {settings.network}."
    )
    drawn = "".join(f"<div><dt>{escape(title)}</dt><dd>{escape(value)}</dd></div>" for title, value in tiles)
    return f'<header><h1>{escape(name)}</h1><p class="lead">{escape(text)}</p><dl class="tiles">{drawn}</dl></header>\n'


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("report", __doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a run")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page to write (default: RUN/report.html)")
    parser.add_argument(
        "--games", type=int, default=GAMES, metavar="N", help=f"games to play for the page, 0 = none (default: {GAMES})"
    )
    given = parser.parse_args(arguments)
    target = given.out or given.run / "report.html"
    try:
        if given.games < 0:
            raise ValueError(f"--games must be at least 0, got {given.games}")
        display = Display()
        write_atomically(target, report(given.run, given.games, display).encode("utf-8", "replace"))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    display.line(str(target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
