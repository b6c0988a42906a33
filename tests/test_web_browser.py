"""The table in a real browser, Chromium without a window: a person's walk through it, and how its process ends."""

import random
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'vecgame[web]'")
pytest.importorskip("playwright.sync_api", reason="pip install 'vecgame[dev]'")

from tests.browser import FAULTS, IN_A_BROWSER, SECONDS, at_a_turn, opened, own_turn, shows, tidy, until
from tests.web import Served, random_bots
from vecgame import Blob, make_game
from veclab.arena.bots import RandomBot
from veclab.table.advice import give_hint
from veclab.table.session import PERSON, Match, Settings, begin
from veclab.table.sight import look as look_at
from veclab.web.sitting import Table

pytestmark = IN_A_BROWSER
ROOT = Path(__file__).parents[1]


def test_a_whole_match_by_clicks_and_by_keys(browser, served: Served) -> None:
    page, rng, ways = opened(browser, served), random.Random(5), set()
    for step in range(100):
        own_turn(page)
        if page.evaluate("shown.over"):
            break
        turn, options = page.evaluate("shown.turn"), page.locator(".choice:visible")
        way = ("click", "number", "arrows")[step % 3]
        if page.evaluate("shown.resting"):
            page.keyboard.press("Enter")  # the button has the focus
        elif way == "click":
            options.nth(rng.randrange(options.count())).click()
        elif way == "number":
            page.keyboard.type(options.nth(rng.randrange(options.count())).get_attribute("data-number"))
            page.keyboard.press("Enter")
        else:
            for _ in range(rng.randint(1, 5)):
                page.keyboard.press(rng.choice(["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"]))
            page.keyboard.press("Enter")
        ways.add(way)
        until(page, "turn => shown.turn !== turn", turn)
    assert ways == {"click", "number", "arrows"}
    match = served.table._sitting.match
    assert match.over and len(match.results) == 2
    sheet = page.inner_text("#sheet")
    assert sheet.count("\n") >= 3 and all(f"{total:g}" in sheet for total in match.totals)
    assert re.search(r"The match is over: .*win", page.inner_text("#prompt"))
    tidy(page)


def test_a_hint_and_a_choice_taken_back(browser, served: Served) -> None:
    page = opened(browser, served)
    own_turn(page)
    before = shows(page)
    page.keyboard.press("h")
    page.wait_for_selector("#hint th")
    assert page.locator("#hint tbody tr").count() == page.locator(".choice:visible").count()
    assert "%" in page.inner_text("#hint") and "points" in page.inner_text("#hint")
    turn = page.evaluate("shown.turn")
    page.locator(".choice:visible").first.click()
    until(page, "turn => shown.turn !== turn", turn)
    own_turn(page)
    page.keyboard.press("u")
    until(page, "words => document.getElementById('prompt').innerText === words", before[2])
    assert shows(page) == before
    tidy(page)


def test_a_hint_leaves_the_focus_on_the_card_that_is_to_be_played(browser) -> None:
    table = Table(at_a_turn(make_game("hearts", passing="left"), 0), random_bots, PERSON, delay=60)
    served = Served(table)
    try:
        page = opened(browser, served)
        own_turn(page)
        chosen = page.locator(".choice:visible").nth(2)
        action = int(chosen.get_attribute("data-action"))
        page.keyboard.press(chosen.get_attribute("data-number"))
        page.keyboard.press("h")
        page.wait_for_selector("#hint th")
        assert page.evaluate("Number(document.activeElement.dataset.action)") == action
        turn = page.evaluate("shown.turn")
        page.keyboard.press("Enter")
        until(page, "turn => shown.turn !== turn", turn)
        assert table._sitting.match.history[-1] == action
        tidy(page)
    finally:
        served.stop()
        table.close()


@pytest.mark.parametrize("person", [PERSON, None], ids=["played", "watched"])
def test_a_hint_says_what_the_game_counts(person: int | None, browser) -> None:
    """In Kuhn poker chips."""
    match = at_a_turn(make_game("kuhn"), 0)
    table = Table(match, random_bots, person, delay=60)
    served = Served(table)
    try:
        page = opened(browser, served)
        with table._news:
            hint = replace(give_hint(RandomBot(), match), values=(0.5, -0.5))
            table._put(replace(table._sitting, hint=hint, paused=True, asked=False))
        page.wait_for_selector("#hint th")
        words = page.inner_text("#hint")
        assert "chips" in words and "points" not in words
        assert ("Expected chips: South 0.50, North -0.50." in words) == (person is None)
        tidy(page)
    finally:
        served.stop()
        table.close()


def both_tricks(match: Match) -> tuple[object, object]:
    """The trick on the table and the one before it."""
    seen = look_at(match, PERSON)
    return seen.trick, seen.last_trick


def test_enter_on_the_last_trick_opens_it_and_plays_nothing(browser) -> None:
    """Also where one card alone is allowed, which Enter plays by else."""
    match, rng = begin(Settings(Blob(cards=4), games=1, seed=4, agent="random")), random.Random(3)
    while match.mover != PERSON or len(match.legal) > 1 or not all(both_tricks(match)):
        match = match.act(rng.choice(match.legal))
    table = Table(match, random_bots, PERSON, delay=60)
    served = Served(table)
    try:
        page = opened(browser, served)
        own_turn(page)
        page.focus("#scores summary")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#scores details').open")
        page.keyboard.press("h")
        page.wait_for_selector("#hint th")
        page.keyboard.press("Enter")  # the focus is there still
        until(page, "!document.querySelector('#scores details').open")
        assert table._sitting.match == match
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Enter")
        until(page, "shown.hand.every((one) => one.action === null)")
        assert table._sitting.match == match.act(*match.legal)
        tidy(page)
    finally:
        served.stop()
        table.close()


def test_two_tabs_show_one_match_and_an_old_choice_is_refused(browser, served: Served) -> None:
    one, other = opened(browser, served), opened(browser, served)
    own_turn(one), own_turn(other)
    other.route("**/table?*", lambda route: route.abort())  # the other tab hears nothing for a while,
    other.wait_for_selector("#offline", state="visible")  # its last question answered too
    turn = one.evaluate("shown.turn")
    one.locator(".choice:visible").first.click()
    until(one, "turn => shown.turn !== turn", turn)
    own_turn(one)
    after = served.table._sitting.match
    other.locator(".choice:visible").first.click()
    until(other, "document.getElementById('error').innerText.includes('has moved on')")
    assert served.table._sitting.match == after
    other.unroute("**/table?*")
    until(other, "turn => shown.turn === turn", one.evaluate("shown.turn"))
    assert shows(one) == shows(other)
    tidy(one), tidy(other)


def test_what_is_asked_wrongly_is_said_and_changes_nothing(browser, served: Served) -> None:
    page = opened(browser, served)
    own_turn(page)
    before = shows(page)
    page.evaluate("act(999)")
    until(page, "document.getElementById('error').innerText.includes('not allowed')")
    page.evaluate("ask('rob')")
    until(page, "document.getElementById('error').innerText.includes('must be one of')")
    page.keyboard.type("9zq")
    assert shows(page) == before
    tidy(page)


def test_what_is_refused_between_two_games_is_said(browser, served: Served) -> None:
    page = opened(browser, served)
    while not page.evaluate("shown.resting"):
        own_turn(page)
        turn = page.evaluate("shown.turn")
        page.locator(".choice:visible").first.click()
        until(page, "turn => shown.turn !== turn || shown.resting", turn)
        own_turn(page)
    page.evaluate("ask('open', { name: 'none.json' })")
    until(page, "document.getElementById('error').innerText.includes('no saved match')")
    assert page.locator("#error").is_visible() and page.get_attribute("#error", "role") == "alert"
    assert page.evaluate(FAULTS) == []
    page.keyboard.press("Enter")  # the next game
    own_turn(page)
    assert page.inner_text("#error") == ""
    tidy(page)


def test_reloaded_in_mid_game(browser, served: Served) -> None:
    page = opened(browser, served)
    for _ in range(2):
        own_turn(page)
        turn = page.evaluate("shown.turn")
        page.locator(".choice:visible").first.click()
        until(page, "turn => shown.turn !== turn", turn)
    own_turn(page)
    before = shows(page)
    page.reload()
    own_turn(page)
    assert shows(page) == before
    tidy(page)


def test_the_page_says_when_the_server_has_stopped_and_goes_on_when_it_is_back(browser, served: Served) -> None:
    page = opened(browser, served)
    own_turn(page)
    before = shows(page)
    served.stop()
    page.wait_for_selector("#offline", state="visible")
    page.locator(".choice:visible").first.click()
    assert shows(page) == before
    served.start()
    page.wait_for_selector("#offline", state="hidden")
    turn = page.evaluate("shown.turn")
    page.locator(".choice:visible").first.click()
    until(page, "turn => shown.turn !== turn", turn)
    tidy(page)


def test_saved_and_opened_by_the_page(browser, served: Served) -> None:
    page = opened(browser, served)
    own_turn(page)
    page.get_by_role("button", name="Save").click()
    until(page, "shown.kept")
    name = page.evaluate("shown.kept")
    page.get_by_role("button", name="New").click()
    page.get_by_role("button", name="New match").click()
    until(page, "name => shown.kept && shown.kept !== name", name)
    own_turn(page)
    page.get_by_role("button", name="Open").click()
    page.get_by_role("button", name=name).click()
    until(page, "name => shown.kept === name", name)
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector("#dialog", state="visible")
    page.keyboard.press("Escape")
    page.wait_for_selector("#dialog", state="hidden")
    tidy(page)


@pytest.mark.parametrize("flags", [["--save", "match.json"], ["--watch", "--agent", "flat", "--worlds", "3000"]])
def test_ctrl_c_ends_it_in_one_line(flags: list[str], browser, tmp_path: Path) -> None:
    """Also while a page waits for news, and while an agent thinks for long."""
    command = [sys.executable, str(ROOT / "play.py"), "--web", "--agent", "random", "--cards", "13", *flags]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert select.select([process.stdout], [], [], 300)[0]
        line = process.stdout.readline() or process.stderr.read()
        address = re.match(r"http://127\.0\.0\.1:\d+", line)[0]
        page = browser.new_page()
        page.set_default_timeout(SECONDS)
        page.goto(address)
        until(page, "shown !== null")
        with pytest.raises(OSError):  # it listens on no other address of this machine
            urllib.request.urlopen(address.replace("127.0.0.1", "127.0.0.2"), timeout=5)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
        took = time.monotonic() - start
        page.wait_for_selector("#offline", state="visible")
        page.close()
    finally:
        process.kill()
    assert (process.returncode, output.strip()) == (130, ""), error
    assert len(error.strip().splitlines()) == 1 and error.strip().startswith("You have left the match")
    assert took < 30, took  # on a busy machine; it waits for at most 5
