"""Cribbage, Go Fish and Scopa, written on `HandGame` as anybody would: scalar rules, worlds, search and training."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.cribbage import Cribbage
from tests.durak import Durak
from tests.gin import Gin
from tests.go_fish import GoFish
from tests.hand_references import ScalarCribbage, ScalarGoFish, ScalarScopa, played_beside
from tests.scopa import Scopa
from tests.uno import Uno
from vecgame import HandGame, contract
from vecgame.cards import popcount
from vecgame.contract import random_action
from veclab.cli import call
from veclab.table.session import Settings, begin
from veclab.table.sight import look, said
from vecmcts import PlayoutEvaluator, SearchConfig, search

GAMES = ((Cribbage, ScalarCribbage), (GoFish, ScalarGoFish), (Scopa, ScalarScopa))


@pytest.mark.parametrize(("kind", "reference"), GAMES, ids=lambda kind: kind.__name__)
def test_games_are_as_in_plain_python(kind: type[HandGame], reference: type, count: int = 300) -> None:
    game, rng = kind(), random.Random(5)
    state = game.deal(count, seed=11)
    others = [reference(one) for one in state]
    state = played_beside(game, state, others, rng.choice)
    assert game.is_terminal(state).all()
    assert game.scores(state).tolist() == [other.scores() for other in others]


def ids(names: str) -> list[int]:
    """Cards of Cribbage: "5♠ J♥"."""
    cards = [f"{rank}{suit}" for suit in "♠♥♣♦" for rank in ("A", *map(str, range(2, 11)), "J", "Q", "K")]
    return [cards.index(name) for name in names.split()]


@pytest.mark.parametrize(
    ("hand", "starter", "points", "in_crib"),
    [
        ("5♠ 5♥ 5♣ J♦", "5♦", 29, 29),  # the most there can be
        ("5♠ 5♥ 5♣ 5♦", "J♠", 28, 28),
        ("4♠ 5♥ 5♣ 6♦", "5♦", 23, 23),
        ("7♠ 7♥ 8♣ 8♦", "9♠", 24, 24),  # two pairs in a run of three
        ("A♠ 2♥ 3♣ 4♦", "5♠", 7, 7),
        ("2♠ 4♠ 6♠ 8♠", "K♥", 4, 0),  # a flush of four counts in the hand only
        ("2♠ 4♠ 6♠ 8♠", "K♠", 5, 5),
        ("J♥ 2♠ 4♦ 6♣", "8♥", 1, 1),  # his nobs
        ("2♠ 4♥ 6♣ 8♦", "Q♠", 0, 0),
    ],
)
def test_known_hands_of_cribbage(hand: str, starter: str, points: int, in_crib: int) -> None:
    cards, (turned,) = ids(hand), ids(starter)
    bits, up = torch.tensor([sum(1 << card for card in cards)]), torch.tensor([turned])
    for crib, expected in ((False, points), (True, in_crib)):
        assert Cribbage().show(bits, up, crib).tolist() == [expected] == [ScalarCribbage.show(cards, turned, crib)]


def test_no_hand_of_cribbage_is_worth_nineteen_or_other_points_that_none_is() -> None:
    rng, found = random.Random(3), set()
    cards = torch.tensor([rng.sample(range(52), 5) for _ in range(40_000)])
    found = set(Cribbage().show((1 << cards[:, :4]).sum(-1), cards[:, 4], False).tolist())
    assert not found & {19, 25, 26, 27} and {*range(13)} <= found and max(found) <= 29


class SmallCribbage(Cribbage):
    """With fourteen cards."""

    name = "small-cribbage"
    deck = sum(1 << card for card in ids("A♠ 2♠ 9♠ 10♠ J♠ Q♠ A♥ 9♥ 10♥ J♥ Q♥ 9♣ 10♣ J♣"))


class SmallScopa(Scopa):
    """With sixteen cards."""

    name = "small-scopa"
    deck = sum(1 << 10 * suit + rank for suit in range(4) for rank in (0, 1, 2, 3))


LONG = [
    pytest.param(game, marks=pytest.mark.slow) for game in (SmallCribbage(), SmallScopa(), GoFish(ranks=3, cards=4))
]


@pytest.mark.parametrize("game", [GoFish(players=2, ranks=2, cards=4), *LONG], ids=repr)
def test_small_forms_keep_the_contract(game: HandGame) -> None:
    """Go Fish with all cards dealt: what is drawn unseen is forgotten by worlds, as the game says."""
    contract.check(game, pasts=20)


def test_worlds_of_go_fish_keep_to_all_that_is_known() -> None:
    game, needed = GoFish(), 0
    state = game.deal(200, seed=3)
    for _ in range(40):
        worlds = game.determinize(state, 4, seed=1)
        held = game.layout.counts(worlds.hands) > 0
        needs = game.layout.counts(worlds.needs) > 0
        assert (held | ~needs).all() and (worlds.hands & ~worlds.may == 0).all()
        assert (popcount(worlds.hands) == popcount(state.hands.repeat_interleave(4, 0))).all()
        assert game.keeps(game.held(worlds)).all()
        needed += int(needs.sum())
        state = game.step(state, random_action(game, state))
    assert needed > 0


def test_whom_a_move_is_aimed_at_is_told_by_name() -> None:
    game = GoFish()
    match = begin(Settings(game=game, seed=3))
    action = game.action_names.index("ask @2 for 7")
    assert game.action_name(action) == "ask +2 for 7"
    assert [game.action_name(action, replace(match.state, to_move=torch.tensor([seat]))) for seat in range(3)] == [
        f"ask seat {(seat + 2) % 3} for 7" for seat in range(3)
    ]
    action = next(a for a in match.legal if game.action_names[a].startswith("ask @1"))
    rank, after = game.action_names[action].rpartition(" ")[2], match.act(action)
    told = {seat: said(match, after, seat).name for seat in (0, 1, None)}
    assert told == {0: f"ask West for {rank}", 1: f"ask you for {rank}", None: f"ask West for {rank}"}
    assert look(match, 0).choices[action] == f"ask West for {rank}"


SEARCHED = [Cribbage(), Durak(decisions=30), Gin(decisions=12), Uno(decisions=30)]
SEARCHED += [pytest.param(game, marks=pytest.mark.slow) for game in (GoFish(), Scopa())]


@pytest.mark.parametrize("game", SEARCHED, ids=repr)
def test_they_are_searched(game: HandGame) -> None:
    state = game.deal(8, seed=1)
    for _ in range(3):
        policy = search(game, state, PlayoutEvaluator(), SearchConfig(worlds=2, simulations=8), seed=0).policy
        legal = game.legal_mask(state)
        assert torch.allclose(policy.sum(-1), torch.ones(8)) and (policy[~legal] == 0).all()
        state = game.step(state, policy.argmax(-1))


TOLD = [
    ("cribbage.py:Cribbage", "", {" plays "}),
    ("durak.py:Durak", "--rules decisions=60", {" plays ", " passes"}),
    ("gin.py:Gin", "--rules decisions=60", {" discards "}),
    ("go_fish.py:GoFish", "", {" asks "}),
    ("scopa.py:Scopa", "", {" plays "}),
    ("uno.py:Uno", "--rules decisions=60", {" plays ", " gets "}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("address", "rules", "words"), TOLD)
def test_they_are_trained_and_watched_at_the_table(
    address: str, rules: str, words: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "--updates 1 --update-games 8 --iterations 1 --games-per-iter 2 --eval-deals 2 --eval-opponents random"
    think, game = "--worlds 1 --simulations 4", f"--game {Path(__file__).parent / address} {rules}"
    run = tmp_path / "run"
    call(["train", *f"--preset quick {game} --run {run} --network small {small} {think}".split()])
    assert (run / "results.json").is_file()
    capsys.readouterr()
    call(["play", *f"{game} --agent {run} --watch --games 1 --seed 5 {think}".split()])
    out = capsys.readouterr().out
    assert "The match is over" in out and all(word in out for word in words)
