"""Blob in OpenSpiel passes OpenSpiel's own test, is the game that vecgame plays, and is solved and searched by it."""

import random
from collections import Counter, defaultdict
from dataclasses import replace
from math import factorial

import numpy as np
import pytest
import torch

from tests.doors_docs import run_example
from tests.helpers import chi_square_p
from vecgame import Blob, Rules
from veclab.reference.worlds import consistent_worlds

pytest.importorskip("pyspiel")
import pyspiel
from open_spiel.python import policy
from open_spiel.python.algorithms import exploitability, ismcts, mcts
from open_spiel.python.algorithms.get_all_states import get_all_states
from open_spiel.python.observation import make_observation

from veclab.doors.openspiel_blob import DEFAULTS, NAME, ROTATES
from veclab.doors.openspiel_blob_view import card_name

TINY = f"{NAME}(cards=1,suits=2,ranks=2,trump=none,dealer=3)"
GAMES = [
    {"cards": 5, "suits": 4, "ranks": 13, "hook": True, "trump": "random", "dealer": -1},
    {"cards": 2, "suits": 3, "ranks": 4, "hook": False, "trump": "hearts", "dealer": 2},
    {"cards": 1, "suits": 2, "ranks": 2, "hook": True, "trump": "none", "dealer": 3},
    {"cards": 13},
]
UNDEALT = 4


def random_state(game, rng: random.Random, decisions: int):
    """After the deal and some decisions, all drawn by `rng`."""
    state = game.new_initial_state()
    while state.is_chance_node():
        outcomes, weights = zip(*state.chance_outcomes(), strict=True)
        state.apply_action(rng.choices(outcomes, weights)[0])
    for _ in range(decisions):
        state.apply_action(rng.choice(state.legal_actions()))
    return state


HOUSES = [
    {"players": 2, "cards": 3},
    {"players": 3, "cards": 17, "hook_from": 18},
    {"players": 5, "cards": 2, "hook_to": 1},
    {"players": 8, "cards": 2, "trump": "turned"},
    {"players": 4, "cards": 2, "suits": 2, "ranks": 4, "trump": "turned"},
    {"players": 3, "cards": 2, "trump": "bidder", "dealer": 1},
    {"cards": 2, "suits": 3, "trump": "bidder"},
    {"cards": 3, "bidding": "once", "hook": False, "dealer": ROTATES},
    {"cards": 1, "sight": "forehead"},
    {"cards": 3, "sight": "forehead", "sight_to": 4, "players": 3},
    {"cards": 2, "sight": "blind", "sight_to": 2, "trump": "turned", "bidding": "once", "hook": False},
    {"cards": 2, "trump": "rotate", "dealer": ROTATES, "suits": 3},
    {"cards": 3, "exact_bonus": 5.5, "zero_bonus": 2.0, "miss_penalty": 1.5, "points_per_square": 0.5},
    {"cards": 2, "miss_step": 1.0, "miss_points_per_trick": 0.1, "points_per_trick": 3.0},
    {"cards": 2, "scoring": "tests.test_doors_openspiel:difference"},
]


def difference(bids: torch.Tensor, won: torch.Tensor) -> torch.Tensor:
    """A scoring of one's own."""
    return 10 - (bids - won).abs()


def vecgame_of(spiel) -> Blob:
    """The game of vecgame's with the same rules."""
    return Blob(spiel.house)


@pytest.mark.parametrize("parameters", [*GAMES, *HOUSES], ids=str)
def test_openspiel_finds_nothing_wrong(parameters: dict) -> None:
    pyspiel.random_sim_test(pyspiel.load_game(NAME, parameters), num_sims=2, serialize=True, verbose=False)


def test_every_rule_is_a_parameter() -> None:
    assert set(DEFAULTS) == set(Rules.__dataclass_fields__)
    assert pyspiel.load_game(NAME).house == Rules(dealer=0)
    for parameters in (*GAMES, *HOUSES, {"zero_bonus": 0.0}):
        expected = Rules(**{**parameters, "dealer": max(parameters.get("dealer", 0), 0)})
        assert pyspiel.load_game(NAME, parameters).house == expected


@pytest.mark.parametrize("parameters", [*GAMES, *HOUSES], ids=str)
def test_games_are_those_of_vecgame(parameters: dict) -> None:
    """Every mover, legal action and return of random games."""
    spiel, rng = pyspiel.load_game(NAME, parameters), random.Random(1)
    game = vecgame_of(spiel)
    seats = range(game.seats)
    assert spiel.max_game_length() == game.decisions and spiel.num_players() == game.seats
    assert (spiel.min_utility(), spiel.max_utility()) == game.rules.range
    for _ in range(4):
        state = random_state(spiel, rng, 0)
        deal = state.position
        hands = torch.tensor([[spiel.hand(deal, seat) for seat in seats]])
        given = {"turned": deal.turned} if game.turns else {"trump": deal.trump} if "trump" in game.chance() else {}
        lane = game.from_hands(hands, deal.dealer, **given)
        while not state.is_terminal():
            assert state.returns() == [0.0] * game.seats
            assert state.current_player() == int(game.mover(lane))
            assert state.legal_actions() == game.legal_mask(lane)[0].nonzero()[:, 0].tolist()
            action = rng.choice(state.legal_actions())
            state.apply_action(action)
            lane = game.step(lane, torch.tensor([action]))
        assert game.is_terminal(lane).all()
        assert state.returns() == game.scores(lane)[0].tolist()


@pytest.mark.parametrize("parameters", HOUSES, ids=str)
def test_what_is_seen_is_what_vecgame_says(parameters: dict) -> None:
    """Hands and bids, at every decision of a game, by every seat."""
    spiel, rng = pyspiel.load_game(NAME, parameters), random.Random(2)
    game, state = vecgame_of(spiel), random_state(spiel, rng, 0)
    observer = make_observation(spiel, pyspiel.IIGObservationType(perfect_recall=False))
    lane = game.deal(1)
    while not state.is_terminal():
        hidden = game.hidden(replace(lane, made=torch.full_like(lane.made, _made(state))))
        for seat in range(game.seats):
            observer.set_from(state, seat)
            for other, hand in enumerate(state.position.table.hands):
                piece = observer.dict["hand"] if other == seat else observer.dict.get("others", np.zeros(99))[other]
                sees = bool(hidden["hands"].sees[0, seat, other])
                assert piece.sum() == (len(hand) if sees else 0)
            for other, bid in enumerate(state.position.table.bids):
                sees = bid is not None and ("bids" not in hidden or bool(hidden["bids"].sees[0, seat, other]))
                assert observer.dict["bids"][other].sum() == sees
        state.apply_action(rng.choice(state.legal_actions()))


def _made(state) -> int:
    return len(state.position.table.history) + (state.position.named is not None)


@pytest.mark.parametrize("parameters", HOUSES, ids=str)
def test_worlds_look_alike_and_differ(parameters: dict) -> None:
    """To the player that they are drawn for, in words and as tensors, at decisions of many games."""
    game, rng, changed = pyspiel.load_game(NAME, parameters), random.Random(5), 0
    for decisions in (*range(0, game.max_game_length(), 1 + game.max_game_length() // 12), 0, 1, game.num_players()):
        state = random_state(game, rng, decisions)
        player = state.current_player()
        other = state.resample(player, rng)
        changed += str(state) != str(other)
        assert state.observation_string(player) == other.observation_string(player)
        assert state.observation_tensor(player) == other.observation_tensor(player)
        assert state.information_state_string(player) == other.information_state_string(player)
        assert state.information_state_tensor(player) == other.information_state_tensor(player)
        assert other.current_player() == player and other.legal_actions() == state.legal_actions()
        clone = game.new_initial_state()
        for action in other.history():
            clone.apply_action(action)
        assert str(clone) == str(other)
    assert changed >= 2


@pytest.mark.parametrize("parameters", [{"players": 2, "suits": 2}, {"players": 3, "suits": 3}, *HOUSES], ids=str)
def test_every_outcome_of_chance_is_below_their_number(parameters: dict) -> None:
    """By which others, as OpenSpiel's own masks, make tables: no trump is outcome 4, however few the suits are."""
    game = pyspiel.load_game(NAME, parameters)
    state = game.new_initial_state()
    while state.is_chance_node():
        outcomes = [outcome for outcome, _ in state.chance_outcomes()]
        assert max(outcomes) < game.max_chance_outcomes()
        state.apply_action(outcomes[-1])


def test_what_goes_round_together() -> None:
    """Of 4 dealers and 4 trumps that both go round every dealer has one trump; with 5 trumps all of them."""
    for suits, most in ((3, 1), (4, 5)):
        state = pyspiel.load_game(f"{NAME}(cards=1,suits={suits},trump=rotate,dealer=-2)").new_initial_state()
        state.apply_action(2)
        assert len(state.chance_outcomes()) == most
        game = Blob(cards=1, suits=suits, trump="rotate", dealer="rotate")
        dealt = game.deal(40)
        assert {trump for trump, _ in state.chance_outcomes()} == set(dealt.trump[dealt.dealer == 2].tolist())


def test_illegal_moves_are_refused() -> None:
    state = random_state(
        pyspiel.load_game(NAME, {"cards": 2, "suits": 2, "trump": "bidder", "dealer": 3}), random.Random(0), 4
    )
    with pytest.raises(ValueError, match=r"action 3 is not among the legal \[0, 1, 4\]"):
        state.apply_action(3)
    state = pyspiel.load_game(f"{NAME}(cards=1,trump=turned,dealer=0)").new_initial_state()
    with pytest.raises(ValueError, match="chance has no outcome 60 here"):
        state.apply_action(60)
    state = pyspiel.load_game(f"{NAME}(cards=1,trump=none,dealer=0)").new_initial_state()
    state.apply_action(0)
    with pytest.raises(ValueError, match="chance has no outcome 0 here"):
        state.apply_action(0)  # who has its card


@pytest.mark.parametrize(("cards", "suits", "ranks"), [(1, 2, 3), (2, 1, 8)])
def test_every_deal_once_and_all_alike(cards: int, suits: int, ranks: int) -> None:
    game = pyspiel.load_game(NAME, {"cards": cards, "suits": suits, "ranks": ranks, "trump": "none", "dealer": 0})
    deals: dict[tuple, list[float]] = defaultdict(list)

    def descend(position, probability: float) -> None:
        if position.table is not None:
            deals[tuple(position.table.hands)].append(probability)
            return
        chances = game.chances(position)
        assert sum(chance for _, chance in chances) == pytest.approx(1)
        for outcome, chance in chances:
            descend(game.draw(position, outcome), probability * chance)

    descend(game.start(), 1.0)
    left = suits * ranks - 4 * cards
    count = factorial(suits * ranks) // (factorial(cards) ** 4 * factorial(left))
    assert len(deals) == count
    assert all(probabilities == [pytest.approx(1 / count)] for probabilities in deals.values())


def test_dealer_and_trump_are_drawn() -> None:
    state = pyspiel.load_game(f"{NAME}(cards=1,suits=3)").new_initial_state()
    assert state.chance_outcomes() == [(seat, 0.25) for seat in range(4)]
    state.apply_action(2)
    assert state.chance_outcomes() == [(trump, 0.25) for trump in (0, 1, 2, 4)]
    state.apply_action(4)
    assert (state.position.dealer, state.position.trump) == (2, 4)
    assert dict(state.chance_outcomes()) == pytest.approx(
        {0: 1 / 39, 1: 1 / 39, 2: 1 / 39, 3: 1 / 39, UNDEALT: 35 / 39}
    )


def test_a_player_is_told_what_it_knows_and_no_more() -> None:
    """In every state of a whole game: two states look alike to a player, in words and as a tensor, exactly if its own
    cards and all that was bid and played are the same."""
    game = pyspiel.load_game(TINY)
    observer = make_observation(game, pyspiel.IIGObservationType(perfect_recall=True))
    words, tensors = defaultdict(set), defaultdict(set)
    states = get_all_states(game, include_terminals=True, include_chance_states=False)
    for state in states.values():
        for seat in range(4):
            knows = (seat, tuple(game.hand(state.position, seat)), tuple(state.position.table.history))
            observer.set_from(state, seat)
            assert observer.tensor.tolist() == state.information_state_tensor(seat)
            words[state.information_state_string(seat)].add(knows)
            tensors[observer.tensor.tobytes()].add(knows)
    for told in (words, tensors):
        assert all(len(known) == 1 for known in told.values())
        assert len(told) == len(set().union(*told.values()))
    assert len(words) < 4 * len(states)  # some states do look alike


def test_an_observation_without_recall_hides_other_hands() -> None:
    """Resampled states differ in what the mover cannot see, and look the same to it."""
    game, rng, changed = pyspiel.load_game(f"{NAME}(cards=4)"), random.Random(5), 0
    for decisions in range(0, 19):
        state = random_state(game, rng, decisions)
        player = state.current_player()
        other = state.resample(player, rng)
        changed += state.position.owners != other.position.owners
        assert state.observation_string(player) == other.observation_string(player)
        assert state.observation_tensor(player) == other.observation_tensor(player)
        assert state.information_state_string(player) == other.information_state_string(player)
        assert (
            state.history()[-decisions or len(state.history()) :]
            == other.history()[-decisions or len(other.history()) :]
        )
    assert changed >= 15


def test_pieces_of_an_observation() -> None:
    game = pyspiel.load_game(f"{NAME}(cards=2,suits=2,ranks=4,trump=hearts,dealer=3)")
    state = game.new_initial_state()
    for owner in (0, 1, 2, 3, 0, 1, 2, 3):
        state.apply_action(owner)
    for action in (1, 0, 0, 2, 13):  # four bids, then the two of hearts, which is in column 4
        state.apply_action(action)
    public = make_observation(game, pyspiel.IIGObservationType(perfect_recall=False))
    public.set_from(state, 0)
    assert {name: piece.shape for name, piece in public.dict.items()} == {
        "player": (4,),
        "hand": (8,),
        "dealer": (4,),
        "trump": (5,),
        "bids": (4, 3),
        "won": (4, 3),
        "trick": (4, 8),
    }
    assert public.dict["hand"].nonzero()[0].tolist() == [0]
    assert np.argwhere(public.dict["bids"]).tolist() == [[0, 1], [1, 0], [2, 0], [3, 2]]
    assert np.argwhere(public.dict["trick"]).tolist() == [[0, 4]]
    assert public.string_from(state, 0) == ("seat 0 dealer 3 trump hearts hand 2s bids 1 0 0 2 won 0 0 0 0 trick 0:2h")
    assert state.information_state_string(1) == "seat 1 dealer 3 trump hearts hand 3s 3h bids 1 0 0 2 plays 2h"
    assert [state.action_to_string(1, action) for action in state.legal_actions()] == ["3h"]
    hidden = pyspiel.IIGObservationType(perfect_recall=False, private_info=pyspiel.PrivateInfoType.NONE)
    assert "hand" not in make_observation(game, hidden).string_from(state, 0)


@pytest.mark.parametrize("recall", [False, True])
def test_cards_on_foreheads_are_told_in_words_too(recall: bool) -> None:
    game = pyspiel.load_game(NAME, {"cards": 1, "sight": "forehead", "players": 3})
    state = random_state(game, random.Random(3), 1)
    words = state.information_state_string(1) if recall else state.observation_string(1)
    hands = [card_name(game.hand(state.position, seat)[0]) for seat in range(3)]
    assert f"hand ? 0: {hands[0]} 2: {hands[2]} bids" in words and hands[1] not in words.partition("hand")[2]


def test_a_state_in_words_has_all_that_there_is() -> None:
    game = pyspiel.load_game(NAME, {"cards": 1, "bidding": "once", "hook": False, "dealer": 3, "trump": "clubs"})
    state = game.new_initial_state()
    state.apply_action(1)
    assert [state.action_to_string(owner) for owner in (0, 4)] == ["3s to seat 0", "3s undealt"]
    for owner in (0, 2, 3):
        state.apply_action(owner)
    state.apply_action(1)
    assert str(state) == "dealer 3 trump clubs hands 3s/2s/4s/5s bids 1 plays"


def test_what_is_not_known_yet_is_in_no_piece() -> None:
    """A trump that is to be named, and, of what is public, a bid that only who made it knows."""
    game = pyspiel.load_game(NAME, {"cards": 2, "trump": "bidder", "dealer": 3})
    observer = make_observation(game, pyspiel.IIGObservationType(perfect_recall=False))
    for decisions, known in ((3, 0), (4, 0), (5, 1)):
        state = random_state(game, random.Random(0), decisions)
        observer.set_from(state, 0)
        assert observer.dict["trump"].sum() == known and ("trump ?" in observer.string_from(state, 0)) != known
    game = pyspiel.load_game(NAME, {"cards": 2, "bidding": "once", "hook": False, "dealer": 3})
    state = random_state(game, random.Random(0), 1)
    for private, known in ((pyspiel.PrivateInfoType.NONE, 0), (pyspiel.PrivateInfoType.SINGLE_PLAYER, 1)):
        kind = pyspiel.IIGObservationType(public_info=True, perfect_recall=False, private_info=private)
        observer = make_observation(game, kind)
        observer.set_from(state, 0)
        assert observer.dict["bids"].sum() == known and ("bids ? - - -" in observer.string_from(state, 0)) != known
    with pytest.raises(ValueError, match="an observation of all players' hands is not offered"):
        game.make_py_observer(
            pyspiel.IIGObservationType(perfect_recall=True, private_info=pyspiel.PrivateInfoType.ALL_PLAYERS)
        )
    with pytest.raises(ValueError, match="this game's observations have no parameters"):
        game.make_py_observer(params={"hand": True})


def test_resampling_is_uniform() -> None:
    """Over the deals that the mover must hold possible, shown voids included: against their full enumeration."""
    game = pyspiel.load_game(f"{NAME}(cards=2,suits=3,ranks=3,trump=none,dealer=3)")
    rng = random.Random(3)
    while True:
        state = random_state(game, rng, 6)
        if any(state.position.table.voids):
            break
    worlds = list(consistent_worlds(game.rules, state.position.table))
    player = state.current_player()
    counts = Counter(tuple(state.resample(player, rng).position.table.hands) for _ in range(40 * len(worlds)))
    assert len(worlds) > 5 and set(counts) == set(worlds)
    assert chi_square_p([counts[world] for world in worlds], [40.0] * len(worlds)) > 1e-3


def test_a_resampled_state_is_by_the_number_that_is_drawn_for_it() -> None:
    state = random_state(pyspiel.load_game(f"{NAME}(cards=2,bidding=once,hook=False)"), random.Random(0), 1)
    player = state.current_player()
    worlds = [state.resample_from_infostate(player, lambda draw=draw: draw / 40) for draw in range(40)]
    assert len({str(world) for world in worlds}) == 40
    bids = {world.position.table.history[0][1] for world in worlds}
    assert bids == {0, 1, 2}  # of which this player does not know yet


def test_resampling_is_for_the_mover() -> None:
    state = random_state(pyspiel.load_game(TINY), random.Random(0), 1)
    with pytest.raises(ValueError, match="only the player to move can be resampled for, that is 1"):
        state.resample(0, random.Random(0))
    sampler = pyspiel.UniformProbabilitySampler(0.0, 1.0)
    assert state.resample_from_infostate(1, sampler).information_state_string(1) == state.information_state_string(1)


def test_cfr_makes_a_tiny_deck_unexploitable() -> None:
    """NashConv, by OpenSpiel's best responses in Python and in C++, from that of uniform play to nearly none."""
    game = pyspiel.load_game(TINY)
    tree = pyspiel.convert_to_cached_tree(game)
    uniform = exploitability.nash_conv(game, policy.UniformRandomPolicy(game))
    assert uniform == pytest.approx(pyspiel.nash_conv(tree, pyspiel.UniformRandomPolicy(tree)))
    assert uniform > 10
    solver = pyspiel.CFRSolver(tree)
    for _ in range(100):
        solver.evaluate_and_update_policy()
    assert pyspiel.nash_conv(tree, solver.average_policy()) < 0.4


class Silent(policy.Policy):
    """Bids 0, and plays its lowest card."""

    def action_probabilities(self, state, player_id=None) -> dict[int, float]:
        return {state.legal_actions()[0]: 1.0}


def test_a_known_best_response() -> None:
    """Four cards of one suit, one to each seat: the highest wins. Against players who always bid 0, the best that a
    player can do is to bid right: 11 points with the highest card, 10 with another."""
    game = pyspiel.load_game(f"{NAME}(cards=1,suits=1,ranks=4,trump=none,dealer=3,hook=False)")
    result = exploitability.best_response(game, Silent(game, range(4)), 1)
    assert result["on_policy_value"] == pytest.approx(3 * 10 / 4)
    assert result["best_response_value"] == pytest.approx((11 + 3 * 10) / 4)


def test_information_set_search_beats_random_players() -> None:
    game = pyspiel.load_game(f"{NAME}(cards=3)")
    draws, worlds = np.random.RandomState(0), random.Random(0)
    bot = ismcts.ISMCTSBot(game, mcts.RandomRolloutEvaluator(1, draws), 13.0, 40, random_state=draws)
    bot.set_resampler(lambda state, player: state.resample(player, worlds))
    own = others = 0.0
    for number in range(12):
        state = random_state(game, worlds, 0)
        while not state.is_terminal():
            mine = state.current_player() == number % 4
            state.apply_action(int(bot.step(state)) if mine else worlds.choice(state.legal_actions()))
        own += state.returns()[number % 4]
        others += (sum(state.returns()) - state.returns()[number % 4]) / 3
    assert own > others + 12


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cards": 9, "suits": 1}, "cards=9 to each of 4 seats needs 36 cards"),
        ({"trump": "stars"}, "trump must be one of random"),
        ({"dealer": 4}, r"dealer must be a seat 0\.\.3, -1 to be drawn or -2 to go round, got 4"),
        ({"players": 9}, "players must be an integer from 2 to 8, got 9"),
        ({"bidding": "once"}, "bidding 'once' needs hook=False"),
        ({"scoring": "nothing.py:points"}, "nothing.py cannot be loaded"),
    ],
)
def test_bad_parameters_get_one_clear_line(parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pyspiel.load_game(NAME, parameters)


def test_the_example_runs(monkeypatch, capsys) -> None:
    run_example(monkeypatch, "openspiel_cfr.py", "--iterations 3 --ranks 2 --games 4 --simulations 5")
    out = capsys.readouterr().out
    gaps = [line.split()[3:-1] for line in out.splitlines() if "NashConv" in line]
    assert len(gaps) == 4 and float(gaps[1][0]) < float(gaps[0][0])
    assert all(ours == theirs for ours, _, theirs in gaps[2:])
    assert "IS-MCTS, 5 simulations, 4 games" in out
