"""The contract finds what is broken, and says which rule it is; games that are right pass, if need be with a note."""

from copy import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from tests.crazy_eights import CrazyEights
from tests.small_games import Count, CountState, Draw, DrawState, FiveSuits, FiveSuitsState, Kuhn
from tests.test_hands import Pick, PickState
from vecgame import Blob, Spades, Stream, Whist, contract
from vecgame.cards import bit, popcount, unpack
from vecgame.contract import uniform
from vecgame.dealing import future_of, numbers
from vecgame.hidden import Hidden, dealt_anew, nobody, own, places
from vecgame.philox import Purpose

NOTE = uniform.TOO_FEW


RIGHT = {
    "nothing hidden": Count(),
    "poker": Kuhn(),
    "a stock": Draw(),
    "a stock, its next card face up": Draw(face_up=True),
    "tricks in five suits": FiveSuits(),
    "cards shuffled again": CrazyEights(players=2, cards=2, suits=2, ranks=4),
    "bids that are shown together": Blob(cards=2, ranks=3, bidding="once", hook=False),
    "cards unseen while bidding": Blob(cards=1, ranks=2, sight="blind"),
}


@pytest.mark.slow
@pytest.mark.parametrize("game", RIGHT.values(), ids=RIGHT)
def test_right_games_are_compared_in_all(game) -> None:
    assert contract.check(game) == ()


def test_each_world_shuffles_the_pile_in_its_own_order() -> None:
    """Half of them another card first, of two; all of them the same cards, which all have seen."""
    game = RIGHT["cards shuffled again"]
    states = [s[(s.stock < 0).all(-1) & game.legal_mask(s)[:, game.draw]] for s in contract.positions(game, 400)]
    state = next(s for s in states if len(s) and (popcount(s.pile) == 3).any())
    state = state[popcount(state.pile) == 3][:1]
    after = game.step(game.determinize(state, 200), [game.draw] * 200)
    under, drawn = int(state.pile & ~bit(state.top)), after.hands.gather(1, state.to_move.repeat(200)[:, None])[:, 0]
    first = drawn & ~state.hands.gather(1, state.to_move[:, None])[:, 0]
    assert (first | bit(after.stock[:, 0]) == under).all() and 70 < (first == under & -under).sum() < 130


@pytest.mark.slow
def test_what_cannot_be_compared_is_a_note() -> None:
    assert contract.check(Blob(cards=1)) == (NOTE,)


def test_what_cannot_be_listed_is_a_note() -> None:
    assert contract.check(Draw(stock=8)) == (NOTE,)


@dataclass(frozen=True)
class FaceDownState(DrawState):
    down: Tensor  # [B, 2] int64, the card that each seat has put away


class FaceDown(Draw):
    """Each seat first puts a card away, which only it knows."""

    def deal(self, *args, **kwargs):
        state = super().deal(*args, **kwargs)
        return FaceDownState(**state.tensors(), down=torch.zeros_like(state.hands))

    def step(self, state, action):
        after, first = super().step(state, action), state.made < 2
        mine = (torch.arange(2) == self.mover(state)[:, None]) & first[:, None]
        return replace(
            after,
            down=torch.where(mine, bit(action)[:, None], state.down),
            played=torch.where(first, state.played, after.played),
            last=torch.where(first, state.last, after.last),
            won=torch.where(first[:, None], state.won, after.won),
        )

    def hidden(self, state):
        fields = super().hidden(state)
        return {**fields, "down": Hidden(fields["hands"].sees)}


class GuessesWhatIsPutAway(FaceDown):
    """Takes it for likelier that the other has put its lower card away."""

    def determinize(self, state, count=3, seed=0):
        worlds = super().determinize(state, count, seed)
        other = torch.arange(2) != self.mover(worlds)[:, None]
        hand = torch.where(worlds.hands != 0, worlds.hands & -worlds.hands, worlds.down)
        change = torch.where(other & (worlds.down > hand), worlds.down ^ hand, 0)
        return replace(worlds, hands=worlds.hands ^ change, down=worlds.down ^ change)


@dataclass(frozen=True)
class LuckState(DrawState):
    luck: Tensor  # [B] int64


class Lucky(Draw):
    """With a hidden number, which no card comes by."""

    by_number = False

    def deal(self, *args, **kwargs):
        state = super().deal(*args, **kwargs)
        return LuckState(**state.tensors(), luck=future_of(Stream(7, state.index, torch.zeros_like(state.index))))

    def hidden(self, state):
        return {**super().hidden(state), "luck": Hidden(nobody(state.luck, 2), "number")}

    def step(self, state, action):
        turned = state.stock.flip(-1) if self.by_number else state.stock
        first = (state.made == 0) & (state.luck % 2 == 1)
        return super().step(replace(state, stock=torch.where(first[:, None], turned, state.stock)), action)


class Luckier(Lucky):
    """Which turns the stock round or not before the first draw."""

    by_number = True


def test_what_others_did_in_secret_is_any_of_what_they_might_have_done() -> None:
    """In the other's place it may have put away another card, so that to repeat what it did would rule out too much."""
    assert contract.check(FaceDown()) == ()


def test_a_past_in_which_chance_came_by_a_hidden_number_is_a_note() -> None:
    assert contract.check(Lucky()) == () and contract.check(Luckier()) == (NOTE,)


@dataclass(frozen=True)
class DiceState(CountState):
    dice: Tensor  # [B, 2] int8, 0 .. 5, which their owner sees


class Dice(Count):
    """Each seat has a die under its cup, which only it sees."""

    dtype = torch.int8

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream = numbers(batch_size, seed, device, first_index)
        dice = (6 * stream.uniform(Purpose.TRUMP, 2)).to(self.dtype)
        return DiceState(stream.game, torch.zeros_like(stream.game), dice)

    def hidden(self, state):
        return {"dice": Hidden(own(2, state.batch_size, state.device), "number", place=False)}

    def determinize(self, state, count=3, seed=0):
        stream = Stream.of_worlds(seed, state.index, self.turn(state), count)
        worlds = state.repeat(count)
        thrown = (6 * stream.uniform(Purpose.HIDDEN, 2)).to(self.dtype)
        mine = self.hidden(worlds)["dice"].seen_by(self.mover(worlds))
        return replace(worlds, dice=torch.where(mine, worlds.dice, thrown))


class DiceAsBits(Dice):
    """Leaves dice to be drawn as what later cards come from."""

    def determinize(self, state, count=3, seed=0):
        return dealt_anew(self, state, count, seed)


class LongDiceAsBits(DiceAsBits):
    dtype = torch.int64


def test_numbers_without_cards_are_a_note() -> None:
    """How often each comes in worlds is not compared."""
    assert contract.check(Dice()) == (uniform.NUMBERS_ONLY,)


@dataclass(frozen=True)
class SecretState(DiceState):
    secret: Tensor  # [B] int64, which nobody sees


class Secret(LongDiceAsBits):
    def hidden(self, state):
        return {**super().hidden(state), "secret": Hidden(nobody(state.secret, 2), "number", place=False)}


def test_hidden_numbers_are_any_of_56_bits_each_drawn_by_itself() -> None:
    """But for those that the mover sees. A bit of 4,000 draws is set as often as not, within five standard errors."""
    dice = LongDiceAsBits().deal(20, seed=1)
    game, state = Secret(), SecretState(**dice.tensors(), secret=dice.index)
    state = game.step(state, game.legal_actions(state)[:, 0])  # the second seat is to move
    worlds = dealt_anew(game, state, 100, seed=2)
    assert torch.equal(worlds.dice[:, 1], state.dice[:, 1].repeat_interleave(100))
    drawn = torch.cat([worlds.dice[:, 0], worlds.secret])
    assert len(drawn.unique()) == 4000 and drawn.min() >= 0 and drawn.max() < 1 << 56
    share = (drawn[:, None] >> torch.arange(56) & 1).double().mean(0)
    assert ((share - 0.5).abs() < 5 * 0.5 / 4000**0.5).all()


# --- what a game says of itself ---


@dataclass(frozen=True)
class HidesTake(CountState):
    take: Tensor  # [B] int64


class FieldHidesMethod(Count):
    """Names a field as a method of every state is named."""

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        state = super().deal(batch_size, seed, device, first_index)
        return HidesTake(state.index, state.made, take=state.made)


class UpsideDown(Count):
    """Gives the scale of its scores from the top."""

    lowest, highest = 1.0, 0.0


class Lonely(Count):
    seats = 1


class TooManyCards(Kuhn):
    deck = 0b1111


class NamesNoField(Kuhn):
    def hidden(self, state):
        return {"cards": super().hidden(state)["hands"]}


class SeesInAnotherShape(Draw):
    def hidden(self, state):
        return {**super().hidden(state), "stock": Hidden(nobody(state.stock[:, :2], 2), holds="cards")}


class Again(Count):
    """Deals anew whatever the seed."""

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        torch.manual_seed(first_index)
        state = super().deal(batch_size, seed, device, first_index)
        return replace(state, made=torch.randint(0, 2, (batch_size,)))


# --- its turns, cards and scores ---


class ThirdSeat(Count):
    """Lets a seat move that is none."""

    def mover(self, state):
        return state.made % 3


class OneTurn(Count):
    """Has one turn for two decisions."""

    def turn(self, state):
        return state.made // 2


class WrongSeat(Draw):
    """Lets the same seat move until it has nothing left."""

    def mover(self, state):
        return torch.zeros_like(state.made)


class EndsLate(Whist):
    """Has one decision more than it says."""

    def is_terminal(self, state):
        return state.made > self.decisions


class DealsTwice(Draw):
    """Deals a card that is in a hand to the stock as well."""

    def deal(self, *args, **kwargs):
        state = super().deal(*args, **kwargs)
        twice = (state.hands[:, 1].double().log2()).to(torch.int8)[:, None]  # the higher one of the second hand
        return replace(state, stock=torch.cat([state.stock[:, :3], twice], -1))


class DealsBeyond(Draw):
    """Deals a card that is none of the deck's."""

    def __init__(self):
        super().__init__()
        self.deck ^= 1


class ForgetsTheTable(Draw):
    """Does not say that the cards on the table lie open."""

    def open_cards(self, state):
        return state.shown.sum(-1)


class SaysThatHandsAreFixed(Draw):
    fixed_hands = True


class DrawsByNumber(Kuhn):
    """Draws in a step what all worlds draw."""

    def step(self, state, action):
        chance = Stream(0, state.index, state.made).integers(Purpose.TRUMP, 2)
        return super().step(state, action & chance)


class PaysPartnersUnequally(Spades):
    """Gives the third seat a little more."""

    def points(self, state):
        return super().points(state) + 900 * (torch.arange(4) == 2)


class PaysBelow(Kuhn):
    lowest = -1.0


class PaysAnotherSum(Kuhn):
    sum_of_scores = 1.0


class PaysThirds(FiveSuits):
    """Who have most tricks share a pot of a chip of each seat, which rounds their shares."""

    sum_of_scores = 0.0

    def set_up(self):
        self.lowest, self.highest = -1.0, 3.0

    def points(self, state):
        most = (state.won == state.won.amax(-1, keepdim=True)).float()
        return 4 * most / most.sum(-1, keepdim=True) - 1


def test_a_sum_of_scores_may_be_rounded() -> None:
    *_, end = contract.positions(game := PaysThirds(), 400)
    assert game.scores(end).sum(-1).abs().max() > 0
    assert all(check(game) is None for check in contract.CHECKS if check.__name__ in ("every_decision", "ends"))


class PaysTooMuch(Spades):
    """Counts points where a value should be."""

    def values(self, state, dtype=torch.float32):
        return self.scores(state).to(dtype)


class PaysNothing(Count):
    def points(self, state):
        return super().points(state) / 0


class TakesTwoSuitsForOne(FiveSuits):
    """Tells the fifth suit, if it is led, as it tells the first."""

    def observe(self, state, seat=None):
        view = copy(self)
        vars(view)["suit_led"] = lambda state, trick: torch.remainder(self.suit_led(state, trick), 4)
        return FiveSuits.observe(view, state, seat)


class StepsInPlace(Kuhn):
    """Writes into the tensors of the state, which is frozen and they are not."""

    def step(self, state, action):
        after = super().step(state, action)
        state.bets.copy_(after.bets)
        state.made.copy_(after.made)
        return state


class MarksAnotherColumn(Kuhn):
    """Lets the policy take a column that is no action's, by which nothing could be played."""

    def policy_columns(self, state, action):
        return torch.zeros_like(action.long())

    def policy_mask(self, state):
        return torch.ones_like(self.legal_mask(state))


class ForcesInPlace(Count):
    def play_forced(self, state):
        state.made.copy_(super().play_forced(state).made)
        return state


class DrawsInPlace(Kuhn):
    """Turns the cards of the state that it draws worlds of."""

    def determinize(self, state, count=3, seed=0):
        drawn = super().determinize(state, count, seed)
        state.hands.copy_(drawn.hands[::count])
        return drawn


class ShowsAllByDefault(Kuhn):
    """Shows the other card to who does not ask for a seat's view."""

    def observe(self, state, seat=None):
        seen = super().observe(state, seat)
        both = unpack(state.hands.sum(-1), torch.float32, size=3)
        return seen if seat is not None else torch.cat([both, seen[:, 3:]], -1)


# --- lanes, and what is hidden ---


class CouplesGames(Whist):
    """Scales features by the batch's."""

    def observe(self, state, seat=None):
        seen = super().observe(state, seat)
        return seen / seen.amax(0).clamp(min=0.5)


class AsksForTheFirst(Kuhn):
    """Looks at the games' last decision, which none of no games is."""

    def step(self, state, action):
        assert int(state.made.max()) <= self.decisions
        return super().step(state, action)


class DrawsFromElsewhere(Kuhn):
    """Draws worlds by PyTorch's own random numbers."""

    def determinize(self, state, count=3, seed=0):
        return super().determinize(state, count, int(torch.randint(1000, ())))


class LeavesTheStock(Draw):
    """Draws the other hand, and leaves the stock as it is."""

    def determinize(self, state, count=3, seed=0):
        return dealt_anew(self, state.repeat(count), count, seed, given=["stock"])


class DrawsOneWorld(Draw):
    """Draws one world a game, and takes it for all."""

    def determinize(self, state, count=3, seed=0):
        return super().determinize(state, 1, seed).repeat(count)


class DrawsOneStock(Draw):
    """Draws the stock once a game, and the other hand from what it leaves."""

    def determinize(self, state, count=3, seed=0):
        once = super().determinize(state, 1, seed).repeat(count)
        return dealt_anew(self, once, count, seed, given=["stock"])


class IgnoresTheSeed(Kuhn):
    def determinize(self, state, count=3, seed=0):
        return super().determinize(state, count, 7)


class HasAFavouriteWorld(Draw):
    """Chooses in all worlds of a game but the first."""

    def determinize(self, state, count=3, seed=0):
        a, b = super().determinize(state, count, seed), super().determinize(state, count, seed + 1)
        first = torch.arange(len(a)) % count == 0
        return a.where(first | (a.hands.sum(-1) < b.hands.sum(-1)), b)


class LeavesWhatNobodyHolds(Draw):
    """Knows which card is out of play, as it shuffles only those that will be played."""

    def open_cards(self, state):
        return super().open_cards(state) | (self.out(state) if self.drawing else 0)

    drawing = False

    def out(self, state):
        return self.deck & ~(places(self.hidden(state), state).sum(-1) | Draw.open_cards(self, state))

    def determinize(self, state, count=3, seed=0):
        view = copy(self)
        view.drawing = True
        return Draw.determinize(view, state, count, seed)


class SaysNothingOfTheStock(Draw):
    """Does not say that the stock is hidden."""

    def hidden(self, state):
        return {"hands": super().hidden(state)["hands"]}


@dataclass(frozen=True)
class StockState(FiveSuitsState):
    holds: ClassVar = {"stock": "cards"}

    stock: Tensor  # [B, 3] int8, -1 once a card has been played


class ForgetsItsStock(FiveSuits):
    """Has a stock, which is taken away with the first card, and says no longer that it is hidden."""

    state_type = StockState

    def hidden(self, state):
        return {"hands": super().hidden(state)["hands"]}

    def begin(self, hands, index, dealer, stock):
        return self.start(hands, index, dealer, stock=stock)

    def taken(self, state, trick, place, complete):
        return replace(state, stock=torch.full_like(state.stock, -1))


@dataclass(frozen=True)
class NumbersState(PickState):
    holds: ClassVar = {"stock": "number"}


class PicksFromNumbers(Pick):
    """Does not say that its stock is hidden, nor that it holds cards, so that they are not open."""

    state_type = NumbersState

    def hidden(self, state):
        return {"hands": super().hidden(state)["hands"]}


class ChangesTheTable(Draw):
    """Draws what is public."""

    def determinize(self, state, count=3, seed=0):
        drawn = super().determinize(state, count, seed)
        return replace(drawn, last=torch.zeros_like(drawn.last))


class ForgetsItsHand(Draw):
    """Draws the mover's own hand, too."""

    def determinize(self, state, count=3, seed=0):
        view = copy(self)
        vars(view)["mover"] = lambda state: 1 - self.mover(state)
        return Draw.determinize(view, state, count, seed)


class LosesCards(Draw):
    """Draws too few cards."""

    def determinize(self, state, count=3, seed=0):
        drawn = super().determinize(state, count, seed)
        other = torch.arange(2) != self.mover(drawn)[:, None]
        return replace(drawn, hands=torch.where(other, drawn.hands & (drawn.hands - 1), drawn.hands))


class DrawsTwice(Draw):
    """Draws the other hand from all cards that it does not see, and the stock as well."""

    def determinize(self, state, count=3, seed=0):
        a, b = super().determinize(state, count, seed), super().determinize(state, count, seed + 1)
        return replace(a, hands=b.hands)


class TellsTooMuch(Whist):
    """Looks at the next player's hand."""

    own_features = Whist.own_features + 1

    def own_block(self, state, viewer):
        next_ = state.hands.gather(1, (viewer[:, None] + 1) % 4)[:, 0]
        return [*super().own_block(state, viewer), popcount(next_ & 0x1FFF) / 13]

    def own_columns(self):
        return [*super().own_columns(), (1, "spades of the next player")]


class TellsTheNextCard(Draw):
    """Shows a card of the stock that nobody sees."""

    def observe(self, state, seat=None):
        seen = super().observe(state, seat)
        return torch.cat([seen[:, :-1], seen[:, -1:] * (state.stock[:, 3:] % 2)], -1)


class LooksAtTheOther(Kuhn):
    """Does not let a seat bet against the highest card."""

    def legal_mask(self, state):
        mask = super().legal_mask(state)
        other = state.hands.gather(1, 1 - self.mover(state)[:, None])
        return torch.cat([mask[:, :1], mask[:, 1:] & (other != 4)], -1)


class SeedsByTheTruth(Draw):
    """Draws other worlds for another truth."""

    def determinize(self, state, count=3, seed=0):
        a, b = super().determinize(state, count, seed), super().determinize(state, count, seed + 1)
        return a.where(state.repeat(count).stock[:, 3] % 2 == 0, b)


# --- how likely worlds are ---


class ForgetsWhatWasShown(Draw):
    """Takes the card that all have seen into the hidden hand, where the worlds do not look for it."""

    def step(self, state, action):
        after = super().step(state, action)
        return replace(after, hands=after.hands | after.shown, shown=torch.zeros_like(after.shown))


class ThinksInLowCards(Draw):
    """Draws two worlds and takes the one in which the hands hold the lower cards."""

    def determinize(self, state, count=3, seed=0):
        a, b = super().determinize(state, count, seed), super().determinize(state, count, seed + 1)
        return a.where(a.hands.sum(-1) < b.hands.sum(-1), b)


class ThinksSoAtTimes(ThinksInLowCards):
    """Likewise, where the mover holds the highest card alone."""

    def determinize(self, state, count=3, seed=0):
        even, uneven = Draw.determinize(self, state, count, seed), super().determinize(state, count, seed)
        return uneven.where(self.held(even, self.mover(even)) == 1 << self.num_actions - 1, even)


@pytest.mark.slow
def test_what_happens_now_and_then_is_met_in_more_games() -> None:
    game = ThinksSoAtTimes(out=1)
    assert contract.check(game) == ()
    with pytest.raises(AssertionError, match="not uniform"):
        contract.check(game, pasts=60)


class LowAndLucky(ThinksInLowCards, Lucky):
    """Likewise beside a hidden number."""


class DrawsWhenItMust(CrazyEights):
    """Lets a seat draw only if it has no card that fits, and does not say what others learn of its hand by that."""

    def legal_mask(self, state):
        mask = super().legal_mask(state)
        must = ~mask[:, : self.size].any(-1) | self.is_terminal(state)
        draws = mask[:, self.draw] & must
        rest = torch.stack([draws, mask[:, -1] | (mask[:, self.draw] & ~must & ~mask[:, : self.draw].any(-1))], -1)
        return torch.cat([mask[:, : self.draw], rest], -1)


class ForgetsVoids(Blob):
    """Draws hands as if nobody had shown anything."""

    def may_hold(self, state, viewer):
        return torch.full_like(super().may_hold(state, viewer), -1)


class DrawsUnevenly(Blob):
    """Draws two worlds and takes the one in which seat 0 holds the lower cards."""

    def determinize(self, state, count=3, seed=0):
        a, b = super().determinize(state, count, seed), super().determinize(state, count, seed + 1)
        return a.where(a.hands[:, 0] < b.hands[:, 0], b)


class NeverFollows(Whist):
    """Calls everything legal, though a seat that does not follow counts as void."""

    def legal_cards(self, state):
        return state.hands.gather(1, self.mover(state)[:, None])[:, 0] | self.is_terminal(state)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (FieldHidesMethod(), "the state's field take hides what every State can do"),
        (UpsideDown(), "lowest=1.0 and highest=0.0 are no scale"),
        (Lonely(), "seats must be from 2 to 8, got 1"),
        (TooManyCards(), "deck has cards beyond the 3 of the layout"),
        (NamesNoField(), "hidden names cards, which is no field"),
        (
            SeesInAnotherShape(),
            r"who sees stock must be torch.bool of shape \[24, 2, 4\], not torch.bool of \[24, 2, 2\]",
        ),
        (Again(), "deals depend on how the run is cut"),
        (ThirdSeat(), "mover is none of the 2 seats"),
        (OneTurn(), "two decisions of a game have the same turn"),
        (Count(300), "300 decisions are more than the 255 that random numbers have room for"),
        (WrongSeat(), "seat 0 is to move after 6 moves, and nothing is legal"),
        (EndsLate(trump="none"), "goes on after decisions=52"),
        (DealsTwice(), "a card is in two places, hands and stock"),
        (DealsBeyond(), "holds a card that is not in the deck"),
        (ForgetsTheTable(), "a card leaves its place for none: open_cards"),
        (SaysThatHandsAreFixed(), "fixed_hands must be False"),
        (DrawsByNumber(), "step draws by the game's number"),
        (PaysPartnersUnequally(), "scores of partners differ"),
        (PaysBelow(), "a score of -2 is outside of -1 to 2"),
        (PaysAnotherSum(), "scores do not sum to sum_of_scores=1"),
        (PaysTooMuch(), "values are not the scores on the scale from lowest to highest"),
        (PaysNothing(), "scores has a number that is not finite"),
        (TakesTwoSuitsForOne(), "observe does not tell suit 4 led from suit 0 led"),
        (MarksAnotherColumn(), "policy_mask has a column that is no legal action's"),
        (StepsInPlace(), "step changes the state that it is given"),
        (ForcesInPlace(), "play_forced changes the state that it is given"),
        (DrawsInPlace(), "determinize changes the state that it is given"),
        (ShowsAllByDefault(), "observe without a seat does not tell what it tells the mover"),
        (CouplesGames(), "observe depends on the other games"),
        (AsksForTheFirst(), "step fails on no games at all, of which a search asks at times: max"),
        (DrawsFromElsewhere(), "determinize differs when called again"),
        (LeavesTheStock(out=2), "stock is left in place in every world"),
        (DiceAsBits(), "determinize changes the dtype or shape of dice, torch.int8"),
        (LongDiceAsBits(), r"dice holds numbers up to 5 and in worlds up to \d+: draw them in determinize"),
        (DrawsOneWorld(out=2), "what nobody holds is the same in all worlds of a game"),
        (DrawsOneWorld(), "hands is the same in all worlds of a game"),
        (DrawsOneStock(out=2), "stock is the same in all worlds of a game"),
        (IgnoresTheSeed(), "what nobody holds is the same in worlds of every seed"),
        (HasAFavouriteWorld(), "not uniform"),
        (LeavesWhatNobodyHolds(out=2), "what nobody holds is left in place in every world"),
        (
            SaysNothingOfTheStock(),
            "a world has .+♠ in hands and in the public field stock .as cards.: say that",
        ),
        (
            ForgetsItsStock(),
            "a world has . of red in hands and in the public field stock .as cards.: say that",
        ),
        (
            PicksFromNumbers(ranks=6),
            "a world has .. in hands and in the public field stock .as cards.: say that",
        ),
        (ChangesTheTable(), "determinize changes the public field last; if hidden, say so in hidden"),
        (ForgetsItsHand(), "determinize changes what the mover sees of hands"),
        (LosesCards(), "determinize changes how many cards are in hands"),
        (DrawsTwice(), "in a world a card is in two places, hands and stock"),
        (TellsTooMuch(), "observe tells of hidden cards"),
        (TellsTheNextCard(), "observe tells of hidden cards"),
        (LooksAtTheOther(), "legal_mask tells of hidden cards"),
        (SeedsByTheTruth(), "determinize looks at hidden cards"),
        (ForgetsWhatWasShown(face_up=True), "the past would be illegal"),
        (ThinksInLowCards(), "not uniform"),
        (LowAndLucky(), "not uniform"),
        (GuessesWhatIsPutAway(), "not uniform"),
        (DrawsWhenItMust(players=2, cards=2, suits=2, ranks=4), "the past would be illegal"),
        (ForgetsVoids(cards=4, ranks=5), "the past would be illegal"),
        (DrawsUnevenly(cards=4, ranks=5), "not uniform"),
        (NeverFollows(trump="none"), "a seat holds cards that may_hold or shows rule out"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_the_contract_names_what_is_broken(broken, message: str) -> None:
    with pytest.raises(AssertionError, match=message) as error:
        contract.check(broken)
    assert "\n" not in str(error.value)
