"""Games that may be much longer than they are: once all are over nothing is played on, and those that are over before
the others cost them nothing."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from vecgame import HandGame, HandState, Stream, starts
from vecgame.lanes import LOOK, carrying_all, ended
from veclab import precision
from veclab.bench.parts import play_at_random
from veclab.training import imitation, policy_gradient
from veclab.training.selfplay import self_play
from vecmcts import RolloutConfig, SearchConfig, rollouts
from vecmcts.evaluators import play_out

CPU, SHORTEST, LONGEST = torch.device("cpu"), 2, 81


@dataclass(frozen=True)
class LongRules:
    """What may be changed."""

    players: int = 2
    cards: int = 1
    decisions: int = 1000


@dataclass(frozen=True)
class LongState(HandState):
    """What has been taken so far."""

    total: torch.Tensor = starts(0)  # [B] int64


class Long(HandGame):
    """Who moves takes one or two points; it ends after 2 to 81 decisions, which its number tells, and most soon."""

    name, rules_type, state_type = "long", LongRules, LongState
    plays_cards, others, lowest, highest = False, ("one", "two"), -1.0, 1.0

    def over(self, state):
        sixth = state.index % 6
        return state.made >= torch.where(sixth == 0, LONGEST - state.index % 80, SHORTEST - 1 + sixth)

    def act(self, state, action, card):
        return replace(state, to_move=1 - state.to_move, total=state.total + action)

    def points(self, state):
        first = (state.total & 1).float() * 2 - 1
        return torch.stack([first, -first], -1)


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many games each step was of."""
    made, step = [], Long.step

    def counted(self: Long, state: LongState, action: torch.Tensor) -> LongState:
        made.append(state.batch_size)
        return step(self, state, action)

    monkeypatch.setattr(Long, "step", counted)
    return made


def network() -> InferenceNet:
    torch.manual_seed(0)
    game = Long()
    config = NetConfig(dim=32, layers=1, heads=2, ffn=32, policy_hidden=32, value_hidden=16)
    sized = replace(config, observation=game.features, actions=game.num_actions, values=game.seats)
    return InferenceNet(BlobNet(sized), dtype=torch.float32)


@pytest.mark.parametrize("chunk", [0, 17])
@pytest.mark.parametrize("carried", [False, True])
def test_policy_gradient_plays_the_same_games(chunk: int, carried: bool, lanes: list[int]) -> None:
    """As each does alone, in the order of decisions, where no lane is left out or put back."""
    game, net = Long(), network()
    alone = [policy_gradient.play(game, net, 1, 3, number, CPU, gae_lambda=0.5) for number in range(60)]
    lengths = [len(rollout.advantage) for rollout in alone]
    assert min(lengths) == SHORTEST < LOOK < max(lengths) == LONGEST
    lanes.clear()
    with carrying_all() if carried else nullcontext():
        played = policy_gradient.play(game, net, 60, 3, 0, CPU, gae_lambda=0.5, chunk_games=chunk)
    order = [(made, number) for number, length in enumerate(lengths) for made in range(length)]
    for name, tensor in played.tensors().items():
        rows = torch.stack([getattr(alone[number], name)[made] for made, number in sorted(order)])
        assert torch.allclose(tensor.float(), rows.float(), atol=1e-5), name
    if not carried:
        assert sum(lanes) < 60 * max(lengths) / 2
    elif chunk == 0:
        assert lanes == [60] * 2 * LOOK
    assert len(lanes) <= -(-60 // (chunk or 60)) * -(-max(lengths) // LOOK) * LOOK


def play_all(game: Long, carried: bool) -> dict[str, object]:
    """What plays games to their ends, by name."""
    state, evaluator = game.deal(24, seed=1), network()
    stream = Stream(1, state.index, game.turn(state))
    with carrying_all() if carried else nullcontext():
        found = {"playouts": play_out(game, state, stream)}
        found["rollouts"] = rollouts(game, state, evaluator, RolloutConfig(worlds=2, candidates=0), seed=1).q
        found["engine"] = play_at_random(game, 24, 1, CPU)
    return found


@pytest.mark.parametrize("carried", [False, True])
def test_nothing_is_played_once_all_are_over(carried: bool, lanes: list[int]) -> None:
    game = Long()
    play_all(game, carried)
    assert 3 * SHORTEST < len(lanes) <= (2 * LOOK) ** 2
    lanes.clear()
    examples = self_play(game, network(), SearchConfig(worlds=1, simulations=1), 8, seed=1).examples
    taught = imitation.played(game, imitation.by_network(network()), 8, 1, 0, CPU)
    assert len(lanes) < game.decisions and len(examples) == len(taught) == sum(lengths_of(game, range(8)))


def lengths_of(game: Long, numbers: range) -> list[int]:
    """How many decisions games have."""
    found = []
    for number in numbers:
        state = game.deal(1, first_index=number)
        while not game.is_terminal(state).any():
            state = game.step(state, game.legal_actions(state)[:, 0])
        found.append(int(state.made))
    return found


def test_carrying_all_along_changes_nothing() -> None:
    game = Long()
    listed, carried = play_all(game, carried=False), play_all(game, carried=True)
    assert torch.equal(listed["playouts"], carried["playouts"])
    assert torch.allclose(listed["rollouts"], carried["rollouts"], equal_nan=True)


def test_a_network_is_calibrated_by_positions_that_have_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were those of games that are over among them, most would be."""
    game, asked, observe = Long(), [], Long.observe

    def watched(self: Long, state: LongState, seat: torch.Tensor | None = None) -> torch.Tensor:
        seen = observe(self, state, seat)
        asked.append(seen[~self.is_terminal(state)])
        return seen

    monkeypatch.setattr(Long, "observe", watched)
    seen = precision.positions([game], 300)
    assert seen.shape == (300, game.features)
    with_a_decision = {tuple(row) for row in torch.cat(asked).tolist()}
    assert {tuple(row) for row in seen.tolist()} <= with_a_decision
    assert precision.positions([game, game], 301).shape == (301, game.features)
    assert precision.positions([game, game], 1).shape == (1, game.features)


def test_a_gpu_looks_now_and_then() -> None:
    over = [torch.tensor([True, number > LOOK]) for number in range(3 * LOOK)]
    with carrying_all():
        assert [n for n in range(3 * LOOK) if ended(lambda n=n: over[n], n, CPU)] == [2 * LOOK]
    assert [n for n in range(3 * LOOK) if ended(lambda n=n: over[n], n, CPU)] == list(range(LOOK + 1, 3 * LOOK))
