"""Every game in OpenSpiel passes OpenSpiel's own test, is the game that vecgame plays, and poker is OpenSpiel's own."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.doors_docs import run_snippet
from tests.every_game import EVERY, Named
from tests.helpers import chi_square_p
from vecgame import Game, make_game
from vecgame.games.kuhn import Kuhn

pytest.importorskip("pyspiel")
import pyspiel
from open_spiel.python import policy
from open_spiel.python.algorithms import exploitability, ismcts, mcts
from open_spiel.python.algorithms.get_all_states import get_all_states

from veclab.doors.openspiel_game import DIGITS, DRAWN, NAME, Moment, every_deal

QUICK = (Named("blob", "cards=2,trump=bidder"), Named("wizard", "players=3,cards=2"), *EVERY[-7:])
SOME = [Named("kuhn"), Named("leduc"), Named("whist", "cards=3,trump=random"), QUICK[0]]
each = pytest.mark.parametrize(
    "named",
    [pytest.param(named, id=str(named), marks=[pytest.mark.slow] * (named not in QUICK)) for named in EVERY],
)


def load(named: Named, folder: Path | None = None):
    """The game in OpenSpiel; one of a tutorial's from its file in the folder."""
    if folder is not None:
        named.make(folder)
    address = f"{folder}/{named.game}" if ":" in named.game else named.game
    return pyspiel.load_game(NAME, {"game": address, "rules": named.rules})


def random_state(game, rng: random.Random, decisions: int):
    """After the deal and some decisions, or fewer if the game is over, all drawn by `rng`."""
    state, made = game.new_initial_state(), 0
    while state.is_chance_node() or (made < decisions and not state.is_terminal()):
        made += not state.is_chance_node()
        state.apply_action(rng.choice(state.legal_actions()))
    return state


@pytest.mark.all_games
@each
def test_openspiel_finds_nothing_wrong(named: Named, own_games: Path) -> None:
    pyspiel.random_sim_test(load(named, own_games), num_sims=1, serialize=True, verbose=False)


@each
def test_games_are_those_of_vecgame(named: Named, own_games: Path) -> None:
    """Mover, legal columns, what each seat sees, and returns of a random game."""
    spiel, rng = load(named, own_games), random.Random(3)
    game: Game = spiel.game
    assert game == named.make(own_games)
    assert (spiel.num_players(), spiel.num_distinct_actions()) == (game.seats, game.num_actions)
    assert (spiel.min_utility(), spiel.max_utility()) == (game.lowest, game.highest)
    assert spiel.max_game_length() == game.decisions
    state = random_state(spiel, rng, 0)
    lane = state.moment.state
    while not state.is_terminal():
        assert state.current_player() == int(game.mover(lane)) and state.returns() == [0.0] * game.seats
        assert state.legal_actions() == game.policy_mask(lane)[0].nonzero()[:, 0].tolist()
        for seat in range(game.seats):
            assert state.observation_tensor(seat) == game.observe(lane, torch.tensor([seat]))[0].tolist()
        action = rng.choice(state.legal_actions())
        options = game.legal_actions(lane)
        state.apply_action(action)
        lane = game.step(lane, options[(game.policy_columns(lane, options) == action) & (options >= 0)])
    assert state.returns() == pytest.approx(game.scores(lane)[0].tolist())


@each
def test_a_seat_is_told_nothing_that_is_hidden(named: Named, own_games: Path) -> None:
    """With other cards wherever the mover does not look it is told the same; and no two deals have the same number."""
    game, rng, changed = load(named, own_games), random.Random(1), 0
    for decisions in (*range(0, game.max_game_length(), 3), 0, 0):
        state = random_state(game, rng, decisions)
        if state.is_terminal():
            continue
        moment, mover = state.moment, state.current_player()
        world = Moment(game.game, game.game.determinize(moment.state, 1, seed=rng.getrandbits(50)))
        assert world.now(mover) == moment.now(mover) and "index" not in moment.words(None)
        changed += world.now(None) != moment.now(None)
    assert changed


@pytest.mark.parametrize("named", [Named("kuhn", "players=3"), Named("leduc")], ids=str)
def test_information_states_are_what_a_player_knows(named: Named) -> None:
    """In every state of a whole game: two states are told alike exactly if the seen cards and all actions are alike."""
    game = load(named)
    told: dict[str, set] = {}
    states = get_all_states(game, depth_limit=3, include_terminals=True, include_chance_states=False)
    for state in states.values():
        for seat in range(game.num_players()):
            words, actions = state.moment.words(seat), tuple(moment.action for moment in state.moment.way())
            told.setdefault(state.information_state_string(seat), set()).add((seat, words["cards"], actions))
    assert all(len(known) == 1 for known in told.values())
    assert len(told) == len(set().union(*told.values())) < game.num_players() * len(states)


def test_what_is_told_of_a_long_game() -> None:
    """Not by a recursion as deep as the game is long."""
    game = make_game("kuhn")
    moment = Moment(game, game.deal(1))
    for number in range(3000):
        moment = Moment(game, moment.state, moment, action=number % 2)
    assert moment.told(0).count("seat 0 bet") == 1500 and moment.told(1).count("seat 0") == 0


def test_own_secret_actions_are_remembered() -> None:
    """A seat's information state has the cards that it passes on, and no other seat's has."""
    game, rng = load(Named("hearts", "passing=left")), random.Random(2)
    state = random_state(game, rng, 0)
    name = state.action_to_string(state.legal_actions()[0])
    state.apply_action(state.legal_actions()[0])
    assert f"seat 0 {name}" in state.information_state_string(0)
    assert name.startswith("pass ") and "pass " not in state.information_state_string(1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("game=kuhn", "kuhn_poker"),
        ("game=kuhn,rules=players:3", "kuhn_poker(players=3)"),
        pytest.param("game=leduc", "leduc_poker", marks=pytest.mark.slow),
    ],
)
def test_poker_is_openspiels_own(ours: str, theirs: str) -> None:
    """NashConv of uniform play, and of what CFR has after each of some iterations."""
    games = [pyspiel.convert_to_cached_tree(pyspiel.load_game(name)) for name in (f"{NAME}({ours})", theirs)]
    assert games[0].get_type().utility == games[1].get_type().utility == pyspiel.GameType.Utility.ZERO_SUM
    ours, theirs = (pyspiel.nash_conv(game, pyspiel.UniformRandomPolicy(game)) for game in games)
    assert ours == pytest.approx(theirs, rel=1e-12)
    solvers = [pyspiel.CFRSolver(game) for game in games]
    for iteration in range(1, 21):
        for solver in solvers:
            solver.evaluate_and_update_policy()
        if iteration in (1, 5, 20):
            ours, theirs = (
                pyspiel.nash_conv(game, solver.average_policy()) for game, solver in zip(games, solvers, strict=True)
            )
            assert ours == pytest.approx(theirs, rel=1e-9)


class Raised(Kuhn):
    """Kuhn poker with two chips more for each player."""

    name, sum_of_scores = "raised", 4.0

    def __init__(self, rules=None, **changes):
        super().__init__(rules, **changes)
        self.lowest, self.highest = 0.0, 4.0

    def scores(self, state):
        return super().scores(state) + 2


def test_what_scores_sum_to_is_what_openspiel_is_told() -> None:
    raised = pyspiel.load_game(NAME, {"game": "tests.test_doors_openspiel_games:Raised"})
    assert raised.get_type().utility == pyspiel.GameType.Utility.CONSTANT_SUM
    assert raised.utility_sum() == 4 == sum(random_state(raised, random.Random(1), 3).returns())
    assert load(Named("kuhn")).get_type().utility == pyspiel.GameType.Utility.ZERO_SUM
    assert load(Named("blob", "cards=2")).get_type().utility == pyspiel.GameType.Utility.GENERAL_SUM
    euchre, whist = load(Named("euchre")), load(Named("whist", "cards=2,trump=none"))
    assert euchre.get_type().utility == pyspiel.GameType.Utility.ZERO_SUM and whist.utility_sum() == 4
    assert load(Named("euchre-match")).get_type().utility == pyspiel.GameType.Utility.GENERAL_SUM


def test_how_far_uniform_play_of_kuhn_poker_can_be_exploited() -> None:
    game = load(Named("kuhn"))
    uniform = policy.UniformRandomPolicy(game)
    assert exploitability.exploitability(game, uniform) == pytest.approx(11 / 24)


class Crooked(Kuhn):
    """Kuhn poker in which the first seat often has the king."""

    name = "crooked"

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        state = super().deal(batch_size, seed, device, first_index)
        return state.where((state.cards[:, 0] == 2) | (state.index % 3 > 0), state.map(lambda tensor: tensor.flip(0)))


class Unscored(Kuhn):
    """Kuhn poker that is only searched."""

    name = "unscored"
    scores = Game.scores


def test_deals_are_listed_where_they_are_few_and_alike() -> None:
    assert [len(every_deal(make_game(*game))) for game in (["kuhn"], ["leduc"])] == [6, 120]
    assert len(every_deal(make_game("kuhn", players=3))) == 24
    assert len(every_deal(make_game("blob", cards=1, suits=2, ranks=3, dealer=3, trump="none"))) == 360
    for name, rules in (
        ("blob", {"cards": 1, "suits": 2, "ranks": 3}),
        ("blob", {"cards": 1, "suits": 2, "ranks": 3, "trump": "none"}),  # whose dealer is drawn
        ("whist", {}),
        ("hearts-match", {}),
    ):
        assert every_deal(make_game(name, **rules)) is None
    assert every_deal(Crooked()) is None


def test_chance_draws_each_deal_alike() -> None:
    state = load(Named("leduc")).new_initial_state()
    assert state.chance_outcomes() == [(outcome, 1 / 120) for outcome in range(120)]
    state = load(Named("whist")).new_initial_state()
    for digit in (5, 0, 1):
        assert len(state.chance_outcomes()) == 1024
        state.apply_action(digit)
    assert state.moment.state == make_game("whist").deal(1, first_index=5 + 1024**2)


@pytest.mark.parametrize("named", SOME, ids=str)
def test_worlds_look_alike_and_differ(named: Named) -> None:
    game, rng, changed = load(named), random.Random(5), 0
    for decisions in (*range(game.max_game_length()), 0, 1, 2):
        state = random_state(game, rng, decisions)
        if state.is_terminal():
            continue
        player = state.current_player()
        other = state.resample(player, rng.getrandbits(50))
        changed += state.moment.told(None) != other.moment.told(None)
        assert state.information_state_string(player) == other.information_state_string(player)
        assert state.observation_tensor(player) == other.observation_tensor(player)
        assert state.legal_actions() == other.legal_actions()
        again = game.new_initial_state()
        if game.deals is not None:
            for action in other.history():
                again.apply_action(action)
            assert str(again) == str(other)
            continue
        assert other.history()[:DIGITS] == [DRAWN] * DIGITS
        with pytest.raises(ValueError, match="this state was resampled: its deal has no number"):
            again.apply_action(DRAWN)
    assert changed


def test_resampling_is_uniform() -> None:
    """Leduc poker with a card turned up: the other may hold any of the four that are left."""
    game, rng = load(Named("leduc")), random.Random(0)
    state = game.new_initial_state()
    for action in (70, 1, 1):
        state.apply_action(action)
    cards = state.moment.state.cards[0].tolist()
    sampler = pyspiel.UniformProbabilitySampler(0.0, 1.0)
    assert state.resample_from_infostate(0, sampler).information_state_string(0) == state.information_state_string(0)
    drawn = [state.resample(0, rng.getrandbits(50)).moment.state.cards[0].tolist() for _ in range(200)]
    counts = Counter(world[1] for world in drawn)
    assert {(world[0], world[2]) for world in drawn} == {(cards[0], cards[2])} and len(counts) == 4
    assert chi_square_p(list(counts.values()), [50.0] * 4) > 1e-3


def test_a_resampled_state_is_by_the_number_that_is_drawn_for_it() -> None:
    state = random_state(load(Named("whist", "cards=3,trump=random")), random.Random(0), 1)
    draws = [lambda draw=draw: draw / 9 for draw in range(9)]
    worlds = [state.resample_from_infostate(state.current_player(), draw) for draw in draws]
    assert len({world.moment.told(None) for world in worlds}) == 9


@pytest.mark.parametrize(
    ("named", "decisions"),
    [(Named("hearts", "passing=left"), 13), (Named("blob-match", "cards=2"), 0), (Named("briscola"), 8)],
)
def test_where_the_past_cannot_be_played_again(named: Named, decisions: int) -> None:
    state = random_state(load(named), random.Random(0), decisions)
    with pytest.raises(ValueError, match="resampling is for games in which a card stays where it was dealt until"):
        state.resample(state.current_player(), 1)


def test_information_set_search_plays() -> None:
    game, draws = load(Named("kuhn")), np.random.RandomState(0)
    bot = ismcts.ISMCTSBot(game, mcts.RandomRolloutEvaluator(1, draws), 4.0, 60, random_state=draws)
    king, jack = (next(deal for deal in range(6) if int(game.deals.cards[deal, 1]) == card) for card in (2, 0))
    for deal, wise in ((king, 1), (jack, 0)):  # after a bet one calls with the king, and folds with the jack
        state = game.new_initial_state()
        for action in (deal, 1):
            state.apply_action(action)
        assert bot.step(state) == wise


def test_moves_that_there_are_not() -> None:
    state = random_state(load(Named("leduc")), random.Random(0), 0)
    with pytest.raises(ValueError, match=r"action 0 is illegal; legal are \[1, 2\]"):
        state.apply_action(0)
    with pytest.raises(ValueError, match="chance has no outcome 120"):
        load(Named("leduc")).new_initial_state().apply_action(120)
    with pytest.raises(ValueError, match="only the player to move can be resampled for, that is 0"):
        state.resample(1, 0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"game": "kuhnn"}, "there is no game 'kuhnn'"),
        ({"game": "kuhn", "rules": "player=3"}, "'player=3' is no NAME=VALUE of this game; the nearest is players"),
        ({"game": "kuhn", "rules": "players:9"}, "players must be an integer from 2 to 8, got 9"),
        ({"game": "nothing.py:Game"}, "nothing.py cannot be loaded"),
        ({"game": "tests.test_doors_openspiel_games:Unscored"}, "Unscored counts no points: it has no method scores"),
    ],
)
def test_bad_parameters_get_one_clear_line(parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pyspiel.load_game(NAME, parameters)


def test_a_name_that_openspiel_cannot_write(tmp_path: Path) -> None:
    code = "from vecgame.games.kuhn import Kuhn\n\n\nclass Own(Kuhn):\n    pass\n"
    for folder in ("a,b", "ab"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"own_{len(folder)}.py").write_text(code)
    with pytest.raises(ValueError, match="OpenSpiel cannot write a game whose name has , in it"):
        pyspiel.load_game(NAME, {"game": f"{tmp_path}/a,b/own_3.py:Own"})
    game = pyspiel.load_game(NAME, {"game": f"{tmp_path}/ab/own_2.py:Own", "rules": "players=3"})
    assert str(game) == f"{NAME}(game={tmp_path}/ab/own_2.py:Own,rules=players:3)"
    assert str(pyspiel.load_game(str(game))) == str(game)


def test_the_page_shows_code_that_runs(capsys) -> None:
    run_snippet("OpenSpiel")
    assert float(capsys.readouterr().out) < 0.5
