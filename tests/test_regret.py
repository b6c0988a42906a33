"""Games solved by counterfactual regret minimisation, against what is known of them and against best responses."""

import pytest
import torch

from tests.go_fish import GoFish
from tests.small_hands import Tray
from vecgame import Blob, Game, Kuhn, Leduc, State, make_game
from veclab.arena.best_response import best_response
from veclab.exact import solution as module
from veclab.exact import tree
from veclab.exact.deals import every_deal, told_apart
from veclab.exact.regret import Solver
from veclab.exact.solution import Solution, is_small, nodes_of, solve
from veclab.exact.tree import lay_out, uniform_policy

TWO = Blob(players=2, cards=2, suits=2, ranks=3)
THREE = Blob(players=3, cards=1, suits=2, ranks=3)
MATCH = make_game("blob-match", cards=1, games=2, suits=1, ranks=4, players=2)


def table_policy(solution: Solution):
    """A solution by observation as a policy of positions, by what is observed there."""
    known: dict[bytes, torch.Tensor] = {}
    for part in solution.parts:
        for level, state, table in zip(part.solver.levels, part.states, part.tables, strict=True):
            observed = solution.game.observe(state).half()
            for row, entry in zip(observed, table[level.information], strict=True):
                known[row.numpy().tobytes()] = entry

    def policy(game: Game, state: State) -> torch.Tensor:
        return torch.stack([known[row.numpy().tobytes()] for row in game.observe(state).half()])

    return policy


@pytest.mark.parametrize(("game", "value"), [(Kuhn(), -1 / 18), (Leduc(), -0.0856)], ids=["kuhn", "leduc"])
def test_poker_is_worth_what_it_is_known_to_be(game: Game, value: float) -> None:
    """Kuhn 1950, -1/18 for who begins; Leduc as solved by OpenSpiel's CFR. At an equilibrium to which a best response
    gains g on the average of the seats, the value is within 2 g of that."""
    solution = solve(game)
    assert solution.gain < 5e-5 * (game.highest - game.lowest)
    assert abs(float(solution.points[0]) - value) < 2 * solution.gain + 1e-4
    assert float(solution.points.sum()) == pytest.approx(0)


@pytest.mark.parametrize(
    "game", [Kuhn(), Kuhn(players=3), TWO, THREE], ids=["kuhn", "kuhn of 3", "blob of 2", "blob of 3"]
)
def test_the_gain_is_that_of_best_responses(game: Game) -> None:
    """Which are computed for the table as for any other policy, from the game itself."""
    solution = solve(game, by_observation=True)
    gains = best_response(game, table_policy(solution))
    assert torch.allclose(gains.policy, solution.points, atol=1e-6)
    assert torch.allclose(gains.response, solution.response, atol=1e-6)
    assert 0 <= solution.gain < 0.01 * (game.highest - game.lowest)


def solver_of(game: Game) -> tuple[Solver, State]:
    deals = every_deal(game)
    levels = lay_out(game, uniform_policy, deals)
    return Solver(levels, game.seats), deals


def test_probabilities_of_all_that_may_happen() -> None:
    """What a seat does towards a node times what all others do is the same whichever seat is asked; and sums up to 1
    over a level and the ends before it."""
    solver, _ = solver_of(THREE)
    for _ in range(3):
        solver.iterate()
    ended = 0.0
    for number, level in enumerate(solver.levels):
        both = [solver.reach(solver.last, s)[number] * solver.towards(solver.last, s)[number] for s in range(3)]
        assert torch.allclose(both[0], both[1]) and torch.allclose(both[0], both[2])
        assert float(both[0].sum()) + ended == pytest.approx(1)
        nodes, slots = level.origin // level.legal.shape[1], level.origin % level.legal.shape[1]
        after = both[0][nodes] * solver.last[number][level.information[nodes], slots]
        ended += float(after[level.over].sum())
    assert ended == pytest.approx(1)


def test_values_of_the_deals_are_the_points() -> None:
    solver, _ = solver_of(TWO)
    for _ in range(5):
        solver.iterate()
    for tables in (solver.last, solver.average()):
        values = torch.stack([solver.values(tables, seat)[0].mean() for seat in range(2)])
        assert torch.allclose(values, solver.points(tables)[0])


@pytest.mark.parametrize("game", [TWO, MATCH], ids=["one deal", "match"])
def test_states_are_those_of_the_nodes(game: Game) -> None:
    for part in solve(game, by_observation=True).parts:
        assert len(part.states) == len(part.solver.levels)
        for level, state in zip(part.solver.levels, part.states, strict=True):
            assert torch.equal(game.mover(state), level.mover)
            assert torch.equal(game.legal_actions(state) >= 0, level.legal[level.information])


def test_the_average_comes_as_near_as_one_likes() -> None:
    """With two seats whose points sum to a constant."""
    solver, _ = solver_of(Kuhn())
    gains = []
    for _ in range(6):
        for _ in range(40 * 2 ** len(gains)):
            solver.iterate()
        points, response = solver.points(solver.average())
        gains.append(float((response - points).mean()))
    assert gains[-1] < 0.0002 < 0.002 < gains[0]


def test_sets_of_a_kind_are_played_alike() -> None:
    game = TWO
    deals = every_deal(game)
    levels = lay_out(game, uniform_policy, deals)
    kinds = [
        (one.legal.long() << torch.arange(one.legal.shape[1])).sum(-1).unique(return_inverse=True)[1] for one in levels
    ]
    solver = Solver(levels, game.seats, kinds)
    for _ in range(4):
        solver.iterate()
    for kind, table in zip(kinds, solver.last, strict=True):
        for number in range(int(kind.max()) + 1):
            assert len(table[kind == number].unique(dim=0)) == 1
    with pytest.raises(ValueError, match="have different actions"):
        Solver(levels, 2, [torch.zeros_like(kind) for kind in kinds])


def test_a_match_is_solved_over_all_of_its_later_deals() -> None:
    """Nodes that a later deal leads to have several parents' chances."""
    solution = solve(MATCH)
    assert 0 <= solution.gain < 0.01 and solution.iterations > 3
    assert float(solution.parts[0].share) == pytest.approx(1 / len(solution.parts))


def test_threads_make_no_difference() -> None:
    threads = torch.get_num_threads()
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(solve(TWO, by_observation=True))
    torch.set_num_threads(threads)
    assert found[0].iterations == found[1].iterations and found[0].gain == found[1].gain
    for part, other in zip(found[0].parts, found[1].parts, strict=True):
        assert all(map(torch.equal, part.tables, other.tables))


def test_what_is_told_on_the_way_may_end_it() -> None:
    told = []

    def report(done: int, share: float) -> None:
        told.append((done, share))
        if done == 9:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        solve(Leduc(), report=report)
    assert [done for done, _ in told] == list(range(1, 10))
    shares = [share for _, share in told]
    assert shares == sorted(shares) and 0 <= shares[0] < shares[-1] < 1


def test_games_that_are_solved_in_a_minute_are_told_from_others() -> None:
    deck = {"suits": 2, "ranks": 4}
    small = (Kuhn(), Kuhn(players=3), Leduc(), TWO, THREE, Blob(players=2, cards=3, **deck), Blob(cards=2, **deck))
    assert all(map(is_small, small))
    large = (Blob(cards=5), Blob(players=2, cards=3, suits=2, ranks=6), make_game("hearts"), GoFish(), Tray(), MATCH)
    assert not any(map(is_small, large))


def test_a_game_that_is_too_large_in_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an estimate, before it is laid out, and by what it has."""
    assert nodes_of(TWO) == pytest.approx(sum(len(level.over) for level in solver_of(TWO)[0].levels), rel=0.1)
    monkeypatch.setattr(module, "MOST_NODES", 100)
    nodes_of.cache_clear()
    with pytest.raises(ValueError, match=r"too large to enumerate: about [\d,]+ nodes in all, where 100 are the most"):
        nodes_of(TWO)
    parts = laid_out(TWO)
    most = sum(len(level.mover) for levels in parts for level in levels) - 1
    assert most > max(len(level.over) for levels in parts for level in levels)
    monkeypatch.setattr(module, "MOST_NODES", most)
    with pytest.raises(ValueError, match=f"too large to enumerate: more than {most:,} nodes in all"):
        solve(TWO)


def test_levels_may_be_as_large_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `nodes_of` lets pass is laid out, though best responses to a policy stop at smaller levels."""
    asked = []

    def recorded(game, policy, deals, most=tree.MOST_NODES, states=None):
        asked.append(most)
        return lay_out(game, policy, deals, most, states)

    monkeypatch.setattr(module, "lay_out", recorded)
    assert solve(THREE).gain >= 0 and set(asked) == {module.MOST_NODES}


def laid_out(game: Game) -> list[list]:
    deals = every_deal(game)
    return [lay_out(game, uniform_policy, deals.take(lanes)) for lanes in told_apart(game, deals)]
