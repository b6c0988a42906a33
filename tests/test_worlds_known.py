"""What a sampled world keeps: all that the mover knows, a legal past, and nothing of the hidden cards."""

from dataclasses import replace

import pytest
import torch

from tests.helpers import assert_same_state, cards_of, play_randomly, reshuffle, to_reference
from vecgame import Blob
from vecgame.cards import unpack
from veclab.reference import rules as reference


@pytest.mark.parametrize("cards", range(1, 14))
def test_worlds_keep_all_that_the_mover_knows(cards):
    for game in (Blob(cards=cards), Blob(cards=cards, suits=4, ranks=cards)):
        for state, _ in play_randomly(game, game.deal(30, seed=31), seed=31):
            sampled, known = game.determinize(state, 3, seed=7), state.repeat(3)
            assert_same_state(replace(sampled, hands=known.hands), known)
            own = game.mover(known)[:, None]
            assert torch.equal(sampled.hands.gather(1, own), known.hands.gather(1, own))
            hands = unpack(sampled.hands)
            assert torch.equal(hands.sum(-1), unpack(known.hands).sum(-1))
            assert (hands.sum(1) <= 1).all()
            assert not (sampled.hands & ~game.deck).any()
            assert not (sampled.hands & known.seen[:, None]).any()
            held_suits = hands.unflatten(-1, (4, 13)).any(-1)
            shown = (known.voids[:, :, None] >> torch.arange(4)) & 1 == 1
            assert not (held_suits & shown).any()


@pytest.mark.parametrize("cards", range(1, 14))
def test_the_public_history_is_legal_in_every_world(cards):
    """The reference plays every game again from each world's first hands: what is left and what was played."""
    lanes, count = 8, 2
    for game in (Blob(cards=cards), Blob(cards=cards, hook=False, suits=4, ranks=cards)):
        record = play_randomly(game, game.deal(lanes, seed=32), seed=32)
        movers = [game.mover(state).tolist() for state, _ in record[:-1]]
        actions = [taken.tolist() for _, taken in record[:-1]]
        for decision, (state, _) in enumerate(record):
            hands = game.determinize(state, count, seed=8).hands.tolist()
            for i, world in enumerate(hands):
                lane = i // count
                rules, _ = to_reference(game, state, lane)
                history = [(movers[t][lane], actions[t][lane]) for t in range(decision)]
                dealt = [cards_of(bits) | {a for s, a in history[4:] if s == seat} for seat, bits in enumerate(world)]
                again = reference.new_state(rules, dealt, int(state.dealer[lane]), int(state.trump[lane]))
                for seat, action in history:
                    assert reference.mover(rules, again) == seat
                    assert action in reference.legal_actions(rules, again)
                    reference.apply_action(rules, again, action)
                assert again.hands == [cards_of(bits) for bits in world]


@pytest.mark.parametrize("cards", [1, 2, 5, 9, 13])
def test_worlds_do_not_depend_on_the_hidden_cards(cards):
    game = Blob(cards=cards)
    changed = 0
    for state, _ in play_randomly(game, game.deal(80, seed=33), seed=33)[:: 1 + cards // 4]:
        other = reshuffle(game, state, game.mover(state), seed=99)
        changed += int((other.hands != state.hands).any(-1).sum())
        assert_same_state(game.determinize(other, 3, seed=9), game.determinize(state, 3, seed=9))
    assert changed > 200


@pytest.mark.parametrize("cards", [1, 5, 13])
def test_finished_games_have_nothing_hidden(cards):
    game = Blob(cards=cards)
    final = play_randomly(game, game.deal(20, seed=39), seed=39)[-1][0]
    assert_same_state(game.determinize(final, 4, seed=13), final.repeat(4))
