"""Hands and actions that Blob is given: taken as integers of any kind, and refused in one clear line."""

import numpy as np
import pytest
import torch

from tests.helpers import assert_same_state, bits_of, play_randomly
from vecgame import Blob, BlobMatch
from vecgame.cards import DECK

HANDS = torch.tensor([[[0, 13], [1, 14], [2, 15], [3, 16]], [[51, 4], [5, 6], [7, 8], [9, 10]]])


def test_from_hands():
    game = Blob(cards=2)
    state = game.from_hands(HANDS, dealer=torch.tensor([3, 1]), trump=torch.tensor([4, 2]), index=torch.tensor([8, 5]))
    assert state.hands.tolist() == [[bits_of(hand) for hand in hands] for hands in HANDS.tolist()]
    assert (state.dealer.tolist(), state.trump.tolist()) == ([3, 1], [4, 2])
    assert (state.leader.tolist(), state.index.tolist()) == ([0, 2], [8, 5])
    alike = game.from_hands(HANDS.to(torch.int8).tolist(), dealer=2, trump=0)
    assert (alike.dealer.tolist(), alike.trump.tolist(), alike.index.tolist()) == ([2, 2], [0, 0], [0, 1])
    assert torch.equal(alike.hands, state.hands)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hands": HANDS[0]}, r"hands must be \[B, 4, 2\] card ids, got shape \[4, 2\]"),
        ({"hands": HANDS[:, :3]}, r"got shape \[2, 3, 2\]"),
        ({"hands": HANDS[:, :, :1]}, r"got shape \[2, 4, 1\]"),
        ({"hands": HANDS + 1}, r"an id that is no card of this deck; ids are 13 \* suit \+ rank, suit < 4, rank < 13"),
        ({"hands": HANDS - 1}, r"an id that is no card of this deck"),
        ({"hands": torch.where(HANDS == 4, 51, HANDS)}, r"deals a card twice within one game"),
        ({"hands": torch.where(HANDS == 16, 0, HANDS)}, r"deals a card twice within one game"),
        ({"dealer": 4}, r"dealer must be from 0 to 3, got 4$"),
        ({"dealer": torch.tensor([0, -1])}, r"dealer must be from 0 to 3, got -1$"),
        ({"dealer": "random"}, r"dealer must be from 0 to 3, got 'random'$"),
        ({"dealer": None}, r"dealer must be from 0 to 3, got None$"),
        ({"dealer": 2**64}, r"dealer must be from 0 to 3, got 18446744073709551616$"),
        ({"dealer": ["random", 0]}, r"dealer must be from 0 to 3, got \['random', 0\]$"),
        ({"dealer": np.array(["random" * 20, "rotate"])}, r"dealer must be from 0 to 3, got array"),
        ({"trump": "spades"}, r"trump must be from 0 to 4, got 'spades'$"),
        ({"dealer": torch.tensor([0, 1, 2])}, r"dealer must be one integer or \[2\], got shape \[3\]"),
        ({"dealer": torch.zeros(2, 1)}, r"dealer must be one integer or \[2\], got shape \[2, 1\]"),
        ({"trump": 5}, r"trump must be from 0 to 4"),
        ({"trump": torch.tensor([-1, 0])}, r"trump must be from 0 to 4"),
        ({"trump": torch.tensor([1])}, r"trump must be one integer or \[2\], got shape \[1\]"),
        ({"hands": [[[0, 1], [2]]]}, r"hands must be \[B, 4, \d+\] card ids, got \[\[\[0, 1\], \[2\]\]\]$"),
        ({"hands": "all"}, r"hands must be \[B, 4, \d+\] card ids, got 'all'$"),
        ({"index": "first"}, r"index must be \[2\] game numbers, got 'first'$"),
        ({"index": [[1], [2, 3]]}, r"index must be \[2\] game numbers, got \[\[1\], \[2, 3\]\]$"),
        ({"hands": HANDS + 0.5}, r"hands must be integers, got torch\.float32"),
        ({"hands": HANDS > 0}, r"hands must be integers, got torch\.bool"),
        ({"dealer": 1.5}, r"dealer must be integers, got torch\.float32"),
        ({"trump": 1j}, r"trump must be integers, got torch\.complex64"),
        ({"index": torch.arange(3)}, r"index must be \[2\] game numbers, got shape \[3\]"),
        ({"index": torch.tensor([0.0, 1.5])}, r"index must be integers, got torch\.float32"),
        ({"index": torch.tensor([0, -5])}, r"index must be game numbers from 0 to 2\*\*56 - 1, got -5"),
        ({"index": torch.tensor([2**56, 0])}, r"index must be game numbers from 0 to 2\*\*56 - 1, got 720575940"),
    ],
)
@pytest.mark.parametrize("game", [Blob(cards=2), BlobMatch(cards=2)], ids=lambda game: game.name)
def test_hands_that_make_no_game_are_refused(game, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        game.from_hands(**({"hands": HANDS, "dealer": 0, "trump": 0} | change))
    assert "\n" not in str(caught.value)


def test_a_reduced_deck_refuses_the_other_cards_and_suits():
    game = Blob(cards=1, suits=2, ranks=4)
    hands = torch.tensor([[[0], [3], [13], [16]]])
    assert int(game.from_hands(hands, 0, 4).trump) == 4
    for card in (4, 17, 26):
        with pytest.raises(ValueError, match=r"suit < 2, rank < 4"):
            game.from_hands(torch.where(hands == 3, card, hands), 0, 0)
    for trump in (2, 3):
        with pytest.raises(ValueError, match=r"trump must be a suit of this deck, 0\.\.1, or 4 for none"):
            game.from_hands(hands, 0, trump)


def test_deals_that_are_refused():
    game = Blob()
    for size in (0, -5):
        with pytest.raises(ValueError, match=f"batch_size must be at least 1, got {size}"):
            game.deal(size)
    for seed in (-1, 2**64, 1.5, "zero", None):
        with pytest.raises(ValueError, match=r"seed must be an integer from 0 to 2\*\*64 - 1"):
            game.deal(2, seed=seed)
        with pytest.raises(ValueError, match=r"seed must be an integer from 0 to 2\*\*64 - 1"):
            game.determinize(game.deal(2), 1, seed=seed)
    for device in ("tpu", "mps", "meta", "the GPU"):
        with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or 'cuda:N'"):
            game.deal(2, device=device)


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="sees no CUDA GPU; use device='cpu'"):
        Blob().deal(2, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"'cuda:1': this machine has 1 CUDA GPU"):
        Blob().deal(2, device="cuda:1")


@pytest.mark.parametrize(
    "action",
    [
        torch.zeros(3, dtype=torch.long),
        torch.zeros(2, 1, dtype=torch.long),
        torch.tensor(0),
        torch.zeros(2),
        torch.zeros(2, dtype=torch.bool),
    ],
)
@pytest.mark.parametrize("validate", [False, True])
def test_action_tensors_that_are_refused(action, validate):
    game = Blob()
    with pytest.raises(ValueError, match=r"action must be 2 integers of shape \[2\], got shape"):
        game.step(game.deal(2), action, validate=validate)


def test_actions_of_any_integer_dtype():
    game = Blob(cards=3)
    for state, actions in play_randomly(game, game.deal(20, seed=11), seed=11)[:-1]:
        for dtype in (torch.int8, torch.uint8, torch.int16, torch.int32):
            assert_same_state(game.step(state, actions.to(dtype), validate=True), game.step(state, actions))


def test_illegal_actions_are_refused_on_demand():
    """Every action of the space at every decision of some games."""
    game = Blob(cards=2)
    state = game.from_hands(HANDS, dealer=1, trump=0)
    with pytest.raises(ValueError, match=r"action 3 is illegal in lane 1; legal there: \[0, 1, 2\]"):
        game.step(state, torch.tensor([1, 3]), validate=True)
    for state, _ in play_randomly(game, game.deal(4, seed=12), seed=12):
        lane = state[2:3]
        for action in range(-2, 60):
            legal = 0 <= action < DECK and bool(game.legal_mask(lane)[0, action])
            if legal:
                game.step(lane, torch.tensor([action]), validate=True)
            else:
                with pytest.raises(ValueError, match=f"action {action} is illegal in lane 0"):
                    game.step(lane, torch.tensor([action]), validate=True)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.uint16, torch.uint32, torch.uint64, torch.int64])
def test_actions_of_any_integers(dtype: torch.dtype) -> None:
    game = Blob(cards=3, hook=False)
    state = game.deal(4, seed=1)
    assert game.step(state, torch.full((4,), 2, dtype=dtype)) == game.step(state, [2] * 4)
