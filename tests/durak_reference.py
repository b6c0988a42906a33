"""Scalar rules of Durak in plain Python, begun where a state of `tests.durak` is: what `test_durak` compares it with.

Podkidnoy, as it is played at a table: cards lie in pairs, an attack and what beat it, and a seat that passes is not
asked again until the defender has beaten another card or given up.
"""

from __future__ import annotations

from tests.durak import DurakState
from tests.hand_references import Scalar, cards_of


class ScalarDurak(Scalar):
    """One game: `turn`, `legal`, `play`, `over` and `scores`."""

    def __init__(self, state: DurakState, suits: int = 4, ranks: int = 9, full: int = 6, most: int = 6) -> None:
        """The rules are those of the game: ``full`` cards are dealt and drawn up to, ``most`` attacks are in a bout."""
        self.hands = [cards_of(hand) for hand in state.hands[0]]
        self.stock = [card for card in state.stock[0].tolist() if card >= 0]
        self.ranks, self.full, self.most = ranks, full, most
        self.take, self.stop = suits * ranks, suits * ranks + 1
        self.turned = self.stock[-1]
        self.open: list[set[int]] = [set() for _ in self.hands]  # what everybody knows a seat to hold
        self.beaten: set[int] = set()  # and out of the game
        self.ended = False
        self.most_attacks = self.taken = self.transfers = 0  # what has been met
        self.begin(attacker=0)

    def begin(self, attacker: int) -> None:
        """A bout."""
        self.attacker, self.defender = attacker, self.next_with_cards(attacker)
        self.pairs: list[list[int]] = []
        self.gives_up, self.passed = False, set()
        self.limit = min(self.most, len(self.hands[self.defender]))
        self.turn = attacker

    def around(self, seat: int) -> list[int]:
        """All seats, from this one on."""
        return [(seat + after) % len(self.hands) for after in range(len(self.hands))]

    def next_with_cards(self, seat: int) -> int:
        return next(other for other in (*self.around(seat)[1:], seat) if self.hands[other])

    def suit(self, card: int) -> int:
        return card // self.ranks

    def rank(self, card: int) -> int:
        return card % self.ranks

    def beats(self, card: int, other: int) -> bool:
        if self.suit(card) == self.suit(other):
            return self.rank(card) > self.rank(other)
        return self.suit(card) == self.suit(self.turned)

    def table(self) -> set[int]:
        return {card for pair in self.pairs for card in pair}

    def to_beat(self) -> list[int]:
        """The lowest attack that nothing lies on, as the pair that it begins; [] where there is none."""
        return min((pair for pair in self.pairs if len(pair) == 1), default=[])

    def over(self) -> bool:
        return self.ended

    def legal(self) -> set[int]:
        hand = self.hands[self.turn]
        if self.turn == self.defender:
            (attack,) = self.to_beat()
            return {card for card in hand if self.beats(card, attack)} | {self.take}
        if not self.pairs:
            return hand
        there = {self.rank(card) for card in self.table()}
        return {card for card in hand if self.rank(card) in there} | {self.stop}

    def play(self, action: int) -> None:
        for held in (self.hands, self.open):
            held[self.turn].discard(action)
        if action == self.take:
            self.gives_up, self.passed = True, set()
        elif action == self.stop:
            self.passed.add(self.turn)
        elif self.turn == self.defender:
            self.to_beat().append(action)
            self.passed = set()
        else:
            self.pairs.append([action])
        self.go_on()

    def go_on(self) -> None:
        """Finds who is next, and ends the bout where nobody is."""
        if not self.gives_up and self.to_beat():
            self.turn = self.defender
            return
        others = [seat for seat in self.around(self.attacker) if seat not in {self.defender, *self.passed}]
        others = [seat for seat in others if self.hands[seat]]
        if others and len(self.pairs) < self.limit:
            self.turn = others[0]
        else:
            self.end()

    def end(self) -> None:
        """The end of a bout."""
        self.most_attacks = max(self.most_attacks, len(self.pairs))
        if self.gives_up:
            self.taken += 1
            self.hands[self.defender] |= self.table()
            self.open[self.defender] |= self.table()
        else:
            self.beaten |= self.table()
        others = [seat for seat in self.around(self.attacker) if seat != self.defender]
        for seat in [*others, self.defender]:
            while self.stock and len(self.hands[seat]) < self.full:
                card = self.stock.pop(0)
                self.hands[seat].add(card)
                if card == self.turned:
                    self.open[seat].add(card)
        self.ended = sum(map(bool, self.hands)) <= 1
        if not self.ended:
            stays = self.hands[self.defender] and not self.gives_up
            self.begin(self.defender if stays else self.next_with_cards(self.defender))

    def scores(self) -> list[float]:
        """Also of games that are cut off, in which all who hold cards share the loss."""
        fools, seats = [bool(hand) for hand in self.hands], len(self.hands)
        return [1 - seats / sum(fools) if fool else float(any(fools)) for fool in fools]


class ScalarTransfer(ScalarDurak):
    """Perevodnoy: while nothing is beaten the defender may add a card of the rank, and the next one defends."""

    def legal(self) -> set[int]:
        if self.turn != self.defender or any(len(pair) > 1 for pair in self.pairs):
            return super().legal()
        after, ranks = self.next_with_cards(self.defender), {self.rank(card) for card in self.table()}
        room = after != self.defender and min(self.most, len(self.hands[after])) > len(self.pairs)
        alike = {card for card in self.hands[self.turn] if room and self.rank(card) in ranks}
        return super().legal() | {self.stop + 1 + card for card in alike}

    def play(self, action: int) -> None:
        if action <= self.stop:
            super().play(action)
            return
        card = action - self.stop - 1
        self.attacker, self.defender = self.turn, self.next_with_cards(self.turn)
        self.limit = min(self.most, len(self.hands[self.defender]))
        super().play(card)
        self.transfers += 1
