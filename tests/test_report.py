"""The page of a run: every metric and every strength drawn, games as they were played, nothing from elsewhere."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from net import InferenceNet
from tests.helpers import cards_of
from tests.report_pages import (
    NAME,
    SETTINGS,
    column,
    entries,
    figure,
    heights,
    match,
    newest_network,
    on_scale,
    paths,
    pixels,
    quiet,
    results,
    write_run,
)
from veclab.files import DamagedError, sealed
from veclab.report.markup import STYLE
from veclab.report.metrics import Strength, read_metrics, read_strength, strength_charts, with_total
from veclab.report.page import report
from veclab.report.played import play_all


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / NAME, entries())


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return report(folder, 60, quiet())


@pytest.fixture(scope="module")
def document(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


@pytest.fixture(scope="module")
def network() -> InferenceNet:
    return newest_network()


def test_every_metric_is_drawn_with_its_exact_numbers(document: ElementTree.Element) -> None:
    figures = {f.find("figcaption").text: f for f in document.iter("figure")}
    drawn: dict[str, list[list[float]]] = {}
    for title, element in figures.items():
        table = element.find(".//table")
        drawn[title] = [column(table, number) for number in range(len(table.find("thead/tr")))]
    for kind, x_key in (("iteration", "iteration"), ("update", "updates")):
        lines = [entry for entry in entries() if entry["kind"] == kind]
        for key in lines[0].keys() - {"kind", "updates", "iteration"}:
            numbers = [float(entry[key]) for entry in lines]
            holding = [title for title, columns in drawn.items() if numbers in columns[1:]]
            assert holding, key
            assert drawn[holding[0]][0] == [float(entry[x_key]) for entry in lines]
            assert len(pixels(figures[holding[0]], "c0")[0]) == len(lines)
    assert "brand new" in figures


def test_the_loss_of_each_head_of_policy_gradient_stands_where_it_belongs(document: ElementTree.Element) -> None:
    table = figure(document, "Value loss of policy gradient").find(".//table")
    assert [head.text for head in table.findall("thead/tr/th")] == ["update", "value", "critic"]
    assert column(table, 2) == [pytest.approx(0.3 / update) for update in (1, 2, 3)]
    assert column(figure(document, "Divergence from the magnet").find(".//table"), 1) == [0.02, 0.04, 0.06]
    assert figure(document, "Loss of the tricks' head in policy gradient") is not None


def test_the_total_loss_weighs_the_value_loss(document: ElementTree.Element) -> None:
    table = figure(document, "Policy loss and total loss").find(".//table")
    assert column(table, 2) == [pytest.approx((1.2 + 2.0 * 0.43) / iteration) for iteration in (1, 2, 3, 4)]


def test_the_total_loss_weighs_every_head() -> None:
    """A critic's loss as the value's."""
    weights = replace(SETTINGS, value_weight=2.0, values=4, tricks_weight=0.5)
    losses = {"policy_loss": 1.0, "value_loss": 10.0, "tricks_loss": 100.0, "critic_loss": 1000.0}
    for names, total in ((2, 21.0), (3, 71.0), (4, 2071.0)):
        entry = dict(list(losses.items())[:names])
        assert with_total(entry, weights) == {**entry, "total_loss": total}
    assert "total_loss" not in with_total({"policy_loss": 1.0}, weights)


def test_throughput_stands_beside_the_documents_targets(document: ElementTree.Element) -> None:
    chart = figure(document, "Self-play throughput")
    lines = [start[1] for start, _ in paths(chart, "reference")]
    assert lines == [on_scale(target, 100, 5000, log=True) for target in (100, 500, 1000)]
    drawn = [y for _, y in pixels(chart, "c0")[0]]
    assert drawn == [on_scale(631.578947 * iteration, 100, 5000, log=True) for iteration in (1, 2, 3, 4)]


def test_strength_over_the_steps_of_a_run(folder: Path, document: ElementTree.Element) -> None:
    leads = {(s.player, s.opponent, s.step): s.match["lead"]["mean"] for s in read_strength(folder, entries())}
    assert leads == {
        ("search 3x30", "random", 0): -0.5,
        ("search 3x30", "rule-based", 0): -4.5,
        ("network alone", "random", 4): 2.5,
        ("network alone", "rule-based", 4): -1.5,
        ("search 3x30", "random", 4): 3.0,
        ("search 3x30", "rule-based", 4): -1.0,
        ("search 3x30", "search with network-000000", 4): 6.0,
        ("network alone", "random", 7): 3.5,
        ("network alone", "rule-based", 7): -0.5,
        ("search 3x30", "random", 7): 4.5,
        ("search 3x30", "rule-based", 7): 0.5,
    }
    steps = [strength.step for strength in read_strength(folder, entries())]
    assert steps == sorted(steps)  # the match before training is told last
    line = pixels(figure(document, "Lead, search 3x30"), "c0")[0]
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    chart = figure(document, "Lead, search 3x30")
    table = chart.find(".//table")
    assert [column(table, number) for number in range(5)] == [
        [0, 4, 7],
        [-0.5, 3, 4.5],
        [0.25] * 3,
        [-4.5, -1, 0.5],
        [0.25] * 3,
    ]
    assert [len(heights(chart, f"whisker {colour}")) for colour in ("c0", "c1")] == [3, 3]
    everything = next(
        t for t in document.iter("table") if (c := t.find("caption")) is not None and c.text == "All matches"
    )
    assert len(everything.find("tbody")) == 11
    tiles = {tile.find("dt").text: tile.find("dd").text for tile in document.findall(".//dl/div")}
    assert tiles["Lead over rule-based, search 3x30"] == "0.50 ± 0.25" and tiles["Iterations"] == "4 of 9"
    assert tiles["Self-play games"] == "400" and tiles["Games/min, last"] == "2,526"


def test_metrics_of_earlier_versions(tmp_path, folder: Path) -> None:
    """Their updates were called a warm-up, and an evaluation told its network's iteration beside."""
    lines = [{**line, "kind": "warm-up"} if line["kind"] == "update" else line for line in entries()]
    lines = [{**line, "iteration": 2, "of": 1} if line["kind"] == "evaluation" else line for line in lines]
    run = write_run(tmp_path / NAME, lines)
    config = json.loads((run / "config.json").read_text())
    del config["learner"]
    for new, old in (("updates", "warmup_updates"), ("update_games", "warmup_games"), ("entropy", "warmup_entropy")):
        config[old] = config.pop(new)
    (run / "config.json").write_text(json.dumps(config))
    assert read_metrics(run) == entries() and report(run, 0, quiet()) == report(folder, 0, quiet())


def test_results_count_where_the_metrics_do_not_have_them_yet(tmp_path) -> None:
    folder = write_run(tmp_path / "run", entries()[:-1])
    (folder / "results.json").write_text(json.dumps(results({"trained, search 3x30": 6.5})))
    newest = read_strength(folder, entries()[:-1])[-1]
    assert (newest.player, newest.step, newest.match["player"]["mean"]) == ("search 3x30", 7, 6.5)
    assert read_strength(folder, entries())[-1].match["player"]["mean"] == 6.0


def test_results_that_are_not_as_the_run_wrote_them_are_refused(tmp_path) -> None:
    folder = write_run(tmp_path / "run", entries()[:-1])
    told = {"results": results({"trained, search 3x30": 6.5})}
    (folder / "results.json").write_bytes(sealed(told))
    assert read_strength(folder, entries()[:-1])[-1].match["player"]["mean"] == 6.5
    changed = sealed(told).replace(b"6.5", b"9.5")
    assert changed != sealed(told)
    (folder / "results.json").write_bytes(changed)
    with pytest.raises(DamagedError, match="is not as the run wrote it"):
        read_strength(folder, entries()[:-1])


def test_an_interval_that_has_no_width_in_json_is_infinite(tmp_path) -> None:
    lines = json.loads(json.dumps(entries()))
    lines[-1]["results"]["trained, search 3x30"]["random"]["lead"] = {"mean": 4.5, "half": None}
    folder = write_run(tmp_path / "run", lines)
    found = read_strength(folder, read_metrics(folder))
    (wide,) = [s for s in found if (s.player, s.opponent, s.step) == ("search 3x30", "random", 7)]
    assert wide.match["lead"] == {"mean": 4.5, "half": math.inf}


def test_the_page_needs_nothing_from_elsewhere(text: str) -> None:
    for forbidden in ("http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe"):
        assert forbidden not in text, forbidden


def test_text_of_the_user_is_escaped(document: ElementTree.Element, text: str) -> None:
    assert document.find(".//h1").text == NAME and document.find("head/title").text == f"vecgame: {NAME}"
    assert "<b>" not in text
    opponents = {"search with <i>&": match(1, 2), "<s>": match(1, 2)}  # of two there is a legend
    for count in (1, 2):
        strengths = [Strength("<p>", name, 0, m) for name, m in list(opponents.items())[:count]]
        chart = strength_charts(strengths, "points", "iteration")
        assert all(tag not in chart for tag in ("<i>", "<p>", "<s>")) and "search with &lt;i&gt;&amp;" in chart
        assert ("legend" in chart) == (count == 2)


def test_the_page_can_be_read_by_everyone(document: ElementTree.Element, text: str) -> None:
    assert document.get("lang") == "en"
    assert any(meta.get("name") == "viewport" for meta in document.iter("meta"))
    for element in document.iter("figure"):
        chart = next(svg for svg in element.iter("svg") if svg.get("class") == "chart")
        assert chart.get("role") == "img" and chart.get("viewBox") and chart.get("width") is None
        assert chart.get("aria-label").startswith(element.find("figcaption").text + ". ")
        assert element.find("details/summary") is not None and element.find("details//table") is not None
    light, dark = re.search(r":root \{(.*?)\}.*?prefers-color-scheme: dark\) \{ :root \{(.*?)\}", STYLE, re.S).groups()
    colours = set(re.findall(r"(--[\w]+):", light))
    assert colours == set(re.findall(r"(--[\w]+):", dark)) == set(re.findall(r"var\((--[\w]+)\)", STYLE))


def cards(text: str) -> list[int]:
    """Ids of the cards in a text, such as 10♠."""
    ranks = ["2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K", "A"]
    return [13 * "♠♥♣♦".index(suit) + ranks.index(rank) for rank, suit in re.findall(r"(10|[2-9JQKA])([♠♥♣♦])", text)]


def shown_games(
    document: ElementTree.Element,
) -> Iterator[tuple[str, list[list[str]], list[list[str]], list[list[str]]]]:
    """Title, rows of hands, of bids and tricks, and of all decisions, as text."""
    for article in document.iter("article"):
        tables = [
            [["".join(cell.itertext()) for cell in row] for row in table.find("tbody")]
            for table in article.iter("table")
        ]
        yield article.find("h3").text, *tables


def test_annotated_games_obey_the_rules(document: ElementTree.Element) -> None:
    games = list(shown_games(document))
    assert [title.split(",")[0] for title, *_ in games] == ["Game 1: 2 cards", "Game 2: 2 cards", "Game 3: 3 cards"]
    assert games[0][1] != games[1][1]
    for title, hands, (bids, *tricks), decisions in games:
        assert "trump none" in title and bids[0] == "Bids"
        dealer = int(re.search(r"dealer seat (\d)", title).group(1))
        assert [row[0] for row in hands] == [f"Seat {seat}" for seat in range(4)]
        held = [set(cards(row[1])) for row in hands]
        assert all(cards(row[1]) == sorted(cards(row[1]), key=lambda card: (card // 13, -card)) for row in hands)
        won, leader = [0] * 4, (dealer + 1) % 4
        for number, trick in enumerate(tricks, start=1):
            assert trick[0] == f"Trick {number}"
            plays = [cards(cell) for cell in trick[1:]]
            assert all(len(play) == 1 and play[0] in held[seat] for seat, play in enumerate(plays))
            assert [seat for seat in range(4) if "leads" in trick[1 + seat]] == [leader]
            for seat, (card,) in enumerate(plays):
                held[seat].remove(card)
            led = plays[leader][0] // 13  # without trump its highest card wins
            leader = max((card, seat) for seat, (card,) in enumerate(plays) if card // 13 == led)[1]
            assert [seat for seat in range(4) if "wins" in trick[1 + seat]] == [leader]
            won[leader] += 1
        assert all(re.search(r"forced, \N{MINUS SIGN}?\d+\.\d", cell) for cell in tricks[-1][1:])
        for seat, row in enumerate(hands):
            bid = int(re.match(r"bid (\d)(?:\d+%|forced), \N{MINUS SIGN}?\d+\.\d$", bids[1 + seat]).group(1))
            assert row[2] == f"bid {bid}, won {won[seat]}, score {10 + bid if bid == won[seat] else 0}"
        assert len(decisions) == 4 + 4 * len(tricks)
        assert [row[1] for row in decisions[:4]] == [f"Seat {(dealer + k) % 4}" for k in (1, 2, 3, 4)]


def test_annotated_games_are_those_that_were_played(
    folder: Path, document: ElementTree.Element, network: InferenceNet
) -> None:
    """The first bid of the first game: its hand, and what the newest network thought."""
    part = play_all(SETTINGS.games(), network, SETTINGS.seed, 60, quiet())[0]
    _, hands, (bids, *_), decisions = next(shown_games(document))
    logits, values = network(part.game.observe(part.start))
    chances = logits[0, :3].softmax(-1)
    seat = int(part.mover[0, 0])
    best = int(chances.argmax())
    expected = f"bid {best}{100 * float(chances[best]):.0f}%, {12 * float(values[0, 0]):.1f}"
    assert bids[1 + seat] == expected.replace("-", "\N{MINUS SIGN}")
    assert set(cards(hands[seat][1])) == cards_of(int(part.start.hands[0, seat]))
    order = chances.argsort(descending=True).tolist()
    assert decisions[0][2] == ", ".join(f"bid {bid} {100 * float(chances[bid]):.0f}%" for bid in order)
    told = [f"{12 * float(value):.1f}".replace("-", "\N{MINUS SIGN}") for value in values[0]]
    assert [decisions[0][3 + (seat + place) % 4] for place in range(4)] == told
    suits = {(card.text[-2], card.get("class")) for card in document.iter("span") if "card" in card.get("class")}
    assert suits == {("♠", "card"), ("♣", "card"), ("♥", "card red"), ("♦", "card red")}


def test_the_page_is_the_same_again(folder: Path, text: str) -> None:
    assert report(folder, 60, quiet()) == text


def test_a_line_cut_short_is_left_out(tmp_path, folder: Path) -> None:
    cut = write_run(tmp_path / NAME, entries(), rest='{"kind": "iteration", "updates": 3, "iter')
    assert read_metrics(cut) == entries()
    assert report(cut, 0, quiet()) == report(folder, 0, quiet())
