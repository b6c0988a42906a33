"""Cards that go from pile to pile: drawn from a stock, shuffled into it again, a seat's; and whose turn is next.

A stock is [B, N] int8 card ids, the next one first, then -1; a pile that has no order is a bitboard (`vecgame.cards`),
or in a game with ``copies`` counts, [.., size] int8 (`vecgame.copies`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from vecgame import copies, dealing, hidden
from vecgame.cards import lowest_card, popcount
from vecgame.lanes import around, none, pick, place_of, placed, working
from vecgame.philox import Purpose, Stream


def entry(field: Tensor, seat: Tensor) -> Tensor:
    """What a field [B, P, ...] holds for the seats ``seat`` [B] int64: [B, ...]."""
    return field.flatten(0, 1).index_select(0, place_of(seat, field.shape[1]))


def only(seat: Tensor, value: Tensor | int, seats: int) -> Tensor:
    """A field with ``value`` [B, ...], or one number or True for all, for the seats ``seat`` [B], and 0 or False for
    the others: [B, P, ...], of that dtype, of a number int64. A seat that is none, such as -1, has no place in it, nor
    in what is `added` or `changed`."""
    here = torch.arange(seats, device=seat.device) == seat[:, None]
    if not isinstance(value, Tensor):
        return here & value if isinstance(value, bool) else here * value
    value = value[:, None]
    return torch.where(here.view(*here.shape, *[1] * (value.ndim - 2)), value, torch.zeros_like(value))


def added(field: Tensor, seat: Tensor, number: Tensor | int, where: Tensor | None = None) -> Tensor:
    """A field [B, P] of numbers with a ``number`` more, [B] or one for all, for the seats ``seat`` [B] int64, in the
    games ``where`` [B] bool says so, or in all: in the field's dtype, whatever that of the number is, bool too. Of
    counts, [B, P, size] and [B, size], cards that come to those that there are, or with a minus leave them."""
    if isinstance(number, Tensor) and number.ndim == 1 and field.dtype == torch.int8 and field.ndim > 2:
        raise TypeError(
            "to counts [B, P, size] counts [B, size] are added, as draw(.., ids=size) gives; got one number"
        )
    return field + torch.where(_here(field, seat, where), _by_game(number, field), 0)


def joined(field: Tensor, seat: Tensor, cards: Tensor | bool, where: Tensor | None = None) -> Tensor:
    """`added` for a field of sets of cards, or of bools: those that it has and these. Raises TypeError on counts, which
    are `added`."""
    if field.dtype == torch.int8 and field.ndim > 2:
        raise TypeError("joined is for sets of cards, as bitboards; counts of them are added")
    return field | torch.where(_here(field, seat, where), _by_game(cards, field), False)


def changed(field: Tensor, seat: Tensor, value: Tensor | int, where: Tensor | None = None) -> Tensor:
    """`added` for another value in place of the one that was there."""
    return torch.where(_here(field, seat, where), _by_game(value, field), field)


def _here(field: Tensor, seat: Tensor, where: Tensor | None) -> Tensor:
    here = only(seat if where is None else torch.where(where, seat, -1), True, field.shape[1])
    return here.view(*here.shape, *[1] * (field.ndim - 2))


def _by_game(value: Tensor | int, field: Tensor) -> Tensor:
    """A value of each game, [B, 1, ...], or of all, in the field's dtype."""
    if isinstance(value, Tensor):
        return value.view(len(value), 1, *value.shape[1:], *[1] * (field.ndim - 1 - value.ndim)).to(field.dtype)
    return torch.full((), value, dtype=field.dtype, device=field.device)


def put_on(pile: Tensor, card: Tensor) -> Tensor:
    """A pile [B, N] of card ids, the newest first, with one more on it: ``card`` [B] int64, a bitboard of one as `act`
    is given it; where that is 0, the pile as it is. Of a full pile the oldest card falls out."""
    newest = lowest_card(card).clamp(min=-1)[:, None].to(pile.dtype)
    return torch.where((card != 0)[:, None], torch.cat([newest, pile[:, :-1]], -1), pile)


def seat_after(seat: Tensor, playing: Tensor) -> Tensor:
    """The next seat after ``seat`` [B] int64 that is ``playing`` [B, P] bool: that seat itself if no other is, and the
    one beside it if none is. [B] int64."""
    seats = playing.shape[1]
    turn = around(seat[:, None] + 1 + torch.arange(seats, device=seat.device), seats)
    return entry(turn, playing.gather(1, turn).to(torch.int8).argmax(-1))  # argmax takes the first of equals


def stock_of(stream: Stream, cards: Tensor, size: int) -> Tensor:
    """A stock of the cards [B] int64, or of counts [B, K], in random order: [B, size] int8. In mid-game, where the
    stream is that of a hidden number, ``Stream(0, state.future, state.made)``, each world shuffles otherwise."""
    if cards.ndim > 1:
        return copies.in_order(stream.keys(Purpose.DEAL, size), cards).to(torch.int8)
    order = dealing.shuffled(stream, cards, size)
    return torch.where(torch.arange(size, device=cards.device) < popcount(cards)[:, None], order, -1).to(torch.int8)


def last(stock: Tensor) -> Tensor:
    """The card at the bottom of a stock [B, N], as one that is turned up there: [B] ids, -1 where there is none."""
    cards = (stock >= 0).sum(-1, keepdim=True)
    return stock.gather(1, (cards - 1).clamp(min=0))[:, 0]


def refilled(stock: Tensor, cards: Tensor, stream: Stream) -> Tensor:
    """A stock with more cards in random order below its own, as far as there is room.

    Args:
        stock: [B, N] int8.
        cards: [B] int64 bitboards, or [B, size] counts; where there are none, the stock stays as it is.
        stream: of a hidden number, as for `stock_of`.
    """
    some = cards != 0 if cards.ndim == 1 else (cards != 0).any(-1)
    lanes = working(some)
    if lanes is not None and len(lanes) == 0:
        return stock
    upper, size = pick(stock, lanes), stock.shape[1]
    more = stock_of(stream.take(lanes), pick(cards, lanes), size)
    lower = torch.arange(size, device=stock.device) - (upper >= 0).sum(-1, keepdim=True)
    return placed(stock, lanes, torch.where(lower < 0, upper, more.gather(1, lower.clamp(min=0))))


def draw(
    stock: Tensor, counts: Tensor | int, order: Tensor | None = None, ids: int | None = None
) -> tuple[Tensor, Tensor]:
    """Gives each seat so many cards of a stock, as long as there are any.

    Args:
        stock: [B, N] int8.
        counts: [B, P] int64, how many each seat draws, 0 or more; or how many are drawn for no seat but the table, or
            one that is told by `joined`: [B] int64, or one number for all games, or [B] bool, one card or none, which
            takes less time.
        order: [B, P] int64, the seats in the order in which they draw, each once; by default 0, 1, ..
        ids: in a game with copies how many ids its layout has.

    Returns:
        What each seat has drawn, [B, P] int64 bitboards, or [B] if it is for no seat, and the stock that is left,
        [B, N] int8. With ``ids`` counts, [B, P, ids] or [B, ids] int8, in place of the bitboards.
    """
    if isinstance(counts, Tensor) and counts.dtype == torch.bool and counts.ndim == 1 and not none(counts):
        return _draw_one(stock, counts, ids)
    if not isinstance(counts, Tensor) or counts.ndim == 1:
        counts = torch.as_tensor(counts, device=stock.device).expand(len(stock))[:, None].long()
        drawn, left = draw(stock, counts, ids=ids)
        return drawn[:, 0], left
    if none(counts > 0):
        shape = (len(stock), counts.shape[1]) if ids is None else (len(stock), counts.shape[1], ids)
        return torch.zeros(shape, dtype=torch.int64 if ids is None else torch.int8, device=stock.device), stock
    seats, place = counts.shape[1], torch.arange(stock.shape[1], device=stock.device)
    ends = (counts if order is None else counts.gather(1, order)).cumsum(-1)
    if ids is None:
        owner = (place >= ends[..., None]).sum(1)  # by that order; one more for the cards that stay
        cards = hidden.bits_of(stock, "cards")
        drawn = cards.new_zeros(len(stock), seats + 1).scatter_add(1, owner, cards)[:, :seats]
    else:
        drawn = copies.cut(stock, ends, ids)
    later = place + ends[:, -1:]
    left = torch.where(later < stock.shape[1], stock.gather(1, later.clamp(max=stock.shape[1] - 1)), -1)
    if order is not None:
        order = order.view(*order.shape, *[1] * (drawn.ndim - 2)).expand(drawn.shape)
        drawn = torch.zeros_like(drawn).scatter(1, order, drawn)
    return drawn, left


def _draw_one(stock: Tensor, draws: Tensor, ids: int | None) -> tuple[Tensor, Tensor]:
    """`draw` of one card, where ``draws`` [B] bool says so."""
    card = torch.where(draws, stock[:, 0], -1)
    drawn = hidden.bits_of(card, "cards")[:, 0] if ids is None else copies.tallied(card, ids)
    later = torch.cat([stock[:, 1:], torch.full_like(stock[:, :1], -1)], -1)
    return drawn, torch.where(draws[:, None], later, stock)
