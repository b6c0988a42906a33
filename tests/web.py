"""A table served on a thread of the test's own process, and requests to it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping

import uvicorn

from vecgame import Blob
from veclab.arena.bots import Player, RandomBot
from veclab.table.session import Match, Settings, begin
from veclab.web.server import application, listen
from veclab.web.sitting import Table


def a_match(cards: int = 2, games: int = 2, seed: int = 3) -> Match:
    """A match of Blob against random agents."""
    return begin(Settings(Blob(cards=cards), games=games, seed=seed, agent="random"))


def random_bots(match: Match) -> tuple[Player, str]:
    """Agents that take moments."""
    return RandomBot(), "You against <b>agents</b>."


class Served:
    """A table at an address of this machine, from `start` to `stop`."""

    def __init__(self, table: Table) -> None:
        self.table, self.port = table, 0
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serves, at the same port as before if there was one."""
        bound = listen(self.port)
        self.port = bound.getsockname()[1]
        settings = uvicorn.Config(
            application(self.table), log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(settings)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [bound]}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers in lower case, and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def told(self) -> dict[str, object]:
        """What a page shows now."""
        return json.loads(self.request("GET", "/table")[2])

    def ask(self, do: str, turn: str | None = None, /, **more: object) -> tuple[int, dict[str, object]]:
        """Asks for something as the page does, at the turn that is shown unless another is given."""
        asked = {"do": do, "turn": self.told()["turn"] if turn is None else turn, **more}
        headers = {"Content-Type": "application/json", "Origin": self.address, "Sec-Fetch-Site": "same-origin"}
        status, _, body = self.request("POST", "/do", json.dumps(asked).encode(), headers)
        return status, json.loads(body)

    def wait(self, ready, seconds: float = 60) -> dict[str, object]:
        """What is told as soon as it is ready."""
        deadline = time.monotonic() + seconds
        while not ready(told := self.told()):
            assert time.monotonic() < deadline, told
            time.sleep(0.01)
        return told


def actions(told: Mapping[str, object]) -> list[int]:
    """What the person may choose, by what a page is told."""
    piles = [*told.get("piles", []), *(pile for seat in told.get("seats", []) for pile in seat["piles"])]
    lie = [*told.get("hand", []), *(card for pile in piles for card in pile["cards"])]
    cards = [card["action"] for card in lie if card["action"] is not None]
    return cards + [choice["action"] for choice in told.get("choices", [])]


def waits_for_the_person(told: Mapping[str, object]) -> bool:
    return bool(actions(told) or told["resting"] or told["over"])
