"""Searches of tiny games whose answers are known."""

import math

import pytest
import torch

from tests.micro_games import Flat, MicroGame
from vecgame import Blob, Stream
from vecmcts import PlayoutEvaluator, SearchConfig, search
from vecmcts.selection import improved_logits, improved_policy, puct
from vecmcts.tree import WORKING_BYTES, Tree, action_type


def ones(moves: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(moves), 4)


def test_a_game_that_is_always_won() -> None:
    game = MicroGame([0], [[0, 1]], ones)
    result = search(game, game.new(3), Flat(0.0), SearchConfig(worlds=1, simulations=10))
    assert (result.visits.sum(-1) == 10).all()
    # The root's own 0 and ten ends worth 1.
    assert result.value.flatten().tolist() == pytest.approx([10 / 11] * 12)


def test_the_first_action_wins() -> None:
    game = MicroGame([2], [[0, 1, 2]], lambda moves: (moves[:, :1] == 0).float().expand(-1, 4))
    result = search(game, game.new(4), Flat(), SearchConfig(worlds=2, simulations=30))
    assert (result.visits.argmax(-1) == 0).all() and (result.policy.argmax(-1) == 0).all()
    assert result.visits[0, 0] > 50
    assert result.q[0, :3].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("last", [127, 128, 299])
def test_actions_of_any_number(last: int) -> None:
    game = MicroGame([0], [[3, 120, last]], lambda moves: (moves[:, :1] == last).float().expand(-1, 4))
    game.num_actions = last + 1
    result = search(game, game.new(2), Flat(), SearchConfig(worlds=1, simulations=20))
    assert result.policy.argmax(-1).tolist() == [last, last] and result.q[0, [3, 120, last]].tolist() == [0.0, 0.0, 1.0]


def test_everybody_plays_for_himself() -> None:
    """Seat 0 moves, then seat 1. Action 1 gives seat 1 a reply that ruins seat 0, so seat 0 takes the safe action 0.

    A search that gives everybody the value of whoever moves, or of the last to move, takes action 1."""

    def worth(moves: torch.Tensor) -> torch.Tensor:
        table = torch.tensor(
            [
                [[0.6, 0.3, 0.0, 0.0], [0.5, 0.2, 0.0, 0.0]],  # seat 0 plays 0
                [[0.9, 0.4, 0.0, 0.0], [0.0, 0.8, 0.0, 0.0]],  # seat 0 plays 1: seat 1 answers 1
            ]
        )
        return table[moves[:, 0].clamp(min=0), moves[:, 1].clamp(min=0)]

    game = MicroGame([0, 1], [[0, 1], [0, 1]], worth)
    result = search(game, game.new(2), Flat(), SearchConfig(worlds=1, simulations=300))
    assert (result.visits.argmax(-1) == 0).all()
    assert result.q[0, 0] > 0.55  # seat 1 answers 0 there
    assert result.q[0, 1] < 0.15  # and 1 there
    assert result.value[0, 1] < 0.5 < result.value[0, 0]


def test_winner_and_losers() -> None:
    """Seat 3 chooses who wins. The others' values are what that leaves them."""
    game = MicroGame([3], [[0, 1, 2, 3]], lambda moves: torch.eye(4)[moves[:, 0].clamp(min=0)])
    result = search(game, game.new(1), Flat(0.25), SearchConfig(worlds=1, simulations=200))
    assert result.visits[0].argmax() == 3
    assert result.value[0, 3] > 0.9
    assert float(result.value[0].sum()) == pytest.approx(1.0)


def test_illegal_actions_are_never_visited() -> None:
    """Lanes at different decisions, whose legal actions have holes in different places."""
    game = MicroGame([0, 1, 2], [[0, 4], [1, 2, 3], [2, 3, 4]], ones)
    state = game.new(3)
    state = game.step(state, torch.tensor([0, 4, 4])).where(torch.tensor([False, True, True]), state)
    state = game.step(state, torch.tensor([0, 0, 2])).where(torch.tensor([False, False, True]), state)
    result = search(game, state, Flat(), SearchConfig(worlds=2, simulations=12))
    assert torch.equal(result.visits > 0, game.legal_mask(state))
    assert torch.equal(result.policy > 0, game.legal_mask(state))


def test_forced_moves_cost_no_evaluation() -> None:
    """A choice, three forced moves, a choice: two leaves are worth a call, the ends of the game are worth none."""
    game = MicroGame([0, 1, 2, 3, 0], [[0, 1], [2], [3], [1], [0, 1]], ones)
    flat = Flat()
    result = search(game, game.new(1), flat, SearchConfig(worlds=1, simulations=40))
    assert flat.asked == 1 + 2 == int(result.evaluations)
    ending = MicroGame([0, 1, 2], [[0, 1], [2], [3]], ones)
    flat = Flat()
    search(ending, ending.new(1), flat, SearchConfig(worlds=1, simulations=40))
    assert flat.asked == 1  # all that follows the choice is forced: the game is over for the search


def test_ends_are_exact() -> None:
    """The evaluator's opinion of 0.9 never replaces the exact 0.25 of a finished game."""
    game = MicroGame([0], [[0, 1]], lambda moves: torch.full((len(moves), 4), 0.25))
    result = search(game, game.new(1), Flat(0.9), SearchConfig(worlds=1, simulations=9))
    assert result.q[0, :2].tolist() == [0.25, 0.25]
    assert result.value[0].tolist() == pytest.approx([(0.9 + 9 * 0.25) / 10] * 4)


def test_puct_by_hand() -> None:
    """Two actions, ends worth 1 and 0, priors one half, c = 1: the bounds of each step worked out on paper.

    n = (0,0): both 0.5 + 0.5 * 1 / 1: the first action on the tie. n = (1,0): 1 + 0.5 * sqrt 2 / 2 = 1.354 against
    0.5 + 0.5 * sqrt 2 = 1.207: the first. n = (2,0): 1 + 0.5 * sqrt 3 / 3 = 1.289 against 1.366: the second.
    n = (2,1): 1.333 against 0.5: the first."""
    game = MicroGame([0], [[0, 1]], lambda moves: (moves[:, :1] == 0).float().expand(-1, 4))
    counts = [
        search(game, game.new(1), Flat(), SearchConfig(worlds=1, simulations=n, c_puct=1.0)).visits[0, :2].tolist()
        for n in (1, 2, 3, 4)
    ]
    assert counts == [[1, 0], [2, 0], [2, 1], [3, 1]]


def test_puct_formula() -> None:
    prior = torch.tensor([[0.5, 0.3, 0.2, -torch.inf]])
    visits = torch.tensor([[3.0, 0.0, 1.0, 0.0]])
    bounds = puct(prior, visits, torch.tensor([[1.5, 0.0, 0.9, 0.0]]), torch.tensor([0.4]), c_puct=0.8)
    expected = [0.5 + 0.8 * 0.5 * 5**0.5 / 4, 0.4 + 0.8 * 0.3 * 5**0.5, 0.9 + 0.8 * 0.2 * 5**0.5 / 2, -math.inf]
    assert bounds[0].tolist() == pytest.approx(expected)


def test_improved_policy_formula() -> None:
    """v_mix = (0.4 + 4 / 0.7 * (0.5 * 0.5 + 0.2 * 0.9)) / 5, the weight of Q is (50 + 3) * 0.2."""
    log_prior = torch.tensor([[0.5, 0.3, 0.2, 0.0]]).log()
    visits, sums = torch.tensor([[3.0, 0.0, 1.0, 0.0]]), torch.tensor([[1.5, 0.0, 0.9, 0.0]])
    policy = improved_policy(log_prior, visits, sums, torch.tensor([0.4]), SearchConfig())
    mixed = (0.4 + 4 / 0.7 * (0.5 * 0.5 + 0.2 * 0.9)) / 5
    weights = [0.5 * math.exp(10.6 * 0.5), 0.3 * math.exp(10.6 * mixed), 0.2 * math.exp(10.6 * 0.9)]
    assert policy[0].tolist() == pytest.approx([*(w / sum(weights) for w in weights), 0.0], rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_actions_tried_whose_priors_are_too_small_for_a_number_still_count(dtype: torch.dtype) -> None:
    """Both weigh alike then: v_mix = (0.4 + 2 * (0.9 + 0.1) / 2) / 3."""
    log_prior = torch.tensor([[0.0, -800.0, -900.0, -torch.inf]], dtype=dtype)
    visits, sums = (torch.tensor([row], dtype=dtype) for row in ([0, 1, 1, 0], [0, 0.9, 0.1, 0]))
    logits = improved_logits(log_prior, visits, sums, torch.tensor([0.4], dtype=dtype), SearchConfig())
    assert logits[0].tolist() == pytest.approx(
        [51 * 0.2 * q + p for q, p in ((1.4 / 3, 0), (0.9, -800), (0.1, -900))] + [-math.inf]
    )


def test_without_visits_the_policy_is_the_prior() -> None:
    log_prior = torch.tensor([[0.5, 0.3, 0.2, 0.0]]).log()
    zeros = torch.zeros(1, 4)
    policy = improved_policy(log_prior, zeros, zeros, torch.tensor([0.7]), SearchConfig())
    assert policy.allclose(log_prior.exp())


def test_the_root_is_expanded_before_the_first_leaves() -> None:
    """The original's mistake: with as many leaves a step as simulations, all of them were the root, nothing was visited
    and every stored policy was uniform."""
    game = MicroGame([0], [[0, 1, 2]], lambda moves: (moves[:, :1] == 0).float().expand(-1, 4))

    class Prefers(Flat):
        def evaluate(self, game, state, stream):
            logits, values = super().evaluate(game, state, stream)
            logits[:, 2] = 2.0
            return logits, values

    for leaves in (30, 100):
        config = SearchConfig(worlds=1, simulations=30, leaves_per_step=leaves)
        result = search(game, game.new(1), Prefers(), config)
        assert result.visits[0].sum() == 30
        assert result.visits[0, 2] > result.visits[0, 1]  # virtual loss spreads the visits by the prior
        assert result.policy[0].argmax() == 0  # and the values are known


def test_playouts_draw_every_move_anew() -> None:
    """Two free choices: the four ways are equally likely. 400 lanes, mean 0.5, standard deviation 0.025: 4.5 of them
    are exceeded with probability 7e-6."""
    game = MicroGame([0, 1], [[0, 1], [0, 1]], lambda moves: (moves[:, :1] != moves[:, 1:2]).float().expand(-1, 4))
    lanes = torch.arange(400)
    _, values = PlayoutEvaluator().evaluate(game, game.new(400), Stream(0, lanes, torch.zeros_like(lanes)))
    assert abs(float(values[:, 0].mean()) - 0.5) < 4.5 * 0.025
    _, means = PlayoutEvaluator(playouts=8).evaluate(game, game.new(400), Stream(0, lanes, torch.zeros_like(lanes)))
    assert abs(float(means.mean()) - 0.5) < 4.5 * 0.009
    assert 3 < len(means[:, 0].unique()) <= 9  # multiples of an eighth: the playouts of a lane differ


def test_playouts_of_a_position_share_no_numbers() -> None:
    """Two playouts of two free choices: four coins, half of them heads in 6 lanes of 16; in 4 of 16, were the last one
    of the first playout the first one of the second. 2000 lanes, standard deviation 0.011."""
    game = MicroGame([0, 1], [[0, 1], [0, 1]], lambda moves: moves[:, :2].float().mean(1, keepdim=True).expand(-1, 4))
    lanes = torch.arange(2000)
    _, means = PlayoutEvaluator(playouts=2).evaluate(game, game.new(2000), Stream(0, lanes, torch.zeros_like(lanes)))
    assert abs(float((means[:, 0] == 0.5).float().mean()) - 6 / 16) < 4.5 * 0.011


@pytest.mark.parametrize(("actions", "dtype"), [(128, torch.int8), (129, torch.int16), (1000, torch.int16)])
def test_nodes_hold_every_action_of_a_game(actions: int, dtype: torch.dtype) -> None:
    game = MicroGame([0], [[0]], ones)
    game.num_actions = actions
    assert action_type(game) == dtype and torch.iinfo(dtype).max >= actions - 1


def test_the_bytes_of_a_tree_are_those_of_its_tensors() -> None:
    game = Blob(cards=3)
    tree = Tree.allocate(game, game.deal(4), 7, torch.float32)
    tensors = [
        *tree.state.tensors().values(),
        *(each for each in vars(tree).values() if isinstance(each, torch.Tensor)),
    ]
    assert sum(tensor.nbytes for tensor in tensors) == 4 * (Tree.bytes_per_tree(game, 7) - WORKING_BYTES)
