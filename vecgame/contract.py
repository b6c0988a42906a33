"""What every game must keep to be searched and learned, as functions that check it.

``contract.check(game)`` runs all of them in seconds and raises AssertionError at the first promise that is broken. They
are for games whose states have `hands` and `seen`, as all of this package do. Games are played at random; what is
compared is compared bit for bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from vecgame import lanes
from vecgame.cards import RANKS, TOP_RANKS, list_cards, popcount, rotate_suits
from vecgame.game import Game
from vecgame.philox import Purpose, Stream
from vecgame.state import State, concatenate
from vecgame.worlds import opponents

SEED = 11
MOST_DEALS = 1500  # that a test of the worlds' distribution lists
DRAWS = 20  # worlds for each of them
Z_LIMIT = 5.0  # standard errors: a right game fails with probability below 1e-5


def check(game: Game) -> None:
    """Raises AssertionError, with one line of what is wrong, if the game breaks the contract."""
    for one in CHECKS:
        one(game)


def random_action(game: Game, state: State, seed: int = SEED) -> Tensor:
    """A uniformly random legal action, by the game's own numbers: [B] int64."""
    actions = game.legal_actions(state)
    count = (actions >= 0).sum(-1)
    uniform = Stream(seed, state.index, game.turn(state)).uniform(Purpose.ACTION, 1)[:, 0]
    return actions.gather(1, (uniform * count).long()[:, None])[:, 0]


def positions(game: Game, games: int, seed: int = SEED) -> Iterator[State]:
    """Every state of some games played at random, the first and the last included."""
    state = game.deal(games, seed)
    yield state
    for _ in range(game.decisions):
        state = game.step(state, random_action(game, state))
        yield state


def mixed_positions(game: Game, games: int) -> State:
    """Games at decisions of their own, from the first to the end."""
    states = list(positions(game, games))
    return concatenate([states[lane * len(states) // games][lane : lane + 1] for lane in range(games)])


def same(a: State, b: State) -> bool:
    """Whether two states are equal in every field, dtype and bit."""
    pairs = zip(a.tensors().values(), b.tensors().values(), strict=True)
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


def shapes(game: Game) -> None:
    """Shapes, dtypes and ranges of everything that a game tells, at every decision."""
    lanes_ = 24
    first = game.deal(lanes_, SEED)
    layout = {name: (tensor.dtype, tensor.shape) for name, tensor in first.tensors().items()}
    for state in positions(game, lanes_):
        assert {n: (t.dtype, t.shape) for n, t in state.tensors().items()} == layout, (
            "a step changes the state's layout"
        )
        mover, turn, over = game.mover(state), game.turn(state), game.is_terminal(state)
        assert mover.dtype == turn.dtype == torch.int64 and over.dtype == torch.bool, (
            "dtypes of mover, turn, is_terminal"
        )
        assert mover.shape == turn.shape == over.shape == (lanes_,), "shapes of mover, turn, is_terminal"
        assert ((mover >= 0) & (mover < game.seats)).all(), "mover is no seat"
        mask, actions = game.legal_mask(state), game.legal_actions(state)
        assert mask.dtype == torch.bool and mask.shape == (lanes_, game.num_actions), "shape or dtype of legal_mask"
        assert mask.any(-1).all(), "a legal mask is empty"
        assert actions.dtype == torch.int64 and actions.shape == (lanes_, game.max_legal), "legal_actions"
        assert ((actions >= 0).sum(-1) == mask.sum(-1)).all(), "legal_actions and legal_mask differ"
        listed = torch.zeros(lanes_, game.num_actions + 1, dtype=torch.bool)
        listed.scatter_(1, torch.where(actions >= 0, actions, game.num_actions), True)
        assert torch.equal(listed[:, :-1], mask), "legal_actions and legal_mask differ"
        ordered = torch.where(actions >= 0, actions, game.num_actions)
        assert torch.equal(ordered, ordered.sort(-1).values), "legal_actions do not ascend, or -1 is not last"
        every = torch.arange(game.num_actions).expand(lanes_, -1)
        columns = game.policy_columns(state, every)
        assert torch.equal(game.policy_mask(state).gather(1, columns), mask), "policy_mask is not legal_mask, moved"
        for seat in (None, *(torch.full((lanes_,), k) for k in range(game.seats))):
            seen = game.observe(state, seat)
            assert seen.dtype == torch.float32 and seen.shape == (lanes_, game.features), "shape or dtype of observe"
            most = max(4, game.seats)
            assert seen.isfinite().all() and seen.abs().max() <= most, "a feature is not a number of about -1 to 1"
        values, scores = game.values(state), game.scores(state)
        assert values.shape == scores.shape == (lanes_, game.seats), "shape of values or scores"
        assert values.dtype == scores.dtype == torch.float32, "dtype of values or scores"
        assert game.values(state, torch.float64).dtype == torch.float64, "values ignores its dtype"
        assert ((values >= 0) & (values <= 1)).all(), "a value is outside of 0..1"
        assert (values[~over] == 0).all() and (scores[~over] == 0).all(), "a game is worth something before its end"
        if game.partners:
            assert torch.equal(scores, scores.roll(2, -1)) and torch.equal(values, values.roll(2, -1)), (
                "partners differ"
            )


def policy_columns_are_a_permutation(game: Game) -> None:
    """Legal actions have columns of their own within a decision."""
    for state in positions(game, 8):
        actions = game.legal_actions(state)
        columns = game.policy_columns(state, actions)
        taken = torch.where(actions >= 0, columns, game.num_actions + torch.arange(game.max_legal))
        ordered = taken.sort(-1).values
        assert (ordered[:, 1:] != ordered[:, :-1]).all(), "two legal actions share a policy column"
        assert ((columns >= 0) & (columns < game.num_actions)).all(), "a policy column is outside of the policy"


def termination(game: Game) -> None:
    """Games end after at most `decisions` moves, change no more, and forced moves are played in `max_forced_run`."""
    *_, end = positions(game, 40)
    assert game.is_terminal(end).all(), f"a game goes on after decisions={game.decisions} moves"
    assert same(game.step(end, game.legal_actions(end)[:, 0]), end), "a step changes a finished game"
    for state in positions(game, 40):
        forced, slow = game.play_forced(state), state
        for _ in range(game.decisions):
            alone = (game.legal_mask(slow).sum(-1) == 1) & ~game.is_terminal(slow)
            if not alone.any():
                break
            slow = game.step(slow, game.legal_actions(slow)[:, 0]).where(alone, slow)
        assert same(forced, slow), "play_forced differs from forced moves one by one; is max_forced_run too small?"


def lanes_do_not_meet(game: Game) -> None:
    """A game in a batch of games at other decisions goes as it goes alone."""
    state = mixed_positions(game, 40)
    action = random_action(game, state)
    functions: dict[str, Callable[[State, Tensor], object]] = {
        "step": lambda s, a: game.step(s, a),
        "play_forced": lambda s, a: game.play_forced(s),
        "determinize": lambda s, a: game.determinize(s, 2, SEED),
        "legal_mask": lambda s, a: game.legal_mask(s),
        "observe": lambda s, a: game.observe(s),
        "values": lambda s, a: game.values(s),
        "policy_mask": lambda s, a: game.policy_mask(s),
    }
    for name, function in functions.items():
        together = function(state, action)
        apart = [function(state[lane : lane + 1], action[lane : lane + 1]) for lane in range(state.batch_size)]
        if isinstance(together, State):
            assert same(together, concatenate(apart)), f"{name} depends on the other games of the batch"
        else:
            assert torch.equal(together, torch.cat(apart)), f"{name} depends on the other games of the batch"


def deals_do_not_depend_on_the_cut(game: Game) -> None:
    """Games are dealt by number and seed, wherever a run is cut."""
    whole = game.deal(12, SEED)
    parts = [game.deal(5, SEED), game.deal(7, SEED, first_index=5)]
    assert same(whole, concatenate(parts)), "deals depend on how the run is cut"
    assert not torch.equal(whole.hands, game.deal(12, SEED + 1).hands), "another seed deals the same hands"
    assert (popcount(whole.hands) == game.cards).all(), "hands are not of `cards` cards"
    assert int(popcount(whole.hands.sum(-1)).min()) == game.seats * game.cards, "a card is dealt twice"


def masks_do_as_lists(game: Game) -> None:
    """The way of a GPU, which carries along all lanes with masks, is that of a CPU, which leaves idle ones out."""
    state = mixed_positions(game, 40)
    kept = dict(lanes.COMPACT)

    def results() -> list[State]:
        return [game.step(state, random_action(game, state)), game.play_forced(state), game.determinize(state, 2, SEED)]

    listed = results()
    try:
        lanes.COMPACT["cpu"] = False
        masked = results()
    finally:
        lanes.COMPACT.update(kept)
    assert all(map(same, listed, masked)), "a GPU would play otherwise than a CPU; is a lane left out by its shape?"


def hidden_hands_are_hidden(game: Game) -> None:
    """With other cards in the hands that a seat does not see, it sees the same, may do the same, samples the same."""
    for state in itertools.islice(positions(game, 40), 0, None, 5):
        for viewer in range(game.seats):
            seat = torch.full((state.batch_size,), viewer)
            other = _scrambled(game, _swapped(game, state, viewer), seat)
            assert torch.equal(game.observe(state, seat), game.observe(other, seat)), "observe tells of hidden cards"
            mine = (game.mover(state) == viewer).nonzero()[:, 0]
            if len(mine) == 0:
                continue
            a, b = state.take(mine), other.take(mine)
            assert torch.equal(game.legal_mask(a), game.legal_mask(b)), "legal_mask tells of hidden cards"
            drawn, before = game.determinize(a, 2, SEED), a.repeat(2)
            assert same(drawn, game.determinize(b, 2, SEED)), "determinize looks at hidden cards"
            kept = drawn.hands[:, viewer]
            assert torch.equal(kept, before.hands[:, viewer]), "determinize changes the mover's hand"
            fields = {"hands": before.hands}
            for name, field in game.hidden(before).items():
                cards, known = getattr(before, name), field.seen_by(seat[mine].repeat_interleave(2))
                assert torch.equal(getattr(drawn, name)[known], cards[known]), "determinize changes what is known"
                fields[name] = cards
            assert same(replace(drawn, **fields), before), "determinize changes what is public"


def _swapped(game: Game, state: State, viewer: int) -> State:
    """The hands of the seats that ``viewer`` does not see exchanged; one card of them where their sizes differ."""
    shown = _shown(game, state)
    hands = state.hands & ~shown
    sizes = popcount(hands)
    for a, b in itertools.pairwise(seat for seat in range(hands.shape[1]) if seat != viewer):
        lowest = (hands[:, a] & -hands[:, a]) | (hands[:, b] & -hands[:, b])
        one = torch.where((hands[:, a] != 0) & (hands[:, b] != 0), lowest, 0)
        moved = torch.where(sizes[:, a] == sizes[:, b], hands[:, a] | hands[:, b], one)  # all, or one card each
        hands[:, a] ^= moved
        hands[:, b] ^= moved
    return replace(state, hands=hands | shown)


def _shown(game: Game, state: State) -> Tensor:
    """Cards that everybody knows a seat to hold (`vecgame.TrickGame.shows`): [B, 4] int64."""
    shown = getattr(game, "shows", lambda state: None)(state)
    return torch.zeros_like(state.hands) if shown is None else shown


def _scrambled(game: Game, state: State, viewer: Tensor) -> State:
    """Other cards in what the seats ``viewer`` [B] do not see beside the hands; none where there was none."""
    fields = {}
    for name, field in game.hidden(state).items():
        if name == "hands" or field.holds != "sets":
            continue
        cards = getattr(state, name)
        moved = rotate_suits(((cards & ~TOP_RANKS) << 1) | ((cards & TOP_RANKS) >> RANKS - 1), torch.tensor(1))
        fields[name] = torch.where(field.seen_by(viewer), cards, moved)
    return replace(state, **fields)


def worlds_are_uniform(game: Game) -> None:
    """Worlds are all the deals in which the public past is legal, each as likely as the other.

    Lists every way to give the unseen cards to their holders at some late decision of a game, plays the whole past
    again with each, and compares what is left with what `determinize` draws.
    """
    tested = 0
    for lane, when in _positions_to_list(game):
        past = _past(game, lane, when)
        state = past[-1][0]
        deals = _consistent(game, past, _every_deal(game, state))
        assert (deals == state.hands).all(-1).any(), "the true deal is not among those in which the past is legal"
        draws = DRAWS * len(deals)
        many = replace(state.repeat(draws), index=torch.arange(draws))  # another number, other random numbers
        drawn = game.determinize(many, 1, SEED).hands
        found, counts = drawn.unique(dim=0, return_counts=True)
        known = {tuple(row) for row in deals.tolist()}
        assert {tuple(row) for row in found.tolist()} <= known, "a world is drawn in which the past would be illegal"
        if len(deals) > 1:
            # Every deal is drawn DRAWS times in the mean. Pearson's statistic as a standard normal one, by the cube
            # root of Wilson and Hilferty, "The distribution of chi-square" (1931).
            squares = float(((counts - DRAWS) ** 2).sum()) + DRAWS**2 * (len(deals) - len(found))
            freedom = len(deals) - 1
            spread = 2 / (9 * freedom)
            z = ((squares / DRAWS / freedom) ** (1 / 3) - 1 + spread) / spread**0.5
            assert z < Z_LIMIT, f"worlds are not uniform: {z:.1f} standard errors over {len(deals)} deals"
            tested += 1
    assert tested >= 3, "too few positions with hidden cards to compare"


def _positions_to_list(game: Game) -> Iterator[tuple[int, int]]:
    """Some (game, number of its decision), late enough that the deals can be listed: a game in which as much has been
    told of the hands as in most, and one in which more has."""
    states = list(positions(game, 200))
    length = sum((~game.is_terminal(state)).long() for state in states)  # [200], decisions of each game
    for left in range(2, 9):  # decisions before the end
        told = []
        for when, state in enumerate(states):
            there = (length - left == when).nonzero()[:, 0]
            told += _told(game, state.take(there), there, when)
        if not told:
            return
        order = sorted(range(len(told)), key=lambda row: told[row][0])  # stable: of equals the first
        for row in (order[len(order) // 2], order[len(order) * 7 // 8]):
            yield told[row][1:]


def _told(game: Game, state: State, numbers: Tensor, when: int) -> Iterator[tuple[int, int, int]]:
    """For each lane in which the deals can be listed: how many places of cards have been ruled out, the game's number
    ([B] int64) and ``when``."""
    if state.batch_size == 0:
        return
    mover = game.mover(state)
    unseen = game.deck & ~(state.seen | state.hands.gather(1, mover[:, None])[:, 0])
    sizes = popcount(state.hands).scatter(1, mover[:, None], 0).tolist()
    told = popcount(unseen & ~game.may_hold(state, mover)).sum(0).tolist()
    for lane, number in enumerate(numbers.tolist()):
        if _deals_of(int(unseen[lane]).bit_count(), sizes[lane]) <= MOST_DEALS:
            yield told[lane], number, when


def _deals_of(cards: int, sizes: list[int]) -> int:
    """Ways to give hands of these sizes out of so many cards."""
    ways, left = 1, cards
    for size in sizes:
        for i in range(size):
            ways = ways * (left - i) // (i + 1)
        left -= size
    return ways


def _past(game: Game, lane: int, when: int) -> list[tuple[State, Tensor]]:
    """A game's states and actions up to decision ``when``, from its last deal on."""
    state, past = game.deal(1, SEED, first_index=lane), []
    for decision in range(when + 1):
        action = random_action(game, state)
        past.append((state, action))
        held, state = popcount(state.hands).sum(), game.step(state, action)
        if decision < when and popcount(state.hands).sum() > held:  # dealt anew: what came before tells nothing
            past = []
    return past


def _every_deal(game: Game, state: State) -> Tensor:
    """Hands of every way to give the cards that the mover of a batch of one has not seen: [N, seats] int64."""
    mover = int(game.mover(state)[0])
    own = int(state.hands[0, mover])
    unseen = game.deck & ~(own | int(state.seen[0]))
    cards = list_cards(torch.tensor([unseen]), unseen.bit_count())[0].tolist()
    seats = [seat for seat in range(game.seats) if seat != mover]
    sizes = popcount(state.hands)[0].tolist()
    rows = []

    def give(rest: frozenset[int], chosen: list[int]) -> None:
        if len(chosen) == len(seats):
            row = [0] * game.seats
            row[mover] = own
            for seat, bits in zip(seats, chosen, strict=True):
                row[seat] = bits
            rows.append(row)
            return
        for hand in itertools.combinations(sorted(rest), sizes[seats[len(chosen)]]):
            give(rest - set(hand), [*chosen, sum(1 << card for card in hand)])

    give(frozenset(cards), [])
    return torch.tensor(rows)


def _consistent(game: Game, past: list[tuple[State, Tensor]], hands: Tensor) -> Tensor:
    """The hands [N, seats] int64 now with which all of the past was legal, and looked the same to everybody.

    Where cards are given away, the past begins after that: who has given what to whom is told by `may_hold` then.
    """
    now, viewer = past[-1][0], game.mover(past[-1][0])
    giving = getattr(game, "giving", lambda state: None)
    given = [number for number, (state, _) in enumerate(past) if (gives := giving(state)) is not None and bool(gives)]
    past = past[given[-1] + 1 :] if given else past
    first = past[0][0]
    played = first.hands & ~now.hands  # [1, seats]
    again = replace(first.repeat(len(hands)), hands=hands | played)
    others = again.hands[:, opponents(viewer, game.seats)[0]].t()  # [seats - 1, N]
    legal = (others & ~game.may_hold(first, viewer) == 0).all(0)  # such as a card that all have seen from the beginning
    legal &= (_shown(game, first) & ~again.hands == 0).all(-1)
    for state, action in past[:-1]:
        legal &= game.mover(again) == game.mover(state)
        legal &= game.legal_mask(again)[:, action[0]]
        again = game.step(again, action.expand(len(hands)))
    return hands[legal]


CHECKS: tuple[Callable[[Game], None], ...] = (
    shapes,
    policy_columns_are_a_permutation,
    termination,
    lanes_do_not_meet,
    deals_do_not_depend_on_the_cut,
    masks_do_as_lists,
    hidden_hands_are_hidden,
    worlds_are_uniform,
)
