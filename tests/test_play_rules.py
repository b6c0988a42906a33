"""Which rules a match is played by: the network's, those of flags, or a saved match's; and what cannot be played."""

import json
from pathlib import Path

import pytest

from net import BlobNet
from tests.tables import run
from vecgame import Blob, Game, identity, make_game
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.table.saving import load_match
from veclab.table.session import Settings, begin

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")


def saved_for(games: list[Game], path: str = "net.safetensors") -> str:
    """The path of a network for these games."""
    save_network(Path(path), BlobNet(network_config("small", games[0])), {"games": [identity(game) for game in games]})
    return path


BLOB_OF_TWO = {"game": "blob", "rules": {"cards": 2}}
OLD_HANDS = [10240, 4398054899712, 140738562097152, 281543696187392]  # after four bids, by that program
SEARCH = ("--worlds", "1", "--simulations", "1", "--seed", "2")


@pytest.mark.parametrize(
    "game",
    [
        Blob(cards=2, exact_bonus=5, miss_penalty=10),
        Blob(cards=2, suits=3, ranks=7),
        Blob(cards=2, players=5, hook=False),
        make_game("hearts", passing="left"),
        make_game("kuhn", players=3),
    ],
    ids=repr,
)
def test_a_network_is_played_with_by_the_rules_that_it_was_trained_by(game: Game, monkeypatch, capsys) -> None:
    path = Path("match.json")
    trained = [Blob(game.rules, cards=cards) for cards in (1, 2)] if isinstance(game, Blob) else [game]
    flags = ("--agent", saved_for(trained), "--save", str(path), *SEARCH)
    status, output, error = run(monkeypatch, capsys, "", *flags)
    assert (status, error) == (0, "") and "by other rules" not in output
    match = load_match(path)
    assert match.settings.game == game and match.game.deck == game.deck


def test_other_rules_than_a_networks_are_said_and_kept(monkeypatch, capsys) -> None:
    path, path_there = Path("match.json"), saved_for([Blob(cards=cards) for cards in (1, 2)])
    flags = ("--agent", path_there, "--rules", "exact_bonus=5", "--save", str(path), *SEARCH)
    status, output, error = run(monkeypatch, capsys, "", *flags)
    assert (status, error) == (0, "")
    said_so = [line for line in output.splitlines() if "by other rules than" in line and "exact_bonus=5" in line]
    assert len(said_so) == 1
    assert load_match(path).settings.game == Blob(cards=2, exact_bonus=5)
    assert said_so[0] in run(monkeypatch, capsys, "", "--resume", str(path))[1].splitlines()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--agent", "net.safetensors", "--rules", "players=5"], "features"),
        (["--agent", "net.safetensors", "--game", "hearts"], "is a network for blob, not for hearts"),
        (["--agent", "bare.safetensors"], "does not say its rules"),
        (
            ["--agent", "rules", "--game", "kuhn"],
            "the rule-based player knows blob, hearts, spades, whist, euchre, not kuhn",
        ),
        (["--agent", "random", "--game", "harts"], "hearts"),
        (["--game", "hearts", "--rules", "pasing=left"], "passing"),
        (["--game", "kuhn", "--games", "101"], "--games must be an integer from 0 to 100, got 101"),
        (["--game", "hearts-match", "--games", "-1"], "--games must be an integer from 0 to 100, got -1"),
        (["--game", "nothing.py:Nothing"], "nothing.py"),
        (["--resume", "match.json", "--game", "hearts"], "leave out --game"),
        (["--resume", "match.json", "--rules", "hook=false"], "leave out --rules"),
    ],
)
def test_what_cannot_be_played_is_one_line(flags: list[str], message: str, monkeypatch, capsys) -> None:
    saved_for([Blob(cards=2)])
    save_network(Path("bare.safetensors"), BlobNet(network_config("small", Blob())), {})
    status, output, error = run(monkeypatch, capsys, "q\n", *flags)
    assert status == 2 and message in error and error.count("\n") == 1
    assert error.startswith("error: ") and output == ""


def test_a_match_of_the_first_format_still_opens(monkeypatch, capsys) -> None:
    """As it was written before matches said their games: of Blob, by the cards of the largest hand."""
    settings = {"cards": 2, "games": 3, "seed": 8, "agent": "random", "worlds": 4, "simulations": 30}
    history = [0, 1, 1, 2]
    Path("old.json").write_text(json.dumps({"format": "vecgame-match-1", "settings": settings, "history": history}))
    match = load_match(Path("old.json"))
    assert match.settings.game == Blob(cards=2) and match.history == tuple(history)
    assert [game.cards for game in match.settings.course] == [2, 1, 1]
    assert [int(hand) for hand in match.state.hands[0]] == OLD_HANDS
    assert run(monkeypatch, capsys, "q\n", "--resume", "old.json")[0] == 0
    later = load_match(Path("old.json"))
    assert later.history[:4] == match.history and json.loads(Path("old.json").read_text())["games"] == [BLOB_OF_TWO]


def test_sittings_go_on_and_dealers_move_on() -> None:
    settings = Settings(make_game("spades", cards=1), agent="random")
    assert len(settings.course) == 8
    dealers, match = [], begin(settings)
    while not match.over:
        if not match.moves:
            dealers.append(int(match.state.dealer))
        match = match.act(match.legal[0])
    assert dealers == [0, 1, 2, 3] * 2
    assert match.totals == tuple(sum(result.points[seat] for result in match.results) for seat in range(4))
    assert len(Settings(make_game("hearts-match")).course) == 1
