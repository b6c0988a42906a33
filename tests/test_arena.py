"""Bots and matches."""

import math
from itertools import pairwise

import pytest
import torch

from tests.runs import quiet
from vecgame import Blob, Whist
from vecgame.dealing import ALL_NUMBERS
from veclab.arena import gate, matches
from veclab.arena.bots import FlatMonteCarlo, NetworkPlayer, RandomBot, RuleBot, SearchPlayer
from veclab.arena.evaluate import evaluate
from veclab.arena.intervals import Interval, span_of, strata_of, t_95
from veclab.arena.matches import MatchResult, one_against_all, play_deals, play_match, side_points
from veclab.bench import beliefs
from veclab.exploit import exploiter
from veclab.settings import MOST_GAMES
from veclab.table import session
from veclab.training import imitation, run
from vecmcts import PlayoutEvaluator, SearchConfig

GAME = Blob(cards=5)


def uniform_network(observation: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prefers later columns a little, so that its best action is unique."""
    return torch.arange(52.0).expand(len(observation), 52) * 1e-3, torch.zeros(len(observation), 4)


PLAYERS = [
    RandomBot(),
    RuleBot(),
    FlatMonteCarlo(worlds=4),
    NetworkPlayer(uniform_network),
    SearchPlayer(PlayoutEvaluator(), SearchConfig(worlds=2, simulations=4)),
]


@pytest.mark.parametrize("player", PLAYERS, ids=lambda player: player.name)
@pytest.mark.parametrize("cards", [1, 4, 13])
def test_players_are_legal_and_judge_each_game_by_itself(player, cards: int) -> None:
    game = Blob(cards=cards)
    state = game.deal(12, seed=9)
    random = RandomBot()
    for decision in range(game.decisions):
        if decision % max(1, game.decisions // 6) == 0:
            action = player.act(game, state, seed=2)
            assert game.legal_mask(state).gather(1, action[:, None]).all()
            some = torch.tensor([7, 2])
            assert torch.equal(player.act(game, state.take(some), seed=2), action[some])
        state = game.step(state, random.act(game, state, seed=3))


def test_flat_monte_carlo_does_not_depend_on_its_chunks() -> None:
    state = GAME.deal(10, seed=1)
    bot = FlatMonteCarlo(worlds=8)
    action = bot.act(GAME, state, seed=2)
    bot.lanes = 100
    assert torch.equal(bot.act(GAME, state, seed=2), action)


def test_rule_bot_by_hand() -> None:
    """Seat 1 leads, spades are trump. Cards: 13 * suit + rank, rank 12 = ace."""
    game = Blob(cards=2, hook=False)
    hands = torch.tensor([[[0, 20], [12, 11], [1, 21], [14, 27]]])  # seat 1 holds the ace and king of trumps
    state = game.from_hands(hands, dealer=0, trump=0)
    bot = RuleBot()
    bid = bot.act(game, state, 0)
    assert bid.tolist() == [2]  # two sure tricks
    state = game.step(state, bid)
    for weak in (0, 0, 0):
        state = game.step(state, torch.tensor([weak]))
    lead = bot.act(game, state, 0)
    assert lead.tolist() in ([11], [12])  # needs tricks: leads its strongest
    for follower in (1, 14):
        state = game.step(state, lead)
        lead = bot.act(game, state, 0)
        assert lead.tolist() == [follower]
    # Seat 0 has bid no trick and ducks with the deuce of trumps, which loses.
    state = game.step(state, lead)
    assert bot.act(game, state, 0).tolist() == [0]


def test_rule_bot_wins_with_what_it_wants_rid_of() -> None:
    """Hearts are led, seat 0 plays last and needs this trick and no other: of three winners it takes the highest."""
    game = Blob(cards=3, hook=False)
    hands = torch.tensor([[[13 + 5, 13 + 7, 13 + 11], [13 + 4, 26, 27], [13 + 1, 28, 29], [13 + 2, 30, 31]]])
    state = game.from_hands(hands, dealer=0, trump=0)
    for action in (0, 0, 0, 1, 13 + 4, 13 + 1, 13 + 2):
        state = game.step(state, torch.tensor([action]), validate=True)
    assert RuleBot().act(game, state, 0).tolist() == [13 + 11]


def test_identical_players_draw() -> None:
    match = play_match([GAME], RuleBot(), RuleBot(), 50, seed=1)
    assert match.lead.mean == pytest.approx(0, abs=1e-12) and not match.significant
    assert match.games == 200


@pytest.mark.parametrize(("mean", "half", "ahead"), [(0.5, 1.0, False), (0.5, 0.4, True), (-0.5, 0.4, False)])
def test_a_lead_counts_once_its_interval_excludes_zero(mean: float, half: float, ahead: bool) -> None:
    points = Interval(5.0, 0.1)
    assert MatchResult(points, points, Interval(mean, half), games=8).significant == ahead


def test_rotation_gives_both_sides_the_same_cards() -> None:
    """So equal players end level on each single deal, however lucky a seat is in it."""
    results = [play_match([GAME], RuleBot(), RuleBot(), 1, seed=seed) for seed in range(3)]
    assert [result.lead.mean for result in results] == pytest.approx([0.0] * 3, abs=1e-12)
    assert len({result.player.mean for result in results}) > 1
    assert all(math.isinf(result.lead.half) for result in results)


def test_partners_play_each_deal_twice() -> None:
    match = play_match([Whist(cards=1, trump="none")], RandomBot(), RuleBot(), 3, seed=1)
    assert match.games == 6 and match.player.mean + match.opponents.mean == pytest.approx(1)  # one trick


def test_rule_bot_beats_random_players() -> None:
    """The design's prototype: 6.0 against random players, who then get 1.8."""
    match = play_match([GAME], RuleBot(), RandomBot(), 400, seed=1)
    assert match.significant
    assert match.player.mean > 5.3 and 1.4 < match.opponents.mean < 2.3


def test_flat_monte_carlo_beats_random_players() -> None:
    match = play_match([GAME], FlatMonteCarlo(worlds=16), RandomBot(), 50, seed=1)
    assert match.significant and match.player.mean > 5.0


def test_all_who_are_evaluated_play_the_same_deals() -> None:
    first, second = RandomBot(), RandomBot()
    second.name = "as random"
    results = evaluate([GAME], (first, second), (RuleBot(),), 5, 1, torch.device("cpu"), quiet())
    assert results["random"] == results["as random"]


def test_mixed_card_counts_share_the_deals() -> None:
    shares: list[float] = []
    match = play_match([Blob(cards=c) for c in (1, 2, 3)], RuleBot(), RandomBot(), 10, 0, report=shares.append)
    assert match.games == 40
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)


def test_no_deal_serves_two_ends() -> None:
    """What is learned from is neither learned from otherwise nor what tells how well it was learned."""
    begins = {
        "searched self-play": 0,
        "policy gradient": run.UPDATES_INDEX,
        "what beliefs are judged on": beliefs.JUDGED_INDEX,
        "imitation": imitation.FIRST_INDEX,
        "an exploiter's critic": exploiter.CRITIC_INDEX,
        "matches and curves": matches.FIRST_INDEX,
        "an exploiter's result": exploiter.FRESH_INDEX,
        "the gate": gate.GATE_INDEX,
        "the table": session.FIRST_INDEX,
    }
    games = dict.fromkeys(begins, MOST_GAMES) | {"the gate": 1_000_000 << gate.DEAL_BITS}  # of as many iterations
    ranges = sorted((first, first + games[name], name) for name, first in begins.items())
    for (_, end, name), (begin, _, other) in pairwise([*ranges, (ALL_NUMBERS, 0, "no game")]):
        assert end <= begin, (name, other)


def test_a_match_is_played_on_deals_that_nobody_learns_from(monkeypatch) -> None:
    numbers: list[int] = []
    deal = Blob.deal

    def noted(game, count, seed, device, first_index):
        numbers.extend(range(first_index, first_index + count))
        return deal(game, count, seed, device, first_index)

    monkeypatch.setattr(Blob, "deal", noted)
    play_match([Blob(cards=1), Blob(cards=2)], RandomBot(), RandomBot(), 5, seed=1)
    assert numbers == list(range(matches.FIRST_INDEX, matches.FIRST_INDEX + 5))


def test_interval() -> None:
    interval = Interval.of(torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64))
    assert interval.mean == 3
    assert interval.half == pytest.approx(3.18 * math.sqrt(14 / 3) / 2)  # three degrees of freedom
    assert str(interval) == "3.00 ± 3.43"


def test_students_t_is_that_of_tables() -> None:
    known = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 12: 2.179}
    known |= {15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980, 10**6: 1.960}
    for freedom, quantile in known.items():
        assert t_95(freedom) == pytest.approx(quantile, abs=0.006), freedom


@pytest.mark.parametrize("deals", [2, 3, 5, 20])
def test_intervals_of_few_samples_miss_as_seldom_as_those_of_many(deals: int) -> None:
    """Of 4,000 means of normal samples 200 should lie outside, standard deviation 14; by the normal distribution's
    quantile it was 30% of two and 7% of 20."""
    samples = torch.randn(4000, deals, dtype=torch.float64, generator=torch.Generator().manual_seed(deals))
    outside = sum(abs(interval.mean) > interval.half for interval in map(Interval.of, samples))
    assert 130 < outside < 270  # 5 standard deviations


def test_equal_samples_have_the_interval_of_others_that_were_missed() -> None:
    """How much these would differ is known by the points of a game only; two deals alike are no significant lead."""
    few, many = (torch.full((count,), 1.0, dtype=torch.float64) for count in (2, 60))
    assert Interval.of(few) == Interval.of(many) == Interval(1.0, math.inf)
    assert Interval.of(many, span=20.0) == Interval(1.0, pytest.approx(20 * (1 - 0.05 ** (1 / 60))))
    assert Interval.of(many, [30, 30], 20.0) == Interval.of(many, span=20.0)
    for lead, significant in ((few, False), (many, True)):
        level = Interval(0, 0)
        assert MatchResult(level, level, Interval.of(lead, span=20.0), 8).significant == significant
    match = play_match(
        [Whist(cards=1, trump="random")], RandomBot(), RandomBot(), 2, seed=1
    )  # of one card each nobody has a choice
    assert match.lead == Interval(0, pytest.approx(2 * span_of([Whist(cards=1, trump="random")]) * (1 - 0.05**0.5)))
    assert math.isinf(Interval.of(torch.tensor([1.0, 1.0, 2.0, 2.0]), [2, 2]).half)


def test_an_interval_of_strata() -> None:
    """Two kinds of three and two samples, whose means have nothing to do with it: variances 1 and 8, by hand."""
    samples = torch.tensor([1.0, 2.0, 3.0, 104.0, 100.0], dtype=torch.float64)
    one, other = 3 * 1 / 25, 2 * 8 / 25
    freedom = (one + other) ** 2 / (one**2 / 2 + other**2 / 1)
    assert 1 < freedom < 2
    interval = Interval.of(samples, [3, 2])
    assert interval == Interval(42.0, pytest.approx(12.71 * math.sqrt(one + other)))
    further = samples + torch.tensor([0, 0, 0, 1000.0, 1000.0])
    assert Interval.of(further, [3, 2]).half == pytest.approx(interval.half)
    equal = torch.tensor([1.0, 5.0, 1.0, 5.0] * 5, dtype=torch.float64)  # pooled, and all the degrees of freedom
    assert Interval.of(equal, [10, 10]).half == pytest.approx(t_95(18) * math.sqrt(40 / 9 / 20))
    assert math.isinf(Interval.of(samples, [4, 1]).half)
    level = torch.tensor([1.0, 1.0, 2.0, 4.0], dtype=torch.float64)  # of one kind alike: the other has all the variance
    assert Interval.of(level, [2, 2]) == Interval(2.0, pytest.approx(12.71 * math.sqrt(2 * 2 / 16)))
    assert strata_of(7, 3) == [3, 2, 2] and strata_of(5, 3) == [5]


def test_a_match_by_several_rules_knows_that_their_shares_are_fixed() -> None:
    """How many points a game has differs with the cards; that is no chance."""
    games, deals = [Blob(cards=1), Blob(cards=8)], 41
    seatings = one_against_all(4)
    points = play_deals(games, (RandomBot(), RandomBot()), seatings, deals, seed=1)
    own = side_points(points, seatings)[:, 0]
    match = play_match(games, RandomBot(), RandomBot(), deals, seed=1)
    assert match.player == Interval.of(own, [21, 20]) and match.player.half < 0.9 * Interval.of(own).half
