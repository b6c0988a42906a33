"""Matches decision by decision: every action is checked, and whoever likes may look on."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vecgame import Blob, BlobMatch, Euchre, Game, Hearts, Kuhn, Purpose, State, Stream, Whist, Wizard
from veclab.arena.bots import (
    FlatMonteCarlo,
    IsmctsPlayer,
    NetworkPlayer,
    Player,
    RandomBot,
    RuleBot,
    SearchPlayer,
    why_not,
)
from veclab.arena.cheating import CheatingSearch
from veclab.arena.gate import judge
from veclab.arena.matches import FIRST_INDEX, deal_told, decisions, play_deals, play_games, play_match, self_played
from veclab.exploit.rollout import play_against
from veclab.training import policy_gradient
from veclab.training.selfplay import self_play
from vecmcts import IsmctsConfig, PlayoutEvaluator, SearchConfig, ismcts

GAME = Blob(cards=3)


class Ace(RandomBot):
    """Always "plays" the ace of trumps, held or not."""

    name = "ace of trumps"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        ace = 13 * state.trump.long() + 12
        return torch.where(state.made < game.seats, super().act(game, state, seed), ace.clamp(max=51))


class Told(RandomBot):
    """A player that is told the past; plays by ``change`` of what a random one does."""

    def __init__(self, change) -> None:
        self.change, self.name = change, "told"

    def act_after(self, game, state, past, seed):
        return self.change(self.act(game, state, seed))


def test_the_ace_that_nobody_holds_stops_the_match() -> None:
    with pytest.raises(ValueError, match=r"^ace of trumps in blob took action \d+ \(A.\) at decision 5 ") as caught:
        play_match([GAME], Ace(), RandomBot(), 10, seed=1)
    assert re.search(
        r"of deal ([1-9]|10) of the match, seat \d, which is not legal; legal there: action \d+ \(", str(caught.value)
    )
    assert "\n" not in str(caught.value)
    assert [deal_told(number) for number in (7, FIRST_INDEX, FIRST_INDEX + 1999, 5 << 48)] == [
        "game 7",
        "deal 1 of the match",
        "deal 2,000 of the match",
        "a game",
    ]
    with pytest.raises(ValueError, match="which is not legal"):
        judge([GAME], RandomBot(), Ace(), 0.05, 60, 1, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a + 99, r"told in blob took action 9\d|told in blob took action 10\d"),
        (lambda a: a - 99, r"told in blob took action -9\d"),
        (lambda a: 0 * a - 1, r"told in blob took action -1 at decision 1 .*; legal there: action 0"),
        (
            lambda a: a[:, None],
            r"told in blob, decision 1: action must be 2 integers of shape \[2\], got shape \[2, 1\]",
        ),
        (lambda a: a[:1], r"got shape \[1\]"),
        (lambda a: a.float(), "of torch.float32"),
        (lambda a: a > 0, "of torch.bool"),
        (lambda a: None, "got a NoneType"),
        (lambda a: a.to("meta"), "the action must be on cpu, where the games are, got meta"),
    ],
)
def test_what_is_no_action_stops_the_match(change, message: str) -> None:
    seats = torch.tensor([[0] * 4, [0] * 4])
    with pytest.raises(ValueError, match=message) as caught:
        play_games(GAME, GAME.deal(2, seed=1), [Told(change)], seats, seed=1)
    assert "\n" not in str(caught.value)


def test_any_integers_will_do() -> None:
    seats, expected = torch.zeros(2, 4, dtype=torch.int32), None
    for change in (lambda a: a, lambda a: a.tolist(), lambda a: a.numpy(), lambda a: a.to(torch.uint8)):
        points = play_games(GAME, GAME.deal(2, seed=1), [Told(change)], seats.long(), seed=1)
        expected = points if expected is None else expected
        assert torch.equal(points, expected)


@pytest.mark.parametrize(
    ("seats", "message"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), r"seats must be integers of shape \[2, 4\], got \[2, 3\]"),
        (torch.zeros(2, 4), "of torch.float32"),
        (torch.full((2, 4), 1), "seats must be numbers of the 1 players, from 0 to 0"),
        (torch.full((2, 4), -1), "seats must be numbers of the 1 players"),
    ],
)
def test_seats_of_nobody(seats: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        play_games(GAME, GAME.deal(2, seed=1), [RandomBot()], seats, seed=1)


def test_step_by_step() -> None:
    """Three players in one match; what is yielded is what was played, and the last state is the end."""
    game = Blob(cards=2, players=5)
    players = (RandomBot(), RuleBot(), Told(lambda a: a))
    seats = torch.tensor([[0, 1, 2, 1, 0], [2, 2, 0, 1, 1]])
    state, acted = game.deal(2, seed=1), []
    for decision in decisions(game, state, players, seats, seed=1):
        assert decision.state == state
        assert torch.equal(decision.seat, game.mover(state))
        assert torch.equal(decision.player, seats.gather(1, decision.seat[:, None])[:, 0])
        assert game.legal_mask(state).gather(1, decision.action[:, None]).all()
        assert len(decision.past.states) == len(acted) and not decision.over.any()
        state = game.step(state, decision.action)
        assert decision.after == state
        acted.append(decision.action)
    assert len(acted) == game.decisions and game.is_terminal(state).all()
    assert torch.equal(game.scores(state).double(), play_games(game, game.deal(2, seed=1), players, seats, seed=1))


def test_a_player_is_told_the_past_of_its_own_games() -> None:
    """Where it sits at some seats, and so moves in some of the games: what it is told leads there from the deals."""
    dealt, asked = GAME.deal(8, seed=1), set()

    class Historian(RandomBot):
        def act_after(self, game, state, past, seed):
            replayed = dealt.take(state.index)
            for before, made in zip(past.states, past.actions.t(), strict=False):
                assert before == replayed
                replayed = game.step(replayed, made.long())
            assert replayed == state
            asked.add(state.batch_size)
            return self.act(game, state, seed)

    play_games(GAME, dealt, [RandomBot(), Historian()], torch.tensor([[0, 1, 0, 0], [1, 0, 0, 1]] * 4), seed=1)
    assert max(asked) < 8


def test_games_played_by_one_player_are_those_of_their_numbers() -> None:
    first = next(self_played(GAME, RandomBot(), 3, seed=2, first_index=7))
    assert first.state == GAME.deal(3, seed=2, first_index=7) and first.past is None
    assert next(self_played(GAME, RandomBot(), 3, seed=2, keep_past=True)).past is not None


def test_games_that_are_over_stand_still() -> None:
    """Kuhn's games have two or three decisions."""
    game, over = Kuhn(), 0
    for decision in decisions(game, game.deal(40, seed=1), [RandomBot()], torch.zeros(40, 2, dtype=int), seed=1):
        assert (decision.player == -1).equal(decision.over) and (decision.action[decision.over] == 0).all()
        assert decision.after[decision.over] == decision.state[decision.over] and decision.past is None
        over += int(decision.over.sum())
    assert over > 0


def test_the_past_is_kept_if_asked_for() -> None:
    steps = decisions(GAME, GAME.deal(1, seed=1), [RandomBot()], torch.zeros(1, 4, dtype=int), 1, keep_past=True)
    assert [len(step.past.states) for step in steps] == list(range(GAME.decisions))


# -- who plays what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("game", "reason"),
    [
        (Blob(), None),
        (Blob(players=7, cards=2, exact_bonus=5, miss_penalty=10), None),
        (BlobMatch(cards=3, sight="forehead"), None),
        (Blob(trump="bidder"), None),
        (Hearts(passing="left"), None),
        (Euchre(), None),
        (Wizard(), "knows blob, hearts, spades, whist, euchre, not wizard"),
        (Kuhn(), "knows blob, hearts, spades, whist, euchre, not kuhn"),
    ],
    ids=repr,
)
def test_what_the_rule_based_player_plays(game: Game, reason: str | None) -> None:
    told = why_not(RuleBot(), game)
    assert told is None if reason is None else reason in told
    if reason is not None:
        with pytest.raises(ValueError, match=re.escape(told)):
            play_match([game], RuleBot(), RandomBot(), 1, seed=1)


def test_the_cheat_opens_the_hands_of_blob_only() -> None:
    cheat = CheatingSearch(PlayoutEvaluator(), SearchConfig(worlds=1, simulations=2))
    assert why_not(cheat, Blob()) is None
    for game in (BlobMatch(cards=2), Whist(), type("Own", (Blob,), {})()):
        with pytest.raises(ValueError, match="the search that cheats plays Blob only, not"):
            play_match([game], cheat, RandomBot(), 1, seed=1)
    bidder = Blob(cards=2, trump="bidder")  # whose opening has a decision more than seats
    assert play_match([bidder], cheat, RandomBot(), 2, seed=1).games == 8


def test_other_players_play_everything() -> None:
    for player in (RandomBot(), FlatMonteCarlo(), NetworkPlayer(None)):
        assert all(why_not(player, game) is None for game in (Blob(trump="bidder"), Hearts(), Kuhn(), Euchre()))


# -- a network's policy -----------------------------------------------------------------------------------------------


def tilted(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Column c has odds of 2^c; the values say nothing."""
    logits = torch.arange(mask.shape[1]) * torch.tensor(2.0).log()
    return logits.expand(len(observation), -1), torch.zeros(len(observation), 1)


def test_a_network_plays_its_policy() -> None:
    """The first bid of a game of two cards: 0, 1 or 2 by odds of 1 : 2 : 4, in each lane of its own."""
    game, player = Blob(cards=2), NetworkPlayer(tilted, sample=True)
    state = game.deal(7000, seed=1)
    action = player.act(game, state, seed=3)
    counts = torch.bincount(action, minlength=3).tolist()
    assert sum(counts[:3]) == 7000
    for count, odds in zip(counts, (1, 2, 4), strict=False):
        assert abs(count - 1000 * odds) < 5 * (1000 * odds) ** 0.5
    some = torch.tensor([6999, 3])
    assert torch.equal(player.act(game, state.take(some), seed=3), action[some])
    assert not torch.equal(player.act(game, state, seed=4), action)
    assert (NetworkPlayer(tilted).act(game, state, seed=3) == 2).all()
    assert (player.name, NetworkPlayer(tilted).name) == ("network's policy", "network alone")


def drawn_by_players(player: Player) -> Callable[[], object]:
    return lambda: play_deals([GAME], (player,), ((0,) * 4,), 5, seed=1)


@pytest.mark.parametrize(
    "play",
    [
        drawn_by_players(RandomBot()),
        drawn_by_players(NetworkPlayer(tilted, sample=True)),
        drawn_by_players(FlatMonteCarlo(worlds=1)),
        lambda: play_against(GAME, Blind(), RuleBot(), 9, 1, 0, "cpu"),
        lambda: policy_gradient.play(GAME, Blind(), 5, 1, 0, torch.device("cpu")),
        lambda: self_play(
            GAME, PlayoutEvaluator(), SearchConfig(worlds=1, simulations=2), 5, seed=1, sampled_share=1.0
        ),
    ],
    ids=["random", "policy", "flat", "exploiter", "policy gradient", "self-play"],
)
def test_every_decision_is_drawn_by_numbers_of_its_own(play: Callable[[], object], monkeypatch) -> None:
    """Of 53 bits each. Were a game's decisions drawn by the same ones, who bids high would play high cards."""
    drawn, uniform = [], Stream.uniform

    def noted(stream: Stream, purpose: Purpose, count: int) -> Tensor:
        numbers = uniform(stream, purpose, count)
        if purpose == Purpose.ACTION:
            drawn.extend(numbers.flatten().tolist())
        elif purpose == Purpose.PLAYOUT:  # the actions that are tried in a world are played on from by the same ones
            drawn.extend(set(numbers.flatten().tolist()))
        return numbers

    monkeypatch.setattr(Stream, "uniform", noted)
    play()
    assert len(set(drawn)) == len(drawn) > 20


class Blind:
    """A network that knows of no difference."""

    has_critic = False

    def __call__(self, observation: Tensor, mask: Tensor, hidden: None = None) -> tuple[Tensor, Tensor]:
        return torch.zeros(mask.shape), torch.zeros(len(observation), GAME.seats)


def test_a_network_of_another_form_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must return logits \[3, 52\]"):
        NetworkPlayer(lambda observation, mask: (observation, observation)).act(GAME, GAME.deal(3), 0)


def test_a_policy_and_its_best_action_are_two_players() -> None:
    points = play_deals([GAME], (NetworkPlayer(tilted), NetworkPlayer(tilted, sample=True)), ((0, 1, 0, 1),), 5, seed=1)
    assert points.shape == (5, 1, 4)


def test_so_ismcts_plays_what_it_visits_most() -> None:
    config, state = IsmctsConfig(simulations=8), GAME.deal(9, seed=1)
    visits = ismcts(GAME, state, PlayoutEvaluator(), config, seed=4).visits
    assert torch.equal(IsmctsPlayer(PlayoutEvaluator(), config).act(GAME, state, 4), visits.argmax(-1))


def test_so_ismcts_and_search_play_a_game_of_another_kind() -> None:
    player = IsmctsPlayer(PlayoutEvaluator(), IsmctsConfig(simulations=8))
    rival = SearchPlayer(PlayoutEvaluator(), SearchConfig(worlds=2, simulations=4))
    assert play_match([Kuhn()], player, rival, 5, seed=1).games == 10
