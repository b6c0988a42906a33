"""Random games of Blob of every size, played on tensors and again with the scalar reference."""

import torch

from tests.helpers import SEATS, bits_of, pack_mask, play_randomly, reference_rules
from vecgame import Blob
from vecgame.cards import DECK, list_cards
from vecgame.games.blob_state import BlobState
from veclab.reference import rules as reference

NO_TRUMP = 4
GAME_SIZES = range(1, 14)


def games_of(cards: int) -> list[Blob]:
    """Hook on and off with all 52 cards, then every smallest deck of 4, 3, 2 and 1 suits that gives the cards."""
    found = [Blob(cards=cards), Blob(cards=cards, hook=False)]
    for suits in (4, 3, 2, 1):
        ranks = -(-SEATS * cards // suits)
        if ranks <= 13:
            found.append(Blob(cards=cards, suits=suits, ranks=ranks, hook=suits % 2 == 0))
    return found


def begin(game: Blob, lanes: int, seed: int) -> BlobState:
    """Random hands for every combination of dealer and trump in turn."""
    lane = torch.arange(lanes)
    trump = lane // game.seats % (game.rules.suits + 1)
    return game.from_hands(
        list_cards(game.deal(lanes, seed).hands.flatten(), game.cards).view(lanes, game.seats, game.cards),
        dealer=lane % game.seats,
        trump=torch.where(trump == game.rules.suits, NO_TRUMP, trump),
    )


def compare_random_games(game: Blob, lanes: int, seed: int) -> None:
    """Plays on tensors, then again with the reference: mover, legal actions, end and scores at every decision."""
    rules = reference_rules(game)
    record = play_randomly(game, begin(game, lanes, seed), seed)
    states, actions = [state for state, _ in record], [actions.tolist() for _, actions in record[:-1]]
    for state in states[:-1]:
        assert not game.is_terminal(state).any() and not game.scores(state).any()
    first, last = states[0], states[-1]
    assert len(actions) == rules.players * (rules.cards + 1)
    assert game.is_terminal(last).all()
    movers = [game.mover(state).tolist() for state in states[:-1]]
    legal = [pack_mask(game.legal_mask(state)) for state in states[:-1]]
    hands, points = first.hands.tolist(), game.scores(last).tolist()
    dealers, trumps = first.dealer.tolist(), first.trump.tolist()
    by_game = zip(zip(*movers, strict=True), zip(*legal, strict=True), zip(*actions, strict=True), strict=True)
    for lane, decisions in enumerate(by_game):
        dealt = [[card for card in range(DECK) if bits >> card & 1] for bits in hands[lane]]
        state = reference.new_state(rules, dealt, dealers[lane], trumps[lane])
        for seat, options, action in zip(*decisions, strict=True):
            assert seat == reference.mover(rules, state), (game, seed, lane, state)
            assert options == bits_of(reference.legal_actions(rules, state)), (game, seed, lane, state)
            reference.apply_action(rules, state, action)
        assert reference.is_terminal(state), (game, seed, lane, state)
        assert points[lane] == reference.scores(rules, state), (game, seed, lane, state)
