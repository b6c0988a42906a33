"""Ladders: what a win is, that a ladder plays only what is new, and the command."""

import inspect
import json
import shlex

import pytest
import torch

from net import PRESETS, BlobNet
from vecgame import Blob, Euchre, worlds
from veclab.agents.checkpoint import save_network
from veclab.agents.folder import NEWEST
from veclab.agents.networks import newest_network, saved_networks
from veclab.arena import ladder as module
from veclab.arena.bots import FlatMonteCarlo, RandomBot, RuleBot
from veclab.arena.evaluate import main as evaluate_main
from veclab.arena.ladder import Ladder, half_wins, main
from veclab.arena.matches import ONE_AGAINST_THREE, TWO_AGAINST_TWO, play_deals, side_points, win_shares
from veclab.arena.rules import blob, euchre, odds
from veclab.settings import Settings
from veclab.training import command as train
from vecmcts.evaluators import play_out, random_action


def test_seatings() -> None:
    assert sorted(seats.index(0) for seats in ONE_AGAINST_THREE) == [0, 1, 2, 3]
    assert len(set(TWO_AGAINST_TWO)) == 6 and all(sum(seats) == 2 for seats in TWO_AGAINST_TWO)


def test_a_win_by_hand() -> None:
    """Player 0 has 11 and 0 points, player 1 has 10 and 0: ahead twice, level once, behind once, so 2.5 of 4."""
    seatings = ((0, 1, 0, 1),)
    points = torch.tensor([[[11.0, 10.0, 0.0, 0.0]], [[0.0, 10.0, 0.0, 12.0]]], dtype=torch.float64)
    assert win_shares(points, seatings).tolist() == [2.5 / 4, 0]
    assert side_points(points, seatings).tolist() == [[5.5, 5], [0, 11]]


def test_an_agent_draws_with_itself_in_every_deal_and_swapping_is_the_complement() -> None:
    game = [Blob(cards=3)]
    ladder = Ladder({"game": "blob"}, TWO_AGAINST_TWO)
    assert ladder.comparisons == 48
    alike = play_deals(game, (RuleBot(), RuleBot()), TWO_AGAINST_TWO, 20, seed=1)
    assert half_wins(ladder, alike) == [ladder.comparisons // 2] * 20
    one = play_deals(game, (RuleBot(), RandomBot()), TWO_AGAINST_TWO, 20, seed=1)
    other = play_deals(game, (RandomBot(), RuleBot()), TWO_AGAINST_TWO, 20, seed=1)
    assert (
        [ladder.comparisons - won for won in half_wins(ladder, one)]
        == half_wins(ladder, other)
        != half_wins(ladder, one)
    )
    assert sum(half_wins(ladder, one)) > 0.55 * ladder.comparisons * 20


@pytest.fixture
def networks(tmp_path):
    """A folder of two small networks."""
    folder = tmp_path / "run"
    folder.mkdir()
    for number in range(2):
        torch.manual_seed(number)
        save_network(folder / f"network-{number:06d}.safetensors", BlobNet(PRESETS["small"]), {})
    return folder


FLAGS = ["--eval-deals", "3", "--cards", "2", "--device", "cpu"]


@pytest.mark.slow
def test_a_new_network_plays_only_its_own_pairings(networks, monkeypatch, capsys) -> None:
    played = []
    play = module.play_pairing

    def count(ladder, settings, a, b, *rest):
        played.append((a, b))
        return play(ladder, settings, a, b, *rest)

    monkeypatch.setattr(module, "play_pairing", count)
    newer = networks / "network-000001.safetensors"
    hidden = newer.rename(networks / "later")
    assert main([str(networks), *FLAGS]) == 0
    assert len(played) == 6  # of four agents
    before = json.loads((networks / "ladder.json").read_text())
    hidden.rename(newer)
    assert main([str(networks), *FLAGS]) == 0
    assert len(played) == 6 + 4
    after = json.loads((networks / "ladder.json").read_text())
    assert after["pairings"][:6] == before["pairings"]
    assert main([str(networks), *FLAGS]) == 0 and len(played) == 10
    assert json.loads((networks / "ladder.json").read_text()) == after
    assert after["ratings"]["rule-based"] == {"elo": 0, "low": 0, "high": 0}
    assert list(after["ratings"].values()) == sorted(after["ratings"].values(), key=lambda rating: -rating["elo"])
    assert "run/network-000001" in capsys.readouterr().out


def test_the_newest_network_of_a_run_that_goes_on_is_another_agent_each_time(networks, monkeypatch) -> None:
    """Its results are kept under how far the run was, and are never those of what the file holds later."""
    played = []
    monkeypatch.setattr(module, "play_pairing", lambda *arguments: played.append(arguments) or [1, 1, 2])

    def stop_at(iteration: int, updates: int) -> str:
        torch.manual_seed(10 * iteration + updates)
        save_network(networks / NEWEST, BlobNet(PRESETS["small"]), {"iteration": iteration, "updates": updates})
        played.clear()
        assert main([str(networks), *FLAGS]) == 0
        return list(json.loads((networks / "ladder.json").read_text())["agents"])[-1]

    (networks / "network-000001.safetensors").unlink()
    assert stop_at(0, 5) == "run/network-newest (update 5)" and len(played) == 10
    assert stop_at(0, 6) == "run/network-newest (update 6)" and len(played) == 4
    assert stop_at(3, 6) == "run/network-newest (iteration 3)" and len(played) == 4
    digests = json.loads((networks / "ladder.json").read_text())["agents"]
    assert len({digest for name, digest in digests.items() if name.startswith("run/")}) == 4
    torch.manual_seed(1)  # another network that was as far, as of a run that was begun anew in the same place
    save_network(networks / NEWEST, BlobNet(PRESETS["small"]), {"iteration": 3, "updates": 6})
    assert main([str(networks), *FLAGS]) == 2


@pytest.mark.parametrize(
    ("numbered", "newest", "taken"),
    [
        ({0: {}}, None, 0),  # runs that were made before there was a newest one
        ({0: {}, 12: {"iteration": 12}}, None, 12),
        ({0: {"updates": 0}}, {"iteration": 0, "updates": 1}, NEWEST),
        ({0: {"updates": 0}}, {"iteration": 0, "updates": 0}, 0),
        ({0: {}}, {"iteration": 0, "updates": 7}, NEWEST),
        ({0: {}, 10: {"iteration": 10, "updates": 7}}, {"iteration": 10, "updates": 7}, 10),
        ({0: {}, 10: {"iteration": 10, "updates": 7}}, {"iteration": 9, "updates": 7}, 10),
        ({0: {}, 10: {"iteration": 10, "updates": 7}}, {"iteration": 11, "updates": 7}, NEWEST),
        ({}, {"iteration": 1, "updates": 7}, NEWEST),
    ],
)
def test_the_newest_network(tmp_path, numbered, newest, taken) -> None:
    net = BlobNet(PRESETS["small"])
    for iteration, metadata in numbered.items():
        save_network(tmp_path / f"network-{iteration:06d}.safetensors", net, metadata)
    if newest is not None:
        save_network(tmp_path / NEWEST, net, newest)
    name = taken if taken == NEWEST else f"network-{taken:06d}.safetensors"
    assert newest_network(tmp_path).name == name
    assert [path.name for path in saved_networks([tmp_path], 9).values()][-1] == name
    assert len(saved_networks([tmp_path], 9)) == len(numbered) + (taken == NEWEST)


def test_an_interrupted_ladder_keeps_what_was_played(networks, monkeypatch, capsys) -> None:
    play, played = module.play_pairing, []

    def stop_at_fourth(*arguments):
        if len(played) == 3:
            raise KeyboardInterrupt
        played.append(play(*arguments))
        return played[-1]

    monkeypatch.setattr(module, "play_pairing", stop_at_fourth)
    assert main([str(networks), *FLAGS]) == 130
    assert (error := capsys.readouterr().err).startswith("stopped; ") and error.count("\n") == 1
    stored = Ladder.load(networks / "ladder.json", {}, TWO_AGAINST_TWO)
    assert list(stored.pairings.values()) == played


def test_networks_of_a_run(tmp_path) -> None:
    for number in range(10):
        (tmp_path / f"network-{number:06d}.safetensors").touch()
    name = tmp_path.name

    def chosen(most: int) -> list[int]:
        return [int(found.removeprefix(f"{name}/network-")) for found in saved_networks([tmp_path], most)]

    assert chosen(10) == list(range(10)) and chosen(4) == [0, 3, 6, 9] and chosen(1) == [9]
    twin = tmp_path / "x" / name
    twin.mkdir(parents=True)
    (twin / "network-000009.safetensors").touch()
    with pytest.raises(ValueError, match="would both be called"):
        saved_networks([tmp_path, twin], 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "neither a run's folder nor a network"),
        (
            ["random", "flat"],
            "random is a bot, and all bots that play the game are in every ladder: leave it out",
        ),
        ([".", "--most", "0"], "--most must be at least 1"),
        (["."], "holds no network"),
    ],
)
def test_errors_are_one_line(arguments, message, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.slow
def test_a_ladder_has_one_set_of_terms_and_one_network_a_name(networks, capsys) -> None:
    only = networks / "network-000000.safetensors"
    assert main([str(only), *FLAGS]) == 0
    assert main([str(only), *FLAGS, "--search"]) == 2
    assert "other terms: players (file: alone, here: search), search (file: None" in capsys.readouterr().err
    only.write_bytes((networks / "network-000001.safetensors").read_bytes())
    assert main([str(only), *FLAGS]) == 2
    assert "another network, program or version of a bot called" in capsys.readouterr().err
    (networks / "ladder.json").write_text("{}")
    assert main([str(only), *FLAGS]) == 2
    assert "is no ladder of this version" in capsys.readouterr().err


def test_ratings_are_of_who_won_and_know_that_the_rules_shares_are_fixed() -> None:
    """The rule-based player wins much by one of two rules and less by the other, in all deals of each alike."""
    settings = Settings(cards="2,5", eval_deals=40)
    terms = {"games": [{}, {}], "eval_deals": 40}
    ladder = Ladder(terms, TWO_AGAINST_TWO, {"random": "", "rule-based": ""})
    points = module.play_pairing(ladder, settings, RuleBot(), RandomBot(), torch.device("cpu"))
    assert sum(points) / len(points) / ladder.comparisons > 0.55
    most = ladder.comparisons
    ladder.pairings["random", "rule-based"] = [most // 4] * 20 + [most // 2] * 20
    rated = ladder.ratings()
    assert list(rated) == ["rule-based", "random"] and (rated["rule-based"].elo, rated["rule-based"].low) == (0, 0)
    assert rated["random"].elo < -50 and rated["random"].high - rated["random"].low < 1e-6
    assert [module.share_text(ladder, *pair) for pair in (("random", "rule-based"), ("rule-based", "random"))] == [
        "37.5%",
        "62.5%",
    ]


@pytest.mark.slow
def test_partners_play_side_against_side(tmp_path, capsys) -> None:
    """By the rules of the run that the networks lie in; the random bot is 0."""
    rules = ["--game", "whist", "--cards", "2", "--rules", "trump=random"]
    flags = [*rules, "--device", "cpu", "--games-per-iter", "4", "--iterations", "1"]
    small = ["--preset", "quick", "--learner", "search", "--epochs", "0", "--simulations", "2", "--eval-deals", "2"]
    run = tmp_path / "run"
    assert train.main([*flags, *small, "--run", str(run)]) == 0
    assert main([str(run), "--eval-deals", "3", "--device", "cpu"]) == 0
    stored = json.loads((run / "ladder.json").read_text())
    assert stored["terms"]["games"] == [{"game": "whist", "rules": {"cards": 2, "trump": "random"}}]
    assert stored["ratings"]["random"]["elo"] == 0 and "rule-based" in stored["agents"]
    assert all(0 <= wins <= 16 for pairing in stored["pairings"] for wins in pairing["half_wins"])
    assert "whist" in capsys.readouterr().out
    network = next(run.glob("network-*.safetensors"))
    out = tmp_path / "strength.json"
    judged = ["--players", "alone", "--opponents", "random", "--eval-deals", "3", "--device", "cpu", "--json", str(out)]
    assert evaluate_main([str(network), *judged]) == 0
    result = json.loads(out.read_text())
    assert result["results"]["network alone"]["random"]["games"] == 6
    assert result["games"] == stored["terms"]["games"]
    assert shlex.split(result["environment"]["command"]) == ["vecgame", "evaluate", str(network), *judged]
    assert {"cpu", "threads", "torch", "date"} <= result["environment"].keys() and result["terms"]["deals"] == 3


@pytest.mark.parametrize("bot", ["random", "rule-based"])
def test_results_of_another_version_of_a_bot_are_refused(bot: str, networks, monkeypatch, capsys) -> None:
    """Those of a file that does not say which version it was are gone on with, and a line says so, every time."""
    monkeypatch.setattr(module, "play_pairing", lambda *_: [1, 1, 2])
    out = networks / "ladder.json"
    assert main([str(networks), *FLAGS]) == 0 and "does not say" not in capsys.readouterr().out
    stored = json.loads(out.read_text())
    assert len({*stored["agents"].values(), None}) == 6
    stored["agents"][bot] = None
    for _ in range(2):
        out.write_text(json.dumps(stored))
        assert main([str(networks), *FLAGS]) == 0
        assert f"does not say which versions of {bot} its results are of" in " ".join(capsys.readouterr().out.split())
        stored = json.loads(out.read_text())
    stored["agents"][bot] = "another"
    out.write_text(json.dumps(stored))
    assert main([str(networks), *FLAGS]) == 2
    error = capsys.readouterr().err
    assert f"version of a bot called {bot}; name another --json" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "half_wins", [[1, 1], [1, 1, 2, 2], [1, 49, 2], [1, -1, 2], [1, 1.5, 2], [1, None, 2], "112", 3]
)
def test_a_damaged_ladder_is_one_line(half_wins: object, networks, monkeypatch, capsys) -> None:
    """Of three deals with 48 half wins each."""
    monkeypatch.setattr(module, "play_pairing", lambda *_: [1, 1, 2])
    out = networks / "ladder.json"
    assert main([str(networks), *FLAGS]) == 0
    stored = json.loads(out.read_text())
    for damaged in ({**stored["pairings"][1], "half_wins": half_wins}, {**stored["pairings"][1], "b": "nobody"}):
        out.write_text(json.dumps({**stored, "pairings": [stored["pairings"][0], damaged, *stored["pairings"][2:]]}))
        capsys.readouterr()
        assert main([str(networks), *FLAGS]) == 2
        shown = capsys.readouterr()
        assert "is no ladder of this version, or is damaged" in shown.err and shown.err.count("\n") == 1
    first, *rest = stored["pairings"]
    turned, alone = {**first, "a": first["b"], "b": first["a"]}, {**first, "b": first["a"]}
    for text in (
        json.dumps({**stored, "terms": []}),
        json.dumps({**stored, "terms": {name: value for name, value in stored["terms"].items() if name != "seed"}}),
        json.dumps({**stored, "other_rules": []}),
        json.dumps({**stored, "pairings": [alone, *rest]}),
        json.dumps({**stored, "pairings": [first, turned, *rest]}),  # of which only one could count
        json.dumps({**stored, "pairings": [first, first, *rest]}),
        "[" * 100_000,
    ):
        out.write_text(text)
        capsys.readouterr()
        assert main([str(networks), *FLAGS]) == 2
        shown = capsys.readouterr()
        assert "ladder" in shown.err and shown.err.count("\n") == 1
        assert out.read_text() == text


def test_an_agent_that_was_stopped_before_it_had_played_is_not_rated() -> None:
    ladder = Ladder({"games": [{"game": "blob"}], "eval_deals": 3}, TWO_AGAINST_TWO)
    for name in ("random", "rule-based", "cmd:broken"):
        ladder.add(name, "of its file")
    ladder.pairings["random", "rule-based"] = [10, 12, 20]
    assert list(ladder.ratings()) == ["rule-based", "random"]


def test_a_pairing_that_was_played_the_other_way_round_is_not_played_again() -> None:
    """As where the same runs are named in another order."""
    ladder = Ladder({}, TWO_AGAINST_TWO, pairings={("a", "b"): [1], ("c", "a"): [1]})
    assert ladder.missing(["a", "b", "c"]) == [("b", "c")] and ladder.missing(["c", "b", "a"]) == [("c", "b")]


def test_a_ladder_is_played_on_the_deals_of_its_seed(networks, monkeypatch, capsys) -> None:
    seeds, play = set(), module.play_deals

    def noted(games, players, seatings, deals, seed, *rest, **more):
        seeds.add(seed)
        return play(games, players, seatings, deals, seed, *rest, **more)

    monkeypatch.setattr(module, "play_deals", noted)
    monkeypatch.setitem(module.BOTS, "flat", RandomBot)
    assert main([str(networks), *FLAGS, "--seed", "7"]) == 0 and seeds == {7}
    assert main([str(networks), *FLAGS, "--seed", "8"]) == 2
    assert "was played on other terms: seed (file: 7, here: 8)" in capsys.readouterr().err


def test_a_ladders_terms_are_its_games_and_how_its_networks_search() -> None:
    settings = Settings(cards="1-3", worlds=2, simulations=7)
    terms = module._terms(settings, "search")
    assert [identity["rules"] for identity in terms["games"]] == [{"cards": cards} for cards in (1, 2, 3)]
    assert (terms["search"]["worlds"], terms["search"]["simulations"]) == (2, 7)
    assert module._terms(settings, "policy")["search"] is None


def test_a_version_of_a_bot_is_the_source_that_it_plays_by(monkeypatch) -> None:
    """Of the class alone, another way to play on was the same flat Monte Carlo; of all files of rules, a comment on
    Euchre was another player of Blob."""
    bots, games = (RandomBot(), RuleBot(), FlatMonteCarlo()), (Blob(), Euchre())
    parts = (random_action, play_out, worlds, odds, euchre, blob, Euchre.determinize)
    before, read = [[bot.digest(game) for game in games] for bot in bots], inspect.getsource
    changed = {}
    for part in parts:
        with monkeypatch.context() as patch:
            patch.setattr(inspect, "getsource", lambda one, part=part: read(one) + "# another" * (one is part))
            after = [[bot.digest(game) for game in games] for bot in bots]
        changed[part] = [
            (bot.name, game.name)
            for bot, old, new in zip(bots, before, after, strict=True)
            for game, one, other in zip(games, old, new, strict=True)
            if one != other
        ]
    flat = [(FlatMonteCarlo().name, game.name) for game in games]
    by_rules = [(RuleBot.name, game.name) for game in games]
    assert changed[random_action] == [(RandomBot.name, game.name) for game in games] + flat
    assert changed[play_out] == changed[worlds] == flat and changed[Euchre.determinize] == flat[1:]
    assert changed[odds] == by_rules and changed[blob] == by_rules[:1] and changed[euchre] == by_rules[1:]


def test_a_ladder_says_who_won_everything(networks, monkeypatch, capsys) -> None:
    """Whose interval has no upper end, null in the file; by one rule and by three, whose deals are resampled apart."""
    monkeypatch.setattr(module, "play_pairing", lambda *_: [0] * 6)  # of each agent against those that come later
    given, rate = [], module.rate
    monkeypatch.setattr(module, "rate", lambda *rest: given.append(rest[3]) or rate(*rest))
    for cards in ("2", "1-3"):
        flags = ["--eval-deals=6", "--device=cpu", f"--cards={cards}", f"--json={networks / f'{cards}.json'}"]
        assert main([str(networks), *flags]) == 0
        ratings = json.loads((networks / f"{cards}.json").read_text())["ratings"]
        assert list(ratings)[-1] == "random" and ratings["random"]["low"] is None and ratings["random"]["high"] < 0
        assert ratings["run/network-000001"]["high"] is None and ratings["rule-based"]["high"] == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert f"at least {ratings['run/network-000001']['low']:+.0f}" in shown
        assert f"at most {ratings['random']['high']:+.0f}" in shown and "to each pairing a drawn deal is added" in shown
    assert given == [[6], [2, 2, 2]]


def test_what_is_named_twice_is_played_once(tmp_path, networks) -> None:
    out = tmp_path / "twice.json"
    flags = ["--players", "alone", "alone", "--opponents", "random", "random", "--json", str(out), *FLAGS]
    assert evaluate_main([str(networks / "network-000000.safetensors"), *flags]) == 0
    assert json.loads(out.read_text())["complete"]


def test_of_fewer_deals_than_rules_none_is_played(tmp_path, networks, capsys) -> None:
    network = str(networks / "network-000000.safetensors")
    for command in (evaluate_main, main):
        assert command([network, "--cards", "1-4", "--eval-deals", "3", "--device", "cpu"]) == 2
        assert "--eval-deals must be at least 4, a deal by each of the rules" in capsys.readouterr().err
    with pytest.raises(ValueError, match="deals must be at least 2"):
        play_deals([Blob(cards=1), Blob(cards=2)], (RuleBot(), RandomBot()), TWO_AGAINST_TWO, 1, seed=1)
