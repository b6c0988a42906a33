"""Kuhn and Leduc poker: every history beside OpenSpiel's, worlds beside all deals that agree, a search of them."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
import torch

from tests.helpers import assert_same_state, chi_square_p
from tests.micro_games import MicroGame
from vecgame import Game, Kuhn, Leduc, State, concatenate
from veclab.settings import Settings
from vecmcts import PlayoutEvaluator, SearchConfig, search

pyspiel = pytest.importorskip("pyspiel")

GAMES = {
    "kuhn": (Kuhn(), "kuhn_poker"),
    "kuhn, 3 players": (Kuhn(players=3), "kuhn_poker(players=3)"),
    "kuhn, 4 players": (Kuhn(players=4), "kuhn_poker(players=4)"),
    "leduc": (Leduc(), "leduc_poker"),
}
EVERY_GAME = pytest.mark.parametrize("name", GAMES)
OUTCOME = r"\[(Pot|Money): [^]]*\]"  # in Leduc's information states, which at the end tell of hidden cards by it
INFORMATION_STATES = {"kuhn": 12, "leduc": 936}  # published, of those in which somebody moves


def cards_at_the_start(game: Game) -> torch.Tensor:
    """Every deal: [N, places] int8."""
    places = game.deal(1).cards.shape[1]
    return torch.tensor(list(itertools.permutations(range(game.layout.size), places)), dtype=torch.int8)


def beginning(game: Game) -> State:
    """A lane for every deal."""
    deals = cards_at_the_start(game)
    state = game.deal(len(deals))
    return type(state)(**{**state.tensors(), "cards": deals})


def spiel_card(game: Game, card: int) -> int:
    """OpenSpiel numbers Leduc's cards by rank first."""
    suit, rank = divmod(card, game.layout.ranks)
    return rank * game.layout.suits + suit


def at_a_decision(game: Game, theirs: pyspiel.State, cards: list[int]) -> pyspiel.State:
    """After the cards that chance deals: to the seats in turn, then Leduc's public one."""
    while theirs.is_chance_node():
        dealt = sum(player == pyspiel.PlayerId.CHANCE for player in (one.player for one in theirs.full_history()))
        theirs.apply_action(spiel_card(game, cards[dealt]))
    return theirs


def every_history(name: str) -> Iterator[tuple[State, list[pyspiel.State]]]:
    """All histories of a length and their OpenSpiel states, length by length, to the longest."""
    game, spiel = GAMES[name]
    spiel = pyspiel.load_game(spiel)
    ours = beginning(game)
    theirs = [at_a_decision(game, spiel.new_initial_state(), cards) for cards in ours.cards.tolist()]
    while theirs:
        yield ours, theirs
        mask = game.legal_mask(ours) & ~game.is_terminal(ours)[:, None]
        lanes, actions = mask.nonzero().unbind(-1)
        theirs = [theirs[lane].child(action) for lane, action in zip(lanes.tolist(), actions.tolist(), strict=True)]
        ours = game.step(ours[lanes], actions)
        theirs = [at_a_decision(game, *pair) for pair in zip(theirs, ours.cards.tolist(), strict=True)]


def laid_open(game: Game, theirs: pyspiel.State, cards: list[int]) -> tuple[tuple[int, int], ...]:
    """Seats and cards that are compared at the end, if more than one is. OpenSpiel tells nobody."""
    done = [(one.player, game.action_names[one.action]) for one in theirs.full_history() if one.player >= 0]
    folded, bet = ({seat for seat, action in done if action == what} for what in ("fold", "bet"))
    left = bet or set(range(game.seats)) - folded
    return tuple((seat, cards[seat]) for seat in sorted(left)) if theirs.is_terminal() and len(left) > 1 else ()


@EVERY_GAME
def test_every_history_is_that_of_openspiel(name: str) -> None:
    game, longest, infostates = GAMES[name][0], 0, set()
    shown = defaultdict(set)  # by seat: (our observation, OpenSpiel's information state and what is laid open)
    for length, (ours, theirs) in enumerate(every_history(name)):
        over, mover, mask = game.is_terminal(ours).tolist(), game.mover(ours).tolist(), game.legal_mask(ours)
        scores, values = game.scores(ours), game.values(ours)
        worth = torch.where(game.is_terminal(ours)[:, None], (scores - game.lowest) / (game.highest - game.lowest), 0)
        torch.testing.assert_close(values, worth)
        for seat in range(game.seats):
            told = game.observe(ours, torch.full((ours.batch_size,), seat)).to(torch.int8).numpy()
            shown[seat] |= {
                (row.tobytes(), (re.sub(OUTCOME, "", one.information_state_string(seat)), laid_open(game, one, cards)))
                for row, one, cards in zip(told, theirs, ours.cards.tolist(), strict=True)
            }
        for lane, one in enumerate(theirs):
            assert over[lane] == one.is_terminal()
            assert scores[lane].tolist() == one.returns()
            if not over[lane]:
                assert mover[lane] == one.current_player()
                assert mask[lane].nonzero()[:, 0].tolist() == one.legal_actions()
                assert game.action_name(one.legal_actions()[0]) in one.action_to_string(one.legal_actions()[0]).lower()
                infostates.add(one.information_state_string())
        longest = length
    assert longest == game.decisions
    assert len(infostates) == INFORMATION_STATES.get(name, len(infostates))
    for pairs in shown.values():  # equal observations if and only if equal information states
        assert len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs})


@EVERY_GAME
def test_worlds_are_all_deals_that_agree_and_equally_likely(name: str) -> None:
    game = GAMES[name][0]
    deals, draws = cards_at_the_start(game), 30
    for ours, theirs in every_history(name):
        going = (~game.is_terminal(ours)).nonzero()[:, 0].tolist()
        for lane in going[:: max(1, len(going) // 4)]:
            seen = [int(game.mover(ours)[lane])]
            if "[Public: " in theirs[lane].information_state_string():
                seen.append(2)
            agree = deals[(deals[:, seen] == ours.cards[lane, seen]).all(-1)]
            many = ours[torch.full((draws * len(agree),), lane)]
            many = type(many)(**{**many.tensors(), "index": torch.arange(many.batch_size)})
            worlds = game.determinize(many, 1, seed=3)
            assert_same_state(type(many)(**{**worlds.tensors(), "cards": many.cards}), many)
            counts = Counter(map(tuple, worlds.cards.tolist()))
            assert set(counts) == set(map(tuple, agree.tolist()))
            assert chi_square_p(list(counts.values()), [draws] * len(agree)) > 1e-4


@EVERY_GAME
def test_lanes_do_not_meet_and_worlds_of_a_game_are_adjacent(name: str) -> None:
    game = GAMES[name][0]
    state = concatenate([ours[torch.arange(0, ours.batch_size, 17)] for ours, _ in every_history(name)])
    action = game.legal_mask(state).to(torch.int8).argmax(-1)
    state = type(state)(**{**state.tensors(), "index": torch.arange(state.batch_size)})
    alone = [game.step(state[lane : lane + 1], action[lane : lane + 1]) for lane in range(state.batch_size)]
    assert_same_state(game.step(state, action), concatenate(alone))
    worlds = [game.determinize(state[lane : lane + 1], 3, seed=1) for lane in range(state.batch_size)]
    assert_same_state(game.determinize(state, 3, seed=1), concatenate(worlds))


def test_a_finished_game_stays_as_it_is() -> None:
    for name, (game, _) in GAMES.items():
        for ours, _ in every_history(name):
            ended = ours[game.is_terminal(ours)]
            for action in range(game.num_actions):
                assert_same_state(game.step(ended, torch.full((ended.batch_size,), action)), ended)


def test_illegal_actions_are_refused_on_demand() -> None:
    """In every game, of one's own too; none is by default, as that costs a host synchronisation."""
    micro = MicroGame([0, 1], [[0, 2], [1]], worth=None)
    first, second = Leduc().deal(2), Leduc().step(Leduc().deal(2), [1, 2])
    for game, state in ((Kuhn(), Kuhn().deal(2)), (Leduc(), first), (Leduc(), second), (micro, micro.new(2))):
        mask = game.legal_mask(state)
        for action in range(-2, game.num_actions + 2):
            legal = [0 <= action < game.num_actions and bool(row[action]) for row in mask]
            played = game.step(state, [action] * 2)
            if all(legal):
                assert game.step(state, [action] * 2, validate=True) == played
                continue
            lane = legal.index(False)
            options = re.escape(str(mask[lane].nonzero()[:, 0].tolist()))
            with pytest.raises(ValueError, match=f"^action {action} is illegal in lane {lane}; legal there: {options}"):
                game.step(state, [action] * 2, validate=True)


def test_search_calls_with_the_best_card_and_not_with_the_worst() -> None:
    game, config = Kuhn(), SearchConfig(worlds=8, simulations=32)
    jack, _, king = range(3)
    state = beginning(game)
    after_a_bet = game.step(state, torch.ones(len(state.cards), dtype=torch.int64))
    policy = search(game, after_a_bet, PlayoutEvaluator(), config, seed=0).policy
    own = after_a_bet.cards[:, 1]
    assert (policy[own == king].argmax(-1) == 1).all() and (policy[own == jack].argmax(-1) == 0).all()
    alone = search(game, after_a_bet[3:4], PlayoutEvaluator(), config, seed=0).policy
    assert torch.equal(alone[0], policy[3])


def test_search_never_folds_the_best_hand_of_leduc() -> None:
    game = Leduc()
    state = beginning(game)
    ranks = state.cards % 3
    state = state[(ranks[:, 1] == 2) & (ranks[:, 2] == 2)]  # a pair of kings for the second seat
    for action in (1, 1, 2):  # call, call, and a raise in the second round
        state = game.step(state, torch.full((state.batch_size,), action))
    result = search(game, state, PlayoutEvaluator(), SearchConfig(worlds=4, simulations=64), seed=0)
    assert (result.policy.argmax(-1) != 0).all() and (result.q[:, 2] > result.q[:, 0]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Kuhn(players=1), "players must be an integer from 2 to 8, got 1"),
        (lambda: Kuhn(players=True), "players must be an integer from 2 to 8, got True"),
        (lambda: Kuhn(3), r"rules must be a KuhnRules, got 3; to change one of them write Kuhn\(NAME=VALUE\)"),
        (lambda: Kuhn().deal(0), "batch_size must be at least 1, got 0"),
        (lambda: Kuhn().step(Kuhn().deal(2), torch.tensor([1])), r"action must be 2 integers of shape \[2\]"),
        (lambda: Settings(game="leduc", candidates=8), "--candidates is for games whose cards do not change hands"),
        (lambda: Leduc().step(Leduc().deal(1), torch.tensor([0.5])), r"action must be 1 integers of shape \[1\]"),
    ],
)
def test_bad_input_gets_one_line(make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_games_are_equal_by_their_rules() -> None:
    assert Kuhn(players=3) == Kuhn(Kuhn(players=3).rules) != Kuhn() != Leduc() == Leduc()
    assert len({Kuhn(), Kuhn(players=2), Leduc(), Leduc()}) == 2
    one, other = (MicroGame([0], [[0, 1]], worth=None) for _ in range(2))  # which name no rules: anything may differ
    assert one == one and one != other
    assert (repr(Kuhn()), repr(Kuhn(players=3))) == ("Kuhn()", "Kuhn(players=3)")
    assert Kuhn().layout.rank_names == ("J", "Q", "K") and Kuhn(players=3).layout.rank_names == ("J", "Q", "K", "A")
