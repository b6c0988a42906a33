"""Hearts, Spades and Whist by hand, where OpenSpiel plays otherwise or not at all; games and rules by name."""

import re
from dataclasses import dataclass, replace

import pytest
import torch

from net import BlobNet, NetConfig
from tests.helpers import bits_of
from tests.small_games import FiveSuits, FiveSuitsState
from tests.test_hands import Pick
from vecgame import (
    GAMES,
    Blob,
    Euchre,
    Hearts,
    Layout,
    Skat,
    Spades,
    TrickGame,
    TrickState,
    Whist,
    Wizard,
    contract,
    dealing,
    default_rules,
    make_game,
    register,
)
from vecgame.cards import pack_mask, unpack_mask
from vecgame.contract import random_action
from vecgame.game import NoRules
from vecgame.games.match import Limits, Match, Standing
from veclab.agents.checkpoint import load_network, save_network
from veclab.arena.evaluate import main as evaluate_main
from veclab.report.page import main as report_main
from veclab.settings import Settings
from veclab.training import command as train

SPADES, HEARTS, CLUBS, DIAMONDS = range(4)


def suit(number: int) -> list[int]:
    """The 13 cards of a suit, from the two to the ace."""
    return list(range(13 * number, 13 * number + 13))


def card(name: str) -> int:
    """ "Qs" -> its number."""
    return 13 * "shcd".index(name[1]) + "23456789TJQKA".index(name[0])


def play(game: TrickGame, state: TrickState, *names: str) -> TrickState:
    """Plays cards by name in a batch of one, each of them legal."""
    for name in names:
        state = game.step(state, torch.tensor([card(name)]), validate=True)
    return state


def play_lowest(game: TrickGame, state: TrickState) -> TrickState:
    """Everybody makes the first legal action, to the end."""
    while not game.is_terminal(state).all():
        state = game.step(state, game.legal_actions(state)[:, 0])
    return state


def legal(game: TrickGame, state: TrickState) -> set[int]:
    return set(game.legal_mask(state)[0].nonzero()[:, 0].tolist())


# --- Hearts ---


def hearts_hands() -> torch.Tensor:
    """Each seat has a suit: clubs, hearts, spades, diamonds, but for one low card or ace that it has of another."""
    clubs, hearts, spades, diamonds = suit(CLUBS), suit(HEARTS), suit(SPADES), suit(DIAMONDS)
    clubs[-1], hearts[0], diamonds[0] = card("2h"), card("2d"), card("Ac")
    return torch.tensor([[clubs, hearts, spades, diamonds]])


def test_hearts_by_hand() -> None:
    game = Hearts()
    state = game.from_hands(hearts_hands())
    assert legal(game, state) == {card("2c")}
    state = play(game, state, "2c")
    assert legal(game, state) == {card("2d")}  # no club, and no points on the first trick while it holds a diamond
    state = play(game, state, "2d")
    assert legal(game, state) == set(suit(SPADES)) - {card("Qs")}
    state = play(game, state, "As", "Ac")
    assert state.points.tolist() == [[0] * 4] and int(game.mover(state)[0]) == 3
    state = play(game, state, "3d")
    assert int(state.lacks[0, 1]) == bits_of(suit(CLUBS))
    state = play(game, state, "3c", "Ah", "Qs")
    assert state.points.tolist() == [[0, 0, 0, 14]]
    assert bool(game.broken(state)) and not bool(Hearts(queen_breaks=False).broken(game.from_hands(hearts_hands())))


def test_a_heart_on_the_first_trick_tells_everything() -> None:
    """Its player has neither clubs nor anything else without points: all but hearts and the queen of spades."""
    hands = torch.tensor([[suit(CLUBS), suit(HEARTS), suit(DIAMONDS), suit(SPADES)]])
    game = Hearts()
    state = play(game, game.from_hands(hands), "2c", "5h")
    may_hold = {*suit(HEARTS), card("Qs")}
    assert int(state.lacks[0, 1]) & bits_of(range(52)) == bits_of(set(range(52)) - may_hold)
    left = may_hold - {card("5h")}
    assert set(game.determinize(state, 300, seed=0).hands[:, 1].tolist()) == {bits_of(left - {one}) for one in left}


def test_hearts_are_led_by_who_holds_nothing_else() -> None:
    clubs, hearts, spades, diamonds = suit(CLUBS), suit(HEARTS), suit(SPADES), suit(DIAMONDS)
    clubs[-1], hearts[-1] = card("Ah"), card("Ac")
    game = Hearts()
    state = play(game, game.from_hands(torch.tensor([[clubs, hearts, spades, diamonds]])), "2c", "Ac", "As", "2d")
    assert int(game.mover(state)[0]) == 1 and not bool(game.broken(state))
    state = play(game, state, "2h")
    assert int(state.lacks[0, 1]) & bits_of(range(52)) == bits_of(set(range(52)) - set(suit(HEARTS)))


@pytest.mark.parametrize(("moon", "scores"), [(True, [0.0, 26.0, 0.0, 0.0]), (False, [26.0, 0.0, 26.0, 26.0])])
def test_shooting_the_moon(moon: bool, scores: list[float]) -> None:
    clubs, hearts, spades, diamonds = suit(CLUBS), suit(HEARTS), suit(SPADES), suit(DIAMONDS)
    clubs[-1], hearts[0] = card("2h"), card("Ac")
    game = Hearts(moon=moon)
    state = play_lowest(
        game, play(game, game.from_hands(torch.tensor([[clubs, hearts, spades, diamonds]])), "2c", "Ac")
    )
    assert game.scores(state).tolist() == [scores]
    assert game.values(state).tolist() == [[score / 26 for score in scores]]


# --- Spades ---


def spades_hands() -> torch.Tensor:
    """Seat 0 has the spades but the two, seat 1 the hearts and the two of spades without the ace of hearts, ..."""
    clubs, hearts, spades, diamonds = suit(CLUBS), suit(HEARTS), suit(SPADES), suit(DIAMONDS)
    hearts[-1], spades[0] = card("2s"), card("Ah")
    return torch.tensor([[spades, hearts, clubs, diamonds]])


def bid(game: Spades, state: TrickState, *bids: int) -> TrickState:
    for number in bids:
        state = game.step(state, torch.tensor([52 + number]), validate=True)
    return state


def test_who_leads_a_spade_too_early_holds_nothing_else() -> None:
    clubs, hearts, spades, diamonds = suit(CLUBS), suit(HEARTS), suit(SPADES), suit(DIAMONDS)
    clubs[1], spades[0] = card("2s"), card("3c")
    game = Spades()
    state = bid(game, game.from_hands(torch.tensor([[clubs, hearts, spades, diamonds]]), dealer=3), 1, 1, 1, 1)
    assert legal(game, state) == set(clubs) - {card("2s")}
    state = play(game, state, "2c", "2h", "3c", "2d")  # seat 2 wins, with nothing but spades left
    assert int(game.mover(state)[0]) == 2 and legal(game, state) == set(suit(SPADES)[1:])
    state = play(game, state, "3s")
    assert int(state.lacks[0, 2]) & bits_of(range(52)) == bits_of(set(range(52)) - set(suit(SPADES)))


@pytest.mark.parametrize(("rule", "free"), [("broken", True), ("last", False)])
def test_spades_are_led_once_one_was_played(rule: str, free: bool) -> None:
    clubs, hearts, spades, diamonds = suit(CLUBS), suit(HEARTS), suit(SPADES), suit(DIAMONDS)
    spades[0], clubs[0] = card("2c"), card("2s")
    game = Spades(lead_spades=rule)
    state = bid(game, game.from_hands(torch.tensor([[hearts, spades, diamonds, clubs]]), dealer=3), 1, 1, 1, 1)
    state = play(game, state, "2h", "3s", "2d", "2s")  # seat 1 ruffs highest, and holds the two of clubs still
    assert int(game.mover(state)[0]) == 1
    assert legal(game, state) == ({*suit(SPADES)[2:], card("2c")} if free else {card("2c")})


def test_partners_bid_no_more_than_there_is_by_rule() -> None:
    game = Spades(capped_bids=True)
    state = game.from_hands(spades_hands(), dealer=3)
    assert legal(game, state) == set(range(52, 66))
    state = bid(game, state, 9)
    assert legal(game, state) == set(range(52, 66))
    state = bid(game, state, 0)
    assert legal(game, state) == set(range(52, 57))  # 4 beside the partner's 9
    assert legal(game, bid(game, state, 4)) == set(range(52, 66))
    free = Spades()
    assert legal(free, bid(free, free.from_hands(spades_hands(), dealer=3), 9, 0)) == set(range(52, 66))


@pytest.mark.parametrize(
    ("bids", "won", "points"),
    [
        ((4, 3, 4, 2), (5, 3, 4, 1), (81, -50)),  # one bag; one short
        ((0, 3, 4, 2), (0, 7, 4, 2), (140, 54)),  # nil made beside a contract made; four bags
        ((0, 3, 4, 2), (1, 6, 4, 2), (-59, 53)),  # nil broken, its trick a bag
        ((0, 1, 0, 1), (0, 6, 0, 7), (200, 20 + 11 - 100)),  # two nils; eleven bags
        ((0, 6, 5, 6), (1, 6, 3, 3), (-150, -120)),
    ],
)
def test_points_of_spades(bids, won, points) -> None:
    game = Spades()
    state = game.deal(1)
    ended = replace(
        state,
        bids=torch.tensor([bids], dtype=torch.int8),
        won=torch.tensor([won], dtype=torch.int8),
        made=torch.full_like(state.made, game.decisions),
    )
    assert game.scores(ended).tolist() == [[float(p) for p in points * 2]]
    assert game.values(ended)[0, 0] == pytest.approx((points[0] + 290) / 520)
    together = [won[seat] + won[seat - 2] >= bids[seat] + bids[seat - 2] for seat in range(4)]
    met = [won[seat] == 0 if bids[seat] == 0 else together[seat] for seat in range(4)]
    assert game.bids_met(ended).tolist() == [met]


# --- Whist ---


def test_all_know_the_card_turned_up() -> None:
    game = Whist()
    state = game.deal(200, seed=1)
    assert (state.turned & state.hands.gather(1, state.dealer[:, None].long())[:, 0] == state.turned).all()
    assert len(state.trump.unique()) == 4
    worlds = game.determinize(state, 3, seed=2)
    dealers = worlds.hands.gather(1, worlds.dealer[:, None].long())[:, 0]
    assert (dealers & worlds.turned == worlds.turned).all()
    hands = torch.tensor([[suit(SPADES), suit(HEARTS), suit(CLUBS), suit(DIAMONDS)]])
    given = game.from_hands(hands, dealer=2)
    assert given.trump.tolist() == [CLUBS] and given.turned.tolist() == [1 << card("Ac")]
    assert game.scores(play_lowest(game, given)).tolist() == [[13.0, 0.0, 13.0, 0.0]]


# --- what is illegal ---


@pytest.mark.parametrize(
    "game",
    [Blob(cards=2), Blob(cards=6, trump="bidder"), Hearts(passing="left"), Spades(cards=2), Euchre(), Wizard(), Skat()],
    ids=lambda game: game.name,
)
def test_what_is_illegal_stays_in_its_own_lane(game: TrickGame) -> None:
    """Numbers of any size that nobody has checked, and actions at the wrong time."""
    state = alone = game.deal(30, seed=6)
    draw = torch.Generator().manual_seed(6)
    for _ in range(game.decisions):
        wild, wrong = (torch.randint(low, high, (10,), generator=draw) for low, high in ((-140, 400), (0, 66)))
        legal = random_action(game, alone[20:])
        state = game.step(state, torch.cat([wild, wrong % game.num_actions, legal]))
        alone = game.step(alone, torch.cat([random_action(game, alone[:20]), legal]))
        game.observe(state), game.play_forced(state)
        assert state[20:] == alone[20:]


# --- by name ---


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_game("chess"), "there is no game 'chess'; there are blob, hearts, spades, whist"),
        (lambda: make_game("hearts", hook=True), "hearts has no rule hook; its rules are queen_breaks, safe_first"),
        (lambda: make_game("whist", cards=14), "cards must be an integer from 1 to 13, got 14"),
        (lambda: make_game("whist", cards=5), "trump='turned' needs the whole deck dealt"),
        (lambda: Whist(trump="gold"), "trump must be one of turned, random"),
        (lambda: Whist(dealer=4), "dealer must be a seat 0..3"),
        (lambda: Spades(lead_spades="no"), "lead_spades must be one of broken, last"),
        (lambda: Spades(trick_points=0), "trick_points must be above 0"),
        (lambda: Spades(nil_points=-1), "nil_points must be an integer from 0 to 1000000"),
        (lambda: Hearts(moon=1), "moon must be True or False, got 1"),
        (lambda: Hearts(Whist().rules), "rules must be a HeartsRules"),
        (lambda: Whist().deal(0), "batch_size must be at least 1"),
        (lambda: Whist().from_hands(torch.zeros(1, 4, 12)), r"hands must be \[B, 4, 13\]"),
        (
            lambda: Hearts().from_hands(hearts_hands(), dealer=0),
            "hearts deals no dealer; beside the hands it deals noth",
        ),
        (lambda: Hearts().step(Hearts().deal(2), torch.tensor([0])), r"action must be 2 integers of shape \[2\]"),
        (lambda: Whist().step(Whist().deal(1), torch.tensor([52]), validate=True), "action 52 is illegal in lane 0"),
        (lambda: register(type("Other", (), {"name": "whist"})), "there is a game named 'whist' already"),
        (lambda: Settings(game="go"), "there is no game 'go'"),
        (lambda: Settings(game="hearts", cards="5"), "--cards must be 13 in hearts, got '5'"),
        (lambda: Settings(game="whist", hook=False), "--hook is for blob"),
        (lambda: Settings(game="whist", rules="colour=red"), "--rules 'colour=red' is no NAME=VALUE of this game"),
        (lambda: Settings(game="hearts", rules="moon=1"), "--rules moon must be true or false, got '1'"),
        (
            lambda: Settings(game="spades", rules="nil_points=x"),
            "--rules nil_points must be a whole number such as 100",
        ),
    ],
)
def test_bad_input_gets_one_line(make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class DealerRules:
    dealer: str | int = "random"
    cards: int = 3
    players: int = 3


class HasADealer(FiveSuits):
    """Leaves its rules to be checked."""

    name, rules_type = "has-a-dealer", DealerRules


class LowestCardDeals(HasADealer):
    """Has another way to find the dealer."""

    def dealers(self, stream):
        return stream.game * 0


class HandsWithADealer(Pick):
    rules_type = DealerRules
    layout, decisions = Layout(suits=2, ranks=6), 6


@pytest.mark.parametrize("game", [HasADealer, HandsWithADealer])
@pytest.mark.parametrize("dealer", [3, -1, 7, "foo", True, 1.0, None])
def test_the_rule_dealer_is_checked(game, dealer: object) -> None:
    told = re.escape(f"dealer must be a seat 0..2, 'random' or 'rotate', got {dealer!r}")
    with pytest.raises(ValueError, match=f"^{told}$"):
        game(dealer=dealer)


@pytest.mark.parametrize("game", [HasADealer, HandsWithADealer])
@pytest.mark.parametrize("dealer", [0, 2, "random", "rotate"])
def test_a_dealer_that_there_is_is_taken(game, dealer: object) -> None:
    assert game(dealer=dealer).rules.dealer == dealer and LowestCardDeals(dealer="lowest").rules.dealer == "lowest"


def test_a_dealer_that_nobody_has_checked_is_refused_where_it_is_drawn() -> None:
    game = FiveSuits()
    with pytest.raises(ValueError, match=r"^dealer must be a seat 0..3, 'random' or 'rotate', got 'foo'$"):
        dealing.dealers(dealing.numbers(2, 0, "cpu", 0), "foo", game.seats)


@pytest.mark.parametrize(("rule", "names"), [("random", ("spades", "bells")), ("bells", ("spades",))])
def test_trumps_are_suits_by_name(rule: str, names: tuple[str, ...]) -> None:
    stream = dealing.numbers(2, 0, "cpu", 0)
    with pytest.raises(
        ValueError, match=r"^a trump must be one of spades, hearts, clubs, diamonds, none, got 'bells'$"
    ):
        dealing.trumps(stream, rule, names)
    assert dealing.trumps(stream, "none", ("spades",)).tolist() == [4, 4]


def test_settings_name_games() -> None:
    tricks = ["blob", "hearts", "spades", "whist", "euchre", "wizard", "skat", "doppelkopf", "briscola"]
    matches = ["blob-match", "hearts-match", "spades-match", "whist-match", "euchre-match"]
    ours = [name for name, game in GAMES.items() if game.__module__.startswith("vecgame.")]  # not a test's own
    assert ours == [*tricks, "kuhn", "leduc", *matches]
    assert Settings().games() == (Blob(),) and Settings().cards == "5"
    assert Settings(game="hearts", rules="moon=false").games() == (Hearts(moon=False),)
    assert Settings(game="hearts", rules="passing=left").games() == (Hearts(passing="left"),)
    assert Settings(game="spades", cards="3-4", rules="dealer=2").games() == tuple(
        Spades(cards=cards, dealer=2) for cards in (3, 4)
    )
    assert Settings(rules="exact_bonus=5").games() == (Blob(exact_bonus=5.0),)
    assert Settings(game="whist").describe() == "whist, 13 cards"
    assert default_rules("hearts") == {
        "queen_breaks": True,
        "safe_first_trick": True,
        "moon": True,
        "passing": "none",
    }


def test_masks_of_any_width_are_packed() -> None:
    for columns in (5, 52, 53, 66, 130):
        mask = torch.rand(7, columns, generator=torch.Generator().manual_seed(columns)) < 0.5
        words = pack_mask(mask)
        assert words.shape == ((7,) if columns <= 52 else (7, -(-columns // 52)))
        assert torch.equal(unpack_mask(words, columns), mask)


@pytest.mark.slow
def test_a_run_of_spades(tmp_path, capsys) -> None:
    """With 66 actions, from update to table; stopped and gone on with; and what does not know the game says so."""
    run = tmp_path / "run"
    flags = "--preset quick --game spades --cards 1 --updates 1 --update-games 16 --iterations 1"
    small = "--eval-deals 2 --games-per-iter 8 --worlds 2 --simulations 4"
    assert train.main(f"{flags} {small} --run {run}".split()) == 0
    printed = capsys.readouterr().out
    assert "spades, 1 card" in printed and "against 2 x" in printed and "both sides" in printed
    assert "rule-based" in printed
    assert train.main(["--resume", str(run), "--iterations", "2"]) == 0
    network = run / "network-000002.safetensors"
    assert load_network(network, game=Spades()).config.actions == 66
    assert evaluate_main([str(network), "--game", "spades", "--cards", "1", "--eval-deals", "2"]) == 0
    capsys.readouterr()
    for main, arguments, message in (
        (evaluate_main, [str(network), "--game", "blob"], "is a network for spades, not for blob"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert report_main([str(run), "--games", "4"]) == 0
    assert "spades, 1 card" in (run / "report.html").read_text()


def test_networks_of_before_are_for_blob(tmp_path) -> None:
    path = tmp_path / "network.safetensors"
    save_network(path, BlobNet(NetConfig(dim=32, layers=1, heads=2, ffn=32)), {"iteration": 1})
    assert load_network(path).config.dim == 32
    with pytest.raises(ValueError, match="is a network for blob, not for hearts"):
        load_network(path, game=Hearts())


def test_a_network_of_another_game_gets_one_line(tmp_path, capsys) -> None:
    path, game = tmp_path / "network.safetensors", Spades()
    sizes = NetConfig(dim=32, layers=1, heads=2, ffn=32, observation=game.features, actions=game.num_actions)
    save_network(path, BlobNet(sizes), {"iteration": 1, "game": "spades"})
    assert load_network(path, game=Spades()).config.actions == 66
    for arguments, message in (
        ([str(path)], "does not say its rules; give --game spades"),
        ([str(path), "--game", "blob"], "is a network for spades, not for blob"),
    ):
        assert evaluate_main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_one_suit_of_any_length_is_played() -> None:
    @dataclass(frozen=True)
    class LongState(TrickState):
        layout = Layout(suits=1, ranks=63, rank_names=tuple(map(str, range(63))))

    class Long(FiveSuits):
        state_type = LongState

    game = Long(cards=1)
    for trump in range(2):  # the suit, or none
        assert game.strengths()[trump, 0].tolist() == list(range(63, 126))
    state = game.from_hands(torch.tensor([[[0], [61], [62], [30]]]), dealer=3)
    assert game.scores(play_lowest(game, state)).tolist() == [[0, 0, 1, 0]]


class PassedOut(FiveSuits):
    """Each seat passes or not before the play; if all pass the game is over."""

    name, beyond = "passed-out", 0

    def set_up(self):
        super().set_up()
        self.bids = self.most_bids = 2
        self.opening = self.seats

    def bid(self, state, place, bid, bidding):
        """Who bids 1 begins the play."""
        over = bidding & (bid == 0) & (state.made == self.opening - 1)
        made = torch.where(over, self.length + self.beyond, state.made)
        return replace(state, made=torch.where(bidding & (bid == 1), self.opening - 1, made).to(torch.int8))


class PutsAway(FiveSuits):
    """The first seat puts a card away, and with that of the first suit ends the game."""

    name = "puts-away"

    def set_up(self):
        super().set_up()
        self.opening = self.seats

    def giving(self, state):
        return state.made < self.opening

    def give(self, state, place, card, giving):
        made = torch.where(giving & (card & 7 != 0), self.length, torch.where(giving, self.opening - 1, state.made))
        return replace(super().give(state, place, card, giving), made=made.to(torch.int8))


def test_a_bid_that_ends_the_game_ends_it() -> None:
    """Random play passes so often in one game of sixteen."""
    game = PassedOut()
    state = game.deal(2, seed=0)
    for _ in range(3):
        state = game.step(state, [game.first_bid] * 2, validate=True)
    state = game.step(state, [game.first_bid, game.first_bid + 1], validate=True)
    assert state.made.tolist() == [game.length, game.opening] and game.is_terminal(state).tolist() == [True, False]
    assert contract.same(game.step(state, [0, int(game.legal_actions(state)[1, 0])])[:1], state[:1])
    assert contract.lowest_and_highest_end(game) is None and contract.every_decision(game) is None


@dataclass(frozen=True)
class PassedMatchRules(Limits):
    cards: int = 3
    players: int = 4
    target: int = 100
    games: int = 2


@dataclass(frozen=True)
class PassedMatchState(Standing, FiveSuitsState):
    dealer: torch.Tensor  # [B] int8


class PassedMatch(Match, PassedOut):
    name, rules_type, state_type = "passed-match", PassedMatchRules, PassedMatchState


def test_a_bid_that_ends_a_game_of_a_match_is_followed_by_the_next_game() -> None:
    game = PassedMatch()
    state = game.deal(3, seed=0)
    for number in range(4):
        state = game.step(state, [game.first_bid] * 3, validate=True)
        assert state.number.tolist() == [number // 3] * 3
    assert state.made.tolist() == [0] * 3 and not game.is_terminal(state).any()
    for _ in range(4):
        state = game.step(state, [game.first_bid] * 3, validate=True)
    assert state.number.tolist() == [2] * 3 and game.is_terminal(state).all()


def test_a_card_given_away_that_ends_the_game_ends_it() -> None:
    game = PutsAway()
    state = game.deal(100, seed=0)
    action = game.legal_actions(state)[:, 0]
    over = action < 3
    state = game.step(state, action, validate=True)
    assert over.any() and not over.all() and torch.equal(game.is_terminal(state), over)
    assert torch.equal(state.made, torch.where(over, game.length, game.opening).to(torch.int8))


class InItsClass(FiveSuits):
    """Says in its class what may be said in `set_up`."""

    name, rules_type = "in-its-class", NoRules
    seats, cards, deck, tricks, held, bids, opening = 3, 4, (1 << 12) - 1, 3, 5, 6, 3
    led_suits, first_bid = 6, 0


class WithHalfTheBids(InItsClass):
    def set_up(self):
        self.most_bids, self.held = self.bids // 2, 0


def test_numbers_are_taken_from_the_class_too() -> None:
    game = InItsClass()
    assert (game.seats, game.cards, game.deck, game.tricks, game.held) == (3, 4, 0xFFF, 3, 5)
    assert (game.bids, game.most_bids, game.opening, game.length) == (6, 6, 3, 3 + 3 * 3)
    assert (game.led_suits, game.first_bid, game.num_actions, game.max_legal) == (6, 0, 15, 6)
    half = WithHalfTheBids()
    assert (half.bids, half.most_bids, half.held, half.max_legal) == (6, 3, 4, 4)
    plain = FiveSuits()
    assert (plain.seats, plain.cards, plain.deck, plain.tricks, plain.held, plain.bids) == (4, 3, 0x7FFF, 3, 3, 0)
    assert (plain.most_bids, plain.opening, plain.led_suits, plain.first_bid) == (0, 0, 5, 15)


class Pack(Whist):
    """Whist with a smaller pack, as one might think."""

    layout = Layout(suits=2, ranks=4)


class Hasty(Whist):
    """Whist that says how many actions may be legal."""

    def set_up(self) -> None:
        super().set_up()
        self.max_legal = 3


@pytest.mark.parametrize(
    ("game", "told"),
    [
        (Pack, "Pack sets layout, which would change nothing: it follows from the layout of its state's class"),
        (Hasty, "Hasty sets max_legal, which would change nothing: it follows from held, others and most_bids"),
    ],
)
def test_a_number_that_follows_from_others_cannot_be_set(game: type[TrickGame], told: str) -> None:
    """It was passed over without a word."""
    with pytest.raises(ValueError, match=f"^{told}$"):
        game()


def test_help_says_what_the_numbers_mean() -> None:
    for name in ("deck", "held", "tricks", "opening", "bids", "most_bids", "first_bid", "led_suits", "lowest"):
        assert f"``{name}``" in TrickGame.__doc__


class PassedBeyond(PassedOut):
    beyond = 1


def test_the_contract_finds_games_that_go_on_beyond_their_end() -> None:
    with pytest.raises(AssertionError, match=r"made is 18 after 4 moves: a game ends by length=16$"):
        contract.lowest_and_highest_end(PassedBeyond())


@pytest.mark.parametrize("seats", [3, 4, 5])
def test_turns_go_round_to_the_last_decision_that_there_may_be(seats: int) -> None:
    class Bidding(FiveSuits):
        def set_up(self) -> None:
            super().set_up()
            self.bids = self.most_bids = 2
            self.opening = 127 - self.seats * self.cards

    game = Bidding(players=seats)
    state, first = game.deal(20, seed=7), 0
    for decision in range(game.decisions):
        first = first if 0 < decision < game.opening or state.trick.ge(0).any() else state.leader
        turn = decision if decision < game.opening else (decision - game.opening) % seats
        assert torch.equal(game.mover(state), (first.long() + turn) % seats)
        state = game.step(state, random_action(game, state))
    assert game.decisions == 127 and game.is_terminal(state).all()


def test_an_engine_that_could_not_play_it_says_so() -> None:
    @dataclass(frozen=True)
    class JokerState(TrickState):
        layout = Layout(extra=2, extra_names=("joker", "joker"))

    class Jokers(Whist):
        state_type = JokerState

    with pytest.raises(ValueError, match="cards that belong to none of the 4 suits that may be led: set led_suits"):
        Jokers(cards=5, trump="none")

    class Strong(Whist):
        def strengths(self) -> torch.Tensor:
            return 3 * super().strengths() + 14

    with pytest.raises(ValueError, match="Strong has strengths from 14 to 128; they must be from 0 to 127"):
        Strong().observe(Strong().deal(1))

    class Crowd(Whist):
        def set_up(self) -> None:
            super().set_up()
            self.seats = 9

    with pytest.raises(ValueError, match="Crowd has 9 seats; there may be 2 to 8"):
        Crowd(cards=5, trump="none")

    class Bidders(Whist):
        highest_bid, at = 62, 52

        def set_up(self) -> None:
            super().set_up()
            self.bids = self.most_bids = self.highest_bid + 1
            self.opening, self.first_bid = 4, self.at

    most = Bidders()
    assert most.legal_mask(most.deal(2))[:, 52:].all() and most.legal_actions(most.deal(1))[0, -1] == 52 + 62
    with pytest.raises(ValueError, match="TooMany has 70 bids; there may be 63, the bits of a word"):
        type("TooMany", (Bidders,), {"highest_bid": 69})()
    with pytest.raises(ValueError, match="Between has first_bid=10; it must be 0 or 52"):
        type("Between", (Bidders,), {"highest_bid": 2, "at": 10})()

    @dataclass
    class Loose:
        cards: int = 13

    with pytest.raises(ValueError, match=r"^Loose must be frozen, as games are .*: @dataclass\(frozen=True\)$"):
        type("Unfrozen", (Whist,), {"rules_type": Loose})()
