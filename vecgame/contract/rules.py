"""Games played at random: what a game says of itself, and what it tells at every decision."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import fields, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from vecgame import lanes
from vecgame.contract.copied import copies_lie_somewhere
from vecgame.contract.played import (
    GAMES,
    SEED,
    all_over,
    in_each,
    mixed_positions,
    positions,
    random_action,
    same,
)
from vecgame.game import FEWEST_SEATS, MOST_SEATS, Game
from vecgame.hands import HandGame
from vecgame.hidden import places
from vecgame.kinds import check_holds
from vecgame.own_rules import OwnRules
from vecgame.philox import DECISION_BITS, WORLD_BITS
from vecgame.state import State, concatenate

MOST_TURN = (1 << DECISION_BITS) - 1
ENDS = 400  # that are played to look at scores
TOLERANCE = 1e-6  # of a value: float32
ANOTHER = 840  # added to a game's number: of the same seat whatever rotates with it, as 1 .. 8 divide it


def declarations(game: Game) -> None:
    """Name, seats, cards, scale, and the fields of the state."""
    assert isinstance(getattr(game, "name", None), str) and game.name, "a game needs a name"
    wanted = f"seats must be from {FEWEST_SEATS} to {MOST_SEATS}"
    assert FEWEST_SEATS <= game.seats <= MOST_SEATS, f"{wanted}, got {game.seats}"
    assert game.deck & ~game.layout.bits == 0, f"deck has cards beyond the {game.layout.size} of the layout"
    for name in ("lowest", "highest"):
        bound = getattr(game, name, None)
        assert isinstance(bound, int | float), f"the game does not say its {name} score: set {name}, got {bound!r}"
    finite = math.isfinite(game.lowest) and math.isfinite(game.highest)
    assert finite and game.lowest < game.highest, f"lowest={game.lowest} and highest={game.highest} are no scale"
    twice = [name for name, count in Counter(getattr(game, "others", ())).items() if count > 1]
    assert not twice, f"two of others are named {twice[0]!r}, which nobody could tell apart"
    assert not (game.partners and game.cooperative), "two sides of partners are no cooperative game"
    assert not game.partners or game.seats == 4, f"partners sit opposite each other: of 4 seats, not of {game.seats}"
    state = game.deal(GAMES, SEED)
    for name in (field.name for field in fields(state)):
        for kind in type(state).__mro__:
            covered = vars(kind).get(name)
            code = callable(covered) or isinstance(covered, property | classmethod | staticmethod)
            assert not code, f"the state's field {name} hides what every {kind.__name__} can do: give it another name"
        field = getattr(state, name)
        assert isinstance(field, Tensor) and field.shape[:1] == (GAMES,), (
            f"{name} is no tensor with a row for each game"
        )
    try:
        check_holds(type(state), game.bare_states)
    except ValueError as error:
        raise AssertionError(str(error)) from error
    printed = getattr(type(state), "layout", None)  # a state prints without its game, by number where this is None
    assert printed in (None, game.layout), (
        "the state's layout of cards is not the game's: where rules change it the state's class says layout = None, "
        "and the game's class or set_up has the layout"
    )
    assert torch.equal(state.index, torch.arange(GAMES)), "index does not hold the games' numbers"
    for name, hidden in game.hidden(state).items():
        assert name in state.tensors(), f"hidden names {name}, which is no field of the state"
        field = getattr(state, name)
        check_tensor(
            f"what hidden says of who sees {name}", hidden.sees, torch.bool, GAMES, game.seats, *field.shape[1:]
        )
        assert hidden.holds != "sets" or field.dtype == torch.int64, f"{name} holds sets of cards, but is {field.dtype}"
        if hidden.holds == "counts":
            assert game.copies, f"{name} holds counts, but the game does not say how many copies there are of each card"
            check_tensor(f"{name}, which holds counts,", field, torch.int8, GAMES, *field.shape[1:-1], len(game.copies))


def check_tensor(what: str, tensor: Tensor, dtype: torch.dtype, *shape: int) -> None:
    good = tensor.dtype == dtype and tensor.shape == shape
    assert good, f"{what} must be {dtype} of shape {list(shape)}, not {tensor.dtype} of {list(tensor.shape)}"


def deals_do_not_depend_on_the_cut(game: Game) -> None:
    """Games are dealt by number and seed, wherever a run is cut."""
    whole = game.deal(12, SEED)
    parts = [game.deal(5, SEED), game.deal(7, SEED, first_index=5)]
    assert same(whole, concatenate(parts)), "deals depend on how the run is cut"
    assert not game.hidden(whole) or not same(whole, game.deal(12, SEED + 1)), "another seed deals the same games"


def every_decision(game: Game) -> None:
    """Shapes, dtypes and ranges of everything that a game tells, and where its cards are, at every decision."""
    states = list(positions(game, GAMES))
    for before, state in pairwise(states):
        for name, field in before.tensors().items():
            now = getattr(state, name)
            assert (field.dtype, field.shape) == (now.dtype, now.shape), f"a step {changed(name, field, now)}"
    in_each(partial(_tells, game), states)
    in_each(partial(_step_keeps, game), states[:-1], states[1:])
    turns = [torch.where(game.is_terminal(state), -1 - n, game.turn(state)) for n, state in enumerate(states)]
    _turns(game, torch.stack(turns))


def _tells(game: Game, first: int, state: State) -> None:
    """What a game tells of states in a row, before the first of which so many decisions have been made."""
    lanes, over = len(state), game.is_terminal(state)
    check_tensor("is_terminal", over, torch.bool, lanes)
    number = first + torch.arange(lanes) // GAMES  # of decisions made, [B]
    assert over[number >= game.decisions].all(), f"a game goes on after decisions={game.decisions} moves"
    mover, turn = game.mover(state), game.turn(state)
    check_tensor("mover", mover, torch.int64, lanes)
    check_tensor("turn", turn, torch.int64, lanes)
    assert ((mover >= 0) & (mover < game.seats)).all(), f"mover is none of the {game.seats} seats"
    assert (turn >= 0).all(), "turn is below 0"
    cards_lie_once(game, state)
    _legal(game, state, number)
    seats = (None, mover, *(torch.full((lanes,), k) for k in range(game.seats)))
    default, asked, *_ = views = [game.observe(state, seat) for seat in seats]
    for seen in views:
        check_tensor("observe", seen, torch.float32, lanes, game.features)
        small = seen.isfinite().all() and seen.abs().max() <= game.feature_limit
        assert small, "a feature is not a number of about -1 to 1"
    assert torch.equal(default, asked), "observe without a seat does not tell what it tells the mover"
    _scores(game, state)


def _turns(game: Game, turns: Tensor) -> None:
    """Turns [decisions, B] of games, below 0 after their end, are all different, and leave room for worlds' numbers."""
    ordered = turns.sort(0).values
    assert (ordered[1:] != ordered[:-1]).all(), "two decisions of a game have the same turn, and so random numbers"
    low = int((turns.clamp(min=0) & (1 << DECISION_BITS + WORLD_BITS) - 1).max())
    usual = isinstance(game, HandGame) and type(game).turn is HandGame.turn  # by `turn_of`, however long games are
    fits = low <= MOST_TURN and (game.decisions <= MOST_TURN or int(turns.max()) > MOST_TURN or usual)
    most = max(game.decisions, low)
    assert fits, f"{most} decisions are more than the {MOST_TURN} that random numbers have room for"


def cards_lie_once(game: Game, state: State, where: str = "") -> None:
    """Each card is in one hidden place at most, or lies open, and is one of the deck; ``where`` begins the message."""
    if game.copies:
        copies_lie_somewhere(game, state, where)
        return
    boards = [("open_cards", game.open_cards(state), True)]
    for name, field in game.hidden(state).items():
        if field.holds != "number":
            boards += [(name, bits, field.place) for bits in field.bits(getattr(state, name)).unbind(-1)]
    taken: list[tuple[str, Tensor]] = []
    for name, bits, place in boards:
        assert (bits & ~game.deck == 0).all(), f"{where}{name} holds a card that is not in the deck"
        for other, cards in taken if place else ():
            assert (bits & cards == 0).all(), f"{where}a card is in two places, {other} and {name}"
        taken += [(name, bits)] * place


def _step_keeps(game: Game, _first: int, before: State, state: State) -> None:
    """Cards that leave their places by a step lie open, and come into none if hands are fixed. Not when cards are dealt
    anew, which takes back what lay open. What a step does is the same in a game of another number."""
    if not game.copies:
        _cards_leave_for_the_open(game, before, state)
    action = random_action(game, before)
    again = same(state, game.step(before, action))
    assert again, "two equal steps differ: random numbers come from Stream, by a hidden field of the state"
    another = game.step(replace(before, index=before.index + ANOTHER), action)
    known = same(state, replace(another, index=state.index))
    assert known, "step draws by the game's number, so that all worlds know what comes: draw it by a hidden field"


def _cards_leave_for_the_open(game: Game, before: State, state: State) -> None:
    old, new = game.open_cards(before), game.open_cards(state)
    held, holds = (places(game.hidden(s), s) for s in (before, state))
    gone = held.sum(-1) & ~(holds.sum(-1) | new)
    assert ((gone == 0) | (old & ~new != 0)).all(), (
        "a card leaves its place for none: open_cards must say that it is out"
    )
    assert not game.fixed_hands or (holds & ~held == 0).all(), "cards come into a place: fixed_hands must be False"


def changed(name: str, old: Tensor, new: Tensor) -> str:
    """That a field gets another shape or dtype, and which."""
    was, now = (f"{tensor.dtype} of {list(tensor.shape)}" for tensor in (old, new))
    return f"changes the shape or dtype of {name}: from {was} to {now}"


def something_is_legal(game: Game, state: State, mask: Tensor, number: int | Tensor) -> None:
    """``number`` decisions have been made, in all games or [B]."""
    for lane in (~mask.any(-1)).nonzero()[:1, 0].tolist():
        made = int(torch.as_tensor(number).expand(len(mask))[lane])
        raise AssertionError(f"seat {game.mover(state)[lane]} is to move after {made} moves, and nothing is legal")


def _legal(game: Game, state: State, number: Tensor) -> None:
    mask, actions, games = game.legal_mask(state), game.legal_actions(state), len(state)
    check_tensor("legal_mask", mask, torch.bool, games, game.num_actions)
    check_tensor("legal_actions", actions, torch.int64, games, game.max_legal)
    something_is_legal(game, state, mask, number)
    assert (mask.sum(-1) <= game.max_legal).all(), f"more than max_legal={game.max_legal} actions are legal"
    ordered = torch.where(actions >= 0, actions, game.num_actions)
    listed = torch.zeros(games, game.num_actions + 1, dtype=torch.bool).scatter_(1, ordered, True)
    counts = (actions >= 0).sum(-1) == mask.sum(-1)
    assert counts.all() and torch.equal(listed[:, :-1], mask), "legal_actions and legal_mask differ"
    assert torch.equal(ordered, ordered.sort(-1).values), "legal_actions do not ascend, or -1 is not last"
    columns = game.policy_columns(state, torch.arange(game.num_actions).expand(games, -1))
    assert ((columns >= 0) & (columns < game.num_actions)).all(), "a policy column is outside of the policy"
    allowed = game.policy_mask(state)
    assert torch.equal(allowed.gather(1, columns), mask), "policy_mask is not legal_mask, moved"
    own = game.mask_at(actions, game.policy_columns(state, actions))
    assert torch.equal(allowed, own), "policy_mask has a column that is no legal action's"
    taken = torch.where(actions >= 0, game.policy_columns(state, actions), -1 - torch.arange(game.max_legal))
    ordered = taken.sort(-1).values
    assert (ordered[:, 1:] != ordered[:, :-1]).all(), "two legal actions share a policy column"


def _scores(game: Game, state: State) -> Tensor:
    """Scores, and then values, which are the same on the scale from 0 to 1; the scores [K, seats] of the games that are
    over."""
    over, scores, values = game.is_terminal(state), game.scores(state), game.values(state)
    for name, worth in (("scores", scores), ("values", values)):
        check_tensor(name, worth, torch.float32, len(over), game.seats)
        assert worth.isfinite().all(), f"{name} has a number that is not finite"
        assert (worth[~over] == 0).all(), f"{name} are not 0 before the end"
        assert not game.partners or torch.equal(worth, worth.roll(2, -1)), f"{name} of partners differ"
        assert not game.cooperative or torch.equal(worth, worth.roll(1, -1)), f"{name} of a cooperative game differ"
    ended = scores[over]
    given = game.sum_of_scores
    if given is not None:
        error = (ended.double().sum(-1) - given).abs() / (game.highest - game.lowest)
        assert (error <= TOLERANCE).all(), f"scores do not sum to sum_of_scores={given:g}"
    for score in ended[(ended < game.lowest) | (ended > game.highest)][:1].tolist():
        raise AssertionError(f"a score of {score:g} is outside of {game.lowest:g} to {game.highest:g}")
    scale = (ended - game.lowest) / (game.highest - game.lowest)
    agree = (values[over] - scale).abs() <= TOLERANCE
    assert agree.all(), "values are not the scores on the scale from lowest to highest"
    assert game.values(state, torch.float64).dtype == torch.float64, "values ignores its dtype"
    return ended


def lowest_and_highest_end(game: Game) -> None:
    """Games in which everybody always takes the lowest legal action, the highest, or one after the other end in time,
    with scores on their scale. A round of passes, or of ever higher bids, random play hardly ever meets."""
    state, way = game.deal(GAMES, SEED), torch.arange(GAMES) % 4
    for number in range(game.decisions):
        if all_over(game, state):
            break
        mask = game.legal_mask(state)
        something_is_legal(game, state, mask, number)
        lowest = mask.to(torch.int8).argmax(-1)
        highest = game.num_actions - 1 - mask.flip(-1).to(torch.int8).argmax(-1)
        state = game.step(state, torch.where((way == 0) | (way == 2 + number % 2), lowest, highest))
        if isinstance(game, OwnRules):
            made = int(state.made.max())
            assert made <= game.length, f"made is {made} after {number + 1} moves: a game ends by length={game.length}"
    assert game.is_terminal(state).all(), f"a game goes on after decisions={game.decisions} moves"
    _scores(game, state)


def ends(game: Game) -> None:
    """Many games' scores and values; what is over changes no more; forced moves are played in `max_forced_run`."""
    *_, end = positions(game, ENDS)
    scores = _scores(game, end)
    alike = torch.equal(scores, scores.roll(1, -1)) and bool((scores != scores[0]).any())
    assert game.cooperative or not alike, (
        "in each game all seats have the same score: say cooperative = True, or matches compare who has the same anyway"
    )
    assert same(game.step(end, game.legal_actions(end)[:, 0]), end), "a step changes a finished game"
    in_each(partial(_forced_moves_are_played, game), list(positions(game, 40)))


def _forced_moves_are_played(game: Game, _first: int, state: State) -> None:
    forced, slow = game.play_forced(state), state
    for _ in range(game.decisions):
        alone = (game.legal_mask(slow).sum(-1) == 1) & ~game.is_terminal(slow)
        if not alone.any():
            break
        slow = game.step(slow, game.legal_actions(slow)[:, 0]).where(alone, slow)
    assert same(forced, slow), "play_forced differs from forced moves one by one; is max_forced_run too small?"


def lanes_do_not_meet(game: Game) -> None:
    """A game in a batch of games at other decisions goes as it goes alone, and as it goes again, and stays as it is; a
    batch may be of no games."""
    state = mixed_positions(game, 40)
    kept = state.clone()
    given = {"step": (random_action(game, state),), "determinize": (2, SEED)}
    for name in ("step", "play_forced", "determinize", "legal_mask", "observe", "values", "policy_mask"):

        def call(lanes: slice, name: str = name) -> State | Tensor:
            arguments = (a[lanes] if isinstance(a, Tensor) else a for a in given.get(name, ()))
            return getattr(game, name)(state[lanes], *arguments)

        together = call(slice(None))
        assert same(state, kept), f"{name} changes the state that it is given: that must stay as it is"
        equal, join = (same, concatenate) if isinstance(together, State) else (torch.equal, torch.cat)
        assert equal(together, call(slice(None))), f"{name} differs when called again: random numbers come from Stream"
        apart = join([call(slice(lane, lane + 1)) for lane in range(state.batch_size)])
        assert equal(together, apart), f"{name} depends on the other games of the batch"
        try:
            call(slice(0, 0))
        except (RuntimeError, IndexError, ValueError) as error:
            told = f"{name} fails on no games at all, of which a search asks at times"
            raise AssertionError(f"{told}: {' '.join(str(error).split())}") from error


def masks_do_as_lists(game: Game) -> None:
    """The way of a GPU, which carries along all lanes with masks, is that of a CPU, which leaves idle ones out."""
    state = mixed_positions(game, 40)
    kept, few = dict(lanes.COMPACT), lanes.FEW

    def results() -> list[State]:
        return [game.step(state, random_action(game, state)), game.play_forced(state), game.determinize(state, 2, SEED)]

    try:
        lanes.FEW = 0
        listed = results()
        lanes.COMPACT["cpu"] = False
        masked = results()
    finally:
        lanes.COMPACT.update(kept)
        lanes.FEW = few
    assert all(map(same, listed, masked)), "a GPU would play otherwise than a CPU; is a lane left out by its shape?"
