"""What judges a leaf: a network, or random playouts by the game's own engine."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Protocol, Self

import torch
from torch import Tensor

from vecgame.cards import unpack
from vecgame.game import Game
from vecgame.lanes import compacts, ended
from vecgame.philox import Purpose, Stream
from vecgame.state import State

Network = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(observation [B, F], legal mask [B, num_actions] or None) -> (logits [B, num_actions], values [B, seats or 1])."""

PLAYOUT_BLOCKS = 256  # random blocks set aside for each playout, one a decision; more in games that have more
SIMULATION_BITS = 16  # room for that many blocks below the simulation's number in a stream


class Evaluator(Protocol):
    """Judges the positions of many worlds."""

    sees_hidden: bool  # whether it looks at hidden hands; if not, all worlds of a root get one evaluation

    def evaluate(self, game: Game, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
        """Judges K positions, none of them finished; ``stream`` has a lane of random numbers for each.

        Returns:
            logits [K, num_actions] at the game's policy columns, unmasked, and values [K, seats] by absolute seat.
        """


def check_answer(
    answer: object, judge: object, game: Game, state: State, one_value: bool = False
) -> tuple[Tensor, Tensor]:
    """What ``judge`` has answered about K positions of a game, if it is logits [K, num_actions] and values [K, seats],
    or with ``one_value`` [K, 1], of floating point on their device. On a CPU they are looked through for what is no
    number; on a GPU, where that would have the host wait, only their form counts.

    Raises:
        TypeError: in one line, if it is not.
        ValueError: in one line, if some are NaN.
    """
    name, count = getattr(judge, "__name__", type(judge).__name__), state.batch_size
    if not (isinstance(answer, tuple | list) and len(answer) == 2 and all(isinstance(x, Tensor) for x in answer)):
        raise TypeError(f"{name} must return two tensors, logits and values, got {type(answer).__name__}")
    widths = ((game.num_actions,), (game.seats, 1) if one_value else (game.seats,))
    for what, tensor, width in zip(("logits", "values"), answer, widths, strict=True):
        shapes = " or ".join(f"[{count}, {columns}]" for columns in width)
        if (
            not tensor.is_floating_point()
            or tensor.device != state.device
            or list(tensor.shape) not in ([count, columns] for columns in width)
        ):
            raise TypeError(
                f"{name} must return {what} {shapes} of floating point on {state.device} in a game of {game.name}, got "
                f"{list(tensor.shape)} {tensor.dtype} on {tensor.device}"
            )
    if compacts(state.device) and not torch.compiler.is_compiling() and (answer[0].sum() + answer[1].sum()).isnan():
        wrong = "logits" if answer[0].isnan().any() else "values"
        raise ValueError(f"{name} has answered {wrong} that are not finite in a game of {game.name}")
    return answer[0], answer[1]


class NetworkEvaluator:
    """Judges by a network of what the mover knows.

    Values come by relative seat. A network with one value is asked for each seat's view in turn. A network that says
    ``needs_mask = False`` is given None for the legal mask. One that says ``skips_rows = True`` is told which positions
    count, see `only`, as ``live`` [K] bool.
    """

    sees_hidden = False

    def __init__(self, network: Network) -> None:
        self.network = network
        self.needs_mask = getattr(network, "needs_mask", True)
        self.live: Tensor | None = None  # [K] bool, the positions that count; None for all

    def observe(self, game: Game, state: State) -> Tensor:
        """What the movers know: [K, features] float32."""
        return game.observe(state)

    def observing(self, observe: Callable[[Game, State], Tensor]) -> Self:
        """The evaluator with another way to the same features."""
        other = copy(self)
        other.observe = observe
        return other

    def evaluate(self, game: Game, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
        mask, mover = self._mask(game, state), game.mover(state)
        logits, values = self._ask(game, state, mask)
        if values.shape[1] == 1:
            views = [self.network(game.observe(state, (mover + k) % game.seats), mask)[1] for k in range(1, game.seats)]
            values = torch.cat([values, *views], dim=1)
        return logits, to_absolute(values, mover)

    def _mask(self, game: Game, state: State) -> Tensor | None:
        """The legal mask, if the network needs it."""
        return game.policy_mask(state) if self.needs_mask else None

    def _ask(self, game: Game, state: State, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """What one call of the network says: logits, and values by relative seat, or the mover's only."""
        counting = {} if self.live is None else {"live": self.live}
        answer = self.answered(self.network(self.observe(game, state), mask, *self.beside(game, state), **counting))
        return check_answer(answer, self.network, game, state, one_value=not self.sees_hidden)

    def beside(self, game: Game, state: State) -> tuple[Tensor, ...]:
        """What the network is given besides features and legal mask."""
        return ()

    def answered(self, answer: object) -> object:
        """Logits and values of what the network has answered."""
        return answer


class CriticEvaluator(NetworkEvaluator):
    """Judges by a network whose policy sees what the mover knows, and whose values are those of a critic that also sees
    the other hands of the world. These, [K, (seats - 1) * card ids] float32, are the network's third argument. One that
    has other values as well, such as `net.BlobNet`, answers the critic's after them."""

    sees_hidden = True

    def beside(self, game: Game, state: State) -> tuple[Tensor, ...]:
        return (unpack(game.others_hands(state), torch.float32, game.layout.size).flatten(1),)

    def answered(self, answer: object) -> object:
        return (answer[0], answer[2]) if isinstance(answer, tuple | list) and len(answer) == 3 else answer


class PlayoutEvaluator:
    """Uniform priors, and the mean result of games played to the end at random: a search that needs no network."""

    sees_hidden = True

    def __init__(self, playouts: int = 1) -> None:
        if not 1 <= playouts <= 1 << (SIMULATION_BITS - 8):
            raise ValueError(f"playouts must be from 1 to {1 << (SIMULATION_BITS - 8)}, got {playouts}")
        self.playouts = playouts

    def evaluate(self, game: Game, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
        apart = max(PLAYOUT_BLOCKS, game.decisions)
        if apart * self.playouts > 1 << SIMULATION_BITS:
            most = (1 << SIMULATION_BITS) // apart
            raise ValueError(f"playouts must be from 1 to {most} in a game of up to {game.decisions:,} decisions")
        total = sum(play_out(game, state, stream.at(stream.offset + apart * k)) for k in range(self.playouts))
        return total.new_zeros(state.batch_size, game.num_actions), total / self.playouts


def as_evaluator(evaluator: Evaluator | Network) -> Evaluator:
    """The evaluator itself, or a network wrapped into one: with its critic, if it says that it has one. Raises
    ValueError, in one line, on what is neither."""
    if hasattr(evaluator, "evaluate"):
        return evaluator
    if not callable(evaluator):
        raise ValueError(f"an evaluator, or a network that can be called, is needed; got a {type(evaluator).__name__}")
    return CriticEvaluator(evaluator) if getattr(evaluator, "has_critic", False) else NetworkEvaluator(evaluator)


def is_plain(evaluator: Evaluator) -> bool:
    """Whether an evaluator judges as its type says, by its network, and by no state or method of its own."""
    return type(evaluator) in (NetworkEvaluator, CriticEvaluator) and "observe" not in vars(evaluator)


def only(live: Tensor, evaluator: Evaluator) -> Evaluator:
    """The evaluator for K positions of which those in ``live`` [K] bool count; of the others it may tell anything."""
    if not (isinstance(evaluator, NetworkEvaluator) and getattr(evaluator.network, "skips_rows", False)):
        return evaluator
    other = copy(evaluator)
    other.live = live
    return other


def policy_of(evaluator: Evaluator, game: Game, state: State, stream: Stream) -> Tensor:
    """The logits [K, num_actions] of `Evaluator.evaluate`, for those who need no values: of a network with one value
    nobody's view but the mover's is asked for."""
    if getattr(evaluator.evaluate, "__func__", None) is not NetworkEvaluator.evaluate:
        return evaluator.evaluate(game, state, stream)[0]
    return evaluator._ask(game, state, evaluator._mask(game, state))[0]


def to_absolute(values: Tensor, mover: Tensor) -> Tensor:
    """Values [K, seats] by relative seat (0 = ``mover`` [K] int64) -> by absolute seat."""
    seats = values.shape[1]
    return values.gather(1, (torch.arange(seats, device=values.device) - mover[:, None]) % seats)


def to_relative(values: Tensor, mover: Tensor) -> Tensor:
    """Values [K, seats] by absolute seat -> by relative seat (0 = ``mover`` [K] int64)."""
    seats = values.shape[1]
    return values.gather(1, (torch.arange(seats, device=values.device) + mover[:, None]) % seats)


def random_action(game: Game, state: State, uniform: Tensor) -> Tensor:
    """A legal action drawn uniformly by one number in [0, 1) a lane: [B] int64."""
    actions = game.legal_actions(state)
    count = (actions >= 0).sum(-1)
    choice = (uniform * count).long().clamp(max=actions.shape[1] - 1)
    return actions.gather(1, choice[:, None])[:, 0]


def play_out(game: Game, state: State, stream: Stream) -> Tensor:
    """Plays every lane to its end by uniformly random moves, one decision at a time: a forced move is the only one to
    draw, and to look for those that may be played together costs more than it saves.

    Returns:
        [K, seats] float32 values by absolute seat.
    """
    values = game.values(state)
    lanes = torch.arange(state.batch_size, device=state.device)
    for decision in range(game.decisions):
        if not compacts(state.device) and ended(partial(game.is_terminal, state), decision, state.device):
            break
        uniform = stream.at(stream.offset + decision).uniform(Purpose.PLAYOUT, 1)[:, 0]
        state = game.step(state, random_action(game, state, uniform))
        if compacts(state.device):  # drop the finished games
            done = game.is_terminal(state)
            values[lanes[done]] = game.values(state[done])
            going = (~done).nonzero()[:, 0]
            if len(going) == 0:
                return values
            if len(going) < len(done):
                state, stream, lanes = state.take(going), stream.take(going), lanes[going]
    return game.values(state)
