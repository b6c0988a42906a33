"""Pages of the table in a real browser, Chromium without a window."""

import random
import shutil
import time

import pytest

from tests.web import Served
from vecgame import Game
from veclab.table.session import PERSON, Match, Settings, begin

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IN_A_BROWSER = [  # the marks of files of such tests
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.usefixtures("in_a_folder_of_ones_own"),
]
SECONDS = 60_000  # milliseconds that a busy machine may take


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


def at_a_turn(game: Game, moves: int) -> Match:
    """A match at the person's first decision after so many random moves."""
    match, rng = begin(Settings(game, games=1, seed=4, agent="random")), random.Random(3)
    while not match.over and (len(match.history) < moves or match.mover != PERSON):
        match = match.act(rng.choice(match.legal))
    return match


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
