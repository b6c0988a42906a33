"""The pictures of the table in README and docs/play.md; `python -m tests.web_pictures` takes them, with a Chromium."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.web import Served
from vecgame import Game, make_game
from veclab import play
from veclab.agents import SHIPPED
from veclab.arena.bots import Player, RuleBot
from veclab.table.session import PERSON, Match, Settings, begin
from veclab.web.sitting import Table

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
AGENT = str(SHIPPED / "blob-4-players.safetensors")


@dataclass(frozen=True)
class Picture:
    """A page as it looks at a decision of rule-based players; with ``key`` pressed before."""

    game: Game
    moves: int
    size: tuple[int, int]
    scheme: str
    key: str = "h"
    agent: str = "rules"


PICTURES = {
    "web-desktop": Picture(make_game("blob", cards=8, trump="hearts"), 19, (1160, 720), "light"),
    "web-desktop-dark": Picture(make_game("blob", cards=8, trump="hearts"), 19, (1160, 720), "dark"),
    "web-phone": Picture(make_game("blob", cards=13, trump="spades"), 14, (360, 740), "light", ""),
    "web-dark": Picture(make_game("hearts", passing="left"), 16, (1160, 720), "dark"),
    "web-look": Picture(make_game("blob", cards=8), 0, (1160, 1060), "light", "", AGENT),
}


def by_rules(match: Match) -> tuple[Player, str]:
    return RuleBot(), f"You against {match.game.seats - 1} agents (rule-based): {match.game.name}."


def by_network(match: Match) -> tuple[Player, str]:
    agent = play.make_agent(match.settings)
    (line,) = play.players_lines(match.settings, agent, True)
    return agent, f"{line}."


def played(picture: Picture) -> Match:
    """A game of rule-based players up to a decision of the person that is a choice, or to its end for a look back."""
    match = begin(Settings(picture.game, games=1, seed=11, agent=picture.agent, worlds=6, simulations=16))
    rng, bot = random.Random(0), RuleBot()
    while not match.over:
        at = picture.moves and len(match.history) >= picture.moves
        if at and match.mover == PERSON and len(match.legal) > 1:
            break
        match = match.act(int(bot.act(match.game, match.state, rng.randrange(99))))
    return match


def take(browser, name: str, picture: Picture) -> None:
    match = played(picture)
    table = Table(match, by_network if match.over else by_rules, None if match.over else PERSON)
    served = Served(table)
    width, height = picture.size
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=picture.scheme).new_page()
    page.set_default_timeout(300_000)
    page.goto(served.address)
    page.wait_for_selector("#scores table")
    if match.over:
        page.evaluate("ask('step', { to: 17 })")
        page.wait_for_selector("#hint th")
        page.click("#lies summary")
    if picture.key:
        page.keyboard.press(picture.key)
    if picture.key or match.over:
        page.wait_for_selector("#hint th")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=FOLDER / f"{name}.png")
    page.context.close()
    served.stop()
    table.close(60)


def main() -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, picture in PICTURES.items():
            take(browser, name, picture)
        browser.close()


if __name__ == "__main__":
    main()
