"""The page of a run of every game: its own words, its own scale, its seats, and its games as they were played."""

import copy
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from net import BlobNet, InferenceNet
from tests.every_game import EVERY, Named
from tests.runs import changed
from tests.schnapsen import Schnapsen
from vecgame import Blob, Euchre, Game, Kuhn, TrickGame, Whist, identity, make_game
from vecgame.games.match import Standing
from vecgame.pictures import drawable
from vecgame.seeing import see
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.report import played
from veclab.report.games import TOLD_ACTIONS, _Round, _round_cells, annotated_games, score_text
from veclab.report.page import main, rules_text, settings_rows
from veclab.report.played import Played, play, played_charts
from veclab.settings import Settings

LONG = ("hearts-match", "spades-match", "euchre-match")  # of hundreds of decisions


def network_of(game: Game, seed: int = 0) -> BlobNet:
    torch.manual_seed(seed)
    return BlobNet(network_config("small", game)).eval()


def write_run(folder: Path, named: Named) -> Game:
    """A run of two iterations with a random network."""
    settings = Settings(game=named.game, rules=named.rules, network="small", iterations=3)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(asdict(settings)))
    entry = {"kind": "iteration", "updates": 0, "games": 8, "score": 0.5, "games_per_minute": 90.0}
    lines = [json.dumps({**entry, "iteration": iteration}) + "\n" for iteration in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(lines))
    game = settings.games()[0]
    save_network(folder / "network-000002.safetensors", network_of(game), {"iteration": 2, "game": settings.game})
    return game


def texts(row: ElementTree.Element) -> list[str]:
    return ["".join(cell.itertext()) for cell in row]


def tables(element: ElementTree.Element) -> dict[str, list[list[str]]]:
    """The rows of the tables of markup, by what they are called."""
    found = {}
    for part in element.iter("div"):
        if part.get("role") == "region":
            found.setdefault(part.get("aria-label").rpartition(": ")[2], []).extend(
                map(texts, part.find("table/tbody"))
            )
    return found


@pytest.mark.parametrize(
    "named", [pytest.param(n, marks=[pytest.mark.slow] * (n.game in LONG), id=str(n)) for n in EVERY]
)
def test_a_run_of_every_game_has_its_page(named: Named, own_games, tmp_path, capsys) -> None:
    game = write_run(tmp_path / "run", named)
    assert main([str(tmp_path / "run"), "--games", "4"]) == 0, capsys.readouterr().err
    document = ElementTree.fromstring((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    lead = [line.text for line in document.iter("p") if line.get("class") == "lead"]
    assert f"{game.seats} players" in lead[0] and f"Game: {identity(game)['game']}. Rules: " in lead[1]
    for name in re.findall(r"(\w+)=", named.rules):
        default = type(game).rules_type.__dataclass_fields__[name].default
        assert (f"{name} = " in lead[1]) == (getattr(game.rules, name) != default)

    figures = {figure.find("figcaption").text: figure for figure in document.iter("figure")}
    assert ("Bids met by card count" in figures) == (game.bids_met(game.deal(1)) is not None)
    bins = figures["Calibration of the value head"].find(".//table/tbody")
    ends = [float(bins[row][column].find("data").get("value")) for row, column in ((0, 0), (-1, 1))]
    assert ends == [game.lowest, game.highest]
    assert f"in {game.unit}; a game gives from" in figures["Calibration of the value head"].find("p").text
    assert f"{game.unit} a game and seat" in "".join(figures["Score in self-play"].itertext())
    targets = "document" in "".join(figures["Self-play throughput"].itertext())
    assert targets == (game.name == "blob")

    articles = list(document.iter("article"))
    assert len(articles) == 3
    games = play(game, InferenceNet(network_of(game), dtype=torch.float32), 4, 0)
    for lane, article in enumerate(articles):
        agree(games, lane, article)


def agree(games: Played, lane: int, article: ElementTree.Element) -> None:
    """A game on the page is the one that was games."""
    game, live = games.game, games.live[:, lane]
    seen = see(game, games.start, lane)
    found = tables(article)
    assert (len([svg for svg in article if svg.tag == "svg"]) == 1) == drawable(seen)
    decisions = found[f"policy and expected {game.unit}"]
    assert len(decisions) == int(live.sum())
    for number, row in enumerate(decisions):
        mover, state = int(games.mover[number, lane]), games.thoughts[number].state
        name = game.action_name(int(games.action[number, lane]), state, lane)
        assert row[:2] == [str(number + 1), f"Seat {mover}"]
        assert row[2].startswith(f"{name} {100 * float(games.chance[number, lane]):.0f}%")
        legal = int((games.thoughts[number].actions[lane] >= 0).sum())
        assert re.findall(r", (\d+) more$", row[2]) == [str(legal - TOLD_ACTIONS)] * (legal > TOLD_ACTIONS)
        assert row[3 + mover] == score_text(game, float(games.value[number, lane]))
        assert len(row) == 3 + game.seats and all(row)
    actions = found["actions"]
    shown = [cell for row in actions for cell in row[1:] if cell]
    assert len(shown) == len(decisions) and all(len(row) == 1 + game.seats for row in actions)
    assert all(re.search(r"(\d+%|forced), \N{MINUS SIGN}?\d+\.\d", cell) for cell in shown)
    if isinstance(game, TrickGame) and not isinstance(games.end, Standing):
        taken = [sum("wins" in row[1 + seat] for row in actions) for seat in range(game.seats)]
        assert taken == games.end.won[lane].tolist()
    scores = [f"{score:g}" for score in game.scores(games.end)[lane].tolist()]
    if drawable(seen):
        assert [row[2].rpartition("score ")[2] for row in found["hands"][-game.seats :]] == scores
    else:
        assert " ".join(scores) in article.findall("pre")[-1].text


@pytest.mark.parametrize(
    ("game", "told"),
    [
        (Euchre(), r"Game 1, dealer seat \d"),
        (Blob(cards=2, trump="bidder"), r"Game 1, dealer seat \d"),
        (make_game("skat"), "Game 1"),
        (Whist(cards=2, trump="random"), r"Game 1, trump (none|\w+ \W), dealer seat \d"),
    ],
    ids=str,
)
def test_a_heading_tells_no_trump_that_is_named_later(game: Game, told: str) -> None:
    games = play(game, InferenceNet(network_of(game), dtype=torch.float32), 1, 0)
    assert re.search(rf"<h3>{told}</h3>", annotated_games([games], 1))


def test_what_is_done_before_a_card_has_a_row_of_its_own() -> None:
    games = play(Schnapsen(), InferenceNet(network_of(Schnapsen()), dtype=torch.float32), 20, 3)
    page = annotated_games([games], 3)
    done = int(games.end.done[:3].sum())
    assert done > 0 and page.count("<td>Before a card</td>") == done
    assert page.count("marry in") + page.count("close") + page.count("exchange") >= done
    assert page.count("<td>Trick 1</td>") == 3 and "<td>Trick 11</td>" not in page


def test_what_is_expected_is_on_the_games_scale() -> None:
    """Kuhn's chips go from -2 to 2, and games end after two decisions or three."""
    game = Kuhn()
    games = play(game, InferenceNet(network_of(game, seed=2), dtype=torch.float32), 64, 5)
    ends = games.live.sum(0)
    assert torch.equal(ends, game.turn(games.end)) and set(ends.tolist()) <= {2, 3}
    assert torch.equal(games.expected(), 4 * games.value - 2)
    assert (score_text(game, 0.49999), score_text(game, 0.25)) == ("0.00", "\N{MINUS SIGN}1.00")
    scores = game.scores(games.end)
    for lane in range(64):
        for number in range(int(ends[lane])):
            seat = number % 2
            assert int(games.mover[number, lane]) == seat
            assert float(games.realised()[number, lane]) == float(scores[lane, seat])
    assert not bool((games.free & ~games.live).any())


def test_many_games_are_played_in_parts(monkeypatch) -> None:
    """Which may end after two decisions or three; the games are those of one part."""
    network = InferenceNet(network_of(Kuhn(), seed=2), dtype=torch.float32)
    shares = []
    whole = play(Kuhn(), network, 50, 5)
    monkeypatch.setattr(played, "AT_ONCE", 1)
    one_by_one = play(Kuhn(), network, 50, 5, shares.append)
    assert one_by_one.start == whole.start and one_by_one.end == whole.end
    for name in ("live", "mover", "action", "free"):
        assert torch.equal(getattr(one_by_one, name), getattr(whole, name)), name
    torch.testing.assert_close((one_by_one.value, one_by_one.chance), (whole.value, whole.chance))
    assert shares == sorted(shares) and 49 / 50 < shares[-1] <= 1


def test_a_network_of_another_game_gets_one_line(tmp_path, capsys) -> None:
    write_run(tmp_path / "run", Named("kuhn"))
    game = Named("leduc").make()
    save_network(tmp_path / "run" / "network-000002.safetensors", network_of(game), {"iteration": 2, "game": "leduc"})
    assert main([str(tmp_path / "run"), "--games", "4"]) == 2
    error = capsys.readouterr().err
    assert "is a network for leduc, not for kuhn" in error and error.count("\n") == 1


def test_what_a_game_of_ones_own_is_called_by_is_escaped() -> None:
    game = Whist(cards=2, trump="random")
    games = play(game, InferenceNet(network_of(game), dtype=torch.float32), 1, 0)
    own = copy.copy(game)
    own.unit, own.give_word = "<b>&", "<i>&"
    shown = annotated_games([replace(games, game=own)], 1)
    assert "<b>" not in shown and "&lt;b&gt;&amp; that it then expected" in shown
    page = ElementTree.fromstring(f"<div>{shown}</div>")
    assert "policy and expected <b>&" in tables(page.find("article"))
    charts = played_charts([replace(games, game=own)], "<u>")
    assert "<b>" not in charts and "<u>" not in charts
    notes = [note.text for note in ElementTree.fromstring(f"<div>{charts}</div>").iter("p")]
    assert notes[0].startswith("1 games that <u> played alone") and "in <b>&; a game gives from" in notes[1]
    round_of = _Round("<i>&", {0: "a"})
    assert _round_cells(replace(games, game=own), round_of)[0] == "&lt;i&gt;&amp;"


def test_rules_that_a_run_mixes_are_all_told() -> None:
    assert rules_text([Blob(cards=2), Blob(cards=3), Blob(cards=2)]) == "Game: blob. Rules: cards = 2 or 3."


def test_settings_list_the_rules_of_the_game_that_was_played(own_games) -> None:
    """Not those that Blob has flags for, in which a game of one's own has none."""
    rows = dict(settings_rows(changed(game="bluff.py:Bluff", rules="bet=2", cards="1")))
    assert list(rows)[:3] == ["game", "rule players", "rule bet"] and (rows["rule players"], rows["rule bet"]) == (
        "3",
        "2",
    )
    assert not {"trump", "hook", "suits", "ranks", "rules", "cards"} & rows.keys() and rows["worlds"]
    several = dict(settings_rows(changed(game="spades", cards="3,5")))
    assert several["rule cards"] == "3 or 5"
    blob = dict(settings_rows(changed(trump="rotate")))
    assert blob["trump"] == "rotate" and "rule trump" not in blob
