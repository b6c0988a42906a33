"""Ways to learn Blob from nothing that a user could pick: vecgame's, OpenSpiel's own learners, TorchRL's PPO.

Each learns Blob with a point off for each trick away from a missed bid, for that is the scoring that OpenSpiel's
`oh_hell` knows. vecgame and TorchRL have a trump drawn at random, which in one game of five is none; OpenSpiel's have
always one, as `oh_hell` has, and so have the games in which all are judged. OpenSpiel's settings are those of its
examples with DQN and NFSP, an agent a seat, `oh_hell` in its own Environment; TorchRL's are those of
`examples/torchrl_ppo.py`, through `veclab.doors.torchrl_env`.

OpenSpiel and TorchRL are imported by their own classes only, which raise ModuleNotFoundError where one is missing.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from net import InferenceNet
from vecgame import Blob, BlobState, Game
from vecgame.cards import DECK
from veclab.arena import oh_hell
from veclab.arena.bots import HistoryPlayer, NetworkPlayer, Player, RuleBot
from veclab.arena.matches import play_match
from veclab.arena.mirror import Mirrored, MirroredPlayer
from veclab.bench.compared import fitting, trained
from veclab.presets import from_flags
from veclab.settings import Settings

if TYPE_CHECKING:
    import pyspiel

RULES = "miss_penalty=1"


class Learner(Protocol):
    """Something that learns, and can be asked to play."""

    name: str
    games: int  # that it has learned from

    def learn(self, seconds: float) -> float:
        """Learns until it has done so for about ``seconds`` in all; returns how long it really has."""

    def player(self) -> Player | HistoryPlayer:
        """What it would play with now."""


def games_of(cards: int) -> list[Blob]:
    """What OpenSpiel's learn and all are judged in: Blob with each suit as trump, for it knows no deals without."""
    return oh_hell.playable(Blob(cards=cards, miss_penalty=1))


def judged(learner: Learner, seconds: float, games: Sequence[Game], deals: int) -> dict[str, object]:
    """Learns, and plays one against three rule-based players, each deal from every seat; the figures of it."""
    taken = learner.learn(seconds)
    match = play_match(games, learner.player(), RuleBot(), deals, seed=2)
    figures = {"learner": learner.name, "seconds": taken, "learned": learner.games, "deals": deals}
    return {**figures, **match.to_dict()}


class Vecgame:
    """`vecgame train --learner policy-gradient`: for each length a run of its own, over which the rates fall."""

    def __init__(self, cards: int, seed: int) -> None:
        self.name, self.games = f"vecgame {version('vecgame')}, policy gradient", 0
        self.cards, self.seed = cards, seed
        self.network: InferenceNet | None = None

    def settings(self, updates: int) -> Settings:
        given = {"cards": str(self.cards), "rules": RULES, "seed": self.seed, "device": "cpu", "updates": updates}
        return from_flags("quick", {**given, "learner": "policy-gradient", "checkpoint_seconds": 10**6})

    def learn(self, seconds: float) -> float:
        with tempfile.TemporaryDirectory() as folder:
            updates = fitting(lambda updates: self._run(Path(tempfile.mkdtemp(dir=folder), "trial"), updates), seconds)
            taken = self._run(Path(folder) / "run", updates)
        self.games = updates * self.settings(updates).update_games
        return taken

    def _run(self, folder: Path, updates: int) -> float:
        begun = time.perf_counter()
        run = trained(folder, self.settings(updates))
        self.network = InferenceNet(run.learner.averaged())
        return time.perf_counter() - begun

    def player(self) -> NetworkPlayer:
        return NetworkPlayer(self.network)


class OpenSpiel:
    """One of OpenSpiel's PyTorch agents at every seat of `oh_hell`, all of which learn."""

    def __init__(self, agent: str, cards: int, seed: int) -> None:
        from open_spiel.python import rl_environment
        from open_spiel.python.pytorch import dqn, nfsp

        spiel = oh_hell.load(cards)
        self.environment = rl_environment.Environment(spiel, chance_event_sampler=_sampler(seed))
        size = self.environment.observation_spec()["info_state"][0]
        actions = self.environment.action_spec()["num_actions"]
        self.name, self.games, self.learned = f"OpenSpiel {version('open_spiel')}, {agent}", 0, 0.0
        if agent == "DQN":  # as in examples/breakthrough_dqn.py
            self.agents = [
                dqn.DQN(
                    seat,
                    size,
                    actions,
                    hidden_layers_sizes=[64, 64],
                    replay_buffer_capacity=100_000,
                    batch_size=32,
                    seed=seed + seat,
                )
                for seat in range(spiel.num_players())
            ]
        else:  # as in examples/leduc_nfsp.py
            self.agents = [
                nfsp.NFSP(
                    seat,
                    size,
                    actions,
                    hidden_layers_sizes=[128],
                    reservoir_buffer_capacity=2_000_000,
                    anticipatory_param=0.1,
                    seed=seed + seat,
                    replay_buffer_capacity=200_000,
                    epsilon_decay_duration=20_000_000,
                    epsilon_start=0.06,
                    epsilon_end=0.001,
                )
                for seat in range(spiel.num_players())
            ]

    def learn(self, seconds: float) -> float:
        begun = time.perf_counter() - self.learned
        while time.perf_counter() - begun < seconds:
            step = self.environment.reset()
            while not step.last():
                mover = step.observations["current_player"]
                step = self.environment.step([self.agents[mover].step(step).action])
            for agent in self.agents:
                agent.step(step)
            self.games += 1
        self.learned = time.perf_counter() - begun
        return self.learned

    def player(self) -> OpenSpielPlayer:
        return OpenSpielPlayer(self.agents)


def _sampler(seed: int) -> object:
    from open_spiel.python.rl_environment import ChanceEventSampler

    return ChanceEventSampler(seed)


class OpenSpielPlayer(MirroredPlayer):
    """OpenSpiel's agents, that of the seat that moves; NFSP by its average policy, which is the one that it learns."""

    def __init__(self, agents: list[object]) -> None:
        self.agents, self.name = agents, type(agents[0]).__name__

    def decide(self, mirrored: Mirrored, seed: int, number: int) -> int:
        from open_spiel.python.pytorch import nfsp

        position = next(mirrored.positions(mirrored.state.hands))
        agent = self.agents[position.current_player()]
        if isinstance(agent, nfsp.NFSP):
            with agent.temp_mode_as(nfsp.MODE.AVERAGE_POLICY):
                return int(agent.step(_time_step(position), is_evaluation=True).action)
        return int(agent.step(_time_step(position), is_evaluation=True).action)


def _time_step(position: pyspiel.State) -> object:
    """What OpenSpiel's Environment would show of a position."""
    from open_spiel.python.rl_environment import StepType, TimeStep

    seats = range(position.num_players())
    observations = {
        "info_state": [position.information_state_tensor(seat) for seat in seats],
        "legal_actions": [position.legal_actions(seat) for seat in seats],
        "current_player": position.current_player(),
        "serialized_state": [],
    }
    return TimeStep(observations=observations, rewards=None, discounts=None, step_type=StepType.MID)


class TorchRL:
    """TorchRL's GAE and ClipPPOLoss over whole games, as in `examples/torchrl_ppo.py`."""

    GAMES, EPOCHS, MINIBATCH, LEARNING_RATE, ENTROPY = 512, 2, 1024, 2e-3, 0.01

    def __init__(self, cards: int, seed: int) -> None:
        from tensordict.nn import TensorDictModule, TensorDictSequential
        from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
        from torchrl.objectives import ClipPPOLoss
        from torchrl.objectives.value import GAE

        from veclab.doors.torchrl_env import GameEnv

        torch.manual_seed(seed)
        self.name, self.games, self.learned = f"TorchRL {version('torchrl')}, PPO", 0, 0.0
        self.environment = GameEnv(Blob(cards=cards, miss_penalty=1), self.GAMES, seed)
        self.logits = _mlp(self.environment.game, DECK)
        self.actor = ProbabilisticActor(
            TensorDictSequential(TensorDictModule(self.logits, in_keys=["observation"], out_keys=["logits"])),
            in_keys={"logits": "logits", "mask": "action_mask"},
            distribution_class=MaskedCategorical,
            return_log_prob=True,
        )
        critic = ValueOperator(_mlp(self.environment.game, 1), in_keys=["observation"])
        self.advantage = GAE(gamma=1.0, lmbda=0.95, value_network=critic)
        self.loss = ClipPPOLoss(
            self.actor, critic, entropy_coeff=self.ENTROPY, normalize_advantage=True, loss_critic_type="l2"
        )
        self.optimizer = torch.optim.Adam(self.loss.parameters(), lr=self.LEARNING_RATE)

    def learn(self, seconds: float) -> float:
        begun = time.perf_counter() - self.learned
        while time.perf_counter() - begun < seconds:
            self._update()
            self.games += self.GAMES
        self.learned = time.perf_counter() - begun
        return self.learned

    def _update(self) -> None:
        from veclab.doors.torchrl_env import by_seat

        game = self.environment.game
        with torch.no_grad():
            batch = by_seat(self.environment.rollout(game.decisions, self.actor).exclude("logits"))
            batch["next", "reward"] /= game.highest - game.lowest
            self.advantage(batch)
        batch = batch[batch["valid"] & (batch["action_mask"].sum(-1) > 1)]  # a forced move teaches the policy nothing
        for _ in range(self.EPOCHS):
            for rows in torch.randperm(len(batch)).split(self.MINIBATCH):
                losses = self.loss(batch[rows])
                self.optimizer.zero_grad()
                (losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]).backward()
                nn.utils.clip_grad_norm_(self.loss.parameters(), 1.0)
                self.optimizer.step()

    def player(self) -> LogitsPlayer:
        return LogitsPlayer(self.logits, self.name)


def _mlp(game: Game, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(game.features, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, outputs)
    )


class LogitsPlayer:
    """The most probable action of a module of logits; see `veclab.arena.bots.Player`."""

    def __init__(self, logits: nn.Module, name: str) -> None:
        self.logits, self.name = logits, name

    @torch.no_grad()
    def act(self, game: Blob, state: BlobState, seed: int) -> Tensor:
        """[B] int64."""
        logits = self.logits(game.observe(state))
        actions = game.legal_actions(state)
        best = game.slot_logits(state, actions, logits).argmax(-1)
        return actions.gather(1, best[:, None])[:, 0]


ALL: tuple[Callable[..., Learner], ...] = (
    Vecgame,
    partial(OpenSpiel, "DQN"),
    partial(OpenSpiel, "NFSP"),
    TorchRL,
)
