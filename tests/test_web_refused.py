"""What the table in the browser refuses: what means nothing, what is not allowed, other sites, and bad flags."""

import json
import re
import sys
from dataclasses import replace
from importlib import resources

import pytest

pytest.importorskip("starlette", reason="pip install 'vecgame[web]'")
pytest.importorskip("uvicorn", reason="pip install 'vecgame[web]'")

import veclab
from tests.web import Served, actions, waits_for_the_person
from veclab import play
from veclab.table.session import PERSON
from veclab.web import server

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")
JSON = {"Content-Type": "application/json"}

MEANINGLESS = {
    b"": "must be JSON",
    b"\xff\xfe{": "must be JSON",
    b"[" * 4000: "must be JSON",
    b"[]": "must be an object",
    b'{"do": "act"}': "must be an object",
    b'{"do": "rob", "turn": "x"}': "must be one of act, undo",
    b'{"do": ["act"], "turn": "x"}': "must be one of act, undo",
    b'{"do": "act", "turn": "x", "action": 1}': "has moved on",
    b" " * 5000: "at most 4096 bytes",
}


def test_what_means_nothing_gets_one_line_and_changes_nothing(served: Served) -> None:
    before = served.wait(waits_for_the_person)
    for body, words in MEANINGLESS.items():
        status, _, answer = served.request("POST", "/do", body, JSON)
        error = json.loads(answer)["error"]
        assert status in (400, 409) and words in error and "\n" not in error and served.told() == before


def test_what_is_not_allowed_changes_nothing(served: Served) -> None:
    before = served.wait(waits_for_the_person)
    for action in (-1, 999, True, "3", None, 1.0, [1], float("nan"), 10**30):
        status, answer = served.ask("act", action=action)
        assert status == 409 and "not allowed" in answer["error"] and served.told() == before


def test_an_old_choice_of_another_tab_is_refused(served: Served) -> None:
    old = served.wait(waits_for_the_person)
    assert served.ask("act", action=actions(old)[0])[0] == 200
    now = served.wait(waits_for_the_person)
    status, answer = served.ask("act", old["turn"], action=actions(old)[0])
    assert status == 409 and "has moved on" in answer["error"] and served.told() == now


FOREIGN = [
    ({"Host": "evil.example"}, 400),
    ({"Host": "127.0.0.1.evil.example:80"}, 400),
    ({"Host": ""}, 400),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Origin": "https://127.0.0.1"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({}, 200),
]


def test_other_sites_and_other_hosts_are_refused(served: Served) -> None:
    before = served.wait(waits_for_the_person)
    asked = json.dumps({"do": "act", "turn": before["turn"], "action": actions(before)[0]}).encode()
    for headers, status in FOREIGN:
        answers = [served.request("GET", "/table", None, headers)]
        answers.append(served.request("POST", "/do", asked, {**JSON, **headers}))
        for found, sent, body in answers:
            assert found == status and "frame-ancestors 'none'" in sent["content-security-policy"]
            assert "access-control-allow-origin" not in sent
            assert status == 200 or b"hand" not in body
        assert (served.told() == before) == (status != 200)


def test_a_form_of_another_page_cannot_ask(served: Served) -> None:
    """Which browsers send without asking first, as text."""
    told = served.wait(waits_for_the_person)
    asked = json.dumps({"do": "act", "turn": told["turn"], "action": actions(told)[0]}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert served.request("POST", "/do", asked, {"Content-Type": kind})[0] == 400
    assert served.request("GET", "/do")[0] == 405 and served.request("GET", "/../veclab/play.py")[0] == 404
    assert served.told() == told


def test_the_page_asks_nothing_of_others_and_words_stay_words(served: Served) -> None:
    for path in server.FILES:
        status, headers, body = served.request("GET", path)
        source = body.decode()
        assert status == 200 and "default-src 'none'" in headers["content-security-policy"]
        assert set(re.findall(r"\w+://[^\s\"'>]+", source)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function", source)
        assert not re.search(r"<[^>]+ (on\w+|style)=", source)  # which the policy would not run
    assert {f"/{path.name}" for path in (resources.files("veclab.web") / "page").iterdir()} - {"/index.html"} == set(
        server.FILES
    ) - {"/"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "80"], "--port is for --web"),
        (["--web", "--port", "70000"], "--port must be from 0 to 65535"),
        (["--web", "--plain"], "--plain is for a terminal"),
        (["--look", "match.json"], "--look shows a match as a page: add --web"),
        (["--web", "--look", "match.json", "--seed", "1"], "leave out --seed"),
        (["--web", "--look", "none.json"], "none.json cannot be read"),
    ],
)
def test_bad_flags_get_one_line(flags: list[str], words: str, capsys) -> None:
    assert play.main([*flags, "--agent", "random"]) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("error: ") and error.count("\n") == 1


def test_a_port_that_is_taken_gets_one_line(served: Served, capsys) -> None:
    assert play.main(["--web", "--agent", "random", "--port", str(served.port)]) == 2
    assert f"--port {served.port} cannot be had" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_there_is_one_line(missing: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr(veclab, "web", veclab.web)  # with all of its modules, afterwards
    for name in [name for name in sys.modules if name.startswith(("veclab.web", f"{missing}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert play.main(["--web", "--agent", "random"]) == 2
    assert capsys.readouterr().err == f"error: {missing} is not installed: pip install 'vecgame[web]'\n"


def test_of_the_next_game_nothing_is_decided_before_it_is_begun(served: Served) -> None:
    for _ in range(12):
        told = served.wait(waits_for_the_person)
        if told["resting"]:
            break
        assert served.ask("act", action=actions(told)[0])[0] == 200
    assert told["resting"]
    match = served.table._sitting.match
    while match.mover != PERSON:  # it is the agents' turn, which wait too
        match = match.act(match.legal[0])
    with served.table._news:
        served.table._put(replace(served.table._sitting, match=match))
    assert served.told()["resting"]
    assert served.ask("act", action=match.legal[0])[0] == 409 and served.ask("hint")[0] == 409
    assert served.table._sitting.match is match
    assert served.ask("go on")[0] == 200 and served.ask("act", action=match.legal[0])[0] == 200
