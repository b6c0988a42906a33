"""What several test files need: from tensors to the scalar reference, random play, and chi-square tests."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vecgame import Blob, State
from vecgame.games.blob_state import BlobState
from veclab.reference import rules as reference

SEATS = 4
UNKNOWN_SEAT = -1


def reference_rules(game: Blob) -> reference.Rules:
    """The reference's rules of the same game. They leave trump and dealer open: those belong to a deal there."""
    names = ("players", "cards", "hook", "exact_bonus", "points_per_trick", "miss_points_per_trick", "miss_penalty")
    return reference.Rules(**{name: getattr(game.rules, name) for name in (*names, "ranks", "suits")})


def to_reference(game: Blob, state: BlobState, lane: int) -> tuple[reference.Rules, reference.State]:
    """One lane, at any decision, as the reference's rules and state.

    Everything but `history` is the lane's. A tensor state does not remember who played which card of the tricks that
    are over, so history holds the bids, then the cards of those tricks in ascending order as played by `UNKNOWN_SEAT`,
    then the current trick as it was played. No function of the reference reads more than that from it. Two lanes with
    the same history may differ in their past, though, so do not take it for the name of a position.
    """
    hands = [frozenset(cards_of(bits)) for bits in state.hands[lane].tolist()]
    bids = [bid if bid >= 0 else None for bid in state.bids[lane].tolist()]
    dealer, leader = int(state.dealer[lane]), int(state.leader[lane])
    played = dict(enumerate(state.trick[lane].tolist()))
    seats = game.seats
    trick = [(seat % seats, played[seat % seats]) for seat in range(leader, leader + seats)]
    trick = [(seat, card) for seat, card in trick if card >= 0]
    voids = [frozenset(suit for suit in range(4) if mask >> suit & 1) for mask in state.voids[lane].tolist()]
    bidders = [(seat % seats, bids[seat % seats]) for seat in range(dealer + 1, dealer + 1 + seats)]
    known = cards_of(int(state.seen[lane])) - {card for _, card in trick}
    turned = None
    if game.rules.trump == "turned":  # which of the cards seen it is does not matter to the reference
        turned = min(card for card in known if card // 13 == int(state.trump[lane]))
    earlier = sorted(known - {turned})
    return reference_rules(game), reference.State(
        hands=hands,
        dealer=dealer,
        trump=int(state.trump[lane]),
        bids=bids,
        won=state.won[lane].tolist(),
        trick=trick,
        leader=leader,
        voids=voids,
        history=[
            *((seat, bid) for seat, bid in bidders if bid is not None),
            *((UNKNOWN_SEAT, card) for card in earlier),
            *trick,
        ],
        turned=turned,
    )


def cards_of(bits: int) -> set[int]:
    """The cards of a bitboard."""
    return {card for card in range(52) if bits >> card & 1}


def bits_of(cards: Sequence[int] | frozenset[int]) -> int:
    """The bitboard of some cards."""
    return sum(1 << card for card in cards)


def one_lane(game: Blob, state: reference.State, index: int = 0) -> BlobState:
    """The reference's position as a batch of one."""
    trick = [-1] * game.seats
    for seat, card in state.trick:
        trick[seat] = card
    played = [card for _, card in state.history[game.seats :]]

    def small(values: Sequence[int] | int) -> Tensor:
        return torch.tensor([values], dtype=torch.int8)

    return BlobState(
        index=torch.tensor([index]),
        hands=torch.tensor([[bits_of(hand) for hand in state.hands]]),
        seen=torch.tensor([bits_of(played) | (0 if state.turned is None else 1 << state.turned)]),
        trick=small(trick),
        bids=small([-1 if bid is None else bid for bid in state.bids]),
        won=small(state.won),
        lacks=torch.tensor([[sum(0x1FFF << 13 * suit for suit in suits) for suits in state.voids]]),
        trump=small(state.trump),
        dealer=small(state.dealer),
        leader=small(state.leader),
        made=small(len(state.history)),
    )


def random_actions(game: Blob, state: BlobState, generator: torch.Generator) -> Tensor:
    """A uniformly random legal action in every lane: [B] int64."""
    draw = torch.rand(state.batch_size, game.num_actions, generator=generator)
    return draw.masked_fill_(~game.legal_mask(state), -1).argmax(-1)


def play_randomly(game: Blob, state: BlobState, seed: int) -> list[tuple[BlobState, Tensor]]:
    """Random play to the end: every (state, actions taken there); at the end the finished state and no actions.

    All lanes must be at the same decision.
    """
    generator = torch.Generator().manual_seed(seed)
    record = []
    for _ in range(game.decisions - int(state.made[0])):
        actions = random_actions(game, state, generator)
        record.append((state, actions))
        state = game.step(state, actions)
    record.append((state, torch.empty(0, dtype=torch.long)))
    return record


def reshuffle(game: Blob, state: BlobState, viewer: Tensor, seed: int) -> BlobState:
    """Other cards in the hands that each lane's viewer does not see, whether or not the past would allow them."""
    rng = random.Random(seed)
    rows = []
    for hands, seen, seat in zip(state.hands.tolist(), state.seen.tolist(), viewer.tolist(), strict=True):
        unseen = sorted(cards_of(game.deck & ~hands[seat] & ~seen))
        rng.shuffle(unseen)
        row = []
        for other, bits in enumerate(hands):
            size = 0 if other == seat else bits.bit_count()
            row.append(bits if other == seat else bits_of(unseen[:size]))
            unseen = unseen[size:]
        rows.append(row)
    return replace(state, hands=torch.tensor(rows))


def assert_same_state(a: State, b: State) -> None:
    """Equal in every field, bit for bit, and in dtype and device."""
    for (name, x), (_, y) in zip(a.tensors().items(), b.tensors().items(), strict=True):
        assert x.dtype == y.dtype and x.device == y.device, name
        assert torch.equal(x, y), name


def pack_mask(mask: Tensor) -> list[int]:
    """Masks as integers, bit c for column c: [..., K] bool with K < 63 -> nested lists."""
    return (mask.cpu().numpy().astype(np.int64) @ (1 << np.arange(mask.shape[-1], dtype=np.int64))).tolist()


def chi_square_p(observed: Tensor | Sequence[float], expected: Tensor | Sequence[float]) -> float:
    """The probability of counts at least as far from `expected` (flattened, all above 0) if these are the true means.

    The counts' sum must be fixed, which takes one degree of freedom; every expected count should be 5 or more.
    """
    observed = torch.as_tensor(observed, dtype=torch.float64).flatten()
    expected = torch.as_tensor(expected, dtype=torch.float64).flatten().expand(observed.shape)
    assert float(expected.min()) >= 5 and abs(float(observed.sum() - expected.sum())) < 1e-6 * float(expected.sum())
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = torch.tensor(observed.numel() - 1, dtype=torch.float64)
    return float(torch.special.gammaincc(freedom / 2, statistic / 2))
