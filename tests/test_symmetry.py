"""Suits that only their names tell apart: other orders of an example are the game itself with its suits renamed."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from net import BlobNet, InferenceNet, NetConfig
from tests.helpers import assert_same_state, chi_square_p
from tests.test_learner import make_examples
from vecgame import Blob, Game, Hearts, Spades, State, Stream, Whist
from vecgame.cards import DECK, NO_TRUMP, RANKS, SUITS, pack, pack_mask, unpack, unpack_mask
from vecgame.contract import mixed_positions
from vecgame.games.blob_observation import symmetry
from vecgame.symmetry import Orders
from vecgame.symmetry import orders as orders_of
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.distributed import ALONE, Group
from veclab.training.learner import Learner, learn
from veclab.training.replay import Examples, ReplayBuffer

CPU = torch.device("cpu")
ORDERS = orders_of(4)
WITH_FIRST_FIXED = 6  # of them leave the first suit first
SYMMETRY = symmetry(4)
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
ERROR_RATE = 1e-4
TRUMPS = ("random", "rotate", "none", "spades", "diamonds")
GAMES = [Blob(cards=4, trump=trump) for trump in TRUMPS]
GAMES += [Blob(cards=13, hook=False), Blob(cards=2, ranks=3), Whist(), Spades(cards=6)]
GAMES += [Blob(cards=4, players=3), Blob(cards=3, players=6, trump="none")]
GAMES += [Whist(cards=5, trump=trump) for trump in ("random", "none", "hearts")]


# -- against the engine -----------------------------------------------------------------------------------------------


def renamed_cards(bits: Tensor, names: Tensor) -> Tensor:
    """Bitboards [B, ..] with suit s called ``names`` [B, 4][s]."""
    source = (names.argsort(-1)[:, :, None] * RANKS + torch.arange(RANKS)).flatten(1)
    mask = unpack(bits)
    return pack(mask.gather(-1, source.view(len(bits), *[1] * (bits.ndim - 1), DECK).expand(mask.shape)))


def renamed_ids(cards: Tensor, names: Tensor) -> Tensor:
    """Card ids [B, K], -1 for none, with suit s called ``names`` [B, 4][s]."""
    card = cards.long().clamp(min=0)
    return torch.where(cards >= 0, names.gather(1, card // RANKS) * RANKS + card % RANKS, -1).to(cards.dtype)


def renamed(state: State, names: Tensor) -> State:
    """The same games with suit s called ``names`` [B, 4][s] in every field that tells of suits."""
    fields = state.tensors()
    for name, field in fields.items():
        if name == "trick":
            fields[name] = renamed_ids(field, names)
        elif name == "voids":
            shown = (field[..., None] >> torch.arange(SUITS)) & 1
            fields[name] = (shown << names[:, None]).sum(-1).to(field.dtype)
        elif name == "trump":
            theirs = names.gather(1, field.long().clamp(max=SUITS - 1)[:, None])[:, 0]
            fields[name] = torch.where(field == NO_TRUMP, NO_TRUMP, theirs).to(field.dtype)
        elif field.dtype == torch.int64 and name != "index":
            fields[name] = renamed_cards(field, names)
    return replace(state, **fields)


def renamed_actions(game: Game, state: State, names: Tensor) -> Tensor:
    """What each action is called in the renamed games: [B, num_actions] int64."""
    actions = torch.arange(game.num_actions).expand(state.batch_size, -1)
    cards = torch.cat([renamed_ids(actions[:, :DECK], names), actions[:, DECK:]], dim=1)
    bids = isinstance(game, Blob) & (state.made < game.seats)
    return torch.where(bids[:, None], actions, cards)


def orders_between(game: Game, state: State, other: State, names: Tensor) -> Orders:
    """The orders in which the features of ``state`` are those of ``other``, by what each place of both means."""
    trump = torch.zeros(state.batch_size) if isinstance(game, Spades) else state.trump
    theirs = trump if isinstance(game, Spades) else other.trump
    first, their_first = (torch.where(t == NO_TRUMP, 0, t).long() for t in (trump, theirs))
    suits = (their_first[:, None] + torch.arange(SUITS)) % SUITS
    order = (names.argsort(-1).gather(1, suits) - first[:, None]) % SUITS
    number = torch.tensor([ORDERS.index(tuple(row)) for row in order.tolist()])
    bids = isinstance(game, Blob) & (state.made < game.seats)
    return Orders(game.suit_symmetry(), number, torch.where(bids, 0, number))


def drawn_names(game: Game, count: int, seed: int) -> Tensor:
    """Names of the suits, for Spades with spades left alone: [count, 4] int64."""
    names = torch.tensor(ORDERS[:WITH_FIRST_FIXED] if isinstance(game, Spades) else ORDERS)
    return names[torch.randint(len(names), (count,), generator=torch.Generator().manual_seed(seed))]


@pytest.mark.parametrize("game", GAMES, ids=repr)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_another_order_is_the_game_with_its_suits_renamed(game: Game, seed: int) -> None:
    """Observation, legal actions, policy and its columns; and the renamed games go on as the games do."""
    state = _positions(game)
    names = drawn_names(game, state.batch_size, seed)
    other, called = renamed(state, names), renamed_actions(game, state, names)
    orders = orders_between(game, state, other, names)
    assert torch.equal(game.mover(state), game.mover(other))
    going = ~game.is_terminal(state)
    assert torch.equal(game.legal_mask(state)[going], game.legal_mask(other).gather(1, called)[going])
    assert torch.equal(orders.observations(game.observe(state)), game.observe(other))
    assert torch.equal(orders.cards(game.others_hands(state)), game.others_hands(other))
    assert torch.equal(orders.policies(game.policy_mask(state))[going], game.policy_mask(other)[going])

    every = torch.arange(game.num_actions).expand(state.batch_size, -1)
    columns = game.policy_columns(state, every)
    their_columns = game.policy_columns(other, called)
    assert torch.equal(orders.columns(columns, game.num_actions), their_columns)
    target = torch.rand(columns.shape, generator=torch.Generator().manual_seed(seed))
    framed, theirs = (torch.zeros_like(target).scatter(1, c, target) for c in (columns, their_columns))
    assert torch.equal(orders.policies(framed), theirs)

    action = (torch.rand(columns.shape) * game.legal_mask(state)).argmax(-1)
    ahead = game.step(state, action)
    assert_same_state(renamed(ahead, names), game.step(other, called.gather(1, action[:, None])[:, 0]))
    assert not going.all() and torch.equal(game.scores(state)[~going], game.scores(other)[~going])


_known: dict[Game, State] = {}


def _positions(game: Game) -> State:
    """Games of 100 deals, each at a decision of its own."""
    if game not in _known:
        _known[game] = mixed_positions(game, 100)
    return _known[game]


@pytest.mark.parametrize("game", GAMES, ids=repr)
def test_only_orders_that_mean_the_same_are_drawn(game: Game) -> None:
    """Trump stays first, and bids keep their columns; every order that is left comes, so all of them are tested."""
    state = _positions(game)
    observation = game.observe(state)
    orders = game.suit_symmetry().orders(Stream(3, state.index, game.turn(state)), observation)
    trump = torch.zeros(100, dtype=torch.bool) if isinstance(game, Spades) else state.trump == NO_TRUMP
    assert (orders.observation[~trump] < WITH_FIRST_FIXED).all()
    bids = isinstance(game, Blob) & (state.made < game.seats)
    assert (orders.policy[bids] == 0).all() and torch.equal(orders.policy[~bids], orders.observation[~bids])
    assert len(orders.observation.unique()) > (5 if not trump.any() else 6)


class BidsAmongCards(Spades):
    """Has bids where the cards are, from the first spade on."""

    def set_up(self):
        super().set_up()
        self.first_bid = 0


def test_bids_in_columns_of_cards_stay_where_the_suits_are_turned() -> None:
    game = BidsAmongCards(cards=2)
    state = mixed_positions(game, 60)
    orders = game.suit_symmetry().orders(Stream(3, state.index, game.turn(state)), game.observe(state))
    bids = game.bidding(state)
    assert (orders.policy[bids] == 0).all() and torch.equal(orders.policy[~bids], orders.observation[~bids])
    assert (orders.observation[bids] != 0).any()


def test_games_whose_suits_differ_have_no_symmetry() -> None:
    assert Hearts().suit_symmetry() is None and Blob(cards=2, suits=3, ranks=5).suit_symmetry() is None
    with pytest.raises(ValueError, match=r"--augment-suits needs suits that only their names tell apart"):
        Settings(augment_suits=True, game="hearts")
    with pytest.raises(ValueError, match=r"--augment-suits needs suits"):
        Settings(augment_suits=True, cards="2", suits=3, ranks=5)
    assert Settings().suit_symmetry() is None and Settings(augment_suits=True).suit_symmetry() == SYMMETRY


@pytest.mark.parametrize("trump", [True, False])
def test_orders_are_uniform(trump: bool) -> None:
    """Chi-square of 6 or 24 orders over 24,000 examples, false alarm 1e-4."""
    observation = torch.zeros(24_000, 256)
    observation[:, SYMMETRY.trump] = trump
    place = torch.arange(24_000)
    drawn = SYMMETRY.orders(Stream(5, place, torch.zeros_like(place)), observation).observation
    possible = WITH_FIRST_FIXED if trump else len(ORDERS)
    counts = drawn.bincount(minlength=possible)
    assert len(counts) == possible
    assert chi_square_p(counts, torch.full((possible,), 24_000 / possible)) > ERROR_RATE


# -- in learning ------------------------------------------------------------------------------------------------------


def batches_of(group: Group, monkeypatch, **changes: object) -> tuple[list[Examples], ReplayBuffer]:
    """The examples of each step of `learn` that this process of a group computes losses of."""
    learner = Learner(Settings(batch_size=16, epochs=2, **changes), SMALL, CPU, group)
    learner.amp = torch.float32
    examples = make_examples(33)
    examples.observation[::2, SYMMETRY.bidding] = 0.0  # the others bid, and no order turns their policies
    hands = (examples.observation[:, :DECK] > 0.5).long()
    buffer = ReplayBuffer(64, CPU, extras=("hidden",))
    buffer.add(replace(examples, hidden=torch.stack([pack(hands), examples.legal, examples.legal], 1)))
    seen: list[Examples] = []
    losses = learner.losses

    def spy(batch: Examples, total: int):
        seen.append(batch)
        return losses(batch, total)

    monkeypatch.setattr(learner, "losses", spy)
    monkeypatch.setattr(learner, "_descend", lambda loss, gradients: torch.tensor(True))
    monkeypatch.setattr(Group, "sum", lambda group, numbers: numbers)
    learn(learner, buffer, 33, seed=1)
    return seen, buffer


def test_examples_are_learned_in_orders_that_do_not_depend_on_the_processes(monkeypatch) -> None:
    plain, _ = batches_of(ALONE, monkeypatch)
    turned, _ = batches_of(ALONE, monkeypatch, augment_suits=True)
    shares = [batches_of(Group(rank, 3), monkeypatch, augment_suits=True)[0] for rank in range(3)]
    assert len(plain) == len(turned) == 6
    for before, after, parts in zip(plain, turned, zip(*shares, strict=True), strict=True):
        for name, tensor in Examples.concatenate(list(parts)).tensors().items():
            assert torch.equal(tensor, getattr(after, name)), name
        assert torch.equal(before.value, after.value)
        assert torch.equal(after.policy > 0, after.legal_mask)  # the mask goes with the policy
        plays = before.observation[:, SYMMETRY.bidding] == 0
        assert torch.equal(after.hidden[plays, 1:], after.legal[plays, None].expand(-1, 2))  # and cards with both
        assert torch.equal(unpack(after.hidden[:, 0]), after.observation[:, :DECK] > 0.5)
        for name in ("observation", "policy"):  # the same numbers, elsewhere
            ours, theirs = getattr(before, name), getattr(after, name)
            assert torch.equal(ours.sort(-1).values, theirs.sort(-1).values)
    for name in ("observation", "legal"):
        pairs = [(getattr(before, name), getattr(after, name)) for before, after in zip(plain, turned, strict=True)]
        assert not all(torch.equal(before, after) for before, after in pairs), name
    first, second = (Examples.concatenate(turned[start : start + 3]) for start in (0, 3))
    rows = [{tuple(row) for row in epoch.observation.tolist()} for epoch in (first, second)]
    assert rows[0] != rows[1]  # another order each time


def test_policy_gradient_plays_what_it_learns_from() -> None:
    """Actions, masks and probabilities are those of the turned observations; that is what PPO's ratio is about."""
    game, network = Blob(cards=3), InferenceNet(BlobNet(SMALL), dtype=torch.float32)
    play = partial(policy_gradient.play, game, network, seed=1, device=CPU, symmetry=SYMMETRY)
    rollout = play(games=60, first_index=0)
    mask = unpack_mask(rollout.legal, DECK)
    logits, values = network(rollout.observation, mask)
    log_policy = logits.masked_fill(~mask, -torch.inf).log_softmax(-1)
    assert log_policy.gather(1, rollout.column[:, None])[:, 0].allclose(rollout.log_prob, atol=1e-5)
    assert values[:, 0].allclose(rollout.value[:, 0] - rollout.advantage, atol=1e-5)
    cards = rollout.observation[:, SYMMETRY.bidding] == 0  # the played card is one of the hand that is seen
    assert (rollout.observation[cards, :DECK].gather(1, rollout.column[cards, None]) == 1).all()
    parts = [play(games=25, first_index=0), play(games=35, first_index=25)]
    joined = torch.cat([part.observation for part in parts])
    assert sorted(map(tuple, joined.tolist())) == sorted(map(tuple, rollout.observation.tolist()))
    plain = policy_gradient.play(game, network, 60, 1, 0, CPU)
    assert not torch.equal(plain.observation[:60], rollout.observation[:60])
    assert pack_mask(mask).equal(rollout.legal)


def test_policy_gradient_plays_the_action_that_it_stores(monkeypatch) -> None:
    """A bid as it is, and of cards the same rank, in a suit of which the hand that is seen has as many."""
    game, network, seen = Blob(cards=4), InferenceNet(BlobNet(SMALL), dtype=torch.float32), []
    choose = policy_gradient._Terms.choose

    def spy(terms, state: State, *given: Tensor) -> dict[str, Tensor]:
        rows = choose(terms, state, *given)
        hand = unpack(state.hands.gather(1, game.mover(state)[:, None])[:, 0])
        seen.append((state.made < game.seats, hand, dict(rows)))
        return rows

    monkeypatch.setattr(policy_gradient._Terms, "choose", spy)
    policy_gradient.play(game, network, 60, 1, 0, CPU, SYMMETRY)
    turned = False
    for bids, hand, rows in seen:
        action, column = rows["action"], rows["column"]
        assert torch.equal(action[bids], column[bids])
        action, column, hand, told = (each[~bids] for each in (action, column, hand, rows["observation"][:, :DECK]))
        assert torch.equal(action % RANKS, column % RANKS)
        length, told_length = (cards.view(-1, SUITS, RANKS).sum(-1).long() for cards in (hand, told))
        assert torch.equal(length.gather(1, action[:, None] // RANKS), told_length.gather(1, column[:, None] // RANKS))
        turned |= bool((action != column).any())
    assert turned
