"""The table over HTTP, for browsers on this machine: a page, what it shows, and what it asks for.

It listens on 127.0.0.1 only. A request that names another host (as after DNS rebinding) or comes from another site's
page is refused, and the page may load, run and ask nothing but what comes from here.

    GET  /               the page; its style sheet, script and icon beside it
    GET  /table          what it shows, at once or, with ?since=VERSION, when that is no longer the version
    GET  /saved          the matches that are kept in the folder
    POST /do             {"do": NAME, "turn": TURN, ..}: one of `REQUESTS`, and the turn that the page shows
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from importlib import resources

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veclab.web.sitting import RefusedError, Table

HOST = "127.0.0.1"
FILES = {
    "/": ("index.html", "text/html"),
    "/table.css": ("table.css", "text/css"),
    "/table.js": ("table.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
LONGEST = 4096  # bytes of a request
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
REQUESTS: Mapping[str, Callable[[Table, str, Mapping[str, object]], None]] = {
    "act": lambda table, turn, asked: table.act(turn, asked.get("action")),
    "undo": lambda table, turn, asked: table.take_back(turn),
    "hint": lambda table, turn, asked: table.ask_hint(turn),
    "go on": lambda table, turn, asked: table.go_on(),
    "pause": lambda table, turn, asked: table.pause(),
    "step": lambda table, turn, asked: table.step(asked.get("to")),
    "save": lambda table, turn, asked: table.keep(),
    "open": lambda table, turn, asked: table.open(asked.get("name")),
    "new": lambda table, turn, asked: table.begin(),
}


class Guard:
    """Refuses what another site's page asks for, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        elsewhere = site in ("cross-site", "same-site")  # same-site: this machine by another port
        foreign = elsewhere or origin not in (None, f"http://{headers.get('host')}")
        if foreign and not (elsewhere and scope["path"] == "/" and origin is None):  # a link to the page
            await PlainTextResponse("another site's page may not ask for this\n", 403)(scope, receive, guarded)
        else:
            await self.app(scope, receive, guarded)


class Told(JSONResponse):
    """Standard JSON of anything, also of a file's name that is not UTF-8: in Python its odd bytes are lone surrogates,
    which UTF-8 cannot have, but JSON's escapes can."""

    def render(self, content: object) -> bytes:
        told = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return told.encode("utf-8", "backslashreplace")


def application(table: Table) -> Starlette:
    """The ASGI application of a table."""

    def show(request: Request) -> Response:
        return Told(table.told(request.query_params.get("since")))

    def saved(request: Request) -> Response:
        return Told({"saved": table.saved()})

    async def do(request: Request) -> Response:
        try:
            name, turn, asked = _read(await _body(request))
            await run_in_threadpool(REQUESTS[name], table, turn, asked)
        except RefusedError as refused:
            return Told({"error": str(refused)}, 409)
        except ValueError as wrong:
            return Told({"error": str(wrong)}, 400)
        return Told({"done": name})

    routes = [Route(path, _file(*file)) for path, file in FILES.items()]
    routes += [Route("/table", show), Route("/saved", saved), Route("/do", do, methods=["POST"])]
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
    return Starlette(routes=routes, middleware=[Middleware(Guard), trusted])


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    content = (resources.files("veclab.web") / "page" / name).read_bytes()
    return lambda request: Response(content, media_type=kind)


async def _body(request: Request) -> bytes:
    """What is sent, as far as it is JSON by name and not too long. Raises ValueError by else."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ValueError("a request must be application/json")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST:
            raise ValueError(f"a request has at most {LONGEST} bytes")
    return body


def _read(body: bytes) -> tuple[str, str, dict[str, object]]:
    """What is asked for and at which turn. Raises ValueError on anything else."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("a request must be JSON") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("turn"), str):
        raise ValueError('a request must be an object with "do" and "turn"')
    name = asked.get("do")
    if not isinstance(name, str) or name not in REQUESTS:
        raise ValueError(f'"do" must be one of {", ".join(REQUESTS)}')
    return name, asked["turn"], asked


def listen(port: int) -> socket.socket:
    """A socket on this machine's own address; port 0 is a free one.

    Raises:
        ValueError: in one line, when the port is no port or taken.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be from 0 to 65535, 0 being a free one, got {port}")
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"--port {port} cannot be had ({why}); leave it out for a free one") from None


def serve(table: Table, bound: socket.socket) -> None:
    """Serves until Ctrl+C, within seconds of which it returns; SIGTERM ends the process."""
    settings = uvicorn.Config(
        application(table), log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    with contextlib.suppress(KeyboardInterrupt):  # which is not raised by every version of Python
        uvicorn.Server(settings).run(sockets=[bound])
