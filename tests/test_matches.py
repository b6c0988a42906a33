"""Matches of Hearts, Spades, Euchre and Whist: single games one after the other, and what they are worth in the end."""

import pickle
from collections.abc import Callable
from dataclasses import fields, make_dataclass, replace

import pytest
import torch
from torch import Tensor

from tests.helpers import assert_same_state, random_actions
from tests.test_search_sync import assert_no_wait
from vecgame import (
    Briscola,
    Doppelkopf,
    Euchre,
    EuchreMatch,
    Hearts,
    HeartsMatch,
    Skat,
    Spades,
    SpadesMatch,
    TrickGame,
    TrickState,
    WhistMatch,
    Wizard,
    seeing,
)
from vecgame import Whist as WhistGame
from vecgame.cards import popcount
from vecgame.game import NoRules
from vecgame.games.hearts import ROTATION
from vecgame.games.match import Limits, Match, Standing

LANES = 12
SMALL = {
    "hearts": (HeartsMatch(target=40, games=5), Hearts(passing="rotate")),
    "hearts, no passing": (HeartsMatch(target=60, games=3, passing="none"), Hearts()),
    "spades": (SpadesMatch(cards=5, dealer="rotate", games=12, target=60), Spades(cards=5, dealer="rotate")),
    "euchre": (EuchreMatch(target=4, stick_the_dealer=False), Euchre(stick_the_dealer=False)),
    "whist": (WhistMatch(trump="rotate", dealer=2), WhistGame(trump="rotate", dealer=2)),
    "whist, one card": (WhistMatch(trump="random", cards=1), WhistGame(trump="random", cards=1)),
}


def tally_of(game: TrickGame) -> Callable[[TrickState, Tensor], Tensor]:
    """What finished games ([B] bool) add to the totals, by the games' scores, and for Spades counted by hand."""
    bags = [[0, 0] for _ in range(LANES)]

    def spades(end: TrickState, ended: Tensor) -> Tensor:
        rows = torch.zeros(LANES, 4)
        for lane in ended.nonzero()[:, 0].tolist():
            bids, won = end.bids[lane].tolist(), end.won[lane].tolist()
            for side in range(2):
                points = sum((100 if won[k] == 0 else -100) for k in (side, side + 2) if bids[k] == 0)
                bid, tricks = bids[side] + bids[side + 2], won[side] + won[side + 2]
                points += 10 * bid + tricks - bid if tricks >= bid else -10 * bid
                bags[lane][side] += max(tricks - bid, 0)
                while bags[lane][side] >= 10:
                    bags[lane][side] -= 10
                    points -= 100
                rows[lane, side] = rows[lane, side + 2] = points
        return rows

    if isinstance(game, Spades):
        return spades
    if isinstance(game, Hearts):
        return lambda end, ended: 26 - game.scores(end)
    odd = game.cards // 2 if isinstance(game, WhistGame) else 0
    return lambda end, ended: (game.scores(end) - odd).clamp(min=0)


def of_game(game: TrickGame, state: TrickState) -> TrickState:
    return game.state_type(**{field.name: getattr(state, field.name) for field in fields(game.state_type)})


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.slow
def test_matches_are_games_one_after_the_other(kind: str) -> None:
    match, game = SMALL[kind]
    state, generator, tally = match.deal(LANES, seed=1), torch.Generator().manual_seed(1), tally_of(game)
    first_dealer, totals, number = getattr(state, "dealer", None), torch.zeros(LANES, 4), torch.zeros(LANES)
    for _ in range(match.decisions):
        live, plain = ~match.is_terminal(state), of_game(game, state)
        assert torch.equal(live, (number < match.games) & (totals.amax(-1) < match.target))
        assert torch.equal(match.legal_mask(state)[live], game.legal_mask(plain)[live])
        assert torch.equal(match.mover(state)[live], game.mover(plain)[live])
        assert torch.equal(match.observe(state)[:, : game.features], game.observe(plain))
        assert not match.values(state)[live].any()
        action = random_actions(match, state, generator)
        before, state, after = state, match.step(state, action, validate=True), game.step(plain, action)
        ended = live & game.is_terminal(after)
        totals, number = totals + torch.where(ended[:, None], tally(after, ended), 0), number + ended
        assert_same_state(of_game(game, state)[live & ~ended], after[live & ~ended])
        assert_same_state(state[~live], before[~live])
        assert torch.equal(state.totals, totals) and torch.equal(state.number, number.to(torch.int8))
        dealt = state[ended & ~match.is_terminal(state)]
        assert (popcount(dealt.hands) == game.cards).all() and not dealt.won.any()
        assert (popcount(dealt.hands.sum(-1)) == 4 * game.cards).all()
        if first_dealer is not None:
            on = ~match.is_terminal(state)
            assert torch.equal(state.dealer[on], ((first_dealer + number) % 4).to(torch.int8)[on])
        if kind == "whist":
            assert torch.equal(dealt.trump, dealt.number % 5)
        if kind == "hearts":
            assert torch.equal(dealt.direction, torch.tensor(ROTATION, dtype=torch.int8)[dealt.number.long() % 4])
    assert match.is_terminal(state).all()
    best = totals.amin(-1, keepdim=True) if kind.startswith("hearts") else totals.amax(-1, keepdim=True)
    worth = (totals == best).float()
    worth = worth * (2 if match.partners else 1) / worth.sum(-1, keepdim=True)
    assert torch.equal(match.values(state), worth) and torch.equal(match.scores(state), worth)
    assert len(number.unique()) > 1 or match.games == 3  # some matches end earlier than others


def match_of(game: type[TrickGame], **fields: type) -> type[Match]:
    """A class of matches of a game, to 1000 points or of four games, whose state is a `Standing` and has ``fields``."""
    limits = [("target", int, 1000), ("games", int, 4)]
    rules = make_dataclass("OwnMatchRules", limits, bases=(Limits, game.rules_type), frozen=True)
    state = make_dataclass("OwnMatchState", fields.items(), bases=(Standing, game.state_type), frozen=True)
    return type("OwnMatch", (Match, game), {"name": "own-match", "rules_type": rules, "state_type": state})


@pytest.mark.parametrize(
    ("game", "rules"),
    [
        (Doppelkopf, {"dealer": "rotate"}),
        (Wizard, {"players": 3, "cards": 1, "hook": True}),
        (Skat, {}),
        (Briscola, {}),
        (Briscola, {"players": 4, "dealer": 2}),
    ],
    ids=str,
)
def test_a_match_of_any_trick_game_is_played_to_its_end(game: type[TrickGame], rules: dict[str, object]) -> None:
    match = match_of(game, dealer=Tensor)(**rules)
    state, generator = match.deal(3, seed=5), torch.Generator().manual_seed(5)
    first = state.dealer
    for _ in range(match.decisions):
        state = match.step(state, random_actions(match, state, generator))
        assert match.observe(state).abs().max() <= match.feature_limit
        assert torch.equal(state.dealer, (first + state.number.clamp(max=match.games - 1)) % match.seats)
    assert match.is_terminal(state).all() and (state.number == match.games).all()
    assert match.values(state).sum(-1).tolist() == pytest.approx([2 if match.partners else 1] * 3)


@pytest.mark.parametrize(
    ("match", "game", "given"),
    [
        (match_of(Skat, dealer=Tensor), Skat, {"trump": 4, "soloist": 2}),
        (match_of(Skat, dealer=Tensor), Skat, {"trump": 5, "soloist": 0}),
        (match_of(Briscola, dealer=Tensor), Briscola, {}),
        (HeartsMatch, Hearts, {"direction": 2}),
    ],
    ids=["grand", "null", "a card turned up", "passing"],
)
def test_a_match_is_told_in_the_words_of_its_game(
    match: type[Match], game: type[TrickGame], given: dict[str, int]
) -> None:
    """Both say what their numbers stand for, the game's state and the standing."""
    rules = {"passing": "rotate"} if game is Hearts else {}
    match, game = match(**rules), game(**rules)
    state = match.deal(1, seed=3)
    state = replace(state, **{name: torch.full_like(getattr(state, name), value) for name, value in given.items()})
    said, alone = (seeing.kinds(one, {}) for one in (state, of_game(game, state)))
    assert said == {**alone, **{name: said[name] for name in said.keys() - alone.keys()}} and said["future"] == "number"
    lines = match.text(state).splitlines()
    for line in game.text(of_game(game, state)).splitlines()[5:]:
        assert [word for word in lines if word.split() == line.split()], line


def test_a_state_says_what_it_holds_beside_what_it_extends() -> None:
    changed = type("OwnState", (Skat.state_type,), {"holds": {"soloist": "number"}})
    said = seeing.kinds(changed(**Skat().deal(1).tensors()), {})
    assert said["soloist"] == "number" and "grand" in said["trump"]


def test_the_scores_of_matches_do_not_sum_to_what_those_of_the_game_do() -> None:
    class OnceMore(Skat):
        sum_of_scores = 120.0

        def set_up(self) -> None:
            super().set_up()
            self.sum_of_scores = 120.0

    one = match_of(OnceMore, dealer=Tensor)
    assert one().sum_of_scores is None
    own = type("OwnMatch", (one,), {"sum_of_scores": 1.0})
    assert own().sum_of_scores == 1


def test_matches_that_could_not_be_played_are_refused() -> None:
    plain = {"name": "own-match", "rules_type": NoRules, "state_type": match_of(Skat, dealer=Tensor).state_type}
    for make, message in (
        (match_of(Doppelkopf), "OwnMatch must know who deals next: its OwnMatchState needs a field dealer"),
        (type("OwnMatch", (Match, Skat), {}), "OwnMatch plays on a SkatState, which must be a Standing, too"),
        (type("OwnMatch", (Match, Skat), plain), "OwnMatch ends by no rule: its rules are NoRules, which must be Lim"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def ended_with(match: Match, totals: list[float]) -> list[float]:
    state = match.deal(1)
    over = replace(state, totals=torch.tensor([totals]), number=torch.full_like(state.number, match.games))
    return match.values(over)[0].tolist()


def test_what_a_match_is_worth() -> None:
    assert ended_with(HeartsMatch(), [30.0, 101, 12, 40]) == [0, 0, 1, 0]  # the fewest points win
    assert ended_with(HeartsMatch(), [12.0, 101, 12, 40]) == [0.5, 0, 0.5, 0]
    assert ended_with(SpadesMatch(), [-30.0, -50, -30, -50]) == [1, 0, 1, 0]
    assert ended_with(WhistMatch(), [3.0, 5, 3, 5]) == [0, 1, 0, 1]
    assert ended_with(EuchreMatch(), [9.0, 9, 9, 9]) == [0.5] * 4  # nobody got to 10


def test_a_target_is_reached_though_float32_rounds() -> None:
    match, total = WhistMatch(target=7), torch.zeros(4)
    for _ in range(10):
        total = total + 0.7
    assert total[0] < 7
    totals = torch.stack([total, torch.full((4,), 6.99)])
    assert match.is_terminal(replace(match.deal(2), totals=totals)).tolist() == [True, False]
    large, most = SpadesMatch(target=1_000_000), torch.tensor([[999_999.0, 0, 999_999, 0], [1e6, 0, 1e6, 0]])
    assert large.is_terminal(replace(large.deal(2), totals=most)).tolist() == [False, True]
    assert ended_with(large, [999_999.0, 1e6, 999_999, 1e6]) == [0, 1, 0, 1]


@pytest.mark.parametrize("match", [HeartsMatch(), SpadesMatch(), EuchreMatch(), WhistMatch()], ids=lambda m: m.name)
def test_matches_as_people_play_them_end(match: Match) -> None:
    """By the target, but for Spades at random, whose bids nobody keeps: there the number of games ends it."""
    state, generator = match.deal(6, seed=3), torch.Generator().manual_seed(3)
    for decision in range(match.decisions):
        if decision % 9 == 0:
            state = match.play_forced(state)
        state = match.step(state, random_actions(match, state, generator))
    assert match.is_terminal(state).all()
    assert (match.values(state).sum(-1) == (2 if match.partners else 1)).all()
    reached = (state.totals >= match.target).any(-1)
    assert (~reached).all() if match.name == "spades-match" else reached.all()
    assert_same_state(pickle.loads(pickle.dumps(state)), state)


def test_tricks_above_the_bid_are_counted_from_game_to_game() -> None:
    match = SpadesMatch()
    state = match.deal(1)
    ended = replace(
        state,
        bids=torch.tensor([[1, 3, 1, 3]], dtype=torch.int8),
        won=torch.tensor([[4, 3, 3, 3]], dtype=torch.int8),
        bags=torch.tensor([[6, 9, 6, 9]], dtype=torch.int8),
    )
    after = match.counted(ended)  # five bags to six; none to nine
    assert after.totals.tolist() == [[20 + 5 - 100, 60, 20 + 5 - 100, 60]] and after.bags.tolist() == [[1, 9, 1, 9]]
    short = match.counted(replace(ended, won=torch.tensor([[1, 6, 0, 6]], dtype=torch.int8)))
    assert short.totals.tolist() == [[-20, 60 + 6 - 100, -20, 60 + 6 - 100]] and short.bags.tolist() == [[6, 5, 6, 5]]


def test_the_standing_is_told_from_every_seat() -> None:
    match = WhistMatch()
    hands = torch.arange(52).view(1, 4, 13)
    state = match.from_hands(hands, totals=torch.tensor([[1, 4, 1, 4]]), number=5, dealer=1)
    assert state.trump.tolist() == [1] and state.number.tolist() == [5]
    for seat in range(4):
        mine = [0.2, 0.8, 0.2, 0.8] if seat % 2 == 0 else [0.8, 0.2, 0.8, 0.2]
        told = match.observe(state, torch.tensor([seat]))[0, -6:].tolist()
        assert told == pytest.approx([*mine, 3 / 9, 0])
    last = match.from_hands(hands, number=8)
    assert match.observe(last)[0, -6:].tolist() == [0, 0, 0, 0, 0, 1]


def test_what_goes_round_goes_by_the_game_that_hands_are_given_for() -> None:
    """Not by the lane; but who dealt the first game of a match goes round with the matches."""
    hands = torch.arange(52).view(1, 4, 13).expand(4, -1, -1)
    for number in range(5):
        hearts = HeartsMatch().from_hands(hands, number=number)
        assert hearts.direction.tolist() == [ROTATION[number % 4]] * 4
        whist = WhistMatch(trump="rotate", dealer="rotate").from_hands(hands, torch.arange(6, 10), number=number)
        assert whist.trump.tolist() == [number] * 4
        assert whist.dealer.tolist() == [(lane + number) % 4 for lane in range(6, 10)]
        assert WhistMatch(dealer=3).from_hands(hands, number=number).dealer.tolist() == [(3 + number) % 4] * 4


@pytest.mark.parametrize("kind", ["hearts", "spades", "euchre", "whist"])
def test_nobody_knows_the_future(kind: str) -> None:
    match, generator = SMALL[kind][0], torch.Generator().manual_seed(2)
    state = match.deal(LANES, seed=2)
    for decision in range(120):
        if decision % 12 == 0:
            other = replace(state, future=state.future + 1)
            assert torch.equal(match.observe(state), match.observe(other))
            drawn = match.determinize(state, 3, seed=2)
            assert_same_state(drawn, match.determinize(other, 3, seed=2))
            futures = torch.cat([state.future, drawn.future]).tolist()
            assert len(set(futures)) == len(futures) and min(futures) >= 0 and max(futures) < 1 << 56
        state = match.step(state, random_actions(match, state, generator))
    turns = match.turn(state)
    assert torch.equal(turns >> 24, state.number.long()) and torch.equal(turns & 0xFF, state.made.long())


@pytest.mark.parametrize("kind", ["hearts", "spades", "euchre", "whist"])
def test_nothing_waits_for_a_gpu(kind: str, monkeypatch) -> None:
    match, generator = SMALL[kind][0], torch.Generator().manual_seed(4)
    state = match.deal(4, seed=4)
    while not (state.made == match.length - 1).any():  # before the last card of a game
        state = match.step(state, random_actions(match, state, generator))

    def work(there: TrickState) -> None:
        after = match.step(there, match.legal_actions(there)[:, 0])
        match.observe(after), match.values(after), match.legal_mask(after)

    assert_no_wait(state, work, monkeypatch)


def with_totals(totals: object) -> TrickState:
    return WhistMatch().from_hands(torch.arange(52).view(1, 4, 13), totals=totals)


def test_totals_may_be_a_list() -> None:
    given = with_totals([[1, 4, 1, 4]])
    assert given.totals.dtype == torch.float32
    assert_same_state(given, with_totals(torch.tensor([[1.0, 4, 1, 4]])))
    alone = HeartsMatch().from_hands(torch.arange(52).view(1, 4, 13).tolist(), totals=[[1, 2, 3, 4]])
    assert alone.totals.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HeartsMatch(target=0), "target must be an integer from 1 to 1000000, got 0"),
        (lambda: WhistMatch(games=128), "games must be an integer from 1 to 127, got 128"),
        (lambda: EuchreMatch(games=True), "games must be an integer from 1 to 127, got True"),
        (lambda: SpadesMatch(nil_points=-1), "nil_points must be an integer from 0 to 1000000"),
        (lambda: WhistMatch(WhistGame().rules), "rules must be a WhistMatchRules"),
        (lambda: WhistGame(WhistMatch(target=2).rules), "rules must be a WhistRules, got WhistMatchRules"),
        (lambda: WhistMatch().deal(0), "batch_size must be at least 1"),
        (
            lambda: WhistMatch().from_hands(torch.arange(52).view(1, 4, 13), number=9),
            "number must be from 0 to 8, got 9",
        ),
        (
            lambda: WhistMatch().from_hands(torch.arange(52).view(1, 4, 13), number=True),
            "number must be from 0 to 8, got True",
        ),
        (
            lambda: WhistMatch().from_hands(torch.arange(52).view(1, 4, 13), totals=torch.zeros(4)),
            r"totals must be \[1, 4\] points, got shape \[4\]",
        ),
        (
            lambda: WhistMatch().from_hands(torch.arange(52).view(1, 4, 13), totals=torch.full((1, 4), 5)),
            "totals must be below 5, where a match ends",
        ),
        (lambda: with_totals(torch.tensor([[1.0, 2, 3, 4]])), r"the same for partners.*\[1.0, 2.0, 3.0, 4.0\]$"),
        (
            lambda: with_totals(torch.tensor([[1.0, 2, 1, 4]])),
            "must be the same for partners, such as seats 0 and 2, got",
        ),
        (lambda: with_totals(torch.tensor([[1.0, torch.nan, 1, torch.nan]])), "totals must be finite, got nan"),
        (lambda: with_totals([[-float("inf"), 0, -float("inf"), 0]]), "totals must be finite, got -inf"),
        (lambda: with_totals([[1e39, 0, 1e39, 0]]), "totals must be finite, got inf"),
        (lambda: with_totals([[1, 2], [1]]), r"totals must be \[1, 4\] points, got \[\[1, 2\], \[1\]\]$"),
        (lambda: with_totals("1 2 1 2"), r"totals must be \[1, 4\] points, got '1 2 1 2'$"),
        (lambda: with_totals([[1j, 0, 1j, 0]]), r"totals must be \[1, 4\] points, got torch.complex64"),
        (lambda: WhistMatch().determinize(WhistMatch().deal(1), 70_000), "count must be at most 65536"),
    ],
)
def test_what_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
