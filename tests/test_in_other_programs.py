"""The library inside of another program, which has settings of its own."""

import pytest
import torch
from torch import nn

from tests.every_game import EVERY, OWN, Named
from vecgame import Blob, State
from vecgame.contract import random_action
from veclab.training.selfplay import self_play
from vecmcts import PlayoutEvaluator, SearchConfig, search

SEARCH = SearchConfig(worlds=2, simulations=4)


def everything(game) -> list[torch.Tensor]:
    """Tensors of all kinds that a game and a search of it give."""
    state: State = game.deal(3, seed=1)
    found = []
    for _ in range(min(game.decisions, 9)):
        found += [game.observe(state), game.values(state), game.scores(state), game.policy_mask(state)]
        found += game.determinize(state, 2, seed=3).tensors().values()
        state = game.step(state, random_action(game, state))
    result = search(game, game.deal(3, seed=1), PlayoutEvaluator(), SEARCH, seed=2)
    return [*found, *state.tensors().values(), result.policy, result.visits]


@pytest.mark.parametrize("named", [named for named in EVERY if named not in OWN], ids=str)
def test_another_default_type_changes_nothing(named: Named) -> None:
    game = named.make()
    expected = everything(game)
    torch.set_default_dtype(torch.float64)
    try:
        found = everything(game)
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


@pytest.mark.parametrize("named", [named for named in EVERY if named not in OWN], ids=str)
def test_another_default_device_changes_nothing(named: Named) -> None:
    game = named.make()
    expected = everything(game)
    with torch.device("meta"):  # a tensor of which holds nothing
        found = everything(game)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


class Plain(nn.Module):
    """A network of somebody's own, which does not say that it is for inference."""

    def __init__(self, game: Blob) -> None:
        super().__init__()
        self.policy, self.values = nn.Linear(game.features, game.num_actions), nn.Linear(game.features, game.seats)
        self.kept = 0

    def forward(self, observation: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.policy(observation)
        self.kept += logits.requires_grad
        return logits, self.values(observation)


def test_a_search_keeps_no_graph_of_its_evaluations() -> None:
    game = Blob(cards=2)
    network = Plain(game)
    assert not search(game, game.deal(4), network, SEARCH).policy.requires_grad
    played = self_play(game, network, SEARCH, games=4, seed=1)
    assert not played.examples.policy.requires_grad and network.kept == 0
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("wrong", ["logits", "values"])
def test_a_network_that_answers_nan_is_named(wrong: str) -> None:
    class Broken(Plain):
        def forward(self, observation, mask):
            logits, values = super().forward(observation, mask)
            return (logits * torch.nan, values) if wrong == "logits" else (logits, values * torch.nan)

    game = Blob(cards=2)
    with pytest.raises(ValueError, match=f"Broken has answered {wrong} that are not finite") as error:
        search(game, game.deal(4), Broken(game), SEARCH)
    assert "\n" not in str(error.value)
