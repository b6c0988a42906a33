"""Best responses of all kinds of games, beside OpenSpiel's and beside plain Python that knows what seats see by the text
that they are shown."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from tests.small_games import Count, Draw, FiveSuits
from tests.small_games import Kuhn as SmallKuhn
from tests.test_deals import SmallBriscola
from vecgame import Blob, BlobMatch, Game, Kuhn, Leduc, State
from veclab.arena import sight, tree
from veclab.arena.best_response import Policy, best_response, player_policy, uniform_policy
from veclab.arena.bots import RuleBot
from veclab.arena.deals import every_deal, later_deals

pyspiel = pytest.importorskip("pyspiel")
exploitability = pytest.importorskip("open_spiel.python.algorithms.exploitability")
cfr = pytest.importorskip("open_spiel.python.algorithms.cfr")
spiel_policy = pytest.importorskip("open_spiel.python.policy")

POKERS = {
    "kuhn_poker": Kuhn(),
    "kuhn_poker(players=3)": Kuhn(players=3),
    "kuhn_poker(players=4)": Kuhn(players=4),
    "leduc_poker": Leduc(),
}
Key = tuple[int, ...]
"""In a poker: the seat, its card, the card turned up or -1, and the actions so far."""


# -- OpenSpiel --------------------------------------------------------------------------------------------------------


def our_key(game: Game, state: State, lane: int) -> Key:
    seat, cards = int(game.mover(state)[lane]), state.cards[lane].tolist()
    board = cards[2] if isinstance(game, Leduc) and int(state.place[lane]) >= 4 else -1
    return seat, cards[seat], board, *(action for action in state.history[lane].tolist() if action >= 0)


def their_key(game: Game, state: pyspiel.State) -> Key:
    dealt = [one.action for one in state.full_history() if one.player == pyspiel.PlayerId.CHANCE]
    cards = [
        card % game.layout.suits * game.layout.ranks + card // game.layout.suits for card in dealt
    ]  # by rank first
    seat = state.current_player()
    board = cards[game.seats] if len(cards) > game.seats else -1
    return seat, cards[seat], board, *(one.action for one in state.full_history() if one.player >= 0)


class TablePolicy(spiel_policy.Policy):
    """For OpenSpiel, what is chosen by key."""

    def __init__(self, game: Game, theirs: pyspiel.Game, table: Callable[[Key], Mapping[int, float]]) -> None:
        super().__init__(theirs, list(range(game.seats)))
        self.ours, self.table = game, table

    def action_probabilities(self, state: pyspiel.State, player_id: int | None = None) -> Mapping[int, float]:
        return self.table(their_key(self.ours, state), state.legal_actions())


def table_policy(table) -> Policy:
    """For us, what is chosen by key."""

    def policy(game: Game, state: State) -> Tensor:
        rows = []
        for lane, actions in enumerate(game.legal_actions(state).tolist()):
            chances = table(our_key(game, state, lane), [action for action in actions if action >= 0])
            rows.append([chances[action] if action >= 0 else 0.0 for action in actions])
        return torch.tensor(rows, dtype=torch.float64)

    return policy


def fixed_at_random(key: Key, legal: list[int]) -> dict[int, float]:
    """Weights that the key alone decides; some are 0."""
    rng = random.Random(str(key))
    weights = [max(0.0, rng.random() - 0.3) for _ in legal]
    weights[rng.randrange(len(legal))] += 0.1
    return {action: weight / sum(weights) for action, weight in zip(legal, weights, strict=True)}


def uniformly(key: Key, legal: list[int]) -> dict[int, float]:
    return dict.fromkeys(legal, 1 / len(legal))


def assert_as_openspiel(name: str, table) -> float:
    """The same gains of every seat; returns their sum."""
    game, theirs = POKERS[name], pyspiel.load_game(name)
    expected = exploitability.nash_conv(theirs, TablePolicy(game, theirs, table), return_only_nash_conv=False)
    gains = best_response(game, table_policy(table))
    assert gains.gain.tolist() == pytest.approx(list(expected.player_improvements), abs=1e-9)
    if game.seats == 2:
        assert float(gains.gain.mean()) == pytest.approx(expected.nash_conv / 2, abs=1e-9)  # called exploitability
    return float(gains.gain.sum())


@pytest.mark.parametrize("table", [uniformly, fixed_at_random])
@pytest.mark.parametrize("name", POKERS)
def test_pokers_gain_as_openspiel_says(name: str, table) -> None:
    assert assert_as_openspiel(name, table) > 0.5


@pytest.mark.parametrize(("name", "iterations", "most"), [("kuhn_poker", 400, 0.003), ("leduc_poker", 30, 0.5)])
def test_what_cfr_learns_leaves_little_to_gain(name: str, iterations: int, most: float) -> None:
    game, theirs = POKERS[name], pyspiel.load_game(name)
    solver, table = cfr.CFRPlusSolver(theirs), {}
    for _ in range(iterations):
        solver.evaluate_and_update_policy()
    average, going = solver.average_policy(), [theirs.new_initial_state()]
    while going:
        state = going.pop()
        if not state.is_terminal():
            if not state.is_chance_node():
                table[their_key(game, state)] = average.action_probabilities(state)
            going += [state.child(action) for action in state.legal_actions()]
    assert assert_as_openspiel(name, lambda key, legal: table[key]) < most


def test_nothing_is_gained_against_kuhns_equilibrium() -> None:
    """Kuhn (1950): one of his equilibria, the one in which the first seat bluffs with a jack one time in four."""
    bets = {(0, 0): 1 / 4, (0, 1): 0.0, (0, 2): 3 / 4}  # first to act, by card; then after a pass and a bet
    calls = {0: 0.0, 1: 1 / 4 + 1 / 3, 2: 1.0}
    second = {(0, 0): 1 / 3, (0, 1): 0.0, (1, 0): 0.0, (1, 1): 1 / 3, (2, 0): 1.0, (2, 1): 1.0}  # by card, after what

    def table(key: Key, legal: list[int]) -> dict[int, float]:
        seat, card, _, *past = key
        chance = (bets[0, card] if not past else calls[card]) if seat == 0 else second[card, past[0]]
        return {0: 1 - chance, 1: chance}

    gains = best_response(Kuhn(), table_policy(table))
    assert gains.gain.tolist() == pytest.approx([0, 0], abs=1e-12)
    assert gains.policy.tolist() == pytest.approx([-1 / 18, 1 / 18])


def test_blob_gains_as_openspiel_says_of_its_door() -> None:
    pytest.importorskip("veclab.doors.openspiel_game")
    theirs = pyspiel.load_game("python_vecgame_blob(cards=1,suits=2,ranks=2,trump=spades,dealer=3)")
    expected = exploitability.nash_conv(theirs, spiel_policy.UniformRandomPolicy(theirs), return_only_nash_conv=False)
    gains = best_response(Blob(cards=1, suits=2, ranks=2, trump="spades"), uniform_policy)
    assert gains.gain.tolist() == pytest.approx(list(expected.player_improvements), abs=1e-6)


# -- plain Python -----------------------------------------------------------------------------------------------------


def skewed_policy(game: Game, state: State) -> Tensor:
    """Slot k of a decision has weight 1, 2, .. or 7, by the number of the decision and what the mover holds."""
    legal = (game.legal_actions(state) >= 0).double()
    seen = sight.look(game, state, sight.beginning(state, game.seats))
    mine = seen[torch.arange(len(state)), game.mover(state), 0]
    slots = torch.arange(legal.shape[1])
    weights = legal * ((mine[:, None] >> (3 * slots + 1)) % 7 + 1)
    return weights / weights.sum(-1, keepdim=True)


def by_text(game: Game, policy: Policy) -> tuple[list[float], list[float]]:
    """Points of the policy and of best responses, by recursion over whole histories. What a seat knows are the texts
    that it was shown after every action, and its own actions."""
    deals = every_deal(game)

    def shown(state: State, seat: int) -> str:
        words = game.text(state, 0, seat).splitlines()
        return "\n".join(line for line in words if ", game " not in line)  # which has the game's number

    def following(state: State, action: int) -> list[tuple[float, State]]:
        taken = torch.tensor([action])
        after = game.step(state, taken)
        if not isinstance(game, BlobMatch):
            return [(1.0, after)]
        states, _, chances = later_deals(game, state, taken, after, 10**6)
        return [(chance, states[lane]) for lane, chance in enumerate(chances.tolist())]

    def response(nodes: list[tuple[float, State, tuple]], seat: int) -> float:
        """The most that the seat makes in all of these, which it may tell apart by the last of each."""
        total, sets = 0.0, defaultdict(list)
        for reach, state, known in nodes:
            if bool(game.is_terminal(state)):
                total += reach * float(game.scores(state)[0, seat])
            else:
                sets[known].append((reach, state))
        for known, alike in sets.items():
            own = [(reach, state) for reach, state in alike if int(game.mover(state)) == seat]
            others = [(reach, state) for reach, state in alike if int(game.mover(state)) != seat]
            going = []
            for reach, state in others:
                actions = [action for action in game.legal_actions(state)[0].tolist() if action >= 0]
                for action, chance in zip(actions, policy(game, state)[0].tolist(), strict=False):
                    going += [
                        (reach * chance * other, after, (*known, shown(after, seat)))
                        for other, after in following(state, action)
                        if chance > 0
                    ]
            total += response(going, seat) if going else 0.0
            if own:
                options = [action for action in game.legal_actions(own[0][1])[0].tolist() if action >= 0]
                total += max(
                    response(
                        [
                            (reach * other, after, (*known, option, shown(after, seat)))
                            for reach, state in own
                            for other, after in following(state, option)
                        ],
                        seat,
                    )
                    for option in options
                )
        return total

    def followed(reach: float, state: State) -> Tensor:
        if bool(game.is_terminal(state)):
            return reach * game.scores(state)[0].double()
        actions = [action for action in game.legal_actions(state)[0].tolist() if action >= 0]
        pairs = zip(actions, policy(game, state)[0].tolist(), strict=False)
        return sum(
            followed(reach * c * other, after) for a, c in pairs if c > 0 for other, after in following(state, a)
        )

    chance = 1 / len(deals)
    best = [response([(chance, deal, (shown(deal, seat),)) for deal in deals], seat) for seat in range(game.seats)]
    return sum(followed(chance, deal) for deal in deals).tolist(), best


GAMES = {
    "kuhn": Kuhn(),
    "small kuhn": SmallKuhn(),
    "nothing hidden": Count(),
    "a stock": Draw(stock=1),
    "cards face up": Draw(face_up=True, stock=1),
    "blob, 2 players": Blob(players=2, cards=1, suits=1, ranks=3, trump="none"),
    "blob, 3 players": Blob(players=3, cards=1, suits=1, ranks=3),
    "forehead": Blob(players=3, cards=1, suits=1, ranks=3, sight="forehead", trump="none"),
    "blind": Blob(players=3, cards=1, suits=1, ranks=3, sight="blind", trump="none"),
    "bids at once": Blob(players=3, cards=1, suits=1, ranks=3, bidding="once", hook=False, trump="none"),
    "bids at once, two cards": Blob(players=2, cards=2, suits=1, ranks=4, bidding="once", hook=False, trump="none"),
    "trump turned": Blob(players=2, cards=1, suits=2, ranks=2, trump="turned"),
    "bidder": Blob(players=2, cards=1, suits=2, ranks=2, trump="bidder"),
    "own scoring": Blob(players=2, cards=1, suits=1, ranks=3, scoring=lambda bids, won: (bids == won) * (1 + bids)),
    "match": BlobMatch(players=2, cards=1, suits=1, ranks=2, games=2, trump="none"),
    "match in which trump goes round": BlobMatch(players=2, cards=1, suits=1, ranks=2, games=2, trump="rotate"),
    "the dealer drawn": FiveSuits(cards=1, players=2),
}


@pytest.mark.parametrize("name", GAMES)
def test_small_games_gain_as_plain_python_says(name: str) -> None:
    game = GAMES[name]
    policy, response = by_text(game, skewed_policy)
    gains = best_response(game, skewed_policy)
    assert gains.policy.tolist() == pytest.approx(policy, abs=1e-6)
    assert gains.response.tolist() == pytest.approx(response, abs=1e-6)


def test_bids_at_once_are_known_to_nobody_else() -> None:
    """The last to bid gains from the bids before its own, where it hears them."""
    rules = {"players": 3, "cards": 1, "suits": 2, "ranks": 3, "hook": False, "trump": "none"}
    hears, not_ = (
        best_response(Blob(bidding=bidding, **rules), player_policy(RuleBot())) for bidding in ("turn", "once")
    )
    assert torch.allclose(hears.policy, not_.policy)
    assert float(hears.gain[2]) > float(not_.gain[2]) + 0.1


def test_a_stock_is_played_out() -> None:
    """Briscola with eight cards: random play shares out all points, and a best response wins more."""
    game = SmallBriscola()
    gains = best_response(game, uniform_policy)
    assert float(gains.policy.sum()) == pytest.approx(2 * (3 + 4 + 10 + 11)) and (gains.gain > 2).all()


# -- what seats have seen ---------------------------------------------------------------------------------------------


def test_sets_are_told_apart_by_both_numbers() -> None:
    keys = torch.tensor([[5, 1], [7, 1], [5, 2], [5, 1], [7, 1]])
    numbers, place = sight.number(keys)
    assert len(place) == 3 and torch.equal(keys[place][numbers], keys)
    numbers, place = sight.number(keys[[0, 1, 3]])
    assert len(place) == 2 and torch.equal(keys[[0, 1, 3]][place][numbers], keys[[0, 1, 3]])


def test_too_many_nodes_are_told_before_they_are_laid_out() -> None:
    game = Blob(cards=2, suits=2, ranks=4, trump="none")
    sizes = tree.estimated_sizes(game, uniform_policy, every_deal(game))
    levels = tree.lay_out(game, uniform_policy, every_deal(game))
    assert len(sizes) == len(levels)
    assert sizes == pytest.approx([len(level.origin) for level in levels], rel=0.1)
    with pytest.raises(ValueError, match=r"about [\d,]+ nodes after 8 decisions, where 100,000 are .*cards \(2\)"):
        tree.lay_out(game, uniform_policy, every_deal(game), most=100_000)


@pytest.mark.parametrize("wrong", ["sum", "shape", "illegal"])
def test_a_policy_that_is_none_is_refused(wrong: str) -> None:
    def policy(game: Game, state: State) -> Tensor:
        chances = uniform_policy(game, state)
        return {"sum": chances / 2, "shape": chances[:, :1], "illegal": chances.flip(-1)}[wrong]

    game = Leduc()  # where a fold is not always legal
    with pytest.raises(ValueError, match="a policy must give probabilities of the legal actions"):
        best_response(game, policy)
