"""Bots and matches."""

import math

import pytest
import torch

from vecgame import Blob
from veclab.arena.bots import FlatMonteCarlo, NetworkPlayer, RandomBot, RuleBot, SearchPlayer
from veclab.arena.matches import Interval, play_match
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


def test_rotation_gives_both_sides_the_same_cards() -> None:
    """So equal players end level on each single deal, however lucky a seat is in it."""
    results = [play_match([GAME], RuleBot(), RuleBot(), 1, seed=seed) for seed in range(3)]
    assert [result.lead.mean for result in results] == pytest.approx([0.0] * 3, abs=1e-12)
    assert len({result.player.mean for result in results}) > 1
    assert all(math.isinf(result.lead.half) for result in results)


def test_rule_bot_beats_random_players() -> None:
    """The design's prototype: 6.0 against random players, who then get 1.8."""
    match = play_match([GAME], RuleBot(), RandomBot(), 400, seed=1)
    assert match.significant
    assert match.player.mean > 5.3 and 1.4 < match.opponents.mean < 2.3


def test_flat_monte_carlo_beats_random_players() -> None:
    match = play_match([GAME], FlatMonteCarlo(worlds=16), RandomBot(), 50, seed=1)
    assert match.significant and match.player.mean > 5.0


def test_mixed_card_counts_share_the_deals() -> None:
    shares: list[float] = []
    match = play_match([Blob(cards=c) for c in (1, 2, 3)], RuleBot(), RandomBot(), 10, 0, report=shares.append)
    assert match.games == 40
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)


def test_interval() -> None:
    interval = Interval.of(torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64))
    assert interval.mean == 3
    assert interval.half == pytest.approx(1.96 * math.sqrt(14 / 3) / 2)
    assert str(interval) == "3.00 ± 2.12"
