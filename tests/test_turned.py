"""Trump turned up after the deal: OpenSpiel's own rule, the reference, what everybody knows, and what is refused."""

import random

import pytest
import torch

from tests.helpers import bits_of, chi_square_p, pack_mask, play_randomly, to_reference
from vecgame import Blob, BlobMatch, contract
from vecgame.cards import popcount, suit_of
from veclab.arena.bots import RuleBot
from veclab.arena.ismcts import ISMCTSPlayer
from veclab.reference import rules as reference
from veclab.reference.worlds import unseen_cards
from vecmcts import Past

ERROR_RATE = 1e-4


@pytest.mark.parametrize(("players", "cards"), [(3, 13), (4, 1), (4, 5), (4, 12), (5, 10), (7, 7)])
def test_games_agree_with_openspiel(players, cards):
    pytest.importorskip("pyspiel")
    from tests.openspiel_oracle import play_games, rules_kwargs

    games = list(play_games(random.Random(cards), 25, cards, players=players))
    game = Blob(trump="turned", **rules_kwargs(cards, True, players))
    dealer, turned = (torch.tensor([getattr(record, name) for record in games]) for name in ("dealer", "turned"))
    state = game.from_hands(torch.tensor([record.hands for record in games]), dealer, turned=turned)
    assert state.trump.tolist() == [record.trump for record in games]
    for decisions in zip(*(record.decisions for record in games), strict=True):
        movers, legal, actions = zip(*decisions, strict=True)
        assert game.mover(state).tolist() == list(movers)
        assert pack_mask(game.legal_mask(state)) == [bits_of(options) for options in legal]
        state = game.step(state, torch.tensor(actions), validate=True)
    assert torch.equal(game.scores(state), torch.tensor([record.returns for record in games]))


def test_openspiel_turns_up_any_undealt_card_alike():
    pytest.importorskip("pyspiel")
    from veclab.arena.oh_hell import load, our_card

    state = load(3).new_initial_state()
    dealt, rng = [], random.Random(1)
    for _ in range(2 + 12):
        dealt.append(rng.choice(state.chance_outcomes())[0])
        state.apply_action(dealt[-1])
    outcomes = state.chance_outcomes()
    undealt = {our_card(card) for card in range(52)} - {our_card(card) for card in dealt[2:]}
    assert {our_card(card) for card, _ in outcomes} == undealt
    assert all(probability == pytest.approx(1 / 40) for _, probability in outcomes)


def test_the_next_card_of_the_deck_is_turned_up():
    for game in (
        Blob(trump="turned"),
        Blob(trump="turned", players=6, cards=8),
        Blob(trump="turned", cards=2, ranks=3),
    ):
        state = game.deal(4_000, seed=1)
        dealt = state.hands.sum(-1)
        assert (
            (popcount(state.seen) == 1).all()
            and (state.seen & dealt == 0).all()
            and (state.seen & ~game.deck == 0).all()
        )
        turned = state.seen.double().log2().long()
        assert torch.equal(suit_of(turned), state.trump.long())
        assert chi_square_p(torch.bincount(turned)[bits(game.deck)], [4_000 / game.deck.bit_count()]) > ERROR_RATE
    plain, turning = Blob().deal(50, seed=2), Blob(trump="turned").deal(50, seed=2)
    assert torch.equal(plain.hands, turning.hands) and torch.equal(plain.dealer, turning.dealer)


def bits(mask: int) -> list[int]:
    return [card for card in range(52) if mask >> card & 1]


@pytest.mark.parametrize("players", [3, 4, 5])
def test_games_agree_with_the_reference(players):
    """Mover, legal actions, unseen cards and scores at every decision."""
    game = Blob(trump="turned", players=players, cards=4)
    record = play_randomly(game, game.deal(12, seed=3), seed=3)
    first = record[0][0]
    for lane in range(12):
        rules, start = to_reference(game, first, lane)
        state = reference.new_state(rules, start.hands, start.dealer, start.trump, start.turned)
        assert state == start
        for batch, actions in record[:-1]:
            assert reference.mover(rules, state) == int(game.mover(batch)[lane])
            assert bits_of(reference.legal_actions(rules, state)) == int(game.legal_bits(batch)[lane])
            hand = int(batch.hands[lane, reference.mover(rules, state)])
            assert bits_of(unseen_cards(rules, state)) == game.deck & ~hand & ~int(batch.seen[lane])
            reference.apply_action(rules, state, int(actions[lane]))
        assert reference.scores(rules, state) == game.scores(record[-1][0])[lane].tolist()


@pytest.mark.parametrize("players", [4, 5])
def test_the_card_turned_up_is_in_no_world(players):
    game = Blob(trump="turned", players=players, cards=5)
    first = game.deal(30, seed=4)
    for state, _ in play_randomly(game, first, seed=4)[:-1:4]:
        drawn = game.determinize(state, 8, seed=4)
        assert (drawn.hands & first.seen.repeat_interleave(8)[:, None] == 0).all()
        assert torch.equal(drawn.seen, state.seen.repeat_interleave(8))


@pytest.mark.parametrize(
    "check", [contract.worlds_keep_what_is_known, contract.worlds_are_uniform, contract.masks_do_as_lists]
)
def test_contract(check):
    check(Blob(cards=4, ranks=5, trump="turned"))


def test_neighbours_of_the_card_turned_up_are_the_same_move():
    """The spades 2 and 4 win and lose against the same cards, as the 3 between them is out of the game."""
    hands = torch.tensor([[[0, 2], [13, 14], [26, 27], [39, 40]]])
    for turned, moves in ((1, [0]), (15, [0, 2])):
        game = Blob(cards=2, trump="turned", dealer=3, hook=False)
        state = game.from_hands(hands, dealer=3, turned=turned)
        for _ in range(4):
            state = game.step(state, torch.tensor([0]))
        assert [action for action in game.merged().legal_actions(state)[0].tolist() if action >= 0] == moves


def test_players_play_it():
    game = Blob(cards=3, trump="turned")
    state = game.deal(40, seed=5)
    assert game.legal_mask(state).gather(1, RuleBot().act(game, state, 5)[:, None]).all()
    pytest.importorskip("pyspiel")
    action = ISMCTSPlayer(10).act_after(game, state[:2], Past.none(game, 2), seed=5)
    assert game.legal_mask(state[:2]).gather(1, action[:, None]).all()


def test_with_all_cards_dealt_there_is_no_trump():
    hands = torch.arange(52).reshape(1, 4, 13)
    assert int(Blob(cards=13, trump="turned").from_hands(hands, dealer=0).trump) == 4
    with pytest.raises(ValueError, match="neither `trump` nor `turned`: all cards are dealt, so none is turned up"):
        Blob(cards=13, trump="turned").from_hands(hands, dealer=0, turned=3)
    for game in (Blob(cards=13, trump="turned"), Blob(cards=4, ranks=5, players=5, trump="turned")):
        state = game.deal(20, seed=1)
        assert (state.trump == 4).all() and (state.seen == 0).all()
    match = BlobMatch(cards=3, ranks=3, players=4, trump="turned")
    state = match.deal(20, seed=1)  # 12 cards, all of them dealt in the first game
    assert (state.trump == 4).all() and (state.seen == 0).all()
    while (state.number == 0).any():
        state = match.step(state, contract.random_action(match, state))
    assert (state.trump < 4).all() and (popcount(state.seen) == 1).all()


@pytest.mark.parametrize(
    ("rule", "given", "message"),
    [
        ("turned", {"trump": 0}, "give from_hands the cards `turned` up and no `trump`"),
        ("turned", {}, "give from_hands the cards `turned` up"),
        ("random", {"turned": 20}, "give from_hands a `trump`, and no `turned`"),
        ("random", {}, "give from_hands a `trump`"),
        ("turned", {"turned": 14}, "turned must be a card of the deck that is not dealt"),
        ("turned", {"turned": 52}, "turned must be from 0 to 51"),
    ],
)
def test_hands_that_are_refused(rule, given, message):
    hands = torch.tensor([[[0, 2], [13, 14], [26, 27], [39, 40]]])
    with pytest.raises(ValueError, match=message):
        Blob(cards=2, trump=rule).from_hands(hands, dealer=3, **given)


@pytest.mark.parametrize(("turned", "trump"), [(0, 0), (20, 0), (52, 3)])
def test_the_reference_refuses_them_too(turned, trump):
    hands = [[0, 2], [13, 14], [26, 27], [39, 40]]
    with pytest.raises(ValueError, match="cannot be turned up"):
        reference.new_state(reference.Rules(cards=2), hands, 3, trump, turned)
