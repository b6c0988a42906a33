"""What a run has recorded: its metrics and evaluations, and the charts of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from veclab.agents.folder import METRICS, RESULTS
from veclab.agents.networks import NUMBERED
from veclab.files import DamagedError, is_intact, read_json
from veclab.report.charts import Series, line_chart, window_for
from veclab.report.drawing import drawable
from veclab.report.markup import details, grid, table_html
from veclab.settings import Settings
from veclab.training import metrics
from veclab.training.curves import COUNTERS, is_number, player_of, step_of

Entry = dict[str, object]

TARGETS = ((100, "document: minimum 100"), (500, "document: target 500"), (1000, "document: stretch 1,000"))


def read_metrics(folder: Path) -> list[Entry]:
    """The entries of a run's metrics; a line that was being written when the machine stopped is left out.

    Raises:
        ValueError: in one line, when there are none, or a line is damaged.
    """
    if not (entries := metrics.read(folder / METRICS)):
        raise ValueError(f"{folder} has no metrics yet; its first line comes with the first update or iteration")
    return entries


def with_total(entry: Entry, settings: Settings) -> Entry:
    """The entry with the loss that was minimised."""
    if not (is_number(entry.get("policy_loss")) and is_number(entry.get("value_loss"))):
        return entry
    total = entry["policy_loss"] + settings.value_weight * entry["value_loss"]
    if is_number(entry.get("tricks_loss")):
        total += settings.tricks_weight * entry["tricks_loss"]
    if is_number(entry.get("critic_loss")):
        total += settings.value_weight * entry["critic_loss"]
    return {**entry, "total_loss": total}


# -- charts of the metrics --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chart:
    """Which numbers of the metrics share a chart."""

    title: str
    names: dict[str, str]  # key in the metrics -> name in the chart
    y_label: str = ""
    log: bool = False
    zero: bool = False
    references: tuple[tuple[float, str], ...] = ()
    note: str = ""


def learning_charts(unit: str) -> tuple[Chart, ...]:
    """Of the iterations' learning, in a game that counts its scores in ``unit``."""
    return (
        Chart("Policy loss and total loss", {"policy_loss": "policy", "total_loss": "total"}, "nats"),
        *_head_charts("Value loss", "Loss of the tricks' head"),
        Chart(
            "Policy targets",
            {"policy_entropy": "entropy", "prior_divergence": "divergence from the prior"},
            "nats",
            note="How undecided the search is, and how much it changes the network's mind.",
        ),
        Chart("Bids met in self-play", {"bids_met": "bids met"}, "share"),
        _score_chart("Score in self-play", unit),
    )


def speed_charts(targets: bool) -> tuple[Chart, ...]:
    """Of the iterations' speed; with the document's ``targets``, which are for its own game."""
    count = {"games": "games", "examples": "examples", "examples_learned": "learned from", "evaluations": "evaluations"}
    seconds = {"self_play_seconds": "self-play", "learn_seconds": "learning"}
    references = TARGETS if targets else ()
    return (
        Chart("Self-play throughput", {"games_per_minute": "games/min"}, "games/min", log=True, references=references),
        Chart("Evaluations", {"evaluations_per_second": "evaluations/s"}, "evaluations/s", zero=True),
        Chart("Learning throughput", {"examples_per_second": "examples/s"}, "examples/s", zero=True),
        Chart("Where the time goes", seconds, "seconds", zero=True),
        Chart("Work of an iteration", count, "count", log=True),
    )


def policy_gradient_charts(unit: str) -> tuple[Chart, ...]:
    """Of the updates of policy gradient."""
    return (
        _score_chart("Score", unit),
        Chart("Entropy of the policy", {"entropy": "entropy"}, "nats"),
        *_head_charts("Value loss of policy gradient", "Loss of the tricks' head in policy gradient"),
        Chart("Divergence from the magnet", {"magnet_divergence": "divergence"}, "nats"),
        Chart("Surrogate objective", {"surrogate": "surrogate"}),
        Chart("Time of an update", {"seconds": "seconds"}, "seconds", zero=True),
    )


def _head_charts(value: str, tricks: str) -> tuple[Chart, Chart]:
    """Of the losses of the heads beside the policy, by the titles of the charts."""
    return (
        Chart(value, {"value_loss": "value", "critic_loss": "critic"}, "squared error, sum over seats"),
        Chart(tricks, {"tricks_loss": "tricks"}, "nats, mean of the seats"),
    )


def _score_chart(title: str, unit: str) -> Chart:
    return Chart(title, {"score": unit}, f"{unit} a game and seat")


def metric_charts(entries: Sequence[Entry], charts: Sequence[Chart], x_key: str, x_label: str) -> str:
    """The charts whose numbers the entries hold, a table where they are of one step, and which are 0 throughout."""
    drawn, rows, idle = [], [], []
    for chart in charts:
        found = {
            name: [(entry[x_key], entry[key]) for entry in entries if is_number(entry.get(key))]
            for key, name in chart.names.items()
        }
        series = [Series(name, points, window=window_for(len(points))) for name, points in found.items() if points]
        values = [y for line in series for _, y in line.points]
        if values and not any(values):
            idle.append(chart.title)
        elif len({x for line in series for x, _ in line.points}) == 1:
            rows += [[chart.title, line.name, line.points[0][1], chart.y_label] for line in series]
        elif any(drawable(value, chart.log) for value in values):
            looks = chart.y_label, chart.log, chart.zero, chart.references, chart.note
            drawn.append(line_chart(chart.title, series, x_label, *looks))
    table = table_html(f"Figures of the only {x_label}", ["figure", "of", "value", "in"], rows) if rows else ""
    still = f'<p class="small">0 throughout: {escape(", ".join(idle))}.</p>' if idle else ""
    return grid(drawn) + table + still


def other_charts(entries: Sequence[Entry], charts: Sequence[Chart]) -> tuple[Chart, ...]:
    """A chart for each number of the entries that no chart knows."""
    known = {key for chart in charts for key in chart.names} | set(COUNTERS)
    keys = dict.fromkeys(key for entry in entries for key in entry if is_number(entry[key]) and key not in known)
    return tuple(Chart(key.replace("_", " "), {key: key.replace("_", " ")}) for key in keys)


# -- evaluations ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strength:
    """One player of one iteration against one opponent at all other seats."""

    player: str  # as it is called at every iteration: "search 3x30", "network alone"
    opponent: str
    step: int  # of the run, counting updates and then iterations
    match: dict[str, object]  # of MatchResult.to_dict


def read_strength(folder: Path, entries: Sequence[Entry]) -> list[Strength]:
    """All evaluations in the order of the run's steps; of two of the same the later one counts."""
    last = max((step_of(entry) for entry in entries), default=0)
    found = [(step_of(entry), entry["results"]) for entry in entries if "results" in entry]
    if not any(entry["kind"] == "final evaluation" for entry in entries) and (folder / RESULTS).is_file():
        found.append((last, _read_results(folder / RESULTS)))
    matches: dict[tuple[str, str, int], Strength] = {}
    for step, results in found:
        for name, row in results.items():
            player, at = player_of(name, step)
            for opponent, match in row.items():
                matches[player, opponent, at] = Strength(player, opponent, at, _with_infinity(match))
    return sorted(matches.values(), key=lambda strength: strength.step)


def _read_results(path: Path) -> dict[str, dict[str, dict[str, object]]]:
    """The final evaluation of a run. Raises DamagedError, in one line, where the file is not as the run wrote it."""
    stored = read_json(path)
    results = stored.get("results", stored)  # in early versions they stood alone
    try:
        metrics.check_results(results)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {error}; go on with the run to have it written again") from None
    if not is_intact(stored):
        raise DamagedError(f"{path} is not as the run wrote it; go on with the run to have it written again")
    return results


def _with_infinity(match: dict[str, object]) -> dict[str, object]:
    """A match with the width of intervals that have none, of a single deal, as the number that JSON has not."""
    absent = {"mean": math.nan, "half": math.inf}
    sides = {
        name: {part: other if match[name][part] is None else match[name][part] for part, other in absent.items()}
        for name in ("player", "opponents", "lead")
    }
    return {**match, **sides}


def steps_of(settings: Settings) -> str:
    """What a run's steps are, for an axis."""
    return {"policy-gradient": "update", "search": "iteration"}.get(settings.learner, "updates, then iterations")


def strength_charts(strengths: Sequence[Strength], unit: str, steps: str) -> str:
    """For every player its lead over the opponents by the run's ``steps``, in a game that counts in ``unit``, and a
    table of all scores."""
    drawn = []
    for player in dict.fromkeys(strength.player for strength in strengths):
        own = [strength for strength in strengths if strength.player == player]
        series = []
        for opponent in dict.fromkeys(strength.opponent for strength in own):
            of = [strength for strength in own if strength.opponent == opponent]
            points = [(strength.step, strength.match["lead"]["mean"]) for strength in of]
            series.append(Series(f"over {opponent}", points, [strength.match["lead"]["half"] for strength in of]))
        label = f"{unit} a game, 0 = even"
        drawn.append(line_chart(f"Lead, {player}", series, steps, label, references=((0.0, ""),)))
    header = ["player", "against", steps, unit, "±", "an opponent's", "±", "lead", "±", "games"]
    rows = [
        [s.player, s.opponent, s.step]
        + [s.match[side][part] for side in ("player", "opponents", "lead") for part in ("mean", "half")]
        + [s.match["games"]]
        for s in strengths
    ]
    table = details(f"All matches: {unit} a game with 95% intervals", table_html("All matches", header, rows))
    return grid(drawn) + table


def strongest_leads(strengths: Sequence[Strength]) -> list[Strength]:
    """Every player's latest match with the strongest of its opponents, which matches name last, but for an earlier
    network of the run, which comes after the bots."""
    bots = [strength.opponent for strength in strengths if not NUMBERED.search(strength.opponent)]
    if not bots:
        return []
    strongest = list(dict.fromkeys(bots))[-1]
    return list({s.player: s for s in strengths if s.opponent == strongest}.values())
