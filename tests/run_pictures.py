"""The pictures of a run in docs/training.md; `python -m tests.run_pictures RUN` takes them, with a Chromium."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from veclab.progress import Display
from veclab.report.page import report

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SHOWN = {  # in light or dark: the sections of the report, and which of the last one's games
    "light": (["Policy gradient", "What it expects"], None),
    "dark": (["Games"], 1),
}
KEEP = """([titles, game]) => {
  for (const part of document.querySelectorAll("header, section"))
    if (!titles.includes(part.querySelector("h2")?.innerText)) part.remove();
  const games = [...document.querySelectorAll("section > *")].filter((one) => one.innerText.startsWith("Game "));
  if (game !== null) games.forEach((one, number) => number !== game && one.remove());
}"""


def of_the_report(browser, folder: Path) -> None:
    text = report(folder, 2000, Display())
    for scheme, kept in SHOWN.items():
        page = browser.new_context(viewport={"width": 900, "height": 100}, color_scheme=scheme).new_page()
        page.set_content(text)
        page.evaluate(KEEP, list(kept))
        page.screenshot(path=FOLDER / f"report-{scheme}.png", full_page=True)
        page.context.close()


def of_tensorboard(browser, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder.parent), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        while not _has_curves(address):  # a page that is opened before has none
            time.sleep(1)
        page = browser.new_page(viewport={"width": 1200, "height": 820})
        page.set_default_timeout(120_000)
        page.goto(f"{address}/#timeseries")
        page.locator("input[placeholder^='Filter tags']").fill("evaluation/.*search|update/(score|entropy)")
        page.get_by_role("button", name="Settings").last.click()  # which are open at first
        page.wait_for_timeout(15_000)  # it fades its charts in, one after the other
        page.screenshot(path=FOLDER / "tensorboard.png")
    finally:
        process.terminate()
        process.wait()


def _has_curves(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/data/plugin/scalars/tags", timeout=5) as answer:
            return b"update/score" in answer.read()
    except OSError:
        return False


def main(folder: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        of_the_report(browser, folder)
        of_tensorboard(browser, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
