"""`vecgame evaluate` and `vecgame ladder`: whom they take, what they refuse in one line, and old ladders."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from net import BlobNet, NetConfig
from tests.every_game import write_tutorials
from vecgame import Game, identity, make_game
from veclab.agents.checkpoint import load_network, save_network
from veclab.arena import best_response, evaluate, ladder
from veclab.arena.bots import FlatMonteCarlo
from veclab.presets import from_flags

ROOT = Path(__file__).parents[1]
BOT = f"cmd:{sys.executable} {ROOT / 'examples' / 'bot.py'}"
FLAGS = ("--eval-deals=2", "--device=cpu")
SEARCH = ("--worlds=1", "--simulations=2")
SUBCLASS = """
from vecgame import Blob

class Sunk(Blob):
    name = "sunk"
    def points(self, state):
        return super().points(state) - 70
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(evaluate.BOTS, "flat", lambda: FlatMonteCarlo(1))
    return tmp_path


def network(name: str, game: Game, seed: int = 0) -> str:
    """The file of a small network for a game, in the run ``name``."""
    torch.manual_seed(seed)
    config = NetConfig(16, 1, 1, 16, game.features, game.num_actions, game.seats, 16, 16)
    path = Path(name) / "network-000001.safetensors"
    path.parent.mkdir()
    save_network(path, BlobNet(config), {"games": [identity(game)]})
    return str(path)


def refused(main, arguments: list[str], capsys) -> str:
    """The one line that a command ends with."""
    assert main([*arguments, *FLAGS]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("ways", "name"),
    [
        ((), "search with network-000001"),
        (("--players=alone",), "network alone of network-000001"),
        (("--players", "search", "alone"), "network alone of network-000001"),
    ],
)
def test_its_rivals_think_in_the_last_of_its_ways(ways: tuple[str, ...], name: str) -> None:
    """They had searched whatever `--players` said. Against itself, thinking alike, it is level on duplicate deals."""
    blob = network("blob", make_game("blob", cards=1))
    arguments = [blob, f"--against={blob}", "--opponents=random", "--json=found.json", *FLAGS, *ways]
    assert evaluate.main([*arguments, *SEARCH] if "--players=alone" not in ways else arguments) == 0
    told = json.loads(Path("found.json").read_text())
    assert told["against"] == told["network"] and told["against_other_rules"] is None
    results = told["results"]
    assert all(list(opponents) == ["random", name] for opponents in results.values())
    way = "network alone" if ways else "search 1x2"
    assert results[way][name]["lead"]["mean"] == 0


def test_a_file_says_by_what_it_was_played_and_whether_that_is_all(monkeypatch) -> None:
    seeds, complete, play, write = set(), [], evaluate.play_match, evaluate.write_atomically

    def noted(games, player, opponent, deals: int, seed: int, *rest):
        seeds.add((deals, seed))
        return play(games, player, opponent, deals, seed, *rest)

    def writing(path: Path, content: bytes) -> None:
        complete.append(json.loads(content)["complete"])
        write(path, content)

    monkeypatch.setattr(evaluate, "play_match", noted)
    monkeypatch.setattr(evaluate, "write_atomically", writing)
    flags = ["--players", "alone", "search", "--opponents", "random", "flat", "--seed=7", "--json=found.json"]
    assert evaluate.main([network("kuhn", make_game("kuhn")), *flags, *SEARCH, *FLAGS]) == 0
    terms = json.loads(Path("found.json").read_text())["terms"]
    assert seeds == {(2, 7)} and complete == [False, False, False, True]
    assert (terms["deals"], terms["seed"]) == (2, 7)
    assert (terms["search"]["worlds"], terms["search"]["simulations"]) == (1, 2)


def test_help_says_where_the_other_network_sits(capsys) -> None:
    """In any game: three seats are those of four without partners only."""
    with pytest.raises(SystemExit):
        evaluate.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "also play this network, at all seats but a player's own and a partner's" in told and "three" not in told


def test_its_rival_is_the_other_network(monkeypatch) -> None:
    game, seen = make_game("blob", cards=1), []
    one, other = (network(name, game, seed) for seed, name in enumerate(("one", "other")))
    monkeypatch.setattr(evaluate, "evaluate", lambda games, *sides: seen.extend(sides[:2]))
    flags = ("--players=alone", "--opponents=random", "--precision=float32")
    assert evaluate.main([one, f"--against={other}", *flags, *FLAGS]) == 0
    observation = torch.rand(3, game.features)
    for side, path in zip(seen, (one, other), strict=True):
        expected = load_network(Path(path))(observation)[0]
        torch.testing.assert_close(side[-1].network(observation)[0], expected, rtol=1e-4, atol=1e-4)


def test_how_a_network_thinks(folder) -> None:
    """By rollouts in tricks, not beyond its policy in games that are solved, by a search where one is asked for."""
    blob, kuhn = network("blob", make_game("blob", cards=1)), network("kuhn", make_game("kuhn"))
    few = ["--opponents=random", "--eval-deals=2", "--device=cpu", "--json=found.json"]
    found = []
    for arguments in (
        [blob],
        [blob, "--simulations=2"],
        [kuhn],
        [kuhn, "--worlds=2"],
        [blob, "--worlds=4", "--players", "alone", "rollouts"],
    ):
        assert evaluate.main([*arguments, *few]) == 0
        found.append(list(json.loads(Path("found.json").read_text())["results"]))
    ways = ["rollouts in 32 of 128 worlds", "search 3x2", "network's policy", "search 2x30"]
    assert found == [["network alone", way] for way in (*ways, "rollouts in 4 of 16 worlds")]


@pytest.mark.parametrize(
    ("main", "flags", "idle", "instead"),
    [
        (evaluate.main, ["--players", "alone", "--c-puct=1", "--worlds=1"], "--worlds, --c-puct", "--players"),
        (evaluate.main, ["--players", "rollouts", "--c-puct=1", "--worlds=4"], "--c-puct", "--players"),
        (ladder.main, ["--policy", "--root-selection=gumbel"], "--root-selection", "--search"),
        (ladder.main, ["--worlds=1"], "--worlds", "--search"),
    ],
)
def test_flags_of_a_search_that_nobody_makes(main, flags, idle, instead, folder, capsys) -> None:
    error = refused(main, [network("blob", make_game("blob", cards=1)), *flags], capsys)
    assert error.startswith(f"error: {idle} would change nothing where nobody searches; {instead}")
    assert not list(folder.rglob("*.json"))


@pytest.mark.parametrize(
    ("main", "flags", "said"),
    [
        (evaluate.main, ["--opponents", "rules", "--ismcts-simulations=-5"], "--ismcts-simulations -5 {}: no ismcts"),
        (evaluate.main, ["--ismcts-simulations=1000"], "--ismcts-simulations 1000 {}: no ismcts"),
        (evaluate.main, ["--opponents", "random", "--program-seconds=0"], "--program-seconds 0.0 {}: no cmd:COMMAND"),
        (ladder.main, ["--program-seconds=10"], "--program-seconds 10.0 {}: no cmd:COMMAND"),
    ],
)
def test_flags_of_players_that_do_not_play(main, flags, said, folder, capsys) -> None:
    error = refused(main, [network("kuhn", make_game("kuhn")), *flags], capsys)
    assert error == f"error: {said.format('would change nothing')} plays; leave it out, or name one\n"


def test_ismcts_is_not_given_plain_blob_in_place_of_another_game(folder, capsys) -> None:
    """A subclass that scores -70 more was evaluated as Blob, and "lost" nothing."""
    pytest.importorskip("pyspiel")
    (folder / "sunk.py").write_text(SUBCLASS)
    for game, said in (
        (make_game(f"{folder}/sunk.py:Sunk", cards=2), "plays Blob itself, not Sunk(cards=2)"),
        (make_game("blob", cards=2, exact_bonus=5, miss_penalty=10), "does not know exact_bonus=5, miss_penalty=10"),
        (make_game("blob-match", cards=2), "plays Blob itself, not BlobMatch(cards=2)"),
        (make_game("kuhn"), "plays Blob itself, not Kuhn"),
    ):
        path = network(f"run-{game.name}-{len(said)}", game)
        assert said in refused(evaluate.main, [path, "--opponents", "random", "ismcts"], capsys)


def test_opponents_that_cannot_play(capsys) -> None:
    hearts, kuhn = network("hearts", make_game("hearts")), network("kuhn", make_game("kuhn"))
    assert "the rule-based player knows blob, hearts, spades, whist, euchre, not kuhn" in refused(
        evaluate.main, [kuhn, "--opponents", "rules"], capsys
    )
    assert "no opponent 'rule'; the nearest is rules" in refused(evaluate.main, [hearts, "--opponents", "rule"], capsys)
    assert "cmd:COMMAND needs a command" in refused(evaluate.main, [hearts, "--opponents", "cmd:"], capsys)
    assert "cmd:./none cannot be started" in refused(evaluate.main, [hearts, "--opponents", "cmd:./none"], capsys)
    seconds = [hearts, "--opponents", BOT, "--program-seconds", "0"]
    assert "--program-seconds must be above 0 and finite, got 0" in refused(evaluate.main, seconds, capsys)
    assert evaluate.main([kuhn, "--players", "alone", *FLAGS]) == 0  # all bots that can play
    assert "rule-based" not in capsys.readouterr().out


def test_a_program_that_errs_ends_an_evaluation_in_one_line(folder, capsys) -> None:
    (folder / "bad.py").write_text("import sys\nsys.exit('no such card')\n")
    path = network("kuhn", make_game("kuhn"))
    error = refused(evaluate.main, [path, "--opponents", f"cmd:{sys.executable} bad.py"], capsys)
    assert "ended with status 1 before it answered; it said: no such card" in error


def test_what_is_finished_is_shown_when_a_later_opponent_fails(folder, capsys) -> None:
    """Though nothing was said of it as it was played (`--quiet`)."""
    code = 'print(\'{"type": "ready", "protocol": 1}\', flush=True)\ninput()\nsys.exit(\'no such card\')'
    (folder / "bad.py").write_text(f"import sys\ninput()\n{code}\n")
    bad, path = f"cmd:{sys.executable} bad.py", network("kuhn", make_game("kuhn"))
    flags = ["--quiet", "--json", "found.json", *FLAGS]
    assert evaluate.main([path, "--players", "alone", "--opponents", "random", bad, *flags]) == 2
    shown = capsys.readouterr()
    assert "against 1 x random" in shown.out and bad not in shown.out
    assert "it said: no such card" in shown.err and shown.err.count("\n") == 1
    assert ladder.main([path, bad, "--quiet", *FLAGS]) == 2
    shown = capsys.readouterr()
    assert "4 pairings are not played yet" in " ".join(shown.out.split()) and bad not in shown.out
    assert "random = 0" in shown.out and "kuhn/ladder.json" in shown.out
    assert "it said: no such card" in shown.err and shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("stop", "said"),
    [(MemoryError("none"), "error: out of memory"), (KeyboardInterrupt(), "stopped after 1 of 2 policies")],
)
def test_gains_of_earlier_policies_are_shown_whatever_stops_it(stop, said: str, monkeypatch, capsys) -> None:
    compute = best_response.best_response

    def only_random(game, policy, device):
        if policy is best_response.uniform_policy:
            return compute(game, policy, device)
        raise stop

    monkeypatch.setattr(best_response, "best_response", only_random)
    assert best_response.main([network("kuhn", make_game("kuhn")), "--quiet", "--device=cpu"]) in (3, 130)
    shown = capsys.readouterr()
    assert re.search(r"random +0\.000", shown.out) and shown.err.startswith(said) and shown.err.count("\n") == 1


def test_a_table_says_what_the_game_counts(folder, capsys) -> None:
    path = network("kuhn", make_game("kuhn"))
    assert evaluate.main([path, "--players", "alone", "--opponents", "random", *FLAGS]) == 0
    assert set(re.findall(r"\w+\s+a game", capsys.readouterr().out)) == {"chips a game"}


def test_other_rules_are_said(folder, capsys) -> None:
    path, out = network("blob", make_game("blob", cards=2, miss_penalty=10)), folder / "out.json"
    flags = ["--players", "policy", "--opponents", "random", "--rules", "miss_penalty=3", "--json", str(out), *FLAGS]
    assert evaluate.main([path, *flags]) == 0
    said = "by other rules than blob/network-000001.safetensors was trained by"
    assert f"it plays {said}" in capsys.readouterr().out.replace("\n", " ")
    stored = json.loads(out.read_text())
    assert stored["other_rules"].startswith(said)
    assert stored["games"] == [{"game": "blob", "rules": {"cards": 2, "miss_penalty": 3.0}}]
    assert list(stored["results"]) == ["network's policy"]


@pytest.mark.slow
def test_a_ladder_is_of_one_game(folder, capsys) -> None:
    two, five = network("two", make_game("kuhn")), network("three", make_game("kuhn", players=3))
    error = refused(ladder.main, [two, five], capsys)
    assert "two/network-000001 is for kuhn" in error and "three/network-000001 for kuhn" in error
    assert "say which by --game, --rules and --cards" in error
    one, other = network("one", make_game("blob", cards=1)), network("other", make_game("blob", cards=2))
    assert "a ladder is of one game" in refused(ladder.main, [one, other], capsys)
    assert ladder.main([one, other, "--cards", "2", *FLAGS]) == 0
    assert "one/network-000001 plays by other rules than" in capsys.readouterr().out
    stored = json.loads((folder / "one" / "ladder.json").read_text())
    assert list(stored["other_rules"]) == ["one/network-000001"]


@pytest.mark.parametrize("flags", [["--policy"], []])
def test_a_ladders_networks_play_as_they_are_told(flags: list[str], monkeypatch) -> None:
    players = {}
    monkeypatch.setattr(ladder, "play_missing", lambda _, given, *rest: players.update(given))
    assert ladder.main([network("kuhn", make_game("kuhn")), *flags, *FLAGS]) == 0
    assert [player.sample for name, player in players.items() if "network" in name] == [bool(flags)]


def test_policies_and_best_actions_are_other_terms(capsys) -> None:
    path = network("kuhn", make_game("kuhn"))
    assert ladder.main([path, "--policy", *FLAGS]) == 0
    assert "networks' policies drawn from" in capsys.readouterr().out
    assert "other terms: players (file: policy, here: alone)" in refused(ladder.main, [path], capsys)


def test_a_ladder_of_programs_alone(folder, capsys) -> None:
    (folder / "bot.py").write_text((ROOT / "examples" / "bot.py").read_text())
    bot = f"cmd:{sys.executable} bot.py"
    assert "needs --json FILE" in refused(ladder.main, [bot, "--game", "kuhn"], capsys)
    flags = ["--game", "kuhn", "--rules", "players=3", "--json", "ladder.json"]
    assert ladder.main([bot, *flags, *FLAGS]) == 0
    stored = json.loads((folder / "ladder.json").read_text())
    assert set(stored["agents"]) == {"random", "flat Monte Carlo", bot} and stored["agents"][bot]
    with (folder / "bot.py").open("a") as file:
        file.write("# another one")
    assert "another network, program or version of a bot called cmd:" in refused(ladder.main, [bot, *flags], capsys)


@pytest.mark.slow
def test_ladders_of_the_formats_before_open(folder, capsys) -> None:
    """The first named the game by flags, and both took other files for a bot's; results are still there."""
    path = network("blob", make_game("blob", cards=2))
    file = folder / "blob" / "ladder.json"
    assert ladder.main([path, *FLAGS]) == 0
    stored = json.loads(file.read_text())
    flags = {"game": "blob", "rules": "", "cards": "2", "trump": "random", "hook": True, "suits": 4, "ranks": 13}
    old = {**stored, "format": "vecgame-ladder-1", "terms": {**flags, "eval_deals": 2, "seed": 0, "search": None}}
    agents = {name: digest if name.startswith("blob/") else None for name, digest in stored["agents"].items()}
    assert len(agents) == 4
    for one in (old, {**stored, "format": "vecgame-ladder-2"}):
        file.write_text(json.dumps(one))
        capsys.readouterr()
        assert ladder.main([path, *FLAGS]) == 0
        assert json.loads(file.read_text()) == {**stored, "agents": agents}
        assert "does not say which versions of random, rule-based, flat Monte Carlo" in capsys.readouterr().out
    file.write_text(json.dumps({**old, "terms": {**old["terms"], "cards": "3"}}))
    assert "other terms: games (file: [{'game': 'blob', 'rules': {'cards': 3}}]" in refused(ladder.main, [path], capsys)
    file.write_text(json.dumps({**old, "terms": {}}))
    assert "is no ladder of this version" in refused(ladder.main, [path], capsys)


@pytest.mark.slow
def test_an_address_on_the_command_line(folder, capsys) -> None:
    write_tutorials(folder)
    path = network("bluff", make_game("bluff.py:Bluff"))
    assert ladder.main([path, BOT, *FLAGS]) == 0
    assert evaluate.main([path, "--game", "bluff.py:Bluff", "--opponents", BOT, *FLAGS, *SEARCH]) == 0


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"cards": "1"}, "1,000 games a pairing, 1 card, each deal played from every seat"),
        ({"cards": "1-5"}, "1,000 games a pairing, 1-5 cards, each deal played from every seat"),
        ({"game": "kuhn"}, "500 games a pairing, each deal played from every seat"),
        ({"game": "whist"}, "500 games a pairing, 13 cards, each deal played from both sides"),
    ],
    ids=["one", "some", "a game with no number of them", "partners"],
)
def test_a_title_says_how_many_cards_are_dealt(flags: dict[str, str], told: str) -> None:
    settings = from_flags("quick", {**flags, "device": "cpu"})
    assert evaluate.terms(settings.games()[0], settings) == told
