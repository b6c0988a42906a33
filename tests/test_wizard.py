"""Wizard against a scalar reference, its well-known cases by hand, and its worlds against all deals."""

import itertools
import random
from collections import Counter

import pytest
import torch

from tests import wizard_reference as reference
from vecgame import contract
from vecgame.games.wizard import NAME, Wizard, WizardRules

W, J = ([f"{letter}{n}" for n in range(1, 5)] for letter in "WJ")
SIZES = [(3, 1), (3, 5), (3, 20), (4, 4), (4, 15), (5, 3), (5, 12), (6, 2), (6, 10)]


def card(name: str) -> int:
    return reference.DECK.index(name)


def action(game: Wizard, move: str) -> int:
    """Our number of a move of the reference."""
    if move.startswith("name"):
        return game.first_bid + NAME + reference.SUITS.index(move[-1])
    return game.first_bid + int(move.split()[1]) if move.startswith("bid") else card(move)


def dealt(game: Wizard, hands: list[str], dealer: int = 0, turned: str = "J4"):
    """Hands are written like "W1 7h 2s"."""
    return game.from_hands(
        torch.tensor([[[card(c) for c in hand.split()] for hand in hands]]), dealer=dealer, turned=card(turned)
    )


def legal(game: Wizard, state) -> set[str]:
    """The cards that may be played."""
    return {reference.DECK[a] for a in game.legal_mask(state)[0].nonzero()[:, 0].tolist()}


def played(game: Wizard, state, moves: str):
    """The state after some moves, written "1 0 2 W1 7h": bids as numbers, cards by name."""
    for move in moves.split():
        number = action(game, f"bid {move}" if move.isdigit() else move)
        state = game.step(state, torch.tensor([number]), validate=True)
    return state


@pytest.mark.parametrize("hook", [False, True])
@pytest.mark.parametrize(("players", "cards"), SIZES)
def test_games_agree_with_the_reference(players: int, cards: int, hook: bool) -> None:
    """Every mover, every legal move, every trick and every score of random games."""
    game, rng, lanes = Wizard(players=players, cards=cards, hook=hook), random.Random(players * cards), 40
    deals = [reference.random_deal(rng, players, cards) for _ in range(lanes)]
    dealers = [rng.randrange(players) for _ in range(lanes)]
    games = [reference.Wizard(hands, dealer, up, hook) for (hands, up), dealer in zip(deals, dealers, strict=True)]
    given = {"turned": torch.tensor([card(up) for _, up in deals])} if deals[0][1] else {}
    hands = torch.tensor([[[card(c) for c in hand] for hand in hands] for hands, _ in deals])
    state = game.from_hands(hands, dealer=torch.tensor(dealers), **given)
    for _ in range(game.decisions):
        over = [one.over() for one in games]
        assert game.is_terminal(state).tolist() == over
        moves, numbers = [], []
        mask, mover = game.legal_mask(state), game.mover(state).tolist()
        for lane, one in enumerate(games):
            if over[lane]:
                moves.append(None)
                numbers.append(0)
                continue
            options = one.legal()
            assert mover[lane] == one.turn
            assert mask[lane].nonzero()[:, 0].tolist() == sorted(action(game, move) for move in options)
            moves.append(rng.choice(options))
            numbers.append(action(game, moves[-1]))
        state = game.step(state, torch.tensor(numbers))
        for one, move in zip(games, moves, strict=True):
            if move is not None:
                one.play(move)
        assert state.won.tolist() == [one.won for one in games]
    assert game.is_terminal(state).all() and all(one.over() for one in games)
    assert game.scores(state).tolist() == [one.scores() for one in games]
    assert ((game.scores(state) >= game.lowest) & (game.scores(state) <= game.highest)).all()


def test_the_reference_games_cover_what_matters() -> None:
    rng = random.Random(1)
    deals = [reference.random_deal(rng, 4, 4) for _ in range(400)]
    kinds = Counter(up[0] if up[0] in "WJ" else "suit" for _, up in deals)
    assert min(kinds[kind] for kind in ("W", "J", "suit")) >= 10
    assert sum(any(len(set(hand) & {*W, *J}) > 2 for hand in hands) for hands, _ in deals) >= 20


def test_wizards_and_jesters_may_always_be_played() -> None:
    game = Wizard(players=3, cards=4)
    state = dealt(game, ["ah 2s 3s 4s", "7h W1 J1 5s", "8s W2 J2 9d"], dealer=2, turned="kd")
    state = played(game, state, "0 0 0 ah")
    assert legal(game, state) == {"7h", "W1", "J1"}
    state = played(game, state, "J1")
    assert legal(game, state) == {"8s", "W2", "J2", "9d"}  # without a heart all of them
    # A jester or wizard in place of a heart tells nothing, a spade does that no heart was there.
    assert state.lacks[0, 1] == 0
    state = played(game, state, "8s")
    lacks = {reference.DECK[c] for c in range(60) if int(state.lacks[0, 2]) >> c & 1}
    assert lacks == {rank + "h" for rank in reference.RANKS}


@pytest.mark.parametrize(
    ("cards", "turned", "winner"),
    [
        (["ah", "W1", "W2"], "kh", 1),  # the first wizard
        (["W2", "W1", "ah"], "kh", 0),
        (["ah", "2d", "3d"], "kd", 2),  # else the highest trump
        (["J1", "2d", "ah"], "kc", 1),  # the first card that is no jester says what is led
        (["J1", "J2", "2h"], "kc", 2),
        (["J1", "2h", "3h"], "kc", 2),
        (["J1", "2h", "ah"], "J4", 2),
        (["J1", "J2", "J3"], "kc", 0),  # jesters only: the first
        (["J3", "J1", "J2"], "kc", 0),
        (["J1", "W1", "ah"], "kh", 1),
        (["2h", "as", "ac"], "J4", 0),  # no trump after a jester: the suit led
        (["2h", "J1", "3s"], "kc", 0),
    ],
)
def test_who_wins_a_trick(cards: list[str], turned: str, winner: int) -> None:
    for leader in range(3):
        game = Wizard(players=3, cards=1)
        hands = [cards[(seat - leader) % 3] for seat in range(3)]
        state = dealt(game, hands, dealer=(leader - 1) % 3, turned=turned)
        state = played(game, state, " ".join(["0 0 0", *cards]))
        assert state.won[0].tolist() == [int(seat == (leader + winner) % 3) for seat in range(3)]


def test_a_wizard_led_is_not_followed_and_a_jester_by_the_next() -> None:
    game = Wizard(players=4, cards=2)
    hands = ["W1 2s", "3h 4s", "5h 6s", "7h 8s"]
    assert legal(game, played(game, dealt(game, hands, dealer=3), "0 0 0 0 W1 3h")) == {"5h", "6s"}
    hands[0] = "J1 2s"
    assert legal(game, played(game, dealt(game, hands, dealer=3), "0 0 0 0 J1")) == {"3h", "4s"}
    state = played(game, dealt(game, hands, dealer=3), "0 0 0 0 J1 3h")
    assert game.suit_led(state, state.trick).tolist() == [reference.SUITS.index("h")]
    assert legal(game, state) == {"5h"}
    hands[1] = "W1 4s"
    assert legal(game, played(game, dealt(game, hands, dealer=3), "0 0 0 0 J1 W1")) == {"5h", "6s"}


def test_the_dealer_names_trump_for_a_wizard() -> None:
    game = Wizard(players=3, cards=1)
    state = dealt(game, ["2h", "3s", "ad"], dealer=1, turned="W3")
    assert game.mover(state).tolist() == [1]
    assert game.legal_mask(state)[0].nonzero()[:, 0].tolist() == [81, 82, 83, 84]
    assert game.observe(state)[0, -1] == 1
    state = game.step(state, torch.tensor([action(game, "name s")]))
    assert state.trump.tolist() == [0] and game.mover(state).tolist() == [2] and state.bids.tolist() == [[-1, -1, -1]]
    state = played(game, state, "1 0 1 ad 2h 3s")
    assert state.won.tolist() == [[0, 1, 0]]
    assert game.scores(state).tolist() == [[20, 30, -10]]
    assert game.values(state).tolist() == [[pytest.approx((score + 10) / 40) for score in (20, 30, -10)]]


@pytest.mark.parametrize(
    ("trick", "mover", "void"),
    [
        ("J1 ah 8s", 1, 2),  # seat 2 did not follow the heart that came after a jester: it has none
        ("J1 ah W2", 2, None),  # but a wizard or a jester in place of a heart tells nothing,
        ("ah W1 8s", 1, 2),
        ("ah J1 8s", 0, 2),
        ("W1 ah 8s", 0, None),  # nor does anything after a wizard led
        ("J1 W1 8s", 1, None),
    ],
)
def test_worlds_are_all_deals_that_agree(trick: str, mover: int, void: int | None) -> None:
    """Every deal that the winner of the first of two tricks can still imagine is drawn, as often as any other."""
    game = Wizard(players=3, cards=2)
    hands = [f"{card} {rest}" for card, rest in zip(trick.split(), ("2s", "3c", "4d"), strict=True)]
    state = played(game, dealt(game, hands, dealer=2, turned="kd"), f"0 0 0 {trick}")
    assert game.mover(state).tolist() == [mover]
    unseen = set(reference.DECK) - {*trick.split(), "kd", ("2s", "3c", "4d")[mover]}
    others = [seat for seat in range(3) if seat != mover]
    possible = {
        tuple(1 << card(c) for c in pair)
        for pair in itertools.permutations(unseen, 2)
        if void is None or not pair[others.index(void)].endswith("h")
    }
    worlds = game.determinize(state, 20 * len(possible), seed=3)
    counts = Counter(map(tuple, worlds.hands[:, others].tolist()))
    assert set(counts) == possible
    squares = sum((count - 20) ** 2 / 20 for count in counts.values())
    freedom = len(possible) - 1
    assert abs(squares - freedom) < 5 * (2 * freedom) ** 0.5


SLOW_SIZES = [(3, 20, False), (4, 15, True), (5, 12, False), (6, 10, True)]


@pytest.mark.parametrize(
    ("players", "cards", "hook"),
    [(3, 2, True), (4, 5, False), (5, 1, True), *(pytest.param(*size, marks=pytest.mark.slow) for size in SLOW_SIZES)],
)
def test_contract(players: int, cards: int, hook: bool) -> None:
    contract.check(Wizard(players=players, cards=cards, hook=hook))


def test_bad_rules_get_one_line() -> None:
    for rules, message in [
        ({"players": 2}, "players must be an integer from 3 to 6, got 2"),
        ({"players": 4, "cards": 16}, "cards must be an integer from 1 to 15, got 16"),
        ({"cards": True}, "cards must be an integer from 1 to 15, got True"),
        ({"hook": 1}, "hook must be True or False, got 1"),
        ({"players": 3, "dealer": 3}, "dealer must be a seat 0..2"),
    ]:
        with pytest.raises(ValueError, match=message):
            WizardRules(**rules)
    with pytest.raises(ValueError, match="turned must be a card of the deck that is not dealt"):
        dealt(Wizard(players=3, cards=1), ["2h", "3s", "ad"], turned="2h")
