"""Cards that are the same move: found as the definition says, worth the same, and searched as one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import bits_of, cards_of, to_reference
from tests.positions import HashEvaluator, mixed_batch
from vecgame import Blob
from vecgame.cards import same_as_lower
from veclab.arena.bots import RuleBot
from veclab.reference import maxn
from veclab.reference import rules as reference
from veclab.training.selfplay import self_play
from vecmcts import SearchConfig, search

MERGING = SearchConfig(worlds=2, simulations=24, merge_equivalent=True)


def repeats(cards: set[int], apart: set[int]) -> set[int]:
    """The definition, card by card."""
    return {
        card
        for card in cards
        for lower in cards
        if lower < card and lower // 13 == card // 13 and not apart & set(range(lower + 1, card))
    }


def repeated_moves(rules: reference.Rules, state: reference.State) -> set[int]:
    """The mover's legal cards that are the same move as a lower one."""
    if None in state.bids:
        return set()
    hand = state.hands[reference.mover(rules, state)]
    deck = {13 * suit + rank for suit in range(rules.suits) for rank in range(rules.ranks)}
    played = {card for _, card in state.history[4:]}
    table = {card for _, card in state.trick}
    return repeats(set(reference.legal_actions(rules, state)), deck - hand - played | table)


@given(st.lists(st.sampled_from(["mine", "apart", "gone"]), min_size=52, max_size=52))
def test_neighbours(owners: list[str]) -> None:
    cards = {card for card, owner in enumerate(owners) if owner == "mine"}
    apart = {card for card, owner in enumerate(owners) if owner == "apart"}
    found = same_as_lower(torch.tensor(bits_of(cards)), torch.tensor(bits_of(apart)))
    assert cards_of(int(found)) == repeats(cards, apart)


@pytest.mark.parametrize("rules", [{"cards": 1}, {"cards": 5}, {"cards": 13}, {"cards": 4, "suits": 2, "ranks": 9}])
def test_moves_are_merged_as_defined(rules: dict[str, int]) -> None:
    game = Blob(**rules)
    state = mixed_batch(game, 200, seed=1)
    merged = game.merged().legal_actions(state)
    fewer = 0
    for lane in range(200):
        scalar_rules, position = to_reference(game, state, lane)
        legal = set(reference.legal_actions(scalar_rules, position)) or {0}  # what a finished game has for a move
        expected = sorted(legal - repeated_moves(scalar_rules, position))
        assert [action for action in merged[lane].tolist() if action >= 0] == expected
        fewer += len(expected) < len(legal)
    assert fewer >= (0 if game.cards == 1 else 10)
    assert torch.equal(game.merged().legal_mask(state), game.legal_mask(state))


@pytest.mark.parametrize("decisions", [11, 13, 16])
def test_best_play_is_worth_the_same(decisions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exhaustive max^n with all moves and with merged ones gives every seat the same score."""
    game, bot = Blob(cards=5, suits=2, ranks=11), RuleBot()  # two long suits: many neighbours
    state = game.deal(40, seed=decisions)
    for _ in range(decisions):
        state = game.step(state, bot.act(game, state, 0))
    positions = [to_reference(game, state, lane) for lane in range(40)]
    full = [maxn.maxn_value(rules, position)[0] for rules, position in positions]
    merged = 0

    def legal_actions(rules: reference.Rules, position: reference.State) -> list[int]:
        nonlocal merged
        repeated = repeated_moves(rules, position)
        merged += len(repeated)
        return [action for action in reference.legal_actions(rules, position) if action not in repeated]

    monkeypatch.setattr(maxn, "legal_actions", legal_actions)
    assert [maxn.maxn_value(rules, position)[0] for rules, position in positions] == full
    assert merged > 50


def test_a_move_has_the_prior_of_all_that_it_stands_for() -> None:
    game = Blob(cards=9)
    state = mixed_batch(game, 100, seed=2)
    logits = torch.randn(100, 52, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    actions = game.merged().legal_actions(state)
    slots = game.merged().slot_logits(state, actions, logits)
    every = game.legal_actions(state)
    each = game.slot_logits(state, every, logits)
    shared = 0
    for lane in range(100):
        repeated = repeated_moves(*to_reference(game, state, lane))
        expected: dict[int, float] = {}
        for action, logit in zip(every[lane].tolist(), each[lane].exp().tolist(), strict=True):
            if action >= 0:
                # Neighbours are adjacent in ascending order, so a repeated move belongs to the last new one.
                kept = max(expected) if action in repeated else action
                expected[kept] = expected.get(kept, 0.0) + logit
        found = {a: float(slot.exp()) for a, slot in zip(actions[lane].tolist(), slots[lane], strict=True) if a >= 0}
        assert found == pytest.approx(expected, rel=1e-12)
        assert (slots[lane][actions[lane] < 0] == -torch.inf).all()
        shared += len(repeated)
    assert shared > 30


def test_no_prior_is_too_small_to_be_searched() -> None:
    """The most improbable action stays legal where its probability is below the smallest float."""
    game = Blob(cards=3, suits=1)
    state = game.from_hands(torch.tensor([[[0, 5, 10], [1, 6, 11], [2, 7, 12], [3, 8, 4]]]), dealer=3, trump=0)
    for _ in range(4):
        state = game.step(state, torch.tensor([0]))
    logits = torch.zeros(1, 52)
    logits[0, 5] = -1e4
    slots = game.merged().slot_logits(state, game.merged().legal_actions(state), logits)
    assert slots[0, :3].isfinite().all()


def test_searches_give_all_visits_to_one_of_the_same() -> None:
    game = Blob(cards=8)
    state = mixed_batch(game, 60, seed=3)
    result = search(game, state, HashEvaluator(), MERGING, seed=1)
    plain = search(game, state, HashEvaluator(), SearchConfig(worlds=2, simulations=24), seed=1)
    alike = 0
    for lane in range(60):
        repeated = sorted(repeated_moves(*to_reference(game, state, lane)))
        assert (result.visits[lane, repeated] == 0).all() and (result.policy[lane, repeated] == 0).all()
        alike += not repeated and bool((result.visits[lane] == plain.visits[lane]).all())
    assert torch.equal(result.visits.sum(-1), plain.visits.sum(-1))
    assert torch.allclose(result.policy.sum(-1), plain.policy.sum(-1))
    assert 0 < alike < 60
    assert result.evaluations < plain.evaluations  # moves that were choices only by name are played on


@pytest.mark.slow
def test_self_play_does_not_search_a_choice_between_the_same() -> None:
    game = Blob(cards=6)
    config = SearchConfig(worlds=1, simulations=4)
    plain = self_play(game, HashEvaluator(), config, 40, seed=0)
    merging = self_play(game, HashEvaluator(), SearchConfig(worlds=1, simulations=4, merge_equivalent=True), 40, seed=0)
    assert len(merging.examples) < len(plain.examples)
    assert ((merging.examples.policy > 0) <= merging.examples.legal_mask).all()
