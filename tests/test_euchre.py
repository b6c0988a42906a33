"""Euchre by hand, and its worlds against every past that there may have been, told by a scalar reference.

Move by move it is compared with OpenSpiel in tests/test_openspiel_tricks.py.
"""

from dataclasses import dataclass, field, replace
from itertools import combinations

import pytest
import torch

from tests.helpers import bits_of, cards_of, chi_square_p
from tests.test_trick_games import CLUBS, DIAMONDS, HEARTS, SPADES, card, legal, play
from vecgame import Euchre, TrickGame, contract
from vecgame.cards import pack, popcount, rotate_suits, unpack
from vecgame.games.euchre import ALONE, EUCHRE_DECK, PASS, TOGETHER, EuchreState

P_LIMIT = 1e-6  # a right sampler fails one of the tests of distributions with probability below 2e-5
NEXT, ACROSS, LAST = 2, 3, 4  # bids of the suits after that of the card turned up


def hand(names: str) -> list[int]:
    return [card(name) for name in names.split()]


def dealt(dealer: int = 3, upcard: str = "9h", game: Euchre | None = None) -> EuchreState:
    hands = ["Jh Jd Ah 9s Ts", "Kh Qh Ac Kc Qc", "As Ks Qs Js 9c", "Ad Kd Qd Td Th"]
    return (game or Euchre()).from_hands(
        torch.tensor([[hand(names) for names in hands]]), dealer=dealer, upcard=card(upcard)
    )


def bid(game: Euchre, state: EuchreState, *bids: int) -> EuchreState:
    for number in bids:
        state = game.step(state, torch.tensor([52 + number]), validate=True)
    return state


# --- by hand ---


def test_the_dealer_picks_up_and_puts_away() -> None:
    game = Euchre()
    state = dealt()
    assert legal(game, state) == {52 + PASS, 53} and game.mover(state).tolist() == [0]
    state = bid(game, state, PASS, 1)  # seat 1 takes hearts
    assert state.trump.tolist() == [HEARTS] and state.maker.tolist() == [1] and game.mover(state).tolist() == [3]
    assert bool(game.giving(state)) and popcount(state.hands).tolist() == [[5, 5, 5, 6]] and int(state.seen) == 0
    assert legal(game, state) == set(hand("Ad Kd Qd Td Th"))  # not the card picked up
    state = play(game, state, "Td")
    assert cards_of(int(state.hands[0, 3])) == set(hand("Ad Kd Qd Th 9h"))
    assert state.discarded.tolist() == [[0, 0, 0, 1 << card("Td")]] and int(state.seen) == 0
    assert game.mover(state).tolist() == [1] and legal(game, state) == {52 + ALONE, 52 + TOGETHER}
    state = bid(game, state, TOGETHER)
    assert game.mover(state).tolist() == [0] and legal(game, state) == set(hand("Jh Jd Ah 9s Ts"))


def test_the_left_bower_is_a_trump() -> None:
    game = Euchre()
    state = bid(game, play(game, bid(game, dealt(), 1), "Td"), TOGETHER)
    state = play(game, state, "Jd")  # the left bower leads: hearts are to be followed
    assert game.suit_led(state, state.trick).tolist() == [HEARTS] and legal(game, state) == set(hand("Kh Qh"))
    state = play(game, state, "Kh", "9c")
    assert int(state.lacks[0, 2]) == bits_of([*range(13, 26), card("Jd")])
    assert legal(game, state) == set(hand("Th 9h"))  # diamonds do not follow
    state = play(game, state, "Th")
    assert game.mover(state).tolist() == [0] and state.won.tolist() == [[1, 0, 0, 0]]
    state = play(game, state, "Ah", "Qh", "Js", "9h")
    assert state.won.tolist() == [[2, 0, 0, 0]]
    state = play(game, state, "Jh", "Ac", "Qs", "Qd")  # no diamond follows hearts
    assert state.won.tolist() == [[3, 0, 0, 0]] and legal(game, state) == set(hand("9s Ts"))
    end = play(game, state, "Ts", "Kc", "As", "Kd", "Ks", "Ad", "9s", "Qc")
    assert bool(game.is_terminal(end)) and game.scores(end).tolist() == [[2.0, -2.0, 2.0, -2.0]]
    assert game.values(end).tolist() == [[0.75, 0.25, 0.75, 0.25]]


def test_strengths_of_cards() -> None:
    """In hearts, spades led: right bower, left bower, ace of trump .. nine, ace of spades .. nine, then the rest."""
    game, order = Euchre(), hand("Jh Jd Ah Kh Qh Th 9h As Ks Qs Js Ts 9s") + hand("Ac Ad Jc 9d")
    state = replace(dealt(), trump=torch.tensor([HEARTS], dtype=torch.int8), leader=torch.tensor([0], dtype=torch.int8))
    led = torch.tensor([SPADES], dtype=torch.int8)
    for better, worse in combinations(order, 2):
        if worse in order[:13]:
            trick = torch.tensor([[worse, -1, better, -1]], dtype=torch.int8)
            assert game.winner(state, trick, led).tolist() == [2]
    first = torch.tensor([[card("9s"), card("Ac"), card("Ad"), card("Jc")]], dtype=torch.int8)
    assert game.winner(state, first, led).tolist() == [0]


@pytest.mark.parametrize(("maker", "leader"), [(0, 0), (1, 0), (2, 1), (3, 0)])
def test_a_partner_sits_out(maker: int, leader: int) -> None:
    """Seat 3 deals, so that seat 0 leads, unless its partner plays alone."""
    game = Euchre()
    state = bid(game, dealt(), *[PASS] * maker, 1)
    state = bid(game, play(game, state, "Td"), ALONE)
    partner, order = (maker + 2) % 4, [seat % 4 for seat in range(leader, leader + 4) if (seat - maker) % 4 != 2]
    for seat in order:
        assert game.mover(state).tolist() == [seat]
        state = game.step(state, game.legal_actions(state)[:, 0], validate=True)
    assert (state.trick == -1).all() and int(state.won.sum()) == 1 and state.won[0, partner] == 0
    decisions = 0
    while not bool(game.is_terminal(state)):
        assert int(game.mover(state)) != partner
        state, decisions = game.step(state, game.legal_actions(state)[:, 0], validate=True), decisions + 1
    assert decisions == 12 and popcount(state.hands)[0, partner] == 5 and int(state.won.sum()) == 5
    assert legal(game, state) == {0}


def test_second_round() -> None:
    game = Euchre()
    state = bid(game, dealt(), PASS, PASS, PASS, PASS)
    assert legal(game, state) == {52 + PASS, 52 + NEXT, 52 + ACROSS, 52 + LAST}
    state = bid(game, state, PASS, PASS, PASS)
    assert game.mover(state).tolist() == [3] and legal(game, state) == {52 + NEXT, 52 + ACROSS, 52 + LAST}
    named = [int(bid(game, state, number).trump) for number in (NEXT, ACROSS, LAST)]
    assert named == [CLUBS, DIAMONDS, SPADES]  # the suits after hearts
    state = bid(game, state, ACROSS)
    assert state.made.tolist() == [9] and game.mover(state).tolist() == [3] and int(state.seen) == 1 << card("9h")
    assert (state.discarded == 0).all() and (popcount(state.hands) == 5).all()
    assert bid(game, state, TOGETHER).made.tolist() == [12]
    free = Euchre(stick_the_dealer=False)
    end = bid(free, dealt(game=free), *[PASS] * 8)
    assert bool(free.is_terminal(end)) and free.scores(end).tolist() == [[0.0] * 4]
    assert free.values(end).tolist() == [[0.5] * 4]


def test_a_game_that_all_have_passed_has_card_0_alone() -> None:
    game = Euchre(stick_the_dealer=False)
    state = bid(game, dealt(game=game), *[PASS] * 8)
    assert bool(game.is_terminal(state)) and popcount(state.hands).tolist() == [[5] * 4]
    assert legal(game, state) == {0} and game.legal_actions(state).tolist() == [[0] + [-1] * 4]


def test_nobody_plays_alone_where_that_is_no_rule() -> None:
    game = Euchre(alone=False)
    state = play(game, bid(game, dealt(game=game), 1), "Td")
    assert state.made.tolist() == [12] and game.mover(state).tolist() == [0]
    assert bid(game, dealt(game=game), *[PASS] * 4, NEXT).made.tolist() == [12]


@pytest.mark.parametrize(
    ("won", "maker", "alone", "points"),
    [
        ((1, 2, 2, 0), 0, False, 1),
        ((4, 1, 0, 0), 2, True, 1),
        ((3, 0, 2, 0), 2, False, 2),
        ((5, 0, 0, 0), 0, True, 4),
        ((1, 2, 1, 1), 0, False, -2),
        ((0, 5, 0, 0), 0, True, -2),
    ],
)
def test_points(won, maker: int, alone: bool, points: int) -> None:
    game = Euchre()
    state = dealt()
    end = replace(
        state,
        won=torch.tensor([won], dtype=torch.int8),
        maker=torch.tensor([maker], dtype=torch.int8),
        alone=torch.tensor([alone]),
        made=torch.full_like(state.made, game.decisions),
    )
    assert game.scores(end).tolist() == [[float(points), float(-points)] * 2]
    assert game.values(end)[0, :2].tolist() == [(points + 4) / 8, (4 - points) / 8]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Euchre(alone=1), "alone must be True or False, got 1"),
        (lambda: Euchre(dealer=4), "dealer must be a seat 0..3"),
        (lambda: dealt(upcard="8h"), "upcard is no card of this deck"),
        (lambda: dealt(upcard="Jh"), "upcard is in a hand of its game"),
        (
            lambda: Euchre().from_hands(torch.arange(20).view(1, 4, 5)),
            r"hands holds an id .*; ids are 13 \* suit \+ rank, suit < 4, 7 <= rank < 13$",
        ),
        (
            lambda: Euchre().from_hands(torch.zeros(1, 4, 5).long(), upcard=7),
            "hands holds an id that is no card of this deck",
        ),
        (lambda: bid(Euchre(), dealt(), 2), "action 54 is illegal in lane 0; legal there: .52, 53"),
        (lambda: play(Euchre(), bid(Euchre(), dealt(), 1), "9h"), "action 20 is illegal in lane 0"),
    ],
)
def test_bad_input_gets_one_line(make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


# --- what a seat knows ---


def test_suits_differ_in_their_names_only() -> None:
    """With all suits moved on by one the same is seen, and the same policy column is the same move."""
    game = Euchre()
    state = game.deal(60, seed=3)
    cards = unpack(state.hands).nonzero()[:, 2].view(60, 4, 5)
    upcard = unpack(state.upcard).nonzero()[:, 1]

    def moved(ids: torch.Tensor) -> torch.Tensor:
        return (ids + 13) % 52

    other = game.from_hands(moved(cards), dealer=state.dealer.long(), upcard=moved(upcard))
    for _ in range(game.decisions):
        assert torch.equal(game.observe(state), game.observe(other))
        going = ~game.is_terminal(state)
        assert torch.equal(game.policy_mask(state)[going], game.policy_mask(other)[going])
        action = contract.random_action(game, state)
        state, other = game.step(state, action), game.step(other, torch.where(action < 52, moved(action), action))
    assert torch.equal(game.scores(state), game.scores(other))
    assert torch.equal(rotate_suits(state.seen, torch.tensor(3)), other.seen)


def test_while_the_bower_is_out_the_dealer_has_what_it_picked_up() -> None:
    """All worlds of the others give the dealer that card, and any other to anybody; the dealer's own know what it put
    away."""
    game, draws = Euchre(), 18 * 400
    state = play(game, bid(game, dealt(), 1), "Td")
    upcard, mine = 1 << card("9h"), bits_of(hand("Jh Jd Ah 9s Ts"))
    worlds = game.determinize(state, draws, seed=4)  # seat 0 is to say whether it plays alone
    assert (worlds.hands[:, 3] & upcard == upcard).all() and (popcount(worlds.hands) == 5).all()
    assert (worlds.hands[:, 0] == mine).all() and (worlds.seen == state.seen).all()
    discarded = worlds.discarded[:, 3]
    assert (worlds.discarded[:, :3] == 0).all() and (popcount(discarded) == 1).all()
    assert (discarded & (worlds.hands.sum(-1) | upcard) == 0).all()
    hidden = unpack(torch.tensor(EUCHRE_DECK & ~mine & ~upcard)).nonzero()[:, 0]
    assert chi_square_p(unpack(discarded).sum(0)[hidden], [draws / 18] * 18) > P_LIMIT
    for seat, size in ((1, 5), (2, 5), (3, 4)):
        assert chi_square_p(unpack(worlds.hands[:, seat]).sum(0)[hidden], [draws * size / 18] * 18) > P_LIMIT
    state = play(game, bid(game, state, TOGETHER), "Jd", "Kh", "9c")  # the dealer is next
    own = game.determinize(state, 500, seed=5)
    assert torch.equal(own.discarded, state.discarded.expand(500, -1))
    assert (own.hands.sum(-1) & state.discarded[:, 3] == 0).all() and len(own.hands.unique(dim=0)) > 100
    dealer = torch.tensor([3])
    assert (game.may_hold(state, dealer) & state.discarded[:, 3] == 0).all()
    assert (game.may_hold(state, dealer - 1) & state.discarded[:, 3] != 0).all()


@dataclass
class Table:
    """A scalar reference of the play: hands after the dealer has put a card away, and cards by the rules of Euchre."""

    hands: list[set[int]]
    trump: int
    leader: int
    out: int | None  # the seat that sits out
    trick: list[tuple[int, int]] = field(default_factory=list)

    def suit(self, played: int) -> int:
        left = played == 13 * [CLUBS, DIAMONDS, SPADES, HEARTS][self.trump] + 9
        return self.trump if left else played // 13

    def worth(self, played: int) -> tuple[int, int]:
        suit, led = self.suit(played), self.suit(self.trick[0][1])
        if suit == self.trump and played % 13 == 9:  # jacks
            return 3, int(played // 13 == self.trump)
        return 2 * (suit == self.trump) or int(suit == led), played % 13

    def plays(self, seat: int, played: int) -> bool:
        """Plays a card, or says that this is against the rules."""
        turn = self.leader
        for _ in self.trick:
            turn = (turn + 1) % 4
            turn = (turn + 1) % 4 if turn == self.out else turn
        if seat != turn or played not in self.hands[seat]:
            return False
        if self.trick:
            led = self.suit(self.trick[0][1])
            if self.suit(played) != led and any(self.suit(other) == led for other in self.hands[seat]):
                return False
        self.hands[seat].remove(played)
        self.trick.append((seat, played))
        if len(self.trick) == (4 if self.out is None else 3):
            self.leader, self.trick = max(self.trick, key=lambda one: self.worth(one[1]))[0], []
        return True


def possible_worlds(game: Euchre, states: list[EuchreState], actions: list[int]) -> set[tuple[int, ...]]:
    """Hands and card put away, as seven bitboards, with which all that the mover of the last state has seen may have
    happened: every way to give the cards that it does not see to their owners, played again from the first trick."""
    now = states[-1]
    viewer, dealer, trump, maker = int(game.mover(now)), int(now.dealer), int(now.trump), int(now.maker)
    upcard, picked_up = int(now.upcard).bit_length() - 1, bool(now.discarded.any())
    plays = [(int(game.mover(s)), a) for s, a in zip(states, actions, strict=False) if int(s.made) >= 12 and a < 52]
    played = [{c for seat, c in plays if seat == k} for k in range(4)]
    sizes = popcount(now.hands)[0].tolist()
    own = cards_of(int(now.hands[0, viewer]))
    away = cards_of(int(now.discarded[0, dealer])) if picked_up and viewer == dealer else set()
    unseen = cards_of(EUCHRE_DECK) - own - away - set().union(*played) - {upcard}
    up = picked_up and upcard not in played[dealer]  # the dealer has it, as all have seen, unless it may put it away
    may_be_away = up and viewer != dealer and game.rules.may_discard_upcard
    unseen |= {upcard} if may_be_away else set()
    others = [seat for seat in range(4) if seat != viewer]
    found = set()

    def give(rest: set[int], hands: dict[int, set[int]]) -> None:
        if len(hands) == 4:
            for one in [away] if away or not picked_up else [{c} for c in rest]:
                if may_be_away and upcard not in hands[dealer] | one:
                    continue
                out = (maker + 2) % 4 if bool(now.alone) else None
                leader = (dealer + 1) % 4
                table = Table([hands[k] | played[k] for k in range(4)], trump, leader, out)
                table.leader = (leader + 1) % 4 if leader == out else leader
                if all(table.plays(*one_play) for one_play in plays):
                    cards_away = [bits_of(one) if k == dealer else 0 for k in range(4)]
                    found.add((*(bits_of(hands[k]) for k in range(4)), *cards_away))
            return
        seat = next(seat for seat in others if seat not in hands)
        known = {upcard} if up and not may_be_away and seat == dealer else set()
        for chosen in combinations(sorted(rest), sizes[seat] - len(known)):
            give(rest - {*chosen}, {**hands, seat: known | {*chosen}})

    give(unseen, {viewer: own | ({upcard} & own)})
    return found


def check_worlds(game: Euchre, index: int, left: int, draws: int) -> str | None:
    """Compares the worlds of a random game, ``left`` decisions before its end, with every past; returns what kind of
    position that was, None for one with too many pasts."""
    state = game.deal(1, seed=23, first_index=index)
    states, actions = [state], []
    while int(state.made) < game.decisions - left:
        everybody_passes = index % 2 == 1 and int(state.made) < 4  # so that both rounds come up
        actions.append(52 + PASS if everybody_passes else int(contract.random_action(game, state)))
        state = game.step(state, torch.tensor(actions[-1:]), validate=True)
        states.append(state)
    mover = int(game.mover(state))
    unseen = int(popcount(game.deck & ~(state.seen | state.hands[:, mover])))
    if unseen > 9:
        return None
    possible = possible_worlds(game, states, actions)
    worlds = game.determinize(state, draws * len(possible), seed=left)
    found, counts = torch.cat([worlds.hands, worlds.discarded], -1).unique(dim=0, return_counts=True)
    assert (*state.hands[0].tolist(), *state.discarded[0].tolist()) in possible
    assert {tuple(row) for row in found.tolist()} <= possible, "a world that the mover knows to be none"
    if len(possible) > 1:
        counts = torch.cat([counts, counts.new_zeros(len(possible) - len(found))])
        assert chi_square_p(counts, [float(draws)] * len(possible)) > P_LIMIT, "worlds are not uniform"
    picked_up = bool(state.discarded.any())
    who = "alone" if bool(state.alone) else "together"
    return f"{who}, {'the dealer moves' if mover == int(state.dealer) else 'another'}, {'up' if picked_up else 'down'}"


@pytest.mark.slow
def test_worlds_are_uniform_over_all_pasts() -> None:
    kinds = {check_worlds(Euchre(), index, left, draws=8) for index in range(16) for left in (2, 4)} - {None}
    assert len(kinds) == 8


@pytest.mark.slow
def test_worlds_are_uniform_where_the_card_turned_up_may_be_away() -> None:
    game = Euchre(may_discard_upcard=True)
    kinds = {check_worlds(game, index, left, draws=8) for index in range(0, 40, 2) for left in (2, 4)} - {None}
    assert {kind.partition(", ")[2] for kind in kinds} >= {"the dealer moves, up", "another, up"}


def test_the_dealer_puts_the_card_turned_up_away_by_rule() -> None:
    game = Euchre(may_discard_upcard=True)
    state = bid(game, dealt(game=game), 1)
    assert legal(game, state) == set(hand("Ad Kd Qd Td Th 9h")) and game.max_legal == 6
    state = bid(game, play(game, state, "9h"), TOGETHER)
    assert cards_of(int(state.hands[0, 3])) == set(hand("Ad Kd Qd Td Th")) and int(state.seen) == 0
    worlds = game.determinize(state, 2000, seed=1)
    upcard = 1 << card("9h")
    with_dealer, away = worlds.hands[:, 3] & upcard != 0, worlds.discarded[:, 3] == upcard
    assert (with_dealer ^ away).all() and not (worlds.hands[:, :3] & upcard).any()
    assert float(away.float().mean()) == pytest.approx(1 / 6, abs=0.04)  # five places in the hand, and one beside it


class PutsAwayAnyCardAlike(Euchre):
    """Deals hands uniformly, and then takes for the card put away any that is left."""

    def determinize(self, state, count=3, seed=0):
        drawn = super().determinize(state, count, seed)
        left = self.deck & ~(drawn.hands.sum(-1) | drawn.seen)
        away = torch.where(drawn.discarded != 0, (left & -left)[:, None], 0)
        known = self.hidden(drawn)["discarded"].seen_by(self.mover(drawn))
        return replace(drawn, discarded=torch.where(known, drawn.discarded, away))


@pytest.mark.slow
def test_worlds_are_uniform_over_all_pasts_of_many_games() -> None:
    kinds = {check_worlds(Euchre(), index, left, draws=10) for index in range(100, 130) for left in range(1, 8)}
    assert len(kinds - {None}) == 8


class ForgetsThePickUp(Euchre):
    """Deals the card that the dealer has picked up to the undealt ones, too."""

    def shows(self, state):
        return torch.zeros_like(state.hands)


class PutsAwayLowCards(Euchre):
    """Thinks that the dealer has put away its lowest card."""

    def determinize(self, state, count=3, seed=0):
        drawn = super().determinize(state, count, seed)
        undealt = self.deck & ~(drawn.hands.sum(-1) | drawn.seen)
        low = torch.where(drawn.discarded != 0, (undealt & -undealt)[:, None], 0)
        known = self.hidden(drawn)["discarded"].seen_by(self.mover(drawn))
        return replace(drawn, discarded=torch.where(known, drawn.discarded, low))


class ForgetsWhatItPutAway(Euchre):
    """Deals the card that the dealer itself has put away."""

    def may_hold(self, state, viewer):
        return TrickGame.may_hold(self, state, viewer)


class FollowsByName(Euchre):
    """Takes the left bower for a card of the suit on its face, when voids are noted."""

    def _shown(self, preferences, laid, played):
        preferences = [pack(unpack(p) & ~unpack(torch.tensor(1 << card("Jd")))) for p in preferences]
        return super()._shown(preferences, laid, played)


@pytest.mark.parametrize(
    ("broken", "rules"),
    [
        (ForgetsThePickUp, {}),
        (PutsAwayLowCards, {}),
        (ForgetsWhatItPutAway, {}),
        (FollowsByName, {}),
        (PutsAwayAnyCardAlike, {"may_discard_upcard": True}),
    ],
)
def test_the_test_of_worlds_finds_what_is_broken(broken: type[Euchre], rules: dict[str, bool]) -> None:
    with pytest.raises(AssertionError, match=r"not uniform|to be none"):
        for index in range(0, 60, 2):
            for left in (3, 5):
                check_worlds(broken(**rules), index, left, draws=8)


class TellsWhatWasPutAway(Euchre):
    """Lets everybody know of which suit the card is that the dealer has put away."""

    def own_block(self, state, viewer):
        *block, last = super().own_block(state, viewer)
        return [*block, last | (state.discarded.sum(-1) & 0x1FFF != 0)]


def test_the_contract_finds_what_is_broken() -> None:
    with pytest.raises(AssertionError, match="observe tells of hidden cards"):
        contract.hidden_cards_are_hidden(TellsWhatWasPutAway())


@pytest.mark.slow
@pytest.mark.parametrize("rules", [{"stick_the_dealer": False, "dealer": 1}, {"alone": False, "dealer": "rotate"}])
def test_contract_under_other_rules(rules: dict[str, object]) -> None:
    contract.check(Euchre(**rules))
