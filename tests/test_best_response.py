"""Best responses against values worked out by hand, and against brute force over all strategies of a tiny game."""

import itertools
import json
import math
import re
import shlex
from collections import defaultdict
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from net import PRESETS, BlobNet, InferenceNet
from tests.every_game import EVERY, Named, write_tutorials
from tests.helpers import bits_of, cards_of, reference_rules
from vecgame import Blob, Game, State, game_of, identity
from veclab.agents.checkpoint import load_network, save_network
from veclab.agents.folder import NEWEST
from veclab.agents.networks import network_config
from veclab.arena import best_response as module
from veclab.arena.best_response import best_response, main, network_policy, player_policy, uniform_policy
from veclab.arena.bots import RuleBot
from veclab.arena.matches import TWO_AGAINST_TWO, play_deals
from veclab.exact.deals import every_deal
from veclab.exact.tree import lay_out, values_of
from veclab.progress import Display
from veclab.reference import rules as reference
from veclab.settings import Settings
from veclab.training.run import Run
from vecmcts import Past

DEALER = 3  # the last seat
TINIEST = Blob(cards=1, suits=2, ranks=2, trump="none")


def random_network(seed: int) -> InferenceNet:
    torch.manual_seed(seed)
    return InferenceNet(BlobNet(PRESETS["small"]), dtype=torch.float32)


def test_random_play_by_hand() -> None:
    """Aces and deuces of two suits, one to each seat, no trump; three seats bid 0 or 1 at random, then all is forced.

    Seat 0 leads. An ace wins: by bidding 1 it makes 11, and 0 with a deuce makes 10; at random half of each.
    Seats 1 and 2 win with an ace if the deuce of its suit was led, one time in three. They bid 0: 10 with a deuce,
    2/3 of 10 with an ace; at random 5, and half of 20/3 + 11/3.
    Seat 3 may not make the bids sum to 1. The others bid no trick with probability 1/8, and it must bid 0; one with
    3/8, and it must bid 1; else it is free, half the time.
    """
    gains = best_response(TINIEST, uniform_policy)
    forced = [Fraction(1, 8) * 10, Fraction(1, 8) * Fraction(20, 3) + Fraction(3, 8) * Fraction(11, 3)]
    free = [10, Fraction(20, 3)]
    mixed = [5, (Fraction(20, 3) + Fraction(11, 3)) / 2]
    middle = Fraction(10 + Fraction(20, 3), 2)
    response = [Fraction(21, 2), middle, middle, sum(forced) / 2 + sum(free) / 4]
    policy = [Fraction(21, 4), sum(mixed) / 2, sum(mixed) / 2, sum(forced) / 2 + sum(mixed) / 4]
    assert gains.response.tolist() == pytest.approx([float(x) for x in response])
    assert gains.policy.tolist() == pytest.approx([float(x) for x in policy])
    assert float(gains.gain.mean()) == pytest.approx(3.34375)


def test_parts_of_the_deals_count_for_their_sizes(monkeypatch) -> None:
    """Deals with and without trump, laid out together or apart."""
    game, told_apart = Blob(cards=1, suits=2, ranks=2, trump="random"), module.told_apart
    apart = best_response(game, uniform_policy)

    def in_two(*deals: object) -> list[Tensor]:
        *first, last = told_apart(*deals)
        return [torch.cat(first), last]

    monkeypatch.setattr(module, "told_apart", in_two)
    together = best_response(game, uniform_policy)
    torch.testing.assert_close(together.policy, apart.policy)
    torch.testing.assert_close(together.response, apart.response)


def brute_force(game: Blob, policy) -> tuple[list[float], list[float]]:
    """Points of the policy by seat, and the most that any pure strategy of the seat makes against it.

    Points are the scalar reference's; the tensors are asked only what the policy does. With one card to a seat, a seat
    decides once: a strategy is a bid for every card and bids before it.
    """
    rules = reference_rules(game)
    deals = every_deal(game)
    trump = int(deals.trump[0])
    followed = [0.0] * 4
    worth = [defaultdict(lambda: defaultdict(float)) for _ in range(4)]  # information set -> bid -> points times reach
    for bids in itertools.product((0, 1), repeat=4):
        state, chances = deals, []
        for bid in bids:
            taken = game.legal_actions(state) == bid
            chances.append((policy(game, state) * taken).sum(-1).tolist())  # 0 where the hook forbids the bid
            state = game.step(state, torch.full((deals.batch_size,), bid))
        for lane, bits in enumerate(deals.hands.tolist()):
            hands = [[hand.bit_length() - 1] for hand in bits]
            scalar = reference.new_state(rules, hands, DEALER, trump)
            for bid in bids:
                if bid not in reference.legal_actions(rules, scalar):
                    break
                scalar = reference.step(rules, scalar, bid)
            else:
                while not reference.is_terminal(scalar):
                    scalar = reference.step(rules, scalar, reference.legal_actions(rules, scalar)[0])
                chance = [chances[seat][lane] for seat in range(4)]  # seat 0 bids first
                for seat, points in enumerate(reference.scores(rules, scalar)):
                    reach = math.prod(chance[:seat] + chance[seat + 1 :])
                    followed[seat] += math.prod(chance) * points / deals.batch_size
                    worth[seat][hands[seat][0], bids[:seat]][bids[seat]] += reach * points / deals.batch_size
    # What a strategy makes is a sum over information sets, in each of which it is free.
    return followed, [sum(max(bids.values()) for bids in sets.values()) for sets in worth]


@pytest.mark.parametrize("name", ["network", "rules"])
@pytest.mark.parametrize("trump", [0, 4])
def test_against_brute_force(name: str, trump: int) -> None:
    game = Blob(cards=1, suits=2, ranks=2, trump=trump)
    policy = network_policy(random_network(1)) if name == "network" else player_policy(RuleBot())
    gains = best_response(game, policy)
    followed, best = brute_force(game, policy)
    assert gains.policy.tolist() == pytest.approx(followed, abs=1e-4)
    assert gains.response.tolist() == pytest.approx(best, abs=1e-4)


class HandBot:
    """Its choice follows from its hand, read as a number: different hands bid and play differently."""

    def act(self, game, state, seed):
        hand = state.hands.gather(1, game.mover(state)[:, None])[:, 0]
        actions = game.legal_actions(state)
        return actions.gather(1, (hand % 11 % (actions >= 0).sum(-1))[:, None])[:, 0]


def response_by_recursion(rules, states: list, seat: int, others) -> float:
    """The same best response in plain Python, from the first decision down.

    Returns:
        The sum over ``states``, scalar states that the seat cannot tell apart, of its points when it decides as is best
        for that sum and the others decide by ``others``.
    """
    going: dict[tuple, list] = defaultdict(list)
    total = 0.0
    for state in states:
        while not reference.is_terminal(state) and reference.mover(rules, state) != seat:
            state = reference.step(rules, state, others(rules, state))
        if reference.is_terminal(state):
            total += reference.scores(rules, state)[seat]
        else:
            going[tuple(state.history)].append(state)
    for alike in going.values():
        options = reference.legal_actions(rules, alike[0])
        total += max(
            response_by_recursion(rules, [reference.step(rules, state, option) for state in alike], seat, others)
            for option in options
        )
    return total


@pytest.mark.slow
@pytest.mark.parametrize("seat", [0, 3])
def test_two_cards_against_recursion(seat: int) -> None:
    """A game in which the cards played count as well, with what the seat learns on the way."""
    game = Blob(cards=2, suits=2, ranks=4, trump="hearts")
    rules = reference_rules(game)

    def others(rules, state) -> int:
        options = reference.legal_actions(rules, state)
        return options[bits_of(state.hands[reference.mover(rules, state)]) % 11 % len(options)]

    by_hand = defaultdict(list)
    deals = every_deal(game)
    for bits in deals.hands.tolist():
        hands = [sorted(cards_of(hand)) for hand in bits]
        by_hand[tuple(hands[seat])].append(reference.new_state(rules, hands, DEALER, 1))
    best = sum(response_by_recursion(rules, states, seat, others) for states in by_hand.values())
    gains = best_response(game, player_policy(HandBot()))
    assert float(gains.response[seat]) == pytest.approx(best / deals.batch_size)
    assert float(gains.gain[seat]) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "game", [Blob(cards=1, suits=2, ranks=3), Blob(cards=1, suits=4, ranks=2, hook=False)], ids=str
)
def test_a_best_response_never_loses_against_the_policy(game: Blob) -> None:
    for policy in (uniform_policy, player_policy(RuleBot()), network_policy(random_network(2))):
        gains = best_response(game, policy)
        assert (gains.gain > -1e-9).all() and float(gains.gain.max()) > 0.1


@pytest.mark.slow
def test_the_policys_points_are_those_of_play() -> None:
    """With two cards, so that plays count: the mean over all deals is what self-play makes on random deals."""
    game = Blob(cards=2, suits=2, ranks=4, trump="spades", dealer=DEALER)
    gains = best_response(game, player_policy(RuleBot()))
    points = play_deals([game], (RuleBot(), RuleBot()), TWO_AGAINST_TWO[:1], 3000, seed=1)[:, 0]
    error = points.std(0) / len(points) ** 0.5
    assert ((points.mean(0) - gains.policy).abs() < 4 * error).all()


def test_trumps_are_averaged() -> None:
    parts = [
        best_response(Blob(cards=1, suits=2, ranks=2, trump=t), uniform_policy) for t in ("spades", "hearts", "none")
    ]
    whole = best_response(Blob(cards=1, suits=2, ranks=2), uniform_policy)
    assert torch.allclose(whole.gain, torch.stack([part.gain for part in parts]).mean(0))


@pytest.mark.slow
def test_the_gain_falls_over_training(tmp_path) -> None:
    """A run of some seconds on six cards, one to a seat: from 3.3 points a game to 0.5."""
    settings = Settings(
        cards="1",
        suits=2,
        ranks=3,
        games_per_iter=200,
        iterations=3,
        epochs=4,
        worlds=2,
        simulations=8,
        network="small",
        batch_size=256,
        updates=12,
        update_games=512,
        eval_every=1,
        eval_deals=1,
        device="cpu",
    )
    run = Run.create(tmp_path / "run", settings, Display(Console(file=StringIO())))
    run.train(judge=False)
    paths = [run.network_path(progress) for progress in ((0, 0), (12, 0), (12, 1), (12, 3))]
    networks = [InferenceNet(load_network(path), dtype=torch.float32) for path in paths]
    before, *later = (float(best_response(run.games[0], network_policy(net)).gain.mean()) for net in networks)
    assert before > 2.5
    assert all(gain < 0.3 * before for gain in later)


def saved(path: Path, game: Game, **metadata: object) -> Path:
    """A network with random weights for a game, which its file says."""
    torch.manual_seed(0)
    save_network(path, BlobNet(network_config("small", game)), {"games": [identity(game)], **metadata})
    return path


def test_the_command(tmp_path, capsys) -> None:
    network, output = saved(tmp_path / "network-000000.safetensors", Blob()), tmp_path / "gains.json"
    saved(tmp_path / NEWEST, Blob(), iteration=2, updates=5)
    flags = ["--device", "cpu", "--suits", "2", "--ranks", "2", "--cards", "1"]
    assert main([str(tmp_path), *flags, "--json", str(output)]) == 0
    shown = capsys.readouterr().out
    assert "Blob, 1 card, trump random, 2 suits, 2 ranks" in shown
    assert shown.count("by other rules than") == 2  # each network's
    results = json.loads(output.read_text())
    assert [game_of(game) for game in results["games"]] == [Blob(cards=1, suits=2, ranks=2)]
    assert len(results["other_rules"]) == 2
    told = ["vecgame", "best-response", str(tmp_path), *flags, "--json", str(output)]
    assert shlex.split(results["environment"]["command"]) == told and results["environment"]["torch"]
    assert [name.split("/")[-1] for name in results["gains"]] == [
        "random",
        "rule-based",
        "network-000000",
        "network-newest (iteration 2)",
    ]
    assert results["gains"]["random"]["mean_gain"] == pytest.approx(4.1041667)
    assert main([str(network)]) == 2  # of 52 cards, five to a seat
    error = capsys.readouterr().err
    assert "too large to enumerate" in error and "cards (5), suits (4), ranks (13)" in error and error.count("\n") == 1
    assert main([str(network), *flags, "--json", str(tmp_path / "none" / "gains.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err


QUICK = ("kuhn", "leduc", "spades cards=3", "blob cards=2", "blob cards=2,trump=turned")
SOME = [pytest.param(named, id=str(named), marks=[pytest.mark.slow] * (str(named) not in QUICK)) for named in EVERY]


@pytest.mark.parametrize("named", SOME)
def test_the_command_for_every_game(named: Named, tmp_path, monkeypatch, capsys) -> None:
    """A table, or one line with what is too large, long before it is tried. Of the tutorial's game with 52 cards more
    than a hundred thousand deals."""
    write_tutorials(tmp_path)
    monkeypatch.chdir(tmp_path)
    network = saved(tmp_path / "network-000001.safetensors", game := named.make(tmp_path))
    status = main([str(network), *named.flags, "--device", "cpu", "--json", "gains.json"])
    told = capsys.readouterr()
    if game.name in ("kuhn", "leduc", "bluff"):
        assert status == 0, told.err
        assert set(re.findall(r"\w+ a game", told.out)) == {f"{game.unit} a game"}
        results = json.loads(Path("gains.json").read_text())
        assert [game_of(game) for game in results["games"]] == [game] and results["other_rules"] == {}
        gains = {name: row["gain"] for name, row in results["gains"].items()}
        assert len(gains) == 2 and all(len(gain) == game.seats and min(gain) > -1e-9 for gain in gains.values())
    else:
        why = "cannot be listed: " if game.name == "uno" else "is too large to enumerate: "
        assert status == 2 and told.err.count("\n") == 1 and why in told.err
        assert ("make smaller: cards (2)" in told.err) == isinstance(game, Blob)
    assert "by other rules" not in told.out


def test_a_policy_is_told_the_past() -> None:
    """From the deal on, decision by decision, which changes nothing for one that makes nothing of it."""
    game, lengths = Blob(cards=2, suits=2, ranks=4, trump="none"), set()

    def policy(game: Game, state: State, past: Past) -> torch.Tensor:
        lengths.add(len(past.states))
        for number, (before, after) in enumerate(itertools.pairwise((*past.states, state))):
            stepped = game.step(before, past.actions[:, number].long())
            assert all(field.equal(getattr(after, name)) for name, field in stepped.tensors().items())
        assert (past.actions[:, len(past.states) :] == -1).all()
        return uniform_policy(game, state)

    policy.told = True
    deals = every_deal(game)[::50]
    told, untold = (values_of(lay_out(game, which, deals), 4) for which in (policy, uniform_policy))
    assert lengths == set(range(8)) and torch.equal(told[0], untold[0]) and torch.equal(told[1], untold[1])


@pytest.mark.slow
def test_rollouts_of_a_poor_policy_gain_less(capsys, tmp_path) -> None:
    """Exactly, and by the command's flag."""
    path = tmp_path / "network.safetensors"
    torch.manual_seed(0)
    save_network(path, BlobNet(network_config("small", TINIEST)), {"games": [identity(TINIEST)]})
    assert main([str(path), "--rollouts", "--json", str(tmp_path / "gains.json")]) == 0
    gains = json.loads((tmp_path / "gains.json").read_text())["gains"]
    alone, bettered = (gains[name]["mean_gain"] for name in list(gains)[-2:])
    assert list(gains)[-1].endswith("network, rollouts in 32 of 128 worlds") and bettered < 0.5 * alone
    assert "rollouts in 32 of 128 worlds" in capsys.readouterr().out.replace("\n", " ")
