"""Throughput of the parts: the rules' engine, the network, the search, the learner."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import torch

from net import BlobNet, InferenceNet, NetConfig, default_inference_dtype
from vecgame import Game, Purpose, Stream
from vecgame.cards import pack_mask
from vecgame.lanes import ended
from veclab.bench.measure import Timing, arithmetic, name_of, timed
from veclab.bench.selfplay import Play
from veclab.precision import inference_net
from veclab.room import FLOAT, Need, check_room, of_games, of_search
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.drawing import PLAY
from veclab.training.learner import Learner, learn
from veclab.training.replay import Examples, ReplayBuffer
from veclab.training.steps import STEPS
from vecmcts import SearchConfig, random_action, search
from vecmcts.evaluators import Network

FLAG = "--batches"  # sets the sizes
LONGEST_PRODUCT = 0.5  # seconds that one may take of those that tell a CPU's peak


@dataclass(frozen=True)
class Rate:
    """How many of something a second, from a timing of ``count`` of them."""

    label: str
    size: int  # of the batch
    per_second: float
    spread: float  # width of the repeats as a share of the median
    share: float | None = None  # of the physical limit measured beside it, None where there is none
    precision: str | None = None  # of the network's products, None where there is no network
    network_compiled: bool = False
    ways: dict[str, int] = field(default_factory=dict)  # what was timed, by the way it ran
    ran: str = "searches"  # what that was
    asked: str | None = None  # the way that it was to run, None where nothing says so
    settled: bool = True  # another timing would run no other way

    def to_run(self, ran: str, graphs: bool, device: torch.device) -> Rate:
        """The same, of what a GPU can record, with ``graphs`` if that was asked for."""
        return replace(self, ran=ran, asked="graph" if graphs and device.type == "cuda" else "eager")

    @classmethod
    def of(
        cls,
        label: str,
        size: int,
        count: float,
        timing: Timing,
        limit: float | None = None,
        precision: str | None = None,
        network_compiled: bool = False,
    ) -> Rate:
        rate = count / timing.median
        share = rate / limit if limit else None
        return cls(label, size, rate, timing.spread, share, precision, network_compiled, timing.ways)


def play_at_random(game: Game, games: int, seed: int, device: torch.device) -> None:
    """Deals and plays games to the end by uniformly random legal actions."""
    state = game.deal(games, seed, device)
    for number in range(game.decisions):
        if ended(partial(game.is_terminal, state), number, device):
            break
        stream = Stream(seed, state.index, game.turn(state))
        state = game.step(state, random_action(game, state, stream.uniform(Purpose.ACTION, 1)[:, 0]))
    game.scores(state)


def engine(game: Game, size: int, device: torch.device, repeats: int) -> Rate:
    """Random games a second, ``size`` at once; a game has `game.decisions` steps."""
    check_room(device, of_games(size, game, FLAG))
    timing = timed(lambda: play_at_random(game, size, 0, device), device, repeats)
    return Rate.of("random games", size, size, timing)


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """Multiply-adds a second of a large square matrix product: what the network's arithmetic can reach at most. On a
    CPU the largest side up to 2,048 whose product takes no longer than `LONGEST_PRODUCT`: one without instructions for
    bfloat16 multiplies it a hundred times as slowly as float32."""
    side, largest = (8192, 8192) if device.type == "cuda" else (256, 2048)
    rate = _product(side, dtype, device)
    while side < largest and (2 * side) ** 3 / rate <= LONGEST_PRODUCT:
        side *= 2
        rate = _product(side, dtype, device)
    return rate


def _product(side: int, dtype: torch.dtype, device: torch.device) -> float:
    """Multiply-adds a second of a product of two square matrices."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return side**3 / timed(lambda: a @ b, device, repeats=5, warmup=2).median


def multiply_adds(config: NetConfig) -> int:
    """Multiply-adds of one evaluation in the folded form: one for each weight of a matrix that is left."""
    layer = config.dim * config.dim + 2 * config.dim * config.ffn
    policy = config.dim * config.policy_hidden + config.policy_hidden * config.actions
    value = config.dim * config.value_hidden + config.value_hidden * config.values
    return config.observation * config.dim + config.layers * layer + policy + value


def network(
    game: Game,
    config: NetConfig,
    size: int,
    precision: str,
    device: torch.device,
    repeats: int,
    compile: bool = False,
    micro_batch: int | None = None,
) -> Rate:
    """Evaluations a second, and their share of the matrix product's peak (of 8 bits: of bfloat16's).

    Args:
        config: sizes of a network for the game, in whose positions the ranges of 8-bit arithmetic are taken.
        micro_batch: rows evaluated at once; None for as many as the network takes by itself, on a GPU by its kernel.
    """
    check_room(device, _of_rows(size, config))
    rows = (torch.rand(size, config.observation, device=device) < 0.2).float()
    form = inference_net(BlobNet(config).to(device), precision, [game], compile)
    form.micro_batch = micro_batch or form.micro_batch
    times = max(1, 1024 // size)

    def work() -> None:
        for _ in range(times):
            form(rows)

    limit = matmul_peak(form.dtype, device) / multiply_adds(config)
    timing = timed(work, device, repeats)
    label = f"{precision}, one kernel" if form.skips_rows else precision
    label = label if micro_batch is None else f"{label}, {micro_batch:,} at a time"
    return Rate.of(label, size, size * times, timing, limit, arithmetic(form), form.compiled)


def precisions(device: torch.device) -> tuple[torch.dtype, ...]:
    """The precision that is taken on this device, and float32."""
    return tuple(dict.fromkeys((default_inference_dtype(device), torch.float32)))


def free_network(seats: int) -> Network:
    """A network that costs nothing, so that only the trees take time. It may be recorded, for it has no weights."""

    def evaluate(observation: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros_like(mask, dtype=observation.dtype), observation.new_full((len(observation), seats), 0.3)

    evaluate.capturable = True
    return evaluate


def searches(
    game: Game,
    size: int,
    config: SearchConfig,
    device: torch.device,
    repeats: int,
    graphs: bool = True,
) -> Rate:
    """Tree-simulations a second at the first decision of ``size`` games with a network that costs nothing."""
    check_room(device, of_search(size, game, config, FLAG))
    state = game.deal(size, 0, device)
    network = free_network(game.seats)
    # Two searches before: on a GPU the second of a shape is recorded.
    timing = timed(lambda: search(game, state, network, config, graphs=graphs), device, repeats, warmup=2)
    label = f"{game.name}, {config.worlds}x{config.simulations}"
    rate = Rate.of(label, size, size * config.worlds * config.simulations, timing)
    return replace(rate, asked=Play(game, network, config, device, graphs).way)


def learning(
    config: NetConfig,
    name: str,
    size: int,
    dtype: torch.dtype,
    device: torch.device,
    repeats: int,
    graphs: bool = True,
) -> Rate:
    """Examples a second of the learner, as the document's benchmark set 1; on a GPU with its steps as ``graphs``.

    The share is of the matrix product's peak, at three times the forward pass's multiply-adds.
    """
    check_room(device, _of_rows(4 * size, config))
    limit = matmul_peak(dtype, device) / (3 * multiply_adds(config))
    learner = Learner(Settings(epochs=1, batch_size=size, graphs=graphs), config, device)
    learner.amp = dtype
    buffer = ReplayBuffer(4 * size, device, config.observation, config.actions, config.values)
    buffer.add(random_examples(config, 4 * size, device))
    timing = timed(lambda: learn(learner, buffer, 4 * size, 0), device, repeats)
    rate = Rate.of(f"{name}, {name_of(dtype)}", size, 4 * size, timing, limit, name_of(dtype))
    return rate.to_run(STEPS, graphs, device)


def _of_rows(rows: int, config: NetConfig) -> Need:
    """Observations of a network."""
    return Need(f"{rows:,} observations", rows * config.observation * FLOAT, f"a smaller {FLAG}")


def random_examples(config: NetConfig, count: int, device: torch.device) -> Examples:
    """Examples of the right shapes, all actions legal."""
    return Examples(
        observation=(torch.rand(count, config.observation, device=device) < 0.2).half(),
        legal=pack_mask(torch.ones(count, config.actions, dtype=torch.bool, device=device)),
        policy=torch.full((count, config.actions), 1 / config.actions, device=device).half(),
        value=torch.rand(count, config.values, device=device),
    )


def games_of_policy_gradient(
    game: Game, config: NetConfig, name: str, games: int, device: torch.device, repeats: int, graphs: bool = True
) -> Rate:
    """Decisions a second of the games that an update of policy gradient is made from, ``games`` at once.

    The share is of the matrix product's peak, at the forward pass's multiply-adds.
    """
    network = InferenceNet(BlobNet(config).to(device))
    limit = matmul_peak(network.dtype, device) / multiply_adds(config)

    def play() -> policy_gradient.Rollout:
        return policy_gradient.play(game, network, games, 0, 0, device, graphs=graphs)

    decisions, timing = len(play().legal), timed(play, device, repeats)
    rate = Rate.of(f"{name}, {PLAY}", games, decisions, timing, limit, arithmetic(network))
    return rate.to_run(PLAY, graphs, device)


def updates(
    game: Game,
    config: NetConfig,
    name: str,
    size: int,
    games: int,
    device: torch.device,
    repeats: int,
    graphs: bool = True,
) -> Rate:
    """Decisions a second of learning by policy gradient in minibatches of ``size``, from ``games`` games; a decision
    counts in each pass that takes it. Few games have minibatches of another size, which is then the rate's.

    The share is of the matrix product's peak, at three times the forward pass's multiply-adds.
    """
    learner = Learner(Settings(update_batch=size, graphs=graphs), config, device)
    limit = matmul_peak(learner.amp, device) / (3 * multiply_adds(config))
    rollout = policy_gradient.play(game, InferenceNet(learner.net), games, 0, 0, device)
    size = policy_gradient.minibatch_size(len(rollout.legal), size)
    decisions = learner.settings.update_epochs * (len(rollout.legal) // size * size)
    timing = timed(lambda: policy_gradient.update(learner, rollout, 0.01, 0), device, repeats)
    rate = Rate.of(f"{name}, policy gradient", size, decisions, timing, limit, name_of(learner.amp))
    return rate.to_run(STEPS, graphs, device)
