"""Every registered game keeps the contract (`vecgame.contract`), is searched, learned from, and the same on a GPU."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from tests.emulated_gpu import sized
from vecgame import GAMES, Game, Kuhn, State, Stream, contract, make_game
from veclab.arena.bots import FlatMonteCarlo, RandomBot
from veclab.arena.matches import play_match
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.learner import Learner, learn
from veclab.training.replay import ReplayBuffer
from veclab.training.selfplay import self_play
from vecmcts import SearchConfig, search

CPU = torch.device("cpu")
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
# Blob with a small deck: with many undealt cards there are too many deals to list.
RULES = {
    "blob": {"cards": 4, "ranks": 5},
    "blob-match": {"cards": 2, "ranks": 3, "players": 3, "games": 3},
    "wizard": {"cards": 5, "players": 6},
}
RULES |= {f"{name}-match": {"games": 2} for name in ("hearts", "spades", "whist", "euchre")}
LONG = ("hearts-match", "spades-match", "whist-match")
MORE_RULES = [
    ("blob", {"cards": 13, "hook": False}),
    ("blob", {"cards": 4, "ranks": 5, "trump": "turned"}),
    ("blob", {"cards": 3, "ranks": 4, "trump": "turned", "players": 5}),
    ("blob-match", {"cards": 2, "ranks": 3}),
    ("blob-match", {"cards": 3, "ranks": 4, "trump": "turned", "players": 5}),
    ("hearts", {"queen_breaks": False, "safe_first_trick": False, "moon": False}),
    ("spades", {"lead_spades": "last", "dealer": 2}),
    ("whist", {"trump": "rotate", "dealer": "rotate"}),
    ("spades", {"capped_bids": True}),
    ("euchre", {"may_discard_upcard": True}),
    ("hearts-match", {"games": 2, "passing": "none"}),
    ("euchre-match", {"target": 2, "games": 3, "may_discard_upcard": True, "stick_the_dealer": False}),
]


class CountsTricks:
    """Judges without a network and without playing on: uniform priors, and the tricks won so far."""

    sees_hidden = False

    def evaluate(self, game: Game, state: State, stream: Stream) -> tuple[torch.Tensor, torch.Tensor]:
        won = getattr(state, "won", torch.zeros(state.batch_size, game.seats))
        return torch.zeros(state.batch_size, game.num_actions), (won + 1) / (getattr(game, "cards", 0) + 2)


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in GAMES],
    scope="module",
)
def game(request) -> Game:
    return make_game(request.param, **RULES.get(request.param, {}))


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_contract(game: Game, check) -> None:
    assert check(game) is None


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rules"), MORE_RULES)
def test_contract_under_other_rules(name: str, rules: dict[str, object]) -> None:
    contract.check(make_game(name, **rules))


def test_equal_rules_are_equal_games(game: Game) -> None:
    again = type(game)(game.rules)
    assert again == game and hash(again) == hash(game) and type(game).__name__ in repr(game)
    assert game != object() and type(game).name in GAMES


def test_searches_do_not_depend_on_the_batch(game: Game) -> None:
    state = contract.mixed_positions(game, 12)
    config = SearchConfig(worlds=2, simulations=6)
    together = search(game, state, CountsTricks(), config, seed=1)
    assert together.policy.shape == (12, game.num_actions)
    assert (together.visits[~game.legal_mask(state)] == 0).all()
    going = ~game.is_terminal(state)
    assert (together.visits[going].sum(-1) == config.worlds * config.simulations).all()
    for lane in (0, 7):
        alone = search(game, state[lane : lane + 1], CountsTricks(), config, seed=1)
        assert torch.equal(alone.visits[0], together.visits[lane])
        assert torch.equal(alone.policy[0], together.policy[lane])


def test_examples_are_learned_from(game: Game) -> None:
    """Self-play fits its replay buffer and network, whatever the number of actions; the loss on it falls."""
    played = self_play(game, CountsTricks(), SearchConfig(worlds=1, simulations=2), 4, seed=2)
    examples = played.examples
    assert examples.observation.shape[1] == game.features and examples.policy.shape[1] == game.num_actions
    assert (examples.legal_mask.sum(-1) >= 2).all() and (examples.policy[~examples.legal_mask] == 0).all()
    assert examples.policy.float().sum(-1).allclose(torch.ones(len(examples)), atol=2e-3)
    assert (played.bids_met is None) == (game.bids_met(game.deal(1)) is None)
    buffer = ReplayBuffer(4096, CPU, game.features, game.num_actions, game.seats)
    buffer.add(examples)
    config = replace(SMALL, observation=game.features, actions=game.num_actions, values=game.seats)
    learner = Learner(Settings(batch_size=64, epochs=1, learning_rate=3e-3), config, CPU)
    learner.amp = torch.float32
    losses = [learn(learner, buffer, len(buffer), seed) for seed in range(4)]
    assert losses[-1]["value_loss"] < losses[0]["value_loss"]


def test_rollouts_fit_the_game(game: Game) -> None:
    net = BlobNet(replace(SMALL, observation=game.features, actions=game.num_actions, values=game.seats))
    network = InferenceNet(net, dtype=torch.float32)
    rollout = policy_gradient.play(game, network, 8, seed=1, first_index=0, device=CPU)
    learner = Learner(Settings(), net.config, CPU)
    before = learner.net.policy_out.weight.detach().clone()
    numbers = policy_gradient.update(learner, rollout, 0.01, 0)
    assert numbers["entropy"] > 0 and not torch.equal(before, learner.net.policy_out.weight)


@pytest.mark.slow
def test_flat_monte_carlo_beats_random_players(game: Game) -> None:
    match = play_match([game], FlatMonteCarlo(4), RandomBot(), 25, seed=3)
    assert match.significant and match.games == 25 * (2 if game.partners else game.seats)


@pytest.mark.gpu
def test_a_gpu_plays_the_same_games(game: Game) -> None:
    """From every decision on: a lane for each on an emulated GPU, four on a real one."""
    begun = contract.mixed_positions(game, sized(4, 1) * (game.decisions + 1))

    def on(device: str) -> tuple[State, State, State, torch.Tensor]:
        dealt = game.deal(sized(200, 5), 5, device)
        state = begun.to(device)
        for _ in range(3):
            state = game.step(state, contract.random_action(game, state))
        return dealt, state, game.determinize(state, 2, 5), game.observe(state)

    here, there = on("cpu"), on("cuda")
    assert all(contract.same(ours, theirs.to("cpu")) for ours, theirs in zip(here[:3], there[:3], strict=True))
    torch.testing.assert_close(there[3].cpu(), here[3], rtol=0, atol=1e-6)  # a GPU divides by multiplying


def test_nothing_is_passed_where_python_leaves_assertions_out() -> None:
    """The module as `python -O` compiles it."""
    path, space = Path(contract.__file__), {"__name__": "optimised"}
    exec(compile(path.read_text(), path, "exec", optimize=1), space)
    with pytest.raises(RuntimeError, match="needs Python's assertions, which -O and PYTHONOPTIMIZE leave out"):
        space["check"](Kuhn())
