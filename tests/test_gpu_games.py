"""On a GPU games of all kinds of rules and numbers of players deal, play and sample what they do on a CPU.

`tests.test_contract` does the same, in less detail, for every registered game by its own rules.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.blob_games import GAME_SIZES, games_of
from tests.emulated_gpu import sized
from tests.helpers import assert_same_state, random_actions
from tests.uno import Uno
from vecgame import Blob, BlobMatch, Game, make_game
from vecgame.contract import same
from vecgame.games.blob_state import BlobState

pytestmark = pytest.mark.gpu
GAMES = {
    "no hook, rotating trump and dealer": Blob(cards=4, trump="rotate", dealer="rotate", hook=False),
    "merged moves": Blob(cards=3).merged(),
    "3 players, turned trump": Blob(cards=3, players=3, trump="turned"),
    "6 players": Blob(cards=3, players=6, trump="turned"),
    "7 players": Blob(cards=2, players=7),
    "match of 3, turned trump": BlobMatch(cards=2, players=3, trump="turned"),
    "match of 3, rotating trump": BlobMatch(cards=2, players=3, trump="rotate"),
    "whist, rotating trump": make_game("whist", cards=5, trump="rotate", dealer="rotate"),
    "euchre": make_game("euchre"),
    **{f"hearts, passing {where}": make_game("hearts", passing=where) for where in ("left", "random")},
    "spades": make_game("spades"),
    "uno, a deck of copies": Uno(cards=3, decisions=30),
}
LONG = ("hearts, passing left", "hearts, passing random", "spades")  # 52 decisions or more
LONG += ("match of 3, rotating trump",)  # nearly as many
SIZES = [pytest.param(cards, marks=[pytest.mark.slow] * (cards not in (1, 3, 8, 13))) for cards in GAME_SIZES]


def answers(game: Game, device: str, lanes: int) -> list[Tensor]:
    """Everything that the game says at each decision of some games, on the CPU; of worlds at a few."""
    found: list[Tensor] = []
    state = game.deal(lanes, 3, device)
    for decision in range(game.decisions):
        actions = game.legal_actions(state)
        if decision % sized(1, 3) == 0:
            found += [actions, game.observe(state), game.mover(state), game.policy_columns(state, actions)]
            found += [game.legal_mask(state), game.policy_mask(state), game.is_terminal(state)]
        if decision in (0, game.decisions // 2, game.decisions - game.seats - 1):
            found += game.determinize(state, 2, 5).tensors().values()
            found += game.play_forced(state).tensors().values()
            logits = torch.linspace(0, 1, lanes * game.num_actions, device=device).view(lanes, -1)
            found += [game.slot_logits(state, actions, logits), *some(game.others_hands(state))]
        slot = (state.index * 7 + decision * 5) % (actions >= 0).sum(-1)
        state = game.step(state, actions.gather(1, slot[:, None])[:, 0])
    found += [game.scores(state), game.values(state), *some(game.bids_met(state)), *some(game.tricks_won(state))]
    assert all(tensor.device.type == device for tensor in found)
    return [tensor.cpu() for tensor in found]


def some(tensor: Tensor | None) -> list[Tensor]:
    return [] if tensor is None else [tensor]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in GAMES])
def test_a_gpu_says_what_a_cpu_says(name: str) -> None:
    lanes = sized(100, 5)
    here, there = (answers(GAMES[name], device, lanes) for device in ("cpu", "cuda"))
    for ours, theirs in zip(here, there, strict=True):
        if ours.is_floating_point():
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6, equal_nan=True)
        else:
            assert torch.equal(ours, theirs)


def test_a_state_moves_to_a_gpu_and_back() -> None:
    game = Blob(cards=4)
    state = game.deal(sized(1000, 5), 2)
    there = state.to("cuda")
    assert there.device.type == "cuda" and same(there.to("cpu"), state)


def to_both(game: Blob, lanes: int, seed: int) -> Iterator[tuple[BlobState, BlobState]]:
    """The same random play on CPU and GPU, decision by decision, dealt on each."""
    cpu, gpu = game.deal(lanes, seed), game.deal(lanes, seed, device="cuda")
    generator = torch.Generator().manual_seed(seed)
    for _ in range(game.decisions):
        yield cpu, gpu
        actions = random_actions(game, cpu, generator)
        cpu, gpu = game.step(cpu, actions), game.step(gpu, actions.cuda(), validate=True)
    yield cpu, gpu


@pytest.mark.parametrize("cards", SIZES)
def test_a_gpu_deals_and_plays_the_same_games(cards):
    for game in games_of(cards)[: sized(6, 1)]:
        for number, (here, there) in enumerate(to_both(game, sized(500, 7), seed=13)):
            assert there.device.type == "cuda"
            assert_same_state(there.to("cpu"), here)
            if number % sized(1, cards):
                continue
            assert_same_state(game.play_forced(there).to("cpu"), game.play_forced(here))
            for function in (game.mover, game.legal_mask, game.legal_actions, game.is_terminal, game.scores):
                assert torch.equal(function(there).cpu(), function(here))
            torch.testing.assert_close(game.observe(there).cpu(), game.observe(here), rtol=0, atol=1e-6)
            assert torch.equal(game.policy_mask(there).cpu(), game.policy_mask(here))


@pytest.mark.parametrize("cards", [1, 3, 5, 8, 13])
def test_a_gpu_samples_the_same_worlds(cards):
    game = Blob(cards=cards)
    for number, (here, there) in enumerate(to_both(game, sized(300, 7), seed=14)):
        if number % sized(1, 2 * cards) == 0:
            assert_same_state(game.determinize(there, 3, seed=4).to("cpu"), game.determinize(here, 3, seed=4))
