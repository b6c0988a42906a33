"""Best responses of all kinds of games, beside OpenSpiel's and beside plain Python, which knows what seats see by the
text that they are shown."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tests.small_games import Count, Draw, FiveSuits
from tests.small_games import Kuhn as SmallKuhn
from tests.test_deals import SmallBriscola
from vecgame import Blob, BlobMatch, Game, Kuhn, Leduc, State
from veclab.arena.best_response import Policy, best_response, player_policy, uniform_policy
from veclab.arena.bots import RuleBot
from veclab.exact import sight, tree
from veclab.exact.deals import every_deal, later_deals

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


@pytest.mark.parametrize(
    ("name", "iterations", "most"),
    [("kuhn_poker", 400, 0.003), pytest.param("leduc_poker", 100, 0.1, marks=pytest.mark.slow)],
)
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


@dataclass(frozen=True)
class Node:
    """A state in plain Python, with all that may follow."""

    mover: int
    shown: list[str]  # to each seat
    chances: dict[int, float]  # of the actions, by the policy
    after: dict[int, list[tuple[float, Node]]]  # by action; with the probabilities of what a match deals
    scores: list[float] | None  # at the end


def node_of(game: Game, policy: Policy, state: State) -> Node:
    mover, shown = int(game.mover(state)), [shown_to(game, state, seat) for seat in range(game.seats)]
    if bool(game.is_terminal(state)):
        return Node(mover, shown, {}, {}, game.scores(state)[0].tolist())
    actions = [action for action in game.legal_actions(state)[0].tolist() if action >= 0]
    after = {}
    for action in actions:
        taken = torch.tensor([action])
        states, chances = game.step(state, taken), torch.ones(1)
        if isinstance(game, BlobMatch):
            states, _, chances = later_deals(game, state, taken, states, 10**6)
        pairs = zip(chances.tolist(), states, strict=True)
        after[action] = [(chance, node_of(game, policy, state)) for chance, state in pairs]
    chances = policy(game, state)[0].tolist()[: len(actions)]
    return Node(mover, shown, dict(zip(actions, chances, strict=True)), after, None)


def shown_to(game: Game, state: State, seat: int) -> str:
    """The text of what a seat sees but for the line that has the game's number."""
    return "\n".join(line for line in game.text(state, 0, seat).splitlines() if ", game " not in line)


def followed(node: Node, seat: int) -> float:
    """Points of a seat when all play the policy."""
    if node.scores is not None:
        return node.scores[seat]
    after = node.after.items()
    return sum(node.chances[action] * c * followed(one, seat) for action, nodes in after for c, one in nodes)


def responded(nodes: list[tuple[float, Node, tuple]], seat: int) -> float:
    """The most that a seat makes in nodes of some reach which it tells apart by what it has been shown and has done."""
    total, sets = 0.0, defaultdict(list)
    for reach, node, known in nodes:
        if node.scores is not None:
            total += reach * node.scores[seat]
        else:
            sets[(*known, node.shown[seat])].append((reach, node))
    for known, alike in sets.items():
        going = [
            (reach * node.chances[action] * chance, one, known)
            for reach, node in alike
            if node.mover != seat
            for action, nodes in node.after.items()
            for chance, one in nodes
        ]
        total += responded(going, seat) if going else 0.0
        own = [(reach, node) for reach, node in alike if node.mover == seat]
        options = own[0][1].after if own else ()
        total += max(
            (
                responded([(r * c, one, (*known, option)) for r, node in own for c, one in node.after[option]], seat)
                for option in options
            ),
            default=0.0,
        )
    return total


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


SLOW = ("bids at once, two cards", "the dealer drawn", "cards face up", "bidder", "blob, 3 players")
EACH = [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in GAMES]


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH)
def test_small_games_gain_as_plain_python_says(name: str) -> None:
    game = GAMES[name]
    deals = every_deal(game)
    nodes = [(1 / len(deals), node_of(game, skewed_policy, deal), ()) for deal in deals]
    gains = best_response(game, skewed_policy)
    for seat in range(game.seats):
        assert float(gains.policy[seat]) == pytest.approx(
            sum(p * followed(node, seat) for p, node, _ in nodes), abs=1e-6
        )
        assert float(gains.response[seat]) == pytest.approx(responded(nodes, seat), abs=1e-6)


def test_bids_at_once_are_known_to_nobody_else() -> None:
    """The last to bid gains from the bids before its own, where it hears them."""
    rules = {"players": 3, "cards": 1, "suits": 2, "ranks": 3, "hook": False, "trump": "none"}
    hears, not_ = (
        best_response(Blob(bidding=bidding, **rules), player_policy(RuleBot())) for bidding in ("turn", "once")
    )
    assert torch.allclose(hears.policy, not_.policy)
    assert float(hears.gain[2]) > float(not_.gain[2]) + 0.05


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


def test_a_seat_sees_how_many_cards_others_hold_and_not_which() -> None:
    """Of games that are the same to all but for a hand: seat 1 has another card, and a card less."""
    game = Blob(cards=2)
    state = game.deal(1, seed=1)
    hand, held = int(state.hands[0, 1]), int(state.hands.sum())
    lowest, free = hand & -hand, ~held & (held + 1)
    hands = state.hands.repeat(3, 1)
    hands[1, 1], hands[2, 1] = hand ^ lowest ^ free, hand ^ lowest
    states = replace(state.repeat(3), hands=hands)
    known = sight.look(game, states, sight.beginning(states, game.seats))
    told_apart = [[bool((known[a, seat] != known[b, seat]).any()) for seat in range(4)] for a, b in ((0, 1), (0, 2))]
    assert told_apart == [[False, True, False, False], [True] * 4]


def test_too_many_nodes_are_told_before_they_are_laid_out() -> None:
    """By an estimate, which is near, and not by laying them out."""
    game = Blob(cards=1, suits=2, ranks=4, trump="none")
    sizes = tree.estimated_sizes(game, uniform_policy, every_deal(game))
    levels = tree.lay_out(game, uniform_policy, every_deal(game))
    assert len(sizes) == len(levels) == 4
    assert sizes == pytest.approx([len(level.origin) for level in levels], rel=0.1)
    asked = []

    def policy(game: Game, state: State) -> Tensor:
        asked.append(len(state))
        return uniform_policy(game, state)

    message = (
        r"about [\d,]+ nodes after 4 decisions, where 5,000 are the most; make smaller: suits \(2\), ranks \(4\), "
    )
    with pytest.raises(ValueError, match=message):
        tree.lay_out(game, policy, every_deal(game), most=5000)
    assert max(asked) <= tree.SAMPLES


@pytest.mark.parametrize("wrong", ["sum", "shape", "illegal"])
def test_a_policy_that_is_none_is_refused(wrong: str) -> None:
    def policy(game: Game, state: State) -> Tensor:
        chances = uniform_policy(game, state)
        return {"sum": chances / 2, "shape": chances[:, :1], "illegal": chances.flip(-1)}[wrong]

    game = Leduc()  # where a fold is not always legal
    with pytest.raises(ValueError, match="a policy must give probabilities of the legal actions"):
        best_response(game, policy)
