"""The table in a real browser, Chromium without a window: a person's walk through it, and what it looks like."""

import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'vecgame[web]'")
pytest.importorskip("playwright.sync_api", reason="pip install 'vecgame[dev]'")

from playwright import sync_api

from tests.web import Served, random_bots
from vecgame import Blob, Game, make_game
from veclab.arena.bots import RandomBot
from veclab.table.advice import give_hint
from veclab.table.session import PERSON, Match, Settings, begin
from veclab.table.sight import look as look_at
from veclab.web.sitting import Table

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.usefixtures("in_a_folder_of_ones_own"),
]
ROOT = Path(__file__).parents[1]
SECONDS = 60_000  # milliseconds that a busy machine may take


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(browser, served: Served, **options: object):
    """A tab with the table, whose faults and requests elsewhere fail the test when `tidy` is called."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(SECONDS)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("request", lambda request: request.url.startswith(served.address) or page.faults.append(request.url))
    page.goto(served.address)
    page.wait_for_selector("#prompt:not(:empty)")
    return page


def tidy(page) -> None:
    assert page.faults == []
    page.context.close()


def until(page, expression: str, argument: object = None) -> None:
    """Waits for an expression of the page's own script; Playwright's waiting is what the page's policy forbids."""
    deadline = time.monotonic() + SECONDS / 1000
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, expression
        time.sleep(0.02)


def own_turn(page) -> None:
    """Waits until there is something to choose, or the match is over."""
    until(page, "shown && (choices().length > 0 || shown.over)")


def shows(page) -> list[str]:
    """All words of the page but for those of its own error."""
    return [page.inner_text(part) for part in ("#heading", "#felt", "#prompt", "#hand", "#choices", "#scores", "#log")]


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


# -- what it looks like -----------------------------------------------------------------------------------------------

FAULTS = """() => {
  const faults = [], visible = (one) => one.offsetParent !== null && one.getClientRects().length;
  if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the window");
  for (const one of document.querySelectorAll("button, summary, input")) {
    const box = one.getBoundingClientRect();
    if (visible(one) && (box.width < 44 || box.height < 44)) faults.push("small target: " + one.innerText);
  }
  const cards = [...document.querySelectorAll("#hand > *")].map((one) => one.getBoundingClientRect());
  cards.forEach((a, i) => cards.slice(i + 1).forEach((b) => {
    if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) faults.push("cards overlap");
  }));
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const bright = (colour) => colour.slice(0, 3).map((c) => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const found = numbers(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !visible(one) || one.closest(":disabled")) continue;
    const style = getComputedStyle(one), [a, b] = [bright(numbers(style.color)), bright(ground(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(1)}: ${one.textContent}`);
    if (parseFloat(style.fontSize) < 11) faults.push("small print: " + one.textContent);
    const card = one.closest(".card");
    if (card && one.scrollWidth > card.clientWidth) faults.push("cut off: " + one.textContent);
  }
  return faults;
}"""
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


def at_a_turn(game: Game, moves: int) -> Match:
    """A match at the person's first decision after so many random moves."""
    match, rng = begin(Settings(game, games=1, seed=4, agent="random")), random.Random(3)
    while not match.over and (len(match.history) < moves or match.mover != PERSON):
        match = match.act(rng.choice(match.legal))
    return match


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


# -- the process ------------------------------------------------------------------------------------------------------


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
