"""Whole matches: games as Blob's one after the other, hidden futures, outcomes, and players that play for the win."""

import json
from dataclasses import fields, replace
from itertools import permutations

import pytest
import torch

from tests.helpers import assert_same_state, chi_square_p, play_randomly, random_actions
from tests.test_search_sync import assert_no_wait
from vecgame import Blob, BlobMatch, BlobState, make_game
from vecgame.cards import popcount
from vecgame.games.blob_match import MatchState, schedule
from vecgame.games.blob_rules import Rules
from veclab.agents.checkpoint import load_network
from veclab.arena.bots import RuleBot, SearchPlayer
from veclab.training import command as train
from vecmcts import PlayoutEvaluator, SearchConfig

MATCHES = [
    BlobMatch(cards=2),
    BlobMatch(cards=3, players=3, suits=3, ranks=4, trump="rotate", dealer="rotate"),
    BlobMatch(cards=2, players=5, trump="turned", hook=False, miss_penalty=1.0, dealer=2),
    BlobMatch(cards=13, players=3, games=2, trump="none"),
]


def name(game: BlobMatch) -> str:
    return f"{game.cards} for {game.seats}, {game.games} games"


def one_game(game: BlobMatch, number: int) -> Blob:
    """The rules of one game of a match."""
    return Blob(
        **{**{n: getattr(game.rules, n) for n in Rules.__dataclass_fields__}, "cards": game.rules.hands[number]}
    )


def of_blob(state: MatchState) -> BlobState:
    return BlobState(**{field.name: getattr(state, field.name) for field in fields(BlobState)})


@pytest.mark.parametrize(
    ("cards", "players", "hands"),
    [(1, 3, (1, 1, 1, 1)), (2, 4, (2, 1, 1, 1, 1, 1, 2)), (3, 3, (3, 2, 1, 1, 1, 1, 2, 3))],
)
def test_the_games_of_a_match(cards, players, hands):
    assert schedule(cards, players) == BlobMatch(cards=cards, players=players).rules.hands == hands
    assert len(hands) == 2 * cards - 1 + players
    assert BlobMatch(cards=cards, players=players).decisions == sum(players * (1 + count) for count in hands)


@pytest.mark.parametrize("game", MATCHES, ids=name)
def test_matches_are_games_of_blob_one_after_the_other(game):
    state, number = game.deal(20, seed=1), 0
    generator = torch.Generator().manual_seed(1)
    first_dealer, totals = state.dealer.long(), torch.zeros(20, game.seats)
    for _ in range(game.decisions):
        alone = one_game(game, number)
        assert not game.is_terminal(state).any() and not game.values(state).any()
        if not state.made.any():
            assert (popcount(state.hands) == game.rules.hands[number]).all()
            assert (popcount(state.hands.sum(-1)) == game.seats * game.rules.hands[number]).all()
            assert torch.equal(state.dealer.long(), (first_dealer + number) % game.seats)
            if game.rules.trump == "rotate":
                assert (state.trump == (*range(game.rules.suits), 4)[number % (game.rules.suits + 1)]).all()
        plain = of_blob(state)
        assert torch.equal(game.legal_mask(state), alone.legal_mask(plain))
        assert torch.equal(game.mover(state), alone.mover(plain))
        observed, seen = game.observe(state), alone.observe(plain)
        assert torch.allclose(observed[:, : alone.features], seen, atol=1e-6)
        action = random_actions(game, state, generator)
        state, after = game.step(state, action, validate=True), alone.step(plain, action)
        if alone.is_terminal(after).any():
            totals, number = totals + alone.scores(after), number + 1
        else:
            assert_same_state(of_blob(state), after)
        assert torch.equal(state.totals, totals) and (state.number == number).all()
    assert game.is_terminal(state).all() and number == len(game.rules.hands)
    best = totals.amax(-1, keepdim=True)
    expected = [
        [float(x == b) / row.tolist().count(b) for x in row.tolist()]
        for row, (b,) in zip(totals, best.tolist(), strict=True)
    ]
    assert torch.allclose(game.values(state), torch.tensor(expected)) and torch.equal(
        game.values(state), game.scores(state)
    )


def test_a_tie_is_shared():
    game = BlobMatch(cards=1, players=3)
    end = play_randomly(game, game.deal(4, seed=1), seed=1)[-1][0]
    totals = torch.tensor([[30.0, 20, 10], [20, 30, 30], [10, 10, 10], [-5, -3, -4]])
    values = game.values(MatchState(**{**end.tensors(), "totals": totals}))
    third = 1 / 3
    assert torch.allclose(values, torch.tensor([[1, 0, 0], [0, 0.5, 0.5], [third] * 3, [0, 1, 0]]))


def test_points_that_float32_rounds_tie():
    game = BlobMatch(cards=5, players=4, exact_bonus=0.1, points_per_trick=0.1, games=4)
    totals = torch.zeros(2, 4)
    for points in ([0.3, 0.1, 0, 0], [0.2, 0.2, 0, 0], [0.2, 0.3, 0, 0], [0, 0.1, 0, 0]):
        totals = totals + torch.tensor(points)
    assert totals[0, 0] != totals[0, 1]
    totals[1, 0] += 0.1
    state = game.deal(2)
    over = replace(state, totals=totals, number=torch.full_like(state.number, 4))
    assert game.values(over).tolist() == [[0.5, 0.5, 0, 0], [1, 0, 0, 0]]


def test_the_standing_is_told_from_every_seat():
    game = BlobMatch(cards=2, players=3)
    hands = torch.tensor([[[0], [13], [26]]])
    state = game.from_hands(hands, dealer=2, trump=4, totals=torch.tensor([[10, 34, 0]]), number=2)
    for seat, ahead in enumerate(([0, 24, -10], [0, -34, -24], [0, 10, 34])):
        told = game.observe(state, torch.tensor([seat]))[0, -5:].tolist()
        assert told == pytest.approx([*(points / 24 for points in ahead), 3 / 6, 0])
    last = game.from_hands(torch.tensor([[[0, 1], [13, 14], [26, 27]]]), 2, 4, number=5)
    assert game.observe(last)[0, -5:].tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("game", MATCHES[:3], ids=name)
def test_nobody_knows_the_future(game):
    """What is seen and sampled does not depend on it; each world has its own, and other cards in the next game."""
    for state, _ in play_randomly(game, game.deal(8, seed=2), seed=2)[:-1:5]:
        other = MatchState(**{**state.tensors(), "future": state.future + 1})
        assert torch.equal(game.observe(state), game.observe(other))
        drawn = game.determinize(state, 3, seed=2)
        assert_same_state(drawn, game.determinize(other, 3, seed=2))
        futures = torch.cat([state.future, drawn.future]).tolist()
        assert len(set(futures)) == len(futures) and min(futures) >= 0 and max(futures) < 1 << 56


def test_bids_of_worlds_are_bids_where_all_bid_at_once():
    game = BlobMatch(cards=3, bidding="once", hook=False)
    state = game.step(game.deal(20, seed=8), torch.zeros(20, dtype=torch.int64))
    drawn = game.determinize(state, 3, seed=8)
    made = drawn.bids >= 0
    assert drawn.bids.dtype == torch.int8 and torch.equal(made, state.repeat(3).bids >= 0)
    assert (made.sum(-1) == 1).all() and drawn.bids.max() == 3


def test_every_card_goes_everywhere_alike_in_the_second_game():
    game, count = BlobMatch(cards=1, players=3, suits=2, ranks=3), 6_000
    state = game.deal(count, seed=3)
    for _ in range(6):
        state = game.step(state, game.legal_actions(state)[:, 0])
    assert (state.number == 1).all()
    tally: dict[tuple[int, ...], int] = {}
    for row in state.hands.tolist():
        tally[tuple(row)] = tally.get(tuple(row), 0) + 1
    deck = [1 << card for card in (0, 1, 2, 13, 14, 15)]
    deals = list(permutations(deck, 3))
    assert set(tally) <= set(deals) and chi_square_p([tally.get(deal, 0) for deal in deals], [count / 120]) > 1e-4


def expected_values(game: Blob, hand: int, bids: tuple[int, int], **standing) -> torch.Tensor:
    """What each of the dealer's bids, 0 and 1, is worth to it in a game of one card: mean over all others' cards."""
    deck = [card for card in range(52) if game.deck >> card & 1 and card != hand]
    hands = torch.tensor([[[a], [b], [hand]] for a, b in permutations(deck, 2)])
    standing = {key: value.expand(len(hands), -1) if key == "totals" else value for key, value in standing.items()}
    worth = []
    for bid in (0, 1):
        state = game.from_hands(hands, dealer=2, trump=4, **standing)
        for action in (*bids, bid):
            state = game.step(state, torch.full((len(hands),), action))
        worth.append(game.values(game.play_forced(state))[:, 2].mean())
    return torch.stack(worth)


def test_a_search_plays_for_the_win_in_the_last_game():
    """One card, three players, the dealer to bid last: where the better bid for points is the worse one for the match,
    a search of the match takes the other."""
    rules = {"cards": 1, "players": 3, "suits": 3, "ranks": 4, "hook": False, "trump": "none"}
    points, match = Blob(**rules), BlobMatch(**rules)
    found = []
    for hand in range(4):
        for totals in ((10, 0, 0), (20, 0, 10), (0, 11, 0), (10, 10, 9), (11, 0, 0)):
            standing = {"totals": torch.tensor([totals]), "number": 3}
            for_points = expected_values(points, hand, (0, 0))
            for_win = expected_values(match, hand, (0, 0), **standing)
            if for_points.argmax() != for_win.argmax():
                found.append((float(for_win.max() - for_win.min()), hand, standing, int(for_win.argmax())))
    margin, hand, standing, bid = max(found, key=lambda case: case[0])
    assert margin > 0.03
    player = SearchPlayer(PlayoutEvaluator(), SearchConfig(worlds=1500, simulations=4))
    chosen = []
    for game, given in ((points, {}), (match, standing)):
        state = game.from_hands(torch.tensor([[[0 if hand else 1], [13], [hand]]]), dealer=2, trump=4, **given)
        for _ in range(2):
            state = game.step(state, torch.tensor([0]))
        chosen.append(int(player.act(game, state, seed=4)))
    assert chosen == [1 - bid, bid]


@pytest.mark.parametrize("game", MATCHES[1:3], ids=name)
def test_nothing_waits_for_a_gpu(game, monkeypatch):
    record = play_randomly(game, game.deal(4, seed=5), seed=5)
    state = record[game.seats * (1 + game.cards) - 1][0]  # before the last card of the first game

    def work(there: MatchState) -> None:
        after = game.step(there, game.legal_actions(there)[:, 0])
        game.observe(after), game.values(after), game.determinize(after, 2, seed=5)

    assert_no_wait(state, work, monkeypatch)


def test_the_rule_based_player_plays_matches():
    game = BlobMatch(cards=2, players=3)
    for state, _ in play_randomly(game, game.deal(6, seed=6), seed=6)[:-1]:
        assert game.legal_mask(state).gather(1, RuleBot().act(game, state, 6)[:, None]).all()


@pytest.mark.slow
def test_a_run_of_matches(tmp_path):
    flags = ["--game=blob-match", "--rules=players=3", "--cards=1", "--network=small", "--device=cpu", "--eval-deals=2"]
    steps = ["--updates=1", "--update-games=16", "--games-per-iter=6", "--iterations=1", "--epochs=1"]
    small = [*steps, "--batch-size=16", "--worlds=1", "--simulations=3"]
    assert train.main([*flags, *small, f"--run={tmp_path / 'run'}"]) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert all(0 <= match["player"]["mean"] <= 1 for row in results.values() for match in row.values())
    net = load_network(tmp_path / "run" / "network-000001.safetensors", game=BlobMatch(cards=2, players=3))
    assert net.config.observation == make_game("blob-match", players=3).features == 216 + 30 + 5
    assert net.config.values == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BlobMatch(cards=2, games=8), "games must be an integer from 0 to 7, got 8"),
        (lambda: BlobMatch(Rules(cards=2)), "rules must be a MatchRules"),
        (lambda: Blob(BlobMatch(cards=2, games=3).rules), r"rules must be a Rules, got MatchRules\(cards=2"),
        (lambda: BlobMatch(cards=2).deal(0), "batch_size must be at least 1"),
        (lambda: start(number=7), "number must be from 0 to 5, got 7"),
        (lambda: start(totals=torch.zeros(3)), r"totals must be \[1, 3\] points, got shape \[3\]"),
        (lambda: start(totals=[[0.0, float("inf"), 0.0]]), "totals must be finite, got inf"),
        (lambda: BlobMatch(cards=1).determinize(BlobMatch(cards=1).deal(1), 70_000), "count must be at most 65536"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def start(**given) -> MatchState:
    return BlobMatch(cards=2, players=3).from_hands(torch.tensor([[[0, 1], [13, 14], [26, 27]]]), 0, 4, **given)
