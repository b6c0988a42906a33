"""The critic that sees the other hands: what it is shown, that search takes its values, and that it learns."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from net import BlobNet, InferenceNet, Int8Net, NetConfig, int8_available
from net.inference import folded_weights
from tests.positions import HashEvaluator, fraction, mix
from tests.test_learner import make_examples
from vecgame import Blob, Hearts, Spades, State, Stream, Whist, lanes
from vecgame.cards import pack, unpack
from vecgame.contract import mixed_positions
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.learner import Learner, learn
from veclab.training.replay import Examples, ReplayBuffer
from veclab.training.selfplay import self_play
from vecmcts import CriticEvaluator, Past, SearchConfig, search
from vecmcts.evaluators import NetworkEvaluator, as_evaluator, to_absolute

CPU = torch.device("cpu")
PLAIN = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
SEEING = replace(PLAIN, critic=156)
SEARCH = SearchConfig(worlds=3, simulations=12)
GAMES = [Blob(cards=4), Blob(cards=3, players=5), Whist(), Spades(cards=5), Hearts()]


# -- what it sees -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("game", GAMES, ids=repr)
def test_the_other_hands_are_those_that_the_seats_see_themselves(game) -> None:
    """Each by the first features of that seat's own observation."""
    state = mixed_positions(game, 60)
    hands = unpack(game.others_hands(state), torch.float32)
    for place in range(game.seats - 1):
        seat = (game.mover(state) + place + 1) % game.seats
        assert torch.equal(hands[:, place], game.observe(state, seat)[:, :52])
    assert hands.any(1).any()


# -- the network ------------------------------------------------------------------------------------------------------


def test_the_critic_changes_no_other_initial_weight() -> None:
    nets = []
    for config in (PLAIN, SEEING):
        torch.manual_seed(5)
        nets.append(BlobNet(config))
    ours, theirs = (net.state_dict() for net in nets)
    assert {name.split(".")[0] for name in theirs.keys() - ours.keys()} == {"critic_in", "critic_hidden", "critic_out"}
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    with pytest.raises(ValueError, match=r"NetConfig.critic judges all seats at once: it needs values=4"):
        replace(SEEING, values=1)


def seeing_net(seed: int = 0) -> BlobNet:
    """As if trained: values far from one another."""
    torch.manual_seed(seed)
    net = BlobNet(SEEING)
    with torch.no_grad():
        net.critic_out.weight.mul_(20)
        net.value_out.weight.mul_(20)
    return net


def rows(count: int, columns: int, seed: int) -> Tensor:
    return (torch.rand(count, columns, generator=torch.Generator().manual_seed(seed)) < 0.3).float()


def test_the_inference_form_is_the_same_function() -> None:
    net, observation, hidden = seeing_net().double(), rows(11, 256, 1), rows(11, 156, 2)
    logits, values, critic = net(observation, hidden=hidden)
    form = InferenceNet(net, dtype=torch.float64, micro_batch=4)
    assert torch.allclose(form(observation)[1], values, atol=1e-9)
    seen = form(observation, None, hidden)
    assert torch.allclose(seen[0], logits, atol=1e-9) and torch.allclose(seen[1], critic, atol=1e-9)
    assert (critic - values).abs().max() > 0.05  # so the comparison means something
    other = form(observation, None, rows(11, 156, 3))
    assert torch.equal(other[0], seen[0])  # the policy knows nothing of the hands
    assert ((other[1] - seen[1]).abs().amax(1) > 1e-4).all()
    newer = seeing_net(seed=1).double()
    form.refresh(newer)
    assert torch.allclose(form(observation, None, hidden)[1], newer(observation, hidden=hidden)[2], atol=1e-9)
    assert not InferenceNet(BlobNet(PLAIN)).has_critic and form.has_critic
    assert len(folded_weights(net)) == len(folded_weights(BlobNet(PLAIN)))  # the ONNX file does not know of it


@pytest.mark.parametrize("count", [3, 70])
def test_low_precision_is_near(count: int) -> None:
    net, observation, hidden = seeing_net(), rows(count, 256, 1), rows(count, 156, 2)
    critic = net(observation, hidden=hidden)[2]
    forms = [InferenceNet(net, dtype=torch.bfloat16)]
    if int8_available():
        forms.append(Int8Net(net, rows(500, 256, 3)))
    for form in forms:
        assert (form(observation, None, hidden)[1] - critic).abs().max() < 0.05 * critic.std() + 0.05


# -- the search -------------------------------------------------------------------------------------------------------


class HashNetwork:
    """A policy by the mover's hand and the current trick, and values by the hands that it is given."""

    needs_mask = False
    has_critic = True

    def __call__(self, observation: Tensor, mask: None, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hands = pack(hidden.view(-1, 3, 52) > 0)
        return 3 * observation[:, :52] - observation[:, 104:156], hash_values(hands, observation[:, 217:229].sum(-1))


def hash_values(hands: Tensor, number: Tensor) -> Tensor:
    """A pseudo-random function of the other hands [K, 3] and some number [K]: [K, 4] values by relative seat."""
    h = (16 * number).long()
    for place in range(3):
        h = mix(h, hands[:, place])
    return fraction(mix(mix(h[:, None], 1000 + torch.arange(4)), 7))


def _blind(observation: Tensor, mask: None) -> tuple[Tensor, Tensor]:
    """The same network shown no hands."""
    return HashNetwork()(observation, mask, torch.zeros(len(observation), 156))


class ByState:
    """The same judgement, made from the world itself."""

    sees_hidden = True

    def evaluate(self, game: Blob, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
        observation, mover = game.observe(state), game.mover(state)
        hands = []
        for place in (1, 2, 3):
            held = game.observe(state, (mover + place) % 4)[:, :52] > 0
            hands.append(pack(held))
        values = hash_values(torch.stack(hands, 1), observation[:, 217:229].sum(-1))
        return 3 * observation[:, :52] - observation[:, 104:156], to_absolute(values, mover)


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("root_selection", ["puct", "gumbel"])
def test_the_values_of_leaves_are_the_critics(compact: bool, root_selection: str, monkeypatch) -> None:
    """Visit for visit the search by an evaluator that looks at the worlds' hands by itself."""
    monkeypatch.setitem(lanes.COMPACT, "cpu", compact)
    game = Blob(cards=3)
    state = mixed_positions(game, 24)
    config = replace(SEARCH, root_selection=root_selection)
    ours, theirs = (search(game, state, judge, config, seed=4) for judge in (HashNetwork(), ByState()))
    for name, tensor in vars(ours).items():
        assert torch.allclose(tensor, getattr(theirs, name), equal_nan=True), name
    assert torch.equal(ours.visits, theirs.visits)
    blind = search(game, state, NetworkEvaluator(_blind), config, seed=4)
    assert not torch.equal(ours.visits, blind.visits)


def test_a_network_with_a_critic_is_searched_with_it() -> None:
    seeing, plain = InferenceNet(BlobNet(SEEING)), InferenceNet(BlobNet(PLAIN))
    assert isinstance(as_evaluator(seeing), CriticEvaluator) and as_evaluator(seeing).sees_hidden
    assert type(as_evaluator(plain)) is NetworkEvaluator
    game = Blob(cards=3)
    state = game.deal(5)
    counts = [int(search(game, state, net, SEARCH, seed=1).evaluations) for net in (seeing, plain)]
    assert counts[0] > counts[1]  # the root of each world is judged by itself


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_network_that_learns_is_searched_with_its_critic_too(wrapped: bool) -> None:
    """As its inference form is; its head for tricks changes nothing."""
    torch.manual_seed(3)
    net = BlobNet(replace(SEEING, tricks=14)).double()
    with torch.no_grad():
        net.critic_out.weight.mul_(20)
    game = Blob(cards=3)
    state = mixed_positions(game, 24)
    expected = search(game, state, InferenceNet(net, dtype=torch.float64), SEARCH, seed=1)
    found = search(game, state, CriticEvaluator(net) if wrapped else net, SEARCH, seed=1)
    assert torch.equal(found.visits, expected.visits) and int(found.evaluations) == int(expected.evaluations)
    assert torch.allclose(found.value, expected.value)
    blind = search(game, state, NetworkEvaluator(net), SEARCH, seed=1)
    assert not torch.allclose(blind.value, expected.value, atol=1e-3)
    assert not BlobNet(PLAIN).has_critic and type(as_evaluator(BlobNet(PLAIN))) is NetworkEvaluator


# -- examples ---------------------------------------------------------------------------------------------------------


def test_examples_tell_the_hands_that_there_were() -> None:
    """Of a game whose every seat has one card, the hand and the others are all cards dealt."""
    game = Blob(cards=1)
    played = self_play(
        game, HashEvaluator(), SearchConfig(worlds=1, simulations=2), 12, seed=3, extras=("hidden",), chunk_games=7
    )
    hidden = played.examples.hidden
    assert hidden.shape == (len(played.examples), 3) and hidden.dtype == torch.int64
    deals = game.deal(12, seed=3)
    dealt = {}
    for seat in range(4):
        own = pack(game.observe(deals, torch.full((12,), seat))[:, :52] > 0)
        others = [pack(game.observe(deals, torch.full((12,), (seat + k) % 4))[:, :52] > 0) for k in (1, 2, 3)]
        for row in zip(own.tolist(), *(o.tolist() for o in others), strict=True):
            dealt.setdefault(row[0], set()).add(row[1:])
    own = pack(played.examples.observation[:, :52] > 0).tolist()
    assert all(tuple(row) in dealt[mine] for mine, row in zip(own, hidden.tolist(), strict=True))
    plain = self_play(game, HashEvaluator(), SearchConfig(worlds=1, simulations=2), 12, seed=3, chunk_games=7).examples
    assert plain.hidden is None and torch.equal(plain.policy, played.examples.policy)


def test_rollouts_tell_the_hands() -> None:
    game, network = Blob(cards=2), InferenceNet(BlobNet(SEEING), dtype=torch.float32)
    symmetry = game.suit_symmetry()
    plain, told = (policy_gradient.play(game, network, 30, 1, 0, CPU, symmetry, extras) for extras in ((), ("hidden",)))
    assert plain.hidden is None and torch.equal(plain.column, told.column)
    unseen = told.observation[:, 52:104] > 0
    assert (unseen[:, None] | ~unpack(told.hidden)).all() and unpack(told.hidden).any()  # the suits turned alike
    critic = network(told.observation, None, unpack(told.hidden, torch.float32).flatten(1))[1][:, 0]
    others, own = (rollout.value[:, 0] - rollout.advantage for rollout in (told, plain))
    assert others.allclose(critic, atol=1e-5) and not others.allclose(own, atol=1e-5)


def test_worlds_by_likelihood_follow_its_policy() -> None:
    game, config = Blob(cards=3), replace(SEARCH, candidates=8)
    state, past = game.deal(5, 1), Past.none(game, 5)
    for _ in range(6):
        action = game.legal_actions(state)[:, 0]
        past, state = past.then(state, action), game.step(state, action)
    network = InferenceNet(BlobNet(SEEING), dtype=torch.float32)
    result = search(game, state, network, config, seed=1, past=past)
    assert (result.visits.sum(-1) == 36).all()


# -- learning ---------------------------------------------------------------------------------------------------------


def with_hands(examples: Examples, seed: int = 3) -> Examples:
    hidden = torch.randint(1 << 52, (len(examples), 3), generator=torch.Generator().manual_seed(seed))
    return replace(examples, hidden=hidden)


def make_learner(**changes: object) -> Learner:
    learner = Learner(Settings(batch_size=32, epochs=2, leaf_values="world", **changes), SEEING, CPU)
    learner.amp = torch.float32
    return learner


def test_the_critics_loss_is_its_squared_error() -> None:
    learner, batch = make_learner(value_weight=0.5), with_hands(make_examples(5))
    with torch.no_grad():
        critic = learner.net(batch.observation.float(), hidden=unpack(batch.hidden).flatten(1))[2]
        losses = learner.losses(batch)
    expected = float(sum((critic[row, seat] - batch.value[row, seat]) ** 2 for row in range(5) for seat in range(4)))
    assert float(losses.critic) == pytest.approx(expected / 5, rel=1e-4)
    total = float(losses.policy + 0.5 * (losses.value + losses.critic))
    assert float(losses.weighted(learner.settings)) == pytest.approx(total)


@pytest.mark.slow
def test_the_critic_learns_what_only_the_hands_tell() -> None:
    """Values by one card of each other seat: the critic's loss falls, the other value head's stays at the variance."""
    examples = with_hands(make_examples(512))
    held = (examples.hidden & 1).float()
    examples = replace(examples, value=torch.cat([held[:, :1], held], dim=1))
    learner, buffer = make_learner(learning_rate=3e-3), ReplayBuffer(1024, CPU, extras=("hidden",))
    buffer.add(examples)
    for seed in range(12):
        learn(learner, buffer, 512, seed)
    fresh = with_hands(make_examples(512, seed=9), seed=8)
    held = (fresh.hidden & 1).float()
    with torch.no_grad():
        losses = learner.losses(replace(fresh, value=torch.cat([held[:, :1], held], dim=1)))
    assert float(losses.critic) < 0.4 and float(losses.value) > 0.9  # 4 x 0.25 is the variance
