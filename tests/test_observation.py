"""What a seat is told: every feature computed again by hand, nothing hidden, nothing named after a seat or suit."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.helpers import SEATS, play_randomly, random_actions, reshuffle, to_reference
from tests.test_search_sync import assert_no_wait
from vecgame import Blob, BlobMatch, Game, Hearts, Kuhn, Leduc
from vecgame.cards import list_cards
from vecgame.games.blob_observation import FEATURES
from vecgame.lanes import carrying_all
from veclab.reference import rules as reference

CARDS, NO_TRUMP = 52, 4
GAMES = [
    *(Blob(cards=cards) for cards in range(1, 14)),
    *(Blob(cards=cards, hook=False) for cards in (1, 4, 13)),
    Blob(cards=3, suits=4, ranks=3),
    Blob(cards=3, suits=3, ranks=5),
    Blob(cards=4, suits=2, ranks=10, hook=False),
    Blob(cards=2, suits=1, ranks=13),
    Blob(cards=13, players=3, trump="turned"),
    Blob(cards=5, players=5, hook=False),
    Blob(cards=7, players=7),
]


def name(game: Blob) -> str:
    rules = game.rules
    players = "" if rules.players == SEATS else f" for {rules.players}"
    return f"{game.cards} of {rules.suits}x{rules.ranks}{players}{'' if rules.hook else ' no hook'}"


def features(rules: reference.Rules, state: reference.State, viewer: int) -> list[float]:
    """`vecgame.games.blob_observation.columns`, line by line, for one game."""
    players = rules.players
    row = [0.0] * (216 + 10 * players)
    leads = 213 + 4 * players
    voids, rest = leads + 2 * players, leads + 2 * players + 4 * (players - 1)
    first = 0 if state.trump == NO_TRUMP else state.trump
    played = {card for _, card in state.history[players:]}
    bidding = reference.is_bidding(state)
    over = reference.is_terminal(state)
    seats = [(viewer + i) % players for i in range(players)]

    def turned(card: int) -> int:
        suit, rank = divmod(card, 13)
        return (suit - first) % 4 * 13 + rank

    for card in state.hands[viewer]:
        row[turned(card)] = 1
    for card in reference.deck(rules):
        if card not in state.hands[viewer] and card not in played and card != state.turned:
            row[52 + turned(card)] = 1
    for _, card in state.trick:
        row[104 + turned(card)] = 1
    if state.trick:
        winner = reference.trick_winner(state.trick, state.trump)
        row[156 + turned(dict(state.trick)[winner])] = 1
        row[208 + (state.trick[0][1] // 13 - first) % 4] = 1
        row[leads + players + seats.index(winner)] = 1
    row[212] = float(state.trump != NO_TRUMP)
    for i, seat in enumerate(seats):
        bid = state.bids[seat]
        row[213 + 2 * players + i] = state.won[seat] / rules.cards
        if bid is not None:
            row[213 + i] = bid / rules.cards
            row[213 + players + i] = 1
            row[213 + 3 * players + i] = (bid - state.won[seat]) / rules.cards
    row[leads + seats.index((state.dealer + 1) % players if bidding else state.leader)] = 1
    for i in range(1, players):
        for suit in state.voids[seats[i]]:
            row[voids + 4 * (i - 1) + (suit - first) % 4] = 1
    row[rest] = len(state.hands[viewer]) / 13
    row[rest + 1] = rules.cards / 13
    bids = [bid for bid in state.bids if bid is not None]
    row[rest + 2] = sum(bids) / rules.cards
    row[rest + 3] = float(bidding)
    if bidding and not over and viewer == reference.mover(rules, state) == state.dealer and rules.hook:
        forbidden = rules.cards - sum(bids)
        if forbidden >= 0:
            row[rest + 4], row[rest + 5] = 1, forbidden / rules.cards
    if not bidding:
        needed = sum(max(0, bid - won) for bid, won in zip(state.bids, state.won, strict=True))
        row[rest + 6] = (rules.cards - sum(state.won) - needed) / rules.cards
    return row


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES, ids=name)
def test_every_feature_for_every_seat(game):
    for state, _ in play_randomly(game, game.deal(10, seed=40), seed=40):
        expected = torch.tensor(
            [[features(*to_reference(game, state, lane), seat) for seat in range(game.seats)] for lane in range(10)]
        )
        for seat in range(game.seats):
            observed = game.observe(state, torch.full((10,), seat))
            assert observed.shape == (10, 216 + 10 * game.seats) and observed.dtype == torch.float32
            wrong = ((observed - expected[:, seat]).abs() > 1e-6).nonzero()
            assert not len(wrong), f"lane, feature: {wrong[0].tolist()}"
        mover = game.mover(state)
        assert torch.equal(game.observe(state), game.observe(state, mover))
        assert (game.observe(state) - expected[torch.arange(10), mover]).abs().max() <= 1e-6


def test_lanes_may_have_different_viewers():
    game = Blob(cards=5)
    viewer = torch.arange(40) % 4
    for state, _ in play_randomly(game, game.deal(40, seed=41), seed=41):
        mixed = game.observe(state, viewer)
        for seat in range(SEATS):
            assert torch.equal(mixed[seat::4], game.observe(state, torch.full((40,), seat))[seat::4])


@pytest.mark.slow
def test_no_feature_is_constant():
    """Over games of all card counts and seats. The original had 54 constant dimensions.

    As the mover sees them one is: whoever has yet to play is not winning the trick. It tells the other seats apart.
    """
    low, high = torch.full((2, FEATURES), torch.inf), torch.full((2, FEATURES), -torch.inf)
    for cards in range(1, 14):
        game = Blob(cards=cards)
        for state, _ in play_randomly(game, game.deal(200, seed=42), seed=42)[:-1]:
            mover = game.mover(state)
            for i, viewer in enumerate((mover, (mover + 1 + torch.arange(200) % 3) % SEATS)):
                observed = game.observe(state, viewer)
                low[i] = torch.minimum(low[i], observed.min(0).values)
                high[i] = torch.maximum(high[i], observed.max(0).values)
    assert (low[0] == high[0]).nonzero()[:, 0].tolist() == [233]
    assert (low.min(0).values < high.max(0).values).all()
    assert low.min() >= -3 and high.max() <= 4  # one trick left and four needed; bids of all by all


def test_bids_are_fractions_of_the_cards_dealt():
    """The original divided by seat 0's shrinking hand."""
    game = Blob(cards=4, hook=False)
    state = game.deal(1, seed=43)
    for bid in (2, 1, 0, 3):
        state = game.step(state, torch.tensor([bid]))
    first = int(state.leader)
    for _ in range(16):
        bids = game.observe(state, torch.tensor([first]))[0, 213:217].tolist()
        assert bids == [0.5, 0.25, 0.0, 0.75]
        state = game.step(state, game.legal_actions(state)[:, 0])


# --- what is hidden ---


@pytest.mark.parametrize("game", [Blob(cards=1), Blob(cards=5), Blob(cards=13), GAMES[17]], ids=name)
def test_hidden_cards_change_nothing(game):
    lanes, changed = 40, 0
    for state, _ in play_randomly(game, game.deal(lanes, seed=44), seed=44)[:-1]:
        mover = game.mover(state)
        others = [game.determinize(state, 1, seed=3), reshuffle(game, state, mover, seed=4)]
        for other in others:
            changed += int((other.hands != state.hands).any(-1).sum())
            assert torch.equal(game.observe(other), game.observe(state))
            assert torch.equal(game.policy_mask(other), game.policy_mask(state))
            assert torch.equal(game.legal_mask(other), game.legal_mask(state))
        for turn in (1, 2, 3):
            viewer = (mover + turn) % SEATS
            other = reshuffle(game, state, viewer, seed=turn)
            assert torch.equal(game.observe(other, viewer), game.observe(state, viewer))
    assert changed > 5 * lanes


def test_the_game_number_is_not_told():
    game = Blob(cards=5)
    for state, _ in play_randomly(game, game.deal(20, seed=45), seed=45):
        assert torch.equal(game.observe(replace(state, index=state.index + 1000)), game.observe(state))


# --- symmetries ---


def start(game: Blob, lanes: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random hands as card ids, dealers, and trumps."""
    state = game.deal(lanes, seed)
    hands = list_cards(state.hands.flatten(), game.cards).view(lanes, SEATS, game.cards)
    return hands, state.dealer.long(), state.trump.long()


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("cards", [1, 3, 5, 13])
def test_the_names_of_suits_do_not_matter(cards, turn):
    """Two games, the second with every suit and trump moved on by ``turn``, played alike."""
    game, generator = Blob(cards=cards), torch.Generator().manual_seed(cards)
    hands, dealer, trump = start(game, 100, seed=46)
    trump = trump % 4
    state = game.from_hands(hands, dealer, trump)
    other = game.from_hands((hands + 13 * turn) % CARDS, dealer, (trump + turn) % 4)
    for _ in range(game.decisions):
        assert torch.equal(game.observe(other), game.observe(state))
        assert torch.equal(game.policy_mask(other), game.policy_mask(state))
        actions = random_actions(game, state, generator)
        moved = torch.where(state.made < SEATS, actions, (actions + 13 * turn) % CARDS)
        columns = game.policy_columns(state, actions[:, None])
        assert torch.equal(game.policy_columns(other, moved[:, None]), columns)
        state, other = game.step(state, actions, validate=True), game.step(other, moved, validate=True)
    assert torch.equal(game.observe(other), game.observe(state))
    assert torch.equal(game.scores(other), game.scores(state))


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("cards", [1, 3, 5, 13])
def test_the_names_of_seats_do_not_matter(cards, turn):
    """Two games, in the second everybody sits ``turn`` seats further on, played alike."""
    game, generator = Blob(cards=cards), torch.Generator().manual_seed(cards)
    hands, dealer, trump = start(game, 100, seed=47)
    state = game.from_hands(hands, dealer, trump)
    other = game.from_hands(hands.roll(turn, dims=1), (dealer + turn) % SEATS, trump)
    for _ in range(game.decisions):
        assert torch.equal(game.observe(other), game.observe(state))
        for seat in range(SEATS):
            viewer = torch.full((100,), seat)
            assert torch.equal(game.observe(other, (viewer + turn) % SEATS), game.observe(state, viewer))
        assert torch.equal(game.policy_mask(other), game.policy_mask(state))
        actions = random_actions(game, state, generator)
        state, other = game.step(state, actions, validate=True), game.step(other, actions, validate=True)
    assert torch.equal(game.scores(other).roll(-turn, dims=1), game.scores(state))


# --- the policy's columns ---


@pytest.mark.parametrize("game", GAMES, ids=name)
def test_policy_columns_are_one_to_one(game):
    every = torch.arange(CARDS).expand(12, CARDS)
    for state, _ in play_randomly(game, game.deal(12, seed=48), seed=48)[:-1]:
        columns = game.policy_columns(state, every)
        assert torch.equal(columns.sort(-1).values, every)  # a permutation
        by_column = torch.zeros(12, CARDS, dtype=torch.bool).scatter(1, columns, game.legal_mask(state))
        assert torch.equal(game.policy_mask(state), by_column)
        listed = game.legal_actions(state)
        columns = game.policy_columns(state, listed)
        assert columns.shape == listed.shape and columns.dtype == torch.int64
        assert ((columns >= 0) & (columns < CARDS)).all()  # also where the list is filled up with -1
        assert game.policy_mask(state).gather(1, columns)[listed >= 0].all()


def test_bids_keep_their_columns_and_trumps_come_first():
    game = Blob(cards=5)
    state = game.deal(60, seed=49)
    bids = torch.arange(6).expand(60, 6)
    while int(state.made[0]) < SEATS:
        assert torch.equal(game.policy_columns(state, bids), bids)
        state = game.step(state, game.legal_actions(state)[:, 0])
    ranks, trump = torch.arange(13), torch.where(state.trump == NO_TRUMP, 0, state.trump).long()
    for further in range(4):  # the suits after trump follow in the deck's order, spades after diamonds
        suit = (trump + further) % 4
        columns = game.policy_columns(state, 13 * suit[:, None] + ranks)
        assert torch.equal(columns, (13 * further + ranks).expand(60, 13))


def test_a_card_has_one_column_in_observation_and_policy():
    game = Blob(cards=13)
    for state, _ in play_randomly(game, game.deal(50, seed=50), seed=50)[SEATS:-1]:
        assert not (game.policy_mask(state) & (game.observe(state)[:, :CARDS] == 0)).any()


SEATED = [Blob(cards=2), Blob(cards=2, players=3), BlobMatch(cards=2), Hearts(passing="left"), Kuhn(players=3), Leduc()]


@pytest.mark.parametrize("game", SEATED, ids=repr)
def test_a_seat_that_there_is_not(game: Game, monkeypatch) -> None:
    """Is refused, or where the host would have to wait to know, another one of the same game."""
    state = game.deal(4, seed=9)
    for seat in (-1, game.seats, 100):
        seats = torch.tensor([0, 1, seat, 1])
        with pytest.raises(ValueError, match=f"seat must be from 0 to {game.seats - 1}, got {seat}$"):
            game.observe(state, seats)
        with carrying_all():
            assert torch.equal(game.observe(state, seats), game.observe(state, seats % game.seats))
    assert_no_wait(state, lambda there: game.observe(there, torch.arange(4, device=there.device)), monkeypatch)


@pytest.mark.parametrize("game", SEATED, ids=repr)
def test_seats_of_any_integers(game: Game) -> None:
    """The same seats, not a mask, on a CPU and where the host does not wait."""
    state = game.deal(2, seed=9)
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.uint64):
        seats = torch.tensor([1, 1], dtype=dtype)
        assert torch.equal(game.observe(state, seats), game.observe(state, [1, 1]))
        with carrying_all():
            assert torch.equal(game.observe(state, seats), game.observe(state, [1, 1]))


@pytest.mark.parametrize("game", SEATED, ids=repr)
def test_no_seat_is_looked_at_where_none_is_given(game: Game, monkeypatch) -> None:
    monkeypatch.setattr("vecgame.game.seats_of", None)
    assert game.observe(game.deal(2)).shape == (2, game.features)
