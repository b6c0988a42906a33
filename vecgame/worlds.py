"""Sampling hidden hands: exactly uniform over every deal that the mover's information allows.

The mover knows its own hand, the cards played, how many cards each seat holds, how many are undealt, and each suit that
a seat has shown it does not hold. List the unseen cards in any order and let N_i(r1, r2, r3) be the number of ways to
give cards i, i+1, .. to owners so that the three opponents get r1, r2 and r3 of them and the undealt pile the rest:

    N_i(r) = sum of N_{i+1}(r - e_owner) over the owners that may hold card i,    N_end(0) = 1, N_end(r) = 0 otherwise.

Dealing card after card to an owner with probability N_{i+1}(r - e_owner) / N_i(r) makes every consistent deal equally
likely, without rejection. Counts are float64: exact below 2**53, and within a relative 1e-14 of exact above.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor

from vecgame.cards import SEATS, bit, list_cards, popcount, suit_of
from vecgame.philox import Purpose, Stream
from vecgame.state import concatenate

if TYPE_CHECKING:
    from vecgame.blob import Blob, BlobState

# Completion tables are built for as many games at a time as fit in this many bytes: small enough for a processor's
# cache to help, large enough to keep a GPU busy.
TABLE_BYTES = {"cpu": 32 << 20, "cuda": 1 << 30}


def determinize(game: Blob, state: BlobState, count: int, seed: int) -> BlobState:
    """``count`` worlds of every game, drawn with replacement.

    Everything public stays as it is, and so does the mover's hand; the other three hands are drawn. The draw depends on
    the seed, the game's number, the decision and the world's number within the game only.

    Args:
        state: B games; a finished one has nothing hidden and comes back ``count`` times.
        count: worlds a game, at least 1.

    Returns:
        B * count lanes, the worlds of a game adjacent.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if state.batch_size == 0:
        return state
    # Host numbers that bound the shapes: how many cards are unseen at most, how many an opponent holds at most.
    unseen = int(popcount(_unseen(game, state)).max())
    held = int(popcount(state.hands).max())
    bytes_per_game = 8 * (unseen + 1) * (held + 1) ** 3
    chunk = min(max(1, TABLE_BYTES[state.device.type] // bytes_per_game), state.batch_size)
    workspace = torch.empty(chunk * bytes_per_game // 8, dtype=torch.float64, device=state.device)
    parts = [
        _determinize_chunk(game, state[start : start + chunk], count, seed, unseen, held, workspace)
        for start in range(0, state.batch_size, chunk)
    ]
    return parts[0] if len(parts) == 1 else concatenate(parts)


def _unseen(game: Blob, state: BlobState) -> Tensor:
    """The cards that the mover has not seen: [B] int64 bitboards."""
    own = state.hands.gather(1, game.mover(state)[:, None])[:, 0]
    return game.deck & ~(own | state.seen)


def _determinize_chunk(
    game: Blob, state: BlobState, count: int, seed: int, unseen: int, held: int, workspace: Tensor
) -> BlobState:
    mover = game.mover(state)
    opponents = (mover[:, None] + torch.arange(1, SEATS, device=state.device)) & (SEATS - 1)  # [B, 3]
    cards = list_cards(_unseen(game, state), unseen)  # [B, U]
    sizes = popcount(state.hands).gather(1, opponents)  # [B, 3]
    allowed = _allowed(state, cards, opponents)  # [B, U, 3]
    table = completion_counts(allowed, held, workspace)
    stream = Stream.of_worlds(seed, state.index, state.made.long(), count)
    drawn = _draw(table, cards, allowed, sizes, count, stream)  # [B * count, 3]

    worlds = state.repeat(count)
    own = worlds.hands.gather(1, mover.repeat_interleave(count)[:, None])
    seats = torch.cat([mover[:, None], opponents], dim=-1).repeat_interleave(count, dim=0)
    return replace(worlds, hands=torch.zeros_like(worlds.hands).scatter(1, seats, torch.cat([own, drawn], dim=-1)))


def _allowed(state: BlobState, cards: Tensor, opponents: Tensor) -> Tensor:
    """Whether each opponent may hold each listed card: [B, U, 3] bool, False for the filler card -1."""
    suit = suit_of(cards.clamp(min=0))
    void = (state.voids.gather(1, opponents)[:, None, :].long() >> suit[:, :, None]) & 1
    return (void == 0) & (cards >= 0)[:, :, None]


def completion_counts(allowed: Tensor, held: int, workspace: Tensor) -> Tensor:
    """The tables N_i of the module's docstring.

    Args:
        allowed: [B, U, 3] bool, opponent k may hold card i; a card that no opponent may hold is left undealt.
        held: the tables' bound on r.
        workspace: [at least (U + 1) * (held + 1)**3 * B] float64, overwritten and returned as the tables.

    Returns:
        [U + 1, held + 1, held + 1, held + 1, B] float64. The batch comes last: the shifts then run over long rows.
    """
    lanes, listed = allowed.shape[:2]
    side = held + 1
    table = workspace[: (listed + 1) * side**3 * lanes].view(listed + 1, side, side, side, lanes)
    table[listed] = 0
    table[listed, 0, 0, 0] = 1
    weight = rearrange(allowed.double(), "lane card opponent -> card opponent lane").contiguous()
    for i in reversed(range(listed)):
        after, now = table[i + 1], table[i]
        now.copy_(after)
        now[1:].addcmul_(after[:-1], weight[i, 0])
        now[:, 1:].addcmul_(after[:, :-1], weight[i, 1])
        now[:, :, 1:].addcmul_(after[:, :, :-1], weight[i, 2])
    return table


def _draw(table: Tensor, cards: Tensor, allowed: Tensor, sizes: Tensor, count: int, stream: Stream) -> Tensor:
    """Deals the listed cards [B, U] to owners, card after card, by the tables.

    Returns:
        [B * count, 3] int64, the opponents' hands as bitboards.
    """
    listed, (side, lanes) = cards.shape[1], table.shape[-2:]
    stride = lanes * torch.tensor([side * side, side, 1], device=cards.device)  # in the table, for one card to each
    uniform = stream.uniform(Purpose.WORLD, max(listed, 1)).view(lanes, count, -1)
    may = rearrange(allowed, "lane card opponent -> card lane 1 opponent")
    card_bits = rearrange(torch.where(cards >= 0, bit(cards.clamp(min=0)), 0), "lane card -> card lane 1 1")
    left = sizes[:, None].expand(lanes, count, 3)  # cards that each opponent still gets
    here = (left * stride).sum(-1) + torch.arange(lanes, device=cards.device)[:, None]  # N_i(left) in its table
    hands = torch.zeros_like(left)
    for i in range(listed):
        after = table[i + 1].view(-1)
        ways = after[(here[..., None] - stride).clamp(min=0)] * (may[i] & (left > 0))
        bounds = ways.cumsum(-1)
        # The owner is the first opponent whose cumulated ways exceed the draw, and the undealt pile if none does.
        draw = uniform[:, :, i] * (bounds[..., 2] + after[here])
        taken = draw[..., None] < bounds
        taken[..., 1:] &= ~taken[..., :-1].clone()
        left = left - taken.long()
        here = here - (taken * stride).sum(-1)
        hands = hands | taken * card_bits[i]
    return hands.view(-1, 3)
