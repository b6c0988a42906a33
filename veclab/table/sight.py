"""What one seat sees of a match. Everything that is shown is made from this, so nothing hidden can be shown."""

from __future__ import annotations

from dataclasses import dataclass

from vecgame.cards import SEATS, suit_of, unpack
from veclab.table.session import Match, Result, Trick

SEAT_NAMES = ("South", "West", "North", "East")  # clockwise, as the turn goes


@dataclass(frozen=True)
class Seen:
    """A match as a seat sees it, or as a spectator who sees all hands. Tuples are by seat."""

    viewer: int | None  # None = a spectator
    names: tuple[str, ...]
    number: int  # of the game, from 1
    games: int  # of the match
    cards: int
    trump: int  # suit 0..3, 4 = none
    dealer: int
    mover: int | None  # None = the match is over
    bidding: bool
    hands: tuple[tuple[int, ...] | None, ...]  # cards still held, None = hidden
    legal: tuple[int, ...]  # the viewer's legal actions when it is to move, else none
    bids: tuple[int | None, ...]
    won: tuple[int, ...]
    trick: Trick | None  # the unfinished trick
    last_trick: Trick | None  # the last complete one of this game
    winning: int | None  # seat that is winning the unfinished trick
    results: tuple[Result, ...]  # of the finished games
    totals: tuple[float, ...]

    @property
    def hand(self) -> tuple[int, ...]:
        """The viewer's own cards."""
        return (self.viewer is not None and self.hands[self.viewer]) or ()

    @property
    def own_turn(self) -> bool:
        return self.mover is not None and self.mover == self.viewer

    @property
    def led_suit(self) -> int | None:
        return None if self.trick is None else self.trick.plays[0].action // 13

    def sorted_hand(self, seat: int) -> tuple[int, ...]:
        """A visible hand as players hold it: trumps first, each suit from its highest card down."""
        hand = self.hands[seat] or ()
        return tuple(sorted(hand, key=lambda card: (card // 13 != self.trump, card // 13, -card)))


def look(match: Match, viewer: int | None) -> Seen:
    """The match as seat ``viewer`` sees it; None sees every hand."""
    state = match.state
    held = [tuple(cards.nonzero()[:, 0].tolist()) for cards in unpack(state.hands[0])]
    complete = [trick for trick in match.tricks if trick.winner is not None]
    unfinished = next((trick for trick in match.tricks if trick.winner is None), None)
    mover = None if match.over else match.mover
    return Seen(
        viewer=viewer,
        names=tuple("You" if seat == viewer else name for seat, name in enumerate(SEAT_NAMES)),
        number=len(match.results) + (not match.over),
        games=len(match.settings.hands),
        cards=match.game.cards,
        trump=int(state.trump),
        dealer=int(state.dealer),
        mover=mover,
        bidding=len(match.moves) < SEATS,
        hands=tuple(cards if viewer in (None, seat) else None for seat, cards in enumerate(held)),
        legal=match.legal if mover == viewer else (),
        bids=tuple(bid if bid >= 0 else None for bid in state.bids[0].tolist()),
        won=tuple(state.won[0].tolist()),
        trick=unfinished,
        last_trick=complete[-1] if complete else None,
        winning=None if unfinished is None else _winning(match, unfinished),
        results=match.results,
        totals=match.totals,
    )


def _winning(match: Match, trick: Trick) -> int:
    """Seat whose card takes the unfinished trick as it lies: a seat without a card (-1) beats nobody."""
    led = suit_of(match.state.trick[:, trick.plays[0].seat])
    return int(match.game.winner(match.state, match.state.trick, led))
