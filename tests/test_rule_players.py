"""The rule-based players: what each rule comes to by hand, and that they know no more than their seat sees."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.test_search_sync import assert_no_wait, positions
from vecgame import Blob, BlobMatch, Euchre, EuchreMatch, Game, Hearts, HeartsMatch, Spades, SpadesMatch, State, Whist
from vecgame.cards import list_cards
from vecgame.games.euchre import ALONE
from veclab.arena.bots import RandomBot, RuleBot
from veclab.arena.matches import play_match
from veclab.arena.rules import blob, odds, reading
from veclab.bench import rule_players

BOT = RuleBot()
RANKS, SUITS = "23456789TJQKA", "shcd"
GAMES = (
    Blob(cards=3),
    Blob(players=2, cards=4),
    Blob(players=7, cards=2, exact_bonus=5, miss_penalty=10),
    Blob(cards=3, trump="bidder"),
    Blob(cards=3, trump="turned"),
    Blob(cards=3, bidding="once", hook=False),
    Blob(cards=1, sight="forehead"),
    Blob(cards=2, sight="blind", sight_to=2),
    Blob(cards=2, suits=2, ranks=5),
    BlobMatch(cards=2),
    Hearts(),
    Hearts(passing="left"),
    HeartsMatch(),
    Spades(cards=5),
    SpadesMatch(cards=3),
    Whist(),
    Whist(cards=4, trump="none"),
    Euchre(),
    Euchre(may_discard_upcard=True, stick_the_dealer=False),
    EuchreMatch(),
)
every = pytest.mark.parametrize("game", GAMES, ids=repr)


def cards(text: str) -> list[int]:
    """ "As 2d" -> [12, 39]."""
    return [13 * SUITS.index(card[1]) + RANKS.index(card[0]) for card in text.split()]


def played(game: Game, state: State, *actions: int) -> State:
    for action in actions:
        state = game.step(state, torch.tensor([action]), validate=True)
    return state


def dealt(game: Blob, hands: list[str], trump: int, dealer: int, *actions: int) -> State:
    state = game.from_hands(torch.tensor([[cards(hand) for hand in hands]]), dealer=dealer, trump=trump)
    return played(game, state, *actions)


def choice(game: Game, state: State) -> int:
    return int(BOT.act(game, state, 0))


# -- all games --------------------------------------------------------------------------------------------------------


@every
def test_it_has_nothing_to_do_in_no_games(game: Game) -> None:
    assert BOT.act(game, game.deal(3)[:0], 0).shape == (0,)


@every
def test_it_knows_what_its_seat_sees_and_no_more(game: Game) -> None:
    """Whatever lies where the mover does not look, the action is the same; and the same in every batch."""
    state, random = game.deal(12, seed=9), RandomBot()
    for number in range(min(game.decisions, 60)):
        if number % max(1, game.length // 9) == 0:
            action = BOT.act(game, state, seed=2)
            assert game.legal_mask(state).gather(1, action[:, None]).all()
            worlds = game.determinize(state, 2, seed=number)
            assert torch.equal(BOT.act(game, worlds, seed=3), action.repeat_interleave(2))
            some = torch.tensor([7, 2])
            assert torch.equal(BOT.act(game, state.take(some), seed=2), action[some])
        state = game.step(state, random.act(game, state, seed=3))


@pytest.mark.parametrize(
    "game", [Blob(players=3, cards=3), Hearts(passing="left"), Spades(cards=3), Whist(), Euchre()], ids=repr
)
def test_nothing_waits_for_a_gpu(game: Game, monkeypatch) -> None:
    assert_no_wait(positions(game, 9), lambda there: BOT.act(game, there, 0), monkeypatch)


@pytest.mark.parametrize(
    ("game", "deals", "least"),
    [
        (Blob(players=3, cards=5), 40, 2.0),
        (Blob(players=6, cards=5), 20, 2.5),
        (Blob(cards=5, trump="bidder"), 30, 2.0),
        (Blob(cards=1, sight="forehead"), 60, 0.5),
        (Hearts(passing="left"), 12, 3.0),
        (Spades(), 12, 60.0),
        (Whist(), 12, 1.5),
        (Euchre(), 60, 1.2),
    ],
    ids=repr,
)
def test_it_beats_random_players(game: Game, deals: int, least: float) -> None:
    match = play_match([game], BOT, RandomBot(), deals, seed=3)
    assert match.significant and match.lead.mean > least


# -- Blob -------------------------------------------------------------------------------------------------------------


def test_a_hooked_bid_is_the_next_in_worth() -> None:
    """The ace of trump takes a trick: with 1 forbidden, and 0 bid by nobody's wish, 2 is worth more than 0."""
    game = Blob(cards=3)
    state = dealt(game, ["As 2d 3d", "4h 5h 6h", "4c 5c 6c", "7d 8d 9d"], 0, 0, 1, 1, 0)
    assert not game.legal_mask(state)[0, 1]
    needs = blob.needs_of(game, state, game.mover(state))
    worth = blob.bid_worths(game, state, reading.read(game, state), needs)[0]
    assert int(worth.argmax()) == 1 and worth[2] > worth[0]
    assert choice(game, state) == 2


def test_points_of_ones_own_change_the_bid() -> None:
    """Where only a bid of none scores, none is bid with the two highest trumps."""
    hands = ["As Ks", "4h 5h", "4c 5c", "7d 8d"]
    usual, none = Blob(cards=2, hook=False), Blob(cards=2, hook=False, zero_bonus=50, exact_bonus=1)
    assert choice(usual, dealt(usual, hands, 0, 3)) == 2
    lost = Blob(cards=2, hook=False, scoring=only_none)
    assert choice(lost, dealt(lost, hands, 0, 3)) == 0
    weak = ["2h 3h", "4h 5h", "4c 5c", "As Ks"]
    assert choice(none, dealt(none, weak, 0, 3)) == 0


def only_none(bids: Tensor, won: Tensor) -> Tensor:
    return torch.where(bids == 0, 10.0, 0.0) + won


def test_the_last_to_play_decides_exactly() -> None:
    """A trick is taken where the bid needs it, with the card that is missed least; ducked where it does not."""
    game = Blob(cards=3, hook=False)
    hands = ["2h 7h Ah", "6h 2c 3c", "3h 4c 5c", "4h 6c 7c"]
    for bid, card in ((2, "7h"), (0, "2h")):
        state = dealt(game, hands, 0, 0, 0, 0, 0, bid, *cards("6h 3h 4h"))
        assert choice(game, state) == cards(card)[0]


def test_a_sure_winner_is_kept_while_a_lower_card_makes_the_bid_certain() -> None:
    """Two to win with the ace and the four of trump, last to play on a plain lead: the four now, the ace later."""
    game = Blob(cards=2, hook=False)
    state = dealt(game, ["As 4s", "Kh 2c", "3h 3c", "4h 5c"], 0, 0, 0, 0, 0, 2, *cards("Kh 3h 4h"))
    assert choice(game, state) == cards("4s")[0]
    state = dealt(game, ["As 4s", "Kh 2c", "3h 3c", "4h 5c"], 0, 0, 0, 0, 0, 1, *cards("Kh 3h 4h"))
    # With one to win it cannot lose this trick: the ace, as the four may lose the next one.
    assert choice(game, state) == cards("As")[0]


def test_what_would_take_a_trick_too_many_is_thrown_away() -> None:
    game = Blob(cards=3, hook=False)
    state = dealt(game, ["Ad 2d 3c", "Kh 2c 4c", "3h 5c 6c", "4h 7c 8c"], 0, 0, 0, 0, 0, 0, *cards("Kh 3h 4h"))
    assert choice(game, state) == cards("Ad")[0]


def test_a_game_of_one_card() -> None:
    """The leader's ace wins without trump, and with it if none of three cards is one of 13 in 51, in two games of five;
    who does not lead wins with another suit's king if that suit is led, and with a high trump."""
    game = Blob(cards=1, hook=False)
    assert choice(game, dealt(game, ["Ah", "2s", "3c", "4d"], 4, 3)) == 1
    assert choice(game, dealt(game, ["Ah", "2s", "3c", "4d"], 0, 3)) == 0
    assert choice(game, dealt(game, ["Kc", "2s", "3c", "4d"], 4, 0, 0, 0, 0)) == 0
    assert choice(game, dealt(game, ["Js", "2s", "3c", "4d"], 0, 0, 0, 0, 0)) == 1
    seen = reading.read(game, dealt(game, ["Ah", "2s", "3c", "4d"], 0, 3))
    chance = blob.only_trick(seen, reading.without(seen), torch.tensor([0]))[0, 25]
    assert float(chance) == pytest.approx((38 / 51) ** 3)


def test_a_card_on_the_forehead_is_judged_by_the_others() -> None:
    """Among deuces the unseen card wins; against an ace of trump it does not."""
    game = Blob(cards=1, hook=False, sight="forehead")
    assert choice(game, dealt(game, ["9s", "2h", "2c", "2d"], 0, 3)) == 1
    assert choice(game, dealt(game, ["9s", "As", "2c", "2d"], 0, 3)) == 0


def test_the_highest_bidder_names_its_longest_suit() -> None:
    game = Blob(cards=3, hook=False, trump="bidder")
    state = game.from_hands(torch.tensor([[cards(h) for h in ["Ac Kc Qc", "2h 3h 4h", "2d 3d 4d", "2s 3s 5h"]]]), 3)
    state = played(game, state, 3, 0, 0, 0)
    assert choice(game, state) == 2


def test_bids_of_a_deal_in_a_match_are_weighed_by_its_own_cards() -> None:
    """Nobody can bid higher than one in a deal of one card, though the largest deal of the match has thirteen."""
    match = BlobMatch(cards=13, hook=False, trump="bidder")
    hands = torch.tensor([[cards(one) for one in ["As", "2h", "3c", "4d"]]])
    worths = []
    for game, state in (
        (Blob(cards=1, hook=False, trump="bidder"), None),
        (match, match.from_hands(hands, 3, number=match.rules.hands.index(1))),
    ):
        state = game.from_hands(hands, 3) if state is None else state
        needs = blob.needs_of(game, state, game.mover(state))
        worths.append(blob.worths_before_trump(game, state, needs)[0, :2].tolist())
    sure = match.rules.exact_bonus + match.rules.points_per_trick
    assert worths[1][1] == pytest.approx(worths[0][1]) == pytest.approx(sure, rel=1e-6)


def test_how_many_tricks() -> None:
    likely = odds.counts(torch.tensor([0.5, 1.0, 0.0, 0.5], dtype=torch.float64))
    assert likely.tolist() == [0, 0.25, 0.5, 0.25, 0]


def test_chances_of_cards() -> None:
    """Known places are certain; cards and hands add up."""
    game = Blob(cards=13)
    state = game.deal(20, seed=4)
    for _ in range(30):
        state = game.step(state, RandomBot().act(game, state, seed=1))
    seen = reading.read(game, state)
    held = torch.stack([state.hands[:, 0] * 0 + seat for seat in range(3)], -1)  # places of the others
    others = (game.mover(state)[:, None] + 1 + held) % 4
    size = torch.tensor([[int(x).bit_count() for x in row] for row in state.hands.gather(1, others).tolist()])
    assert torch.allclose(seen.chance.sum(1)[seen.unseen], torch.ones(1, dtype=torch.float64))  # all cards are dealt
    assert ((seen.chance.sum(-1) - size).abs() < 0.3).all()
    lacked = torch.stack([(state.lacks.gather(1, others) >> card) & 1 for card in range(52)], -1) == 1
    assert (seen.chance[lacked] == 0).all()


def test_cards_that_nobody_can_hold_are_undealt() -> None:
    """They take nothing from the pile in which the other cards may lie."""
    clubs, hearts = torch.zeros(2, 52, dtype=torch.bool)
    clubs[:3], hearts[3:9] = True, True
    free = reading.chances(torch.stack([hearts] * 2)[None], torch.tensor([[2, 1]]), torch.zeros(1, 2).bool())
    assert torch.allclose(free.sum(-1), torch.tensor([[2.0, 1.0]]).double())
    game = Blob(cards=5)
    hands = ["As Ah Kh Qh Jh", "2d 3d 4d 5d 6d", "7d 8d 9d Td Jd", "2c 3c 4c 5c 6c"]
    bids = (game.first_bid + bid for bid in (1, 1, 1, 1))
    state = dealt(game, hands, 0, 3, *bids, *cards("As 2d 7d 2c"))  # nobody followed: they have no spades
    seen = reading.read(game, state)
    assert (seen.chance[0, :, 1:12] == 0).all() and seen.unseen[0, :12].all()
    assert torch.allclose(seen.chance.sum(-1), torch.full((1, 3), 4.0).double(), atol=0.01)


def test_who_sits_out_holds_nothing_to_be_reckoned_with() -> None:
    game = Euchre()
    hands = ["Js Jc As Ks Qs", "9h Td 9d Tc 9c", "Ah Kh Qh Jh Th", "Ad Kd Qd Jd Ac"]
    state = at(game, hands, game.first_bid + 1, dealer=3, upcard=cards("9s")[0])
    state = played(game, state, cards("Jd")[0])
    together = reading.read(game, state).chance[0]
    alone = reading.read(game, played(game, state, game.first_bid + ALONE)).chance[0]
    partner = 1  # the second seat after the mover
    assert (together.sum(-1) > 4).all() and (alone[partner] == 0).all()
    assert torch.equal(alone[[0, 2]], together[[0, 2]])  # the others have what is left of the cards that it holds


def test_bowers_stand_above_the_ace() -> None:
    game = Euchre()
    order = reading.slots(game, torch.tensor([0]))[0].tolist()  # spades
    assert order[5 - 1 : 7] == cards("As Jc Js")[0:3] and len(set(order)) == 52


# -- the other games --------------------------------------------------------------------------------------------------


def at(game: Game, hands: list[str], *actions: int, **given: int) -> State:
    state = game.from_hands(torch.tensor([[cards(hand) for hand in hands]]), **given)
    return played(game, state, *actions)


@pytest.mark.parametrize(
    ("hands", "trick", "card"),
    [
        (["5h 2c 3c", "Ah 4c 5c", "6h 6c 7c", "Kh 2h 8c"], "5h Ah 6h", "2h"),  # the partner wins it
        (["9h 2c 3c", "3h 4c 5c", "4h 6c 7c", "Kh Th 2h"], "9h 3h 4h", "Th"),  # the last wins as cheaply as it can
        (["Qh 2c 3c", "3h 4c 5c", "4h 6c 7c", "Jh Th 2h"], "Qh 3h 4h", "2h"),  # or gives nothing away
        (["Qh 2c 3c", "3h 4c 5c", "4h 6c 7c", "2s 9s 8c"], "Qh 3h 4h", "2s"),  # a ruff is as low as it may be
    ],
)
def test_whist_by_hand(hands: list[str], trick: str, card: str) -> None:
    game = Whist(cards=3, trump="spades")
    assert choice(game, at(game, hands, *cards(trick), dealer=3, trump=0)) == cards(card)[0]


def test_bids_of_spades() -> None:
    game = Spades(cards=3)
    hands = ["As Ks Qs", "2h 3c 2d", "4h 5c 4d", "5h 6c 5d"]
    state = at(game, hands, dealer=3)
    assert game.action_name(choice(game, state), state) == "bid 3"
    state = played(game, state, 52 + 3)
    assert game.action_name(choice(game, state), state) == "nil"
    state = played(game, state, 52, 52 + 1)
    assert game.action_name(choice(game, state), state) != "nil"  # its partner has bid it


@pytest.mark.parametrize("low", ["2h 3c", "2h 3c 2d 3d", "2h 3h 4h 5h 2c 3c 4c 5c 2d 3d 4d 5d"])
def test_who_holds_the_ace_of_spades_bids_no_nil(low: str) -> None:
    """It takes whatever trick it is played to."""
    others = [card for card in range(51, -1, -1) if card != 12 and card not in cards(low)]
    size = len(low.split()) + 1
    hands = [cards(f"As {low}"), *(others[size * seat : size * (seat + 1)] for seat in range(3))]
    game = Spades(cards=size)
    state = game.from_hands(torch.tensor([hands]), dealer=3)
    assert game.action_name(choice(game, state), state) == "bid 1"


def test_a_nil_ducks_with_its_highest_loser() -> None:
    game = Spades(cards=3)
    hands = ["Qh 2c 3c", "Kh Jh 2h", "4h 5c 6c", "5h 7c 8c"]
    assert choice(game, at(game, hands, 53, 52, 53, 53, *cards("Qh"), dealer=3)) == cards("Jh")[0]


def test_the_queen_of_spades_goes_to_who_takes_the_trick() -> None:
    """Passed with few spades, and thrown wherever a suit cannot be followed, but by who goes for all points."""
    queen, game = cards("Qs")[0], Hearts(passing="left")
    state = game.deal(400, seed=1)
    short = (state.hands[:, 0] >> queen & 1 == 1) & (spades_of(state.hands[:, 0]) <= 3)
    assert short.sum() > 20 and (BOT.act(game, state, 0)[short] == queen).all()
    game, thrown = Hearts(moon=False), 0
    state = game.deal(400, seed=2)
    for _ in range(30):
        action, mask = BOT.act(game, state, 0), game.legal_mask(state)
        led = game.suit_led(state, state.trick)
        free = (led > 0) & mask[:, queen] & (state.made >= 4)
        thrown += int(free.sum())
        assert (action[free] == queen).all()
        state = game.step(state, RandomBot().act(game, state, seed=3))
    assert thrown > 50


@pytest.mark.parametrize("moon", [True, False])
def test_who_has_all_points_goes_for_the_rest_and_gets_none_thrown(moon: bool) -> None:
    """Three tricks before the end, once with seat 0 having all points so far; ducking is right without the rule."""
    game = Hearts(moon=moon)
    low, high = cards("2h Ah")
    leads = ending(game, ["Ah Kh 2h", "Qh Jh 3c", "4h 3h 4c", "6h 5h 5c"], [14, 0, 0, 0])
    assert choice(game, leads) == (high if moon else low)
    assert choice(game, ending(game, ["Ah Kh 2h", "Qh Jh 3c", "4h 3h 4c", "6h 5h 5c"], [7, 7, 0, 0])) == low
    # Clubs are led and seat 0 is winning the trick; seat 2, who has none, throws a diamond and keeps its hearts.
    hands = ["Ac Kc Kh", "2c Jh Qh", "4h 3h 4d", "6h 5h 5c"]
    thrown = played(game, ending(game, hands, [14, 0, 0, 0]), *cards("Ac 2c"))
    assert (choice(game, thrown) == cards("4d")[0]) == moon
    thrown = played(game, ending(game, hands, [0, 0, 0, 14]), *cards("Ac 2c"))
    assert choice(game, thrown) != cards("4d")[0]


def ending(game: Hearts, hands: list[str], points: list[int]) -> State:
    """A game in which all other cards have been played, and seat 0 leads."""
    left = torch.tensor([[sum(1 << card for card in cards(hand)) for hand in hands]])
    return replace(
        game.deal(1, seed=0),
        hands=left,
        seen=(1 << 52) - 1 - left.sum(-1),
        points=torch.tensor([points], dtype=torch.int8),
        made=torch.tensor([52 - sum(len(cards(hand)) for hand in hands)], dtype=torch.int8),
        leader=torch.zeros(1, dtype=torch.int8),
    )


def spades_of(hand: Tensor) -> Tensor:
    return (list_cards(hand & (1 << 13) - 1, 13) >= 0).sum(-1)


def test_euchre_by_hand() -> None:
    """Five trumps are ordered up and played alone; nothing is passed on, the lowest put away."""
    game = Euchre()
    strong, weak = "Js Jc As Ks Qs", "9h Td 9d Tc 9c"
    rest = ["Ah Kh Qh Jh Th", "Ad Kd Qd Jd Ac"]
    state = at(game, [strong, weak, *rest], dealer=3, upcard=cards("9s")[0])
    order = choice(game, state)
    assert game.action_name(order, state) == "order up spades"
    state = played(game, state, order)
    assert game.giving(state).all() and choice(game, state) == cards("Jd")[0]
    state = played(game, state, choice(game, state))
    assert game.action_name(choice(game, state), state) == "alone"
    state = at(game, [weak, strong, *rest], dealer=3, upcard=cards("9s")[0])
    assert game.action_name(choice(game, state), state) == "pass"


def test_their_strength_is_measured(tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / "rows.json"
    monkeypatch.setattr(rule_players, "games", lambda: [Blob(cards=1)])
    assert rule_players.main(["--deals=2", "--worlds=1", f"--json={path}"]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [(row["opponent"], row["games"]) for row in rows] == [("random", 32), ("flat Monte Carlo", 8)]
    assert rule_players.main(["--deals=1"]) == 2
    assert "--deals must be 2 or more" in capsys.readouterr().err
