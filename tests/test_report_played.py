"""Games that are played for a report: as the network plays them, its calibration and the bids that were met."""

import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch

from net import InferenceNet
from tests.helpers import to_reference
from tests.report_pages import heights, newest_network, paths, pixels, quiet
from vecgame import Blob
from veclab.arena.intervals import t_95
from veclab.report.charts import calibration_chart
from veclab.report.drawing import BOTTOM, LEFT, RIGHT, TOP
from veclab.report.played import bids_met, calibration, calibration_error, play, play_all, played_charts
from veclab.settings import Settings


@pytest.fixture(scope="module")
def network() -> InferenceNet:
    return newest_network()


def test_calibration_of_a_hand_made_example() -> None:
    predicted = torch.tensor([-0.2, 0.1, 0.25, 0.3, 0.74, 0.75, 1.0, 1.5])
    realised = torch.tensor([0.0, 0.4, 0.0, 1.0, 0.6, 0.5, 1.0, 0.9])
    rows = calibration(predicted, realised, bins=4)
    assert [row[:3] for row in rows] == [(0, 0.25, 2), (0.25, 0.5, 2), (0.5, 0.75, 1), (0.75, 1, 3)]
    assert [row[3] for row in rows] == pytest.approx([-0.05, 0.275, 0.74, 3.25 / 3])
    assert [row[4] for row in rows] == pytest.approx([0.2, 0.5, 0.6, 2.4 / 3])
    expected = (2 * 0.25 + 2 * 0.225 + 1 * 0.14 + 3 * (0.85 / 3)) / 8
    assert calibration_error(rows) == pytest.approx(expected)


def test_an_empty_bin_stays_in_the_table_and_out_of_the_line() -> None:
    rows = calibration(torch.tensor([0.1, 0.9]), torch.tensor([0.2, 0.8]), bins=3)
    assert rows[1][2] == 0 and math.isnan(rows[1][3]) and calibration_error(rows) == pytest.approx(0.1)
    svg = ElementTree.fromstring(calibration_chart("T", rows, "x", "y"))
    floor = BOTTOM - 50
    expected = [(LEFT + x * (RIGHT - LEFT), floor - y * (floor - TOP)) for x, y in ((0.1, 0.2), (0.9, 0.8))]
    assert pixels(svg, "c0") == [[pytest.approx(point, abs=0.06) for point in expected]]
    assert paths(svg, "reference") == [[(LEFT, floor), (RIGHT, TOP)]]
    assert heights(svg, "bar muted") == [42, 0, 42]
    assert [float(cell.get("value")) for cell in svg.iter("data")][2::5] == [1, 0, 1]


def test_games_are_played_and_recorded_as_they_were(network: InferenceNet) -> None:
    """Every action is the most probable legal one, by probabilities over the legal actions, and every end is real."""
    game = Blob(cards=3)
    played = play(game, network, 50, seed=4)
    state = played.start
    for decision in range(game.decisions):
        logits, values = network(game.observe(state))
        assert torch.equal(played.mover[decision], game.mover(state))
        assert torch.equal(played.value[decision], values[:, 0])
        for lane in range(50):
            actions = [action for action in game.legal_actions(state)[lane].tolist() if action >= 0]
            columns = game.policy_columns(state, torch.tensor(actions).expand(50, -1))[lane]
            chances = logits[lane, columns].softmax(-1)
            assert int(played.action[decision, lane]) == actions[int(chances.argmax())]
            assert float(played.chance[decision, lane]) == pytest.approx(float(chances.max()), abs=1e-6)
            assert bool(played.free[decision, lane]) == (len(actions) > 1)
        state = game.step(state, played.action[decision], validate=True)
    assert bool(game.is_terminal(state).all()) and torch.equal(played.end.won, state.won)
    realised = played.realised()
    for lane in range(50):
        rules, end = to_reference(game, state, lane)
        points = [10 + bid if bid == won else 0 for bid, won in zip(end.bids, end.won, strict=True)]
        for decision in range(game.decisions):
            seat = int(played.mover[decision, lane])
            assert float(realised[decision, lane]) == points[seat] <= 10 + rules.cards


def test_card_counts_share_the_games_and_their_bids(network: InferenceNet) -> None:
    games = Settings(cards="1-3").games()
    played = play_all(games, network, 0, 8, quiet())
    assert [(part.game.cards, part.start.batch_size) for part in played] == [(1, 3), (2, 3), (3, 2)]
    generator = torch.Generator().manual_seed(0)
    played = [  # bids above and below what was won, which one network does not make
        replace(part, end=replace(part.end, bids=torch.randint(0, 3, part.end.bids.shape, generator=generator)))
        for part in played
    ]
    for part, (name, share, half) in zip(played, bids_met(played), strict=True):
        each = [
            sum(b == w for b, w in zip(bids, won, strict=True)) / 4
            for bids, won in zip(part.end.bids.tolist(), part.end.won.tolist(), strict=True)
        ]
        mean = sum(each) / len(each)
        spread = math.sqrt(sum((x - mean) ** 2 for x in each) / (len(each) - 1) / len(each))
        half_of_each = t_95(len(each) - 1) * spread
        assert (name, share, half) == (str(part.game.cards), pytest.approx(mean), pytest.approx(half_of_each))
    assert [part.game.cards for part in play_all(games, network, 0, 2, quiet())] == [1, 2]
    repeated = play_all(Settings(cards="1-3,2,2").games(), network, 0, 8, quiet())  # a deal is shown once
    assert [(part.game.cards, part.start.batch_size) for part in repeated] == [(1, 3), (2, 3), (3, 2)]


def test_calibration_is_over_the_range_of_all_rules_of_a_run(network: InferenceNet) -> None:
    games = Settings(cards="1-3").games()
    lowest, highest = min(game.lowest for game in games), max(game.highest for game in games)
    assert games[0].highest != highest
    page = ElementTree.fromstring(f"<div>{played_charts(play_all(games, network, 0, 8, quiet()), 'it')}</div>")
    bins = page.find(".//table/tbody")
    ends = [float(bins[row][column].find("data").get("value")) for row, column in ((0, 0), (-1, 1))]
    assert ends == [lowest, highest]
