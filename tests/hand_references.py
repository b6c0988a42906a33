"""Scalar rules of the games of hands in this folder, in plain Python: what `test_hand_games` compares them with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import torch

from vecgame import HandGame
from vecgame.state import State


def cards_of(bits: torch.Tensor | int) -> set[int]:
    return {card for card in range(63) if int(bits) >> card & 1}


class Scalar:
    """One game: `turn`, `legal`, `play`, `over` and `scores`."""

    def __init__(self, state: State) -> None:
        """Begins where a state of one game does."""
        self.hands = [cards_of(hand) for hand in state.hands[0]]
        self.turn = int(state.to_move[0])


def played_beside(
    game: HandGame,
    state: State,
    others: Sequence[Scalar],
    choose: Callable[[list[int]], int],
    look: Callable[[int, State], None] = lambda made, state: None,
) -> State:
    """Plays games to their end beside scalar ones, which have to have the same mover, legal actions and end.

    Args:
        choose: an action of the legal ones.
        look: is given how many decisions there have been, and the state after the last.
    """
    for made in range(game.decisions):
        mask, over, mover = game.legal_mask(state), game.is_terminal(state), game.mover(state).tolist()
        assert over.tolist() == [other.over() for other in others]
        if over.all():
            break
        actions = []
        for lane, other in enumerate(others):
            legal = mask[lane].nonzero()[:, 0].tolist()
            if not over[lane]:
                assert mover[lane] == other.turn and legal == sorted(other.legal()), game.text(state, lane)
            actions.append(choose(legal))
            if not over[lane]:
                other.play(actions[-1])
        state = game.step(state, actions)
        look(made, state)
    return state


class ScalarCribbage(Scalar):
    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.starter, self.dealer = int(state.starter[0]), int(state.dealer[0])
        self.crib: list[set[int]] = [set(), set()]
        self.played: list[set[int]] = [set(), set()]
        self.series: list[int] = []
        self.points, self.gone, self.last = [0, 0], set(), -1

    @staticmethod
    def worth(cards: Iterable[int]) -> int:
        return sum(min(card % 13 + 1, 10) for card in cards)

    @property
    def discarding(self) -> bool:
        return sum(map(len, self.crib)) < 4

    def over(self) -> bool:
        return not any(self.hands)

    def legal(self) -> set[int]:
        hand = self.hands[self.turn]
        return hand if self.discarding else {c for c in hand if self.worth([*self.series, c]) <= 31} or {52}

    def play(self, action: int) -> None:
        me, other = self.turn, 1 - self.turn
        if self.discarding:
            self.hands[me].remove(action)
            self.crib[me].add(action)
            if len(self.crib[me]) == 2:
                self.turn = other
            if not self.discarding:
                self.turn = 1 - self.dealer
                self.points[self.dealer] += 2 * (self.starter % 13 == 10)
            return
        if action == 52:
            self.gone.add(me)
        else:
            self.hands[me].remove(action)
            self.played[me].add(action)
            self.series.append(action)
            self.points[me] += self.pegs()
            self.last = me
        can = [seat for seat in (0, 1) if self.hands[seat] and seat not in self.gone]
        if not can or self.worth(self.series) == 31:
            self.points[self.last] += self.worth(self.series) != 31
            self.series, self.gone = [], set()
            self.turn = 1 - self.last if self.hands[1 - self.last] else self.last
        else:
            self.turn = other if other in can else me

    def pegs(self) -> int:
        ranks = [card % 13 for card in self.series]
        alike = len(list(itertools.takewhile(lambda rank: rank == ranks[-1], reversed(ranks))))
        runs = (n for n in range(len(ranks), 2, -1) if is_run(ranks[-n:]))
        return 2 * (self.worth(self.series) in (15, 31)) + alike * (alike - 1) + next(runs, 0)

    @classmethod
    def show(cls, hand: Iterable[int], starter: int, crib: bool = False) -> int:
        hand, five = [*hand], [*hand, starter]
        sets = [each for n in range(2, 6) for each in itertools.combinations(five, n)]
        points = 2 * sum(cls.worth(each) == 15 for each in sets)
        points += 2 * sum(len(each) == 2 and each[0] % 13 == each[1] % 13 for each in sets)
        runs = [len(each) for each in sets if len(each) > 2 and is_run([card % 13 for card in each])]
        points += sum(length for length in runs if length == max(runs))
        if len({card // 13 for card in hand}) == 1:
            points += 5 if hand[0] // 13 == starter // 13 else 0 if crib else 4
        return points + any(card == 13 * (starter // 13) + 10 for card in hand)

    def scores(self) -> list[float]:
        total = [self.points[seat] + self.show(self.played[seat], self.starter) for seat in (0, 1)]
        total[self.dealer] += self.show(self.crib[0] | self.crib[1], self.starter, crib=True)
        return [total[0] - total[1], total[1] - total[0]]


def is_run(ranks: list[int]) -> bool:
    return sorted(ranks) == list(range(min(ranks), min(ranks) + len(ranks)))


class ScalarGoFish(Scalar):
    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.hands = [hand | cards_of(shown) for hand, shown in zip(self.hands, state.shown[0], strict=True)]
        self.stock = [card for card in state.stock[0].tolist() if card >= 0]
        self.books, self.left = state.books[0].tolist(), 200

    def over(self) -> bool:
        return sum(self.books) == 13 or not self.left

    def legal(self) -> set[int]:
        seats = range(1, len(self.hands))
        others = [seat for seat in seats if self.hands[(self.turn + seat) % len(self.hands)]] or seats
        return {13 * (seat - 1) + card % 13 for seat in others for card in self.hands[self.turn]}

    def play(self, action: int) -> None:
        self.left -= 1
        seats, me = len(self.hands), self.turn
        target, rank = (me + 1 + action // 13) % seats, action % 13
        given = {card for card in self.hands[target] if card % 13 == rank}
        self.hands[target] -= given
        self.hands[me] |= given
        again = bool(given)
        if not given and self.stock:
            self.hands[me].add(card := self.stock.pop(0))
            again = card % 13 == rank
        for book in range(13):
            four = {book, book + 13, book + 26, book + 39}
            if four <= self.hands[me]:
                self.hands[me] -= four
                self.books[me] += 1
        turn = me if again else (me + 1) % seats
        turns = [(turn + seat) % seats for seat in range(seats)]
        self.turn = next((seat for seat in turns if self.hands[seat] or self.stock), turn)
        if not self.hands[self.turn] and self.stock:
            self.hands[self.turn].add(self.stock.pop(0))

    def scores(self) -> list[float]:
        return self.books


class ScalarScopa(Scalar):
    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.table, self.stock = cards_of(state.table[0]), [card for card in state.stock[0].tolist() if card >= 0]
        self.card, self.chosen, self.taken, self.scope, self.last = None, (), [set(), set()], [0, 0], None
        self.ended = False

    def over(self) -> bool:
        return self.ended

    def captures(self) -> list[tuple[int, ...]]:
        value = self.card % 10 + 1
        same = [(card,) for card in sorted(self.table) if card % 10 + 1 == value]
        sets = (each for n in range(2, 11) for each in itertools.combinations(sorted(self.table), n))
        return same or [each for each in sets if sum(card % 10 + 1 for card in each) == value]

    def legal(self) -> set[int]:
        if self.card is None:
            return self.hands[self.turn]
        place = len(self.chosen)
        return {each[place] for each in self.captures() if each[:place] == self.chosen}

    def play(self, action: int) -> None:
        if self.card is None:
            self.hands[self.turn].remove(action)
            self.card = action
            if not self.captures():
                self.table.add(action)
                self.next(took=False)
            return
        self.chosen += (action,)
        if self.chosen in self.captures():
            self.table -= {*self.chosen}
            self.taken[self.turn] |= {*self.chosen, self.card}
            self.last = self.turn
            self.next(took=True)

    def next(self, took: bool) -> None:
        self.card, self.chosen = None, ()
        last_card = not any(self.hands) and not self.stock
        if took and not self.table and not last_card:
            self.scope[self.turn] += 1
        if last_card:
            self.ended = True
            if self.last is not None:
                self.taken[self.last] |= self.table
        elif not any(self.hands):
            self.hands = [{self.stock.pop(0) for _ in range(3)} for _ in self.hands]
        self.turn = 1 - self.turn

    def scores(self) -> list[float]:
        prime = (16, 12, 13, 14, 15, 18, 21, 10, 10, 10)
        counts = [
            (
                len(taken),
                sum(card < 10 for card in taken),
                6 in taken,
                sum(max([prime[card % 10] for card in taken if card // 10 == suit], default=0) for suit in range(4)),
            )
            for taken in self.taken
        ]
        lead = sum((mine > other) - (mine < other) for mine, other in zip(*counts, strict=True))
        lead += self.scope[0] - self.scope[1]
        return [lead, -lead]
