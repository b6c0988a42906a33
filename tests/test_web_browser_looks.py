"""What the table looks like in a real browser, in windows of all sizes, and while agents are watched."""

import random
import time

import pytest

pytest.importorskip("starlette", reason="pip install 'vecgame[web]'")
pytest.importorskip("playwright.sync_api", reason="pip install 'vecgame[dev]'")

from tests.browser import FAULTS, IN_A_BROWSER, at_a_turn, opened, tidy, until
from tests.web import Served, random_bots
from vecgame import Blob, make_game
from veclab.table.session import PERSON, Settings, begin
from veclab.web.sitting import Table

pytestmark = IN_A_BROWSER
LOOKS = {
    "blob of 13": (make_game("blob", cards=13), 30),
    "eight players": (make_game("blob", players=8, cards=6), 12),
    "a card on the forehead": (make_game("blob", cards=1, sight="forehead", sight_to=1), 3),
    "passing": (make_game("hearts", passing="left"), 0),
    "trump named": (make_game("euchre"), 4),
    "cards twice": (make_game("doppelkopf"), 20),
    "cards of no suit": (make_game("wizard", cards=8), 10),
    "skat": (make_game("skat"), 0),
    "without hands": (make_game("leduc"), 2),
}


@pytest.mark.parametrize("look", LOOKS)
def test_every_window_shows_it_whole_in_light_and_dark(look: str, browser) -> None:
    match = at_a_turn(*LOOKS[look])
    table = Table(match, random_bots, PERSON, delay=60)
    served = Served(table)
    try:
        for width, height in ((360, 740), (768, 1024), (1200, 800)):
            for scheme in ("light", "dark"):
                page = opened(browser, served, viewport={"width": width, "height": height}, color_scheme=scheme)
                if not match.over:
                    assert page.locator(".choice:visible").count() == len(match.legal)
                assert page.evaluate(FAULTS) == [], (look, width, scheme)
                assert "undefined" not in (words := page.inner_text("body")) and "null" not in words
                tidy(page)
    finally:
        served.stop()
        table.close()


def test_names_are_shown_as_they_are(browser, served: Served) -> None:
    page = opened(browser, served)
    assert "You against <b>agents</b>." in page.inner_text("#title") and page.locator("#title b").count() == 0
    tidy(page)


def test_agents_are_watched(browser) -> None:
    table = Table(begin(Settings(Blob(cards=5), games=1, seed=3)), random_bots, None, delay=20)
    served = Served(table)
    try:
        page = opened(browser, served, viewport={"width": 360, "height": 740})
        page.get_by_role("button", name="Pause").click()
        until(page, "shown.paused")
        assert page.locator("#hands .card").count() > 4 and page.evaluate(FAULTS) == []
        before = table._sitting.match
        table.delay = 0
        time.sleep(1)
        assert table._sitting.match == before
        page.get_by_role("button", name="Go on").click()
        until(page, "shown.over")
        tidy(page)
    finally:
        served.stop()
        table.close()


def test_the_slider_can_be_dragged_and_buttons_pressed_while_agents_play_on(browser) -> None:
    """A move comes between press and release."""
    match, rng = begin(Settings(Blob(cards=13), games=1, seed=3)), random.Random(3)
    table = Table(match, random_bots, None, delay=60)

    def moved() -> int:
        with table._news:
            after = table._sitting.match
            table._moved(after.act(rng.choice(after.legal)))
        until(page, "moves => shown.moves === moves", len(after.history) + 1)
        return len(after.history) + 1

    served = Served(table)
    try:
        page = opened(browser, served)
        while moved() < 20:
            pass
        box = page.locator("#steps input").bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] - 8, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, middle, steps=4)
        moved()
        page.mouse.move(box["x"] + box["width"] / 4, middle, steps=4)
        page.mouse.up()
        until(page, "shown.at < shown.moves")
        assert 3 <= page.evaluate("shown.at") <= 7 and page.evaluate("shown.paused")
        assert page.input_value("#steps input") == str(page.evaluate("shown.at"))
        for name in ("a move back", "first move"):
            page.get_by_role("button", name="Go on").click()
            until(page, "shown.at === shown.moves && !shown.paused")
            assert page.input_value("#steps input") == str(page.evaluate("shown.moves"))
            page.locator(f"#steps [title='{name}']").hover()
            page.mouse.down()
            moves = moved()
            page.mouse.up()
            until(page, "shown.paused")
            assert page.evaluate("shown.at") == (moves - 1 if name == "a move back" else 0)
        assert page.locator("#steps [title='first move']").is_disabled()
        assert page.locator("#steps [title='last move']").is_enabled()
        tidy(page)
    finally:
        served.stop()
        table.close()
