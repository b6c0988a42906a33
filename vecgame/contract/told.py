"""What networks are told and taught: blocks of columns, suits and trump told apart, hands and tricks to learn from."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from vecgame.cards import popcount
from vecgame.contract.played import GAMES, mixed_positions, some_positions
from vecgame.contract.rules import check_tensor
from vecgame.game import Game
from vecgame.own_rules import OwnRules
from vecgame.state import State

MIXED = 100  # positions, each of a game of its own


def columns_are_named(game: Game) -> None:
    """The blocks of `columns` and of `action_columns` are as many columns as there are, and a trick game's `own_block`
    gives as many as it says."""
    if isinstance(game, OwnRules) and game.own_features is not None:  # else they are counted
        state = game.deal(GAMES)
        rows = game.own_block(state, game.mover(state))
        given = sum(row.shape[0] if row.ndim == 2 else 1 for row in rows)
        assert given == game.own_features, f"own_block gives {given} columns, own_features says {game.own_features}"
    blocks = ("columns", game.columns(), "features"), ("action_columns", game.action_columns(), "num_actions")
    for name, table, what in blocks:
        named, there = sum(count for count, _ in table), getattr(game, what)
        assert named == there, f"{name} names {named} columns, but {what} is {there}"


def teaches_what_is_so(game: Game) -> None:
    """Hands and tricks that networks learn to tell are those of the state, and columns that are said to follow their
    suit can do so. Whether suits differ in their names only is not checked."""
    state = mixed_positions(game, MIXED)
    won, hands = game.tricks_won(state), game.others_hands(state)
    if won is not None:
        check_tensor("tricks_won", won, torch.int8, MIXED, game.seats)
        most = game.layout.size // game.seats
        assert ((won >= 0) & (won <= most)).all(), f"tricks_won is not from 0 to {most}, a seat's share of the cards"
    if hands is not None:
        _others_hands(game, state, hands)
    if game.suit_symmetry() is not None:
        _symmetry(game, state, game.observe(state))


def _others_hands(game: Game, state: State, hands: Tensor) -> None:
    """Where the state has `hands` [B, P], these are the others', as many cards where suits are turned."""
    check_tensor("others_hands", hands, torch.int64, MIXED, game.seats - 1)
    held = state.tensors().get("hands")
    if held is None or held.shape != (MIXED, game.seats):
        return
    after = (game.mover(state)[:, None] + torch.arange(1, game.seats)) % game.seats
    others = held.gather(1, after)
    agree = torch.equal(*(popcount(sets) for sets in (hands, others)) if game.suits_turned else (hands, others))
    assert agree, "others_hands are not the hands of the seats after the mover, in their order"


def _symmetry(game: Game, state: State, seen: Tensor) -> None:
    """Blocks of cards and suits lie in the observation, none over another, and hold 0 or 1, as do the columns that say
    what trump and policy do."""
    symmetry = game.suit_symmetry()
    assert symmetry.layout == game.layout, "suit_symmetry has another layout of cards than the game"
    blocks = [range(start, start + game.layout.size) for start in symmetry.boards]
    blocks += [range(start, start + game.layout.suits) for start in symmetry.suits]
    ones = [column for column in (symmetry.trump, symmetry.bidding) if column is not None]
    columns = [*(column for block in blocks for column in block), *ones]
    assert min(columns) >= 0 and max(columns) < game.features, "suit_symmetry names columns beyond the observation's"
    assert len(set(columns)) == len(columns), "blocks of suit_symmetry lie over each other"
    bits = seen[:, columns]
    assert ((bits == 0) | (bits == 1)).all(), "suit_symmetry names a column that is no card or suit, but a number"
    if isinstance(game, OwnRules) and game.bids and game.first_bid < game.layout.suits * game.layout.ranks:
        told = torch.zeros(len(seen), dtype=torch.bool) if symmetry.bidding is None else seen[:, symmetry.bidding] > 0
        bids = torch.equal(told, game.bidding(state))
        assert bids, "bids have columns of cards: suit_symmetry must name the column that is 1 while bidding"


def suits_led_are_told_apart(game: Game) -> None:
    """Who has to follow in a trick game sees which suit was led, whichever it is."""
    if not isinstance(game, OwnRules):
        return
    deck = torch.tensor([card for card in range(game.layout.size) if game.deck >> card & 1])
    for state in some_positions(game, 8, most=game.decisions):
        led = state[(state.trick >= 0).sum(-1) == 1][:1]
        if led.batch_size == 0:
            continue
        every = led.repeat(len(deck))  # the same position, with each card led; all else stays, as if it was not played
        trick = torch.where(every.trick >= 0, deck[:, None], -1).to(every.trick.dtype)
        every = replace(every, trick=trick)
        suit, seen = game.suit_led(every, trick).long(), game.observe(every)
        # Columns in which one card differs from all the others show that card. The others tell what cards share.
        shared = seen[:, (seen != seen.mode(0).values).sum(0) != 1]
        several = (suit[:, None] == suit).sum(-1) > 1
        alike = (shared[:, None] == shared).all(-1) & several[:, None] & several & (suit[:, None] != suit)
        for a, b in suit[alike.nonzero()][:1].tolist():
            raise AssertionError(f"observe does not tell suit {max(a, b)} led from suit {min(a, b)} led")


def trumps_are_told_apart(game: Game) -> None:
    """Who leads in a trick game sees what is trump, once that is known: a public field of the state that differs from
    game to game."""
    told, alike = set(), set()
    for state in some_positions(game, GAMES, most=game.decisions) if isinstance(game, OwnRules) else ():
        if "trump" not in state.tensors().keys() - game.hidden(state).keys():
            return
        leads, named = (state.trick < 0).all(-1), game.trump_named(state)
        state = state[leads if named is None else leads & named]
        trumps = state.trump.unique()
        views = [game.observe(replace(state, trump=state.trump * 0 + trump)) for trump in trumps]
        for a, b in combinations(range(len(trumps)), 2):
            (alike if torch.equal(views[a], views[b]) else told).add((int(trumps[a]), int(trumps[b])))
        if told and alike <= told:
            return
    for a, b in sorted(alike - told)[:1]:
        raise AssertionError(f"observe does not tell trump {b} from trump {a}: own_block must, or first_suit")
