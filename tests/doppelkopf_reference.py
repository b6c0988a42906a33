"""Doppelkopf on names of cards, one game at a time: what `vecgame.games.doppelkopf` is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

SUITS, RANKS = "shcd", "9JQKTA"
TRUMPS = ["Th", "Qc", "Qs", "Qh", "Qd", "Jc", "Js", "Jh", "Jd", "Ad", "Td", "Kd", "9d"]  # from the highest
PLAIN = "ATK9"  # of the other suits, from the highest
WORTH = {"A": 11, "T": 10, "K": 4, "Q": 3, "J": 2, "9": 0}


def card(name: str, copy: int = 0) -> int:
    """ "Qs" -> the number of its first or second copy."""
    return 12 * SUITS.index(name[1]) + 2 * RANKS.index(name[0]) + copy


def name_of(number: int) -> str:
    return RANKS[number % 12 // 2] + SUITS[number // 12]


def group(name: str) -> str:
    """What a card follows: trump, or its suit."""
    return "trump" if name in TRUMPS else name[1]


def beats(later: str, earlier: str) -> bool:
    """Whether a card takes a trick from one that was played before it and is winning."""
    if group(later) != group(earlier):
        return group(later) == "trump"
    order = TRUMPS if group(later) == "trump" else [rank + later[1] for rank in PLAIN]
    return order.index(later) < order.index(earlier)


@dataclass
class Table:
    """A game in its course. Cards are numbers; what they are is told by `name_of`."""

    hands: list[set[int]]
    leader: int
    trick: list[tuple[int, int]] = field(default_factory=list)  # (seat, card)
    tricks: list[tuple[int, list[tuple[int, int]]]] = field(default_factory=list)  # (winner, cards)

    def __post_init__(self) -> None:
        self.dealt = [set(hand) for hand in self.hands]

    def mover(self) -> int:
        return (self.leader + len(self.trick)) % 4

    def legal(self) -> set[int]:
        hand = self.hands[self.mover()]
        if not self.trick:
            return set(hand)
        led = group(name_of(self.trick[0][1]))
        return {card for card in hand if group(name_of(card)) == led} or set(hand)

    def play(self, number: int) -> None:
        seat = self.mover()
        self.hands[seat].remove(number)
        self.trick.append((seat, number))
        if len(self.trick) == 4:
            winner, best = self.trick[0]
            for seat, other in self.trick[1:]:
                if beats(name_of(other), name_of(best)):
                    winner, best = seat, other
            self.tricks.append((winner, self.trick))
            self.leader, self.trick = winner, []

    def card_points(self) -> list[int]:
        return [
            sum(WORTH[name_of(c)[0]] for w, cards in self.tricks if w == seat for _, c in cards) for seat in range(4)
        ]

    def scores(self) -> list[int]:
        """Points of each seat of a finished game."""
        old = [any(name_of(card) == "Qc" for card in hand) for hand in self.dealt]
        points = sum(p for p, mine in zip(self.card_points(), old, strict=True) if mine)
        old_wins = points > 120
        losing = 240 - points if old_wins else points
        value = 1 + (losing < 90) + (losing < 60) + (losing < 30)
        if all(old[winner] == old_wins for winner, _ in self.tricks):
            value += 1
        if sum(old) == 1:
            each = value if old_wins else -value
            return [3 * each if mine else -each for mine in old]
        if not old_wins:
            value += 1
        return [value if mine == old_wins else -value for mine in old]
