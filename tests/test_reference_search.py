"""The reference's tree search, its improved policy and max^n against hand-worked positions and simpler programs."""

import math
import random

import pytest

from tests.reference_games import TWO, card, cards, play, random_state, start
from veclab.reference.maxn import maxn_value
from veclab.reference.mcts import SearchConfig, improved_policy, search, search_worlds
from veclab.reference.rules import Rules, State, deal, is_terminal, legal_actions, mover, play_forced, scores, step
from veclab.reference.worlds import unseen_cards, world_state

# --- max^n ---


def test_maxn_bidding_with_one_card():
    """Seat 1 takes the only trick: everybody bids the truth, but the hook forbids it to the dealer."""
    rules = Rules(cards=1)
    hands = ("2S", "5S", "AH", "3S")
    assert maxn_value(rules, start(rules, *hands)) == ((10, 11, 10, 0), {0})
    free = Rules(cards=1, hook=False)
    assert maxn_value(free, start(free, *hands)) == ((10, 11, 10, 10), {0})


@pytest.mark.parametrize(
    ("bids", "values", "best"),
    [
        ((1, 2, 0, 1), (11, 0, 10, 11), "AS"),
        ((0, 2, 0, 1), (10, 12, 10, 0), "2S"),
        ((2, 2, 0, 1), (0, 12, 10, 0), "2S AS"),  # equally bad for the leader, who then leads the lower
    ],
)
def test_maxn_endgame(bids, values, best):
    """Leading the ace wins it, and seat 3 wins the other spades. Leading the two gives seat 1 both tricks."""
    state = play(TWO, start(TWO, "AS 2S", "KS 3H", "3S 4S", "QS 5S"), *bids)
    assert maxn_value(TWO, state) == (values, frozenset(cards(best)))


@pytest.mark.parametrize("seed", range(12))
def test_maxn_memory_changes_nothing(seed):
    rules = Rules(cards=3, miss_penalty=1)
    state = random_state(rules, random.Random(seed), 4)

    def plain(state: State) -> tuple:
        if is_terminal(state):
            return tuple(scores(rules, state))
        seat = mover(rules, state)
        return max((plain(step(rules, state, a)) for a in legal_actions(rules, state)), key=lambda v: v[seat])

    values, best = maxn_value(rules, state)
    assert values == plain(state)
    seat = mover(rules, state)
    assert best == {a for a in legal_actions(rules, state) if plain(step(rules, state, a))[seat] == values[seat]}
    assert maxn_value(rules, state, memo={}) == (values, best)


# --- tree search ---


def last_choice(bid: int = 2) -> State:
    """Seat 3 plays last in the first of two tricks. QS takes both tricks; 3S gives one each to seats 1 and 2."""
    state = start(TWO, "7S 2H", "8S 3H", "2S 4H", "QS 3S")
    return play(TWO, state, 0, 1, 1, bid, "7S", "8S", "2S")


def noisy_evaluator(rules: Rules, state: State) -> tuple[dict[int, float], list[float]]:
    """Arbitrary but fixed logits and values for each position."""
    rng = random.Random(repr((state.history, sorted(state.hands[0]), state.trump)))
    logits = {action: rng.gauss(0, 1) for action in legal_actions(rules, state)}
    return logits, [rng.random() for _ in range(4)]


def constant_evaluator(value, logits=None):
    def evaluate(rules: Rules, state: State):
        return {a: (logits or {}).get(a, 0.0) for a in legal_actions(rules, state)}, value

    return evaluate


def test_values_of_finished_games_are_exact_and_free():
    result = search(TWO, last_choice(), constant_evaluator([0.3, 0.3, 0.3, 0.9]), SearchConfig(simulations=10))
    assert result.evaluations == 1
    queen, three = result.visits[card("QS")], result.visits[card("3S")]
    assert queen + three == 10 and queen > 1 and three == 1
    assert result.totals == {card("QS"): queen * 12 / 12, card("3S"): 0}
    # seat 0 has met its bid of 0 either way, seats 1 and 2 their bids of 1 only after the 3S
    assert result.value == pytest.approx(
        [(0.3 + 10 * 10 / 12) / 11, (0.3 + three * 11 / 12) / 11, (0.3 + three * 11 / 12) / 11, (0.9 + queen) / 11]
    )


@pytest.mark.parametrize("leaves_per_step", [1, 3, 8])
@pytest.mark.parametrize("c_puct", [0.1, 0.6, 5.0])
@pytest.mark.parametrize("bid", [0, 1, 2])
def test_selection_formula(bid, c_puct, leaves_per_step):
    """With both moves ending the game the search is a bandit of two arms, easily simulated."""
    v_root, (low, high) = 0.4, cards("3S QS")
    arms = {low: 10 / 12 if bid == 0 else 0.0, high: 1.0 if bid == 2 else 0.0}
    prior, n, w, pending = {low: 0.3, high: 0.7}, {low: 0, high: 0}, {low: 0.0, high: 0.0}, []
    for visit in range(40):
        if visit % leaves_per_step == 0:
            for arm in pending:
                w[arm] += arms[arm]
            pending = []
        bound = {
            a: (w[a] / n[a] if n[a] else v_root) + c_puct * prior[a] * math.sqrt(1 + visit) / (1 + n[a]) for a in arms
        }
        pending.append(low if bound[low] >= bound[high] else high)
        n[pending[-1]] += 1
    evaluator = constant_evaluator([0, 0, 0, v_root], {a: math.log(p) for a, p in prior.items()})
    result = search(TWO, last_choice(bid), evaluator, SearchConfig(40, c_puct, leaves_per_step))
    assert result.visits == n
    assert result.totals == pytest.approx({a: n[a] * arms[a] for a in arms})
    assert result.prior == pytest.approx(prior)


def test_ties_go_to_the_lowest_action():
    rules = Rules(cards=5)
    result = search(rules, deal(rules, random.Random(0)), constant_evaluator([0.5] * 4), SearchConfig(simulations=4))
    assert [result.visits[bid] for bid in range(6)] == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("leaves_per_step", [30, 64])
def test_root_is_expanded_before_the_first_step(leaves_per_step):
    """The original system's batches found only the root, and stored uniform policies.

    In one step nothing is known but the root's prior and value, and pending visits count with value 0.
    """
    rules = Rules()
    state = deal(rules, random.Random(4))
    logits, values = noisy_evaluator(rules, state)
    result = search(rules, state, noisy_evaluator, SearchConfig(30, 0.6, leaves_per_step))
    n, total = dict.fromkeys(range(6), 0), sum(math.exp(x) for x in logits.values())
    for visit in range(30):

        def bound(a: int, visit: int = visit) -> float:
            q = 0.0 if n[a] else values[mover(rules, state)]
            return q + 0.6 * math.exp(logits[a]) / total * math.sqrt(1 + visit) / (1 + n[a])

        n[max(range(6), key=bound)] += 1
    assert result.visits == n
    assert len(set(n.values())) > 2
    assert result.evaluations == 1 + 6  # no descent goes below a child that awaits its evaluation
    assert all(result.totals.values())


def test_each_player_reads_its_own_value():
    """A bid that is good for the next bidder must not look good to this one."""
    rules = Rules(cards=2)
    state = start(rules, "AS 2H", "KS 3H", "2S 4H", "3S 5H")  # seat 0 bids, then seat 1

    def evaluate(rules: Rules, state: State):
        values = [0.25] * 4
        if state.bids[0] == 1:
            values = [0.0, 1.0, 0.0, 0.0]  # all for seat 1, who is to move at the leaf
        elif state.bids[0] == 2:
            values = [1.0, 0.0, 0.0, 0.0]
        return dict.fromkeys(legal_actions(rules, state), 0.0), values

    result = search(rules, state, evaluate, SearchConfig(simulations=7))
    assert result.totals[1] == 0
    assert result.totals[2] == result.visits[2]
    assert result.visits[2] > result.visits[0] + result.visits[1]
    n = result.visits
    assert result.value == pytest.approx(
        [(0.25 * (1 + n[0]) + n[2]) / 8, (0.25 * (1 + n[0]) + n[1]) / 8, *[0.25 * (1 + n[0]) / 8] * 2]
    )


def test_opponents_choose_for_themselves():
    """A bid of 0 is good for seat 0 only if seat 1 answers with 0, which is bad for seat 1."""
    rules = Rules(cards=3, hook=False)
    state = start(rules, "2S 3S 4S", "5S 6S 7S", "AH KH QH", "8S 9S TS")

    def evaluate(rules: Rules, state: State):
        bids, values = state.bids, [0.5, 0.5, 0.5, 0.5]
        if bids[0] == 0 and bids[1] is not None:
            values = [1.0, 0.0, 0.5, 0.5] if bids[1] == 0 else [0.0, 1.0, 0.5, 0.5]
        return dict.fromkeys(legal_actions(rules, state), 0.0), values

    result = search(rules, state, evaluate, SearchConfig(simulations=60))
    assert result.totals[0] / result.visits[0] < 0.4
    assert result.visits[0] < min(result.visits[bid] for bid in (1, 2, 3))


@pytest.mark.parametrize("bids", [(1, 2, 0, 1), (0, 2, 0, 1)])
def test_search_finds_the_maxn_move(bids):
    state = play(TWO, start(TWO, "AS 2S", "KS 3H", "3S 4S", "QS 5S"), *bids)
    values, best = maxn_value(TWO, state)
    result = search(TWO, state, constant_evaluator([0.5] * 4), SearchConfig(simulations=100))
    assert {max(result.visits, key=result.visits.get)} == best
    assert result.value == pytest.approx([v / 12 for v in values], abs=0.1)


def test_descents_of_one_step_may_share_a_leaf():
    """A pending leaf is met again: one node, one evaluation, its value backed up twice."""
    rules = Rules(cards=2)
    state = start(rules, "AS 2H", "KS 3H", "2S 4H", "3S 5H")
    calls = []

    def evaluate(rules: Rules, state: State):
        calls.append(state.copy())
        logits = {a: 20.0 if a == 1 else 0.0 for a in legal_actions(rules, state)}
        return logits, [0.0, 0.25, 0.5, 0.75] if len(calls) == 1 else [0.125, 0.25, 0.5, 0.75]

    result = search(rules, state, evaluate, SearchConfig(simulations=3, leaves_per_step=3))
    assert len(calls) == result.evaluations == 2
    assert [call.history for call in calls] == [[], [(0, 1)]]
    assert result.visits == {0: 0, 1: 3, 2: 0}
    assert result.totals == {0: 0, 1: 3 * 0.125, 2: 0}


@pytest.mark.parametrize("leaves_per_step", [1, 3, 7, 100])
def test_there_are_exactly_as_many_descents_as_simulations(leaves_per_step):
    rules = Rules(cards=3)
    for moves in (0, 3, 5, 8):
        state = random_state(rules, random.Random(moves), moves)
        result = search(rules, state, noisy_evaluator, SearchConfig(20, 0.6, leaves_per_step))
        assert sum(result.visits.values()) == 20
        assert result.evaluations <= 21
        mean = (result.root_value[mover(rules, state)] + sum(result.totals.values())) / 21
        assert result.value[mover(rules, state)] == pytest.approx(mean)


def test_a_forced_root_is_searched_where_it_stands():
    state = play(TWO, start(TWO, "AS 2H", "KS 3H", "2S 5S", "3S 4H"), 2, 0, 1, 2, "AS")
    seen = []

    def evaluate(rules: Rules, state: State):
        seen.append(mover(rules, state))
        return constant_evaluator([0.1, 0.2, 0.3, 0.4])(rules, state)

    result = search(TWO, state, evaluate, SearchConfig(simulations=5))
    assert result.visits == {card("KS"): 5}
    assert seen == [1, 2]  # the root, then seat 2's choice; all behind it is forced to the end


def test_noise_is_mixed_into_the_root_prior():
    rules = Rules(cards=2)
    state = start(rules, "AS 2H", "KS 3H", "2S 4H", "3S 5H")
    evaluator = constant_evaluator([0.5] * 4, {0: math.log(8.0)})  # prior 0.8, 0.1, 0.1
    config = SearchConfig(simulations=1)
    assert search(rules, state, evaluator, config).visits == {0: 1, 1: 0, 2: 0}
    noise = {0: 0.0, 1: 0.0, 2: 1.0}
    less = search(rules, state, evaluator, config, noise, 0.4)  # 0.48, 0.06, 0.46
    more = search(rules, state, evaluator, config, noise, 0.5)  # 0.4, 0.05, 0.55
    assert less.visits == {0: 1, 1: 0, 2: 0}
    assert more.visits == {0: 0, 1: 0, 2: 1}
    assert more.prior == pytest.approx({0: 0.8, 1: 0.1, 2: 0.1})


def test_search_refuses_what_it_cannot_do():
    state = play_forced(TWO, step(TWO, last_choice(), card("QS")))
    with pytest.raises(ValueError, match="over"):
        search(TWO, state, noisy_evaluator)
    with pytest.raises(ValueError, match="leaves_per_step"):
        search(TWO, last_choice(), noisy_evaluator, SearchConfig(leaves_per_step=0))


def test_worlds_are_summed():
    rules = Rules(cards=3)
    state = random_state(rules, random.Random(2), 4)
    me = mover(rules, state)
    rng = random.Random(9)
    roots = []
    for _ in range(3):
        unseen = sorted(unseen_cards(rules, state))
        rng.shuffle(unseen)
        hands = [state.hands[me] if s == me else frozenset(unseen[3 * s : 3 * s + 3]) for s in range(4)]
        roots.append(world_state(state, hands))
    config = SearchConfig(simulations=15)
    singles = [search(rules, root, noisy_evaluator, config) for root in roots]
    both = search_worlds(rules, roots, noisy_evaluator, config)
    assert len({tuple(single.visits.items()) for single in singles}) > 1
    for action in legal_actions(rules, state):
        assert both.visits[action] == sum(single.visits[action] for single in singles)
        assert both.totals[action] == pytest.approx(sum(single.totals[action] for single in singles))
    for seat in range(4):
        assert both.value[seat] == pytest.approx(sum(single.value[seat] for single in singles) / 3)
    assert both.evaluations == sum(single.evaluations for single in singles)
    other = world_state(state, state.hands[::-1])
    with pytest.raises(ValueError, match="differ"):
        search_worlds(rules, [state, other], noisy_evaluator, config)


# --- policy target ---


def test_improved_policy_by_hand():
    """q = 0.5 and 0.2; v_mix = (0.4 + 4/0.75 * (0.5*0.5 + 0.25*0.2)) / 5 = 0.4; weight (50 + 3) * 0.2 = 10.6."""
    prior = {3: 0.5, 7: 0.25, 9: 0.25}
    policy = improved_policy(prior, {3: 3, 7: 1, 9: 0}, {3: 1.5, 7: 0.2, 9: 0.0}, v_hat=0.4)
    assert sum(policy.values()) == pytest.approx(1)
    assert policy[7] / policy[3] == pytest.approx(0.5 * math.exp(-10.6 * 0.3))
    assert policy[9] / policy[3] == pytest.approx(0.5 * math.exp(-10.6 * 0.1))


def test_improved_policy_completes_with_v_mix_not_v_hat():
    """v_mix = (1 + 1/0.5 * 0.5 * 0) / 2 = 0.5, weight (1 + 1) * 1 = 2."""
    policy = improved_policy({0: 0.5, 1: 0.5}, {0: 1, 1: 0}, {0: 0.0, 1: 0.0}, v_hat=1.0, c_visit=1, c_scale=1)
    assert policy[1] / policy[0] == pytest.approx(math.exp(2 * 0.5))


def test_improved_policy_without_visits_is_the_prior():
    prior = {0: 0.7, 1: 0.2, 2: 0.1}
    nothing = dict.fromkeys(prior, 0)
    assert improved_policy(prior, nothing, nothing, v_hat=0.6) == pytest.approx(prior)


def test_improved_policy_bears_a_vanished_prior():
    policy = improved_policy({0: 1.0, 1: 0.0}, {0: 0, 1: 1}, {0: 0.0, 1: 0.5}, v_hat=0.5)
    assert policy == pytest.approx({0: 1.0, 1: 0.0})
