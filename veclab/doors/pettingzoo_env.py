"""Any game as a PettingZoo AEC environment: one game, an agent ``seat_0``, ``seat_1``, .. for each seat.

    from veclab.doors.pettingzoo_env import env

    table = env(Hearts(passing="rotate"))
    table.reset(seed=7)
    for agent in table.agent_iter():
        observation, reward, termination, truncation, info = table.last()
        table.step(None if termination else table.action_space(agent).sample(observation["action_mask"]))

An observation is ``{"observation": [F] float32, "action_mask": [A] int8}`` as in PettingZoo's own card games, with the
game's features and actions; the mask of an agent that is not to move is all zeros. Actions are columns in the frame of
the observation (`veclab.doors.shared`). Rewards are 0 until the last move; then every agent gets its score.

The game is a batch of one of `vecgame`: after ``reset(seed=s)`` it is game 0 of ``game.deal(.., seed=s)``, and every
later ``reset()`` deals the next game of that run, so that what was learned from here can be compared, game by game,
with what a batch of thousands does. Until a reset names a seed, the run is one that nobody has played yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import AECEnv
from pettingzoo.utils import wrappers

from vecgame import Game, State
from vecgame.philox import check_seed
from veclab.doors.shared import action_at, check_render_mode, fresh_seed, game_named, render_modes, shown


def env(game: Game | str = "blob", render_mode: str | None = None, rules: Mapping[str, object] | None = None) -> AECEnv:
    """`GameAEC` in PettingZoo's usual wrappers. An illegal action ends the game, with a point less than the lowest
    score for the agent that took it and 0 for the others; what is no action at all is an AssertionError."""
    bare = GameAEC(game, render_mode, rules)
    wrapped = wrappers.TerminateIllegalWrapper(bare, illegal_reward=bare.game.lowest - 1)
    return wrappers.OrderEnforcingWrapper(wrappers.AssertOutOfBoundsWrapper(wrapped))


class GameAEC(AECEnv):
    """The bare environment. `game` and `position` (a batch of one) are there to be read, by a bot or a test."""

    position: State  # the game, of batch size 1

    def __init__(
        self, game: Game | str = "blob", render_mode: str | None = None, rules: Mapping[str, object] | None = None
    ) -> None:
        """
        Args:
            game: a game, or one by its name or address (FILE.py:CLASS).
            render_mode: "human" prints after every move; "ansi" and, in a game with hands, "svg" make `render` return
                the text or the picture.
            rules: what is changed of the rules of a game given by its name.

        Raises:
            ValueError: in one line, on any of these that cannot be.
        """
        super().__init__()
        self.game = game_named(game, rules)
        check_render_mode(render_mode, self.game)
        self.render_mode = render_mode
        self.metadata = {
            "name": f"vecgame_{self.game.name.replace('-', '_')}_v0",
            "render_modes": render_modes(self.game),
            "is_parallelizable": False,
            "render_fps": 1,
        }
        self.possible_agents = [f"seat_{seat}" for seat in range(self.game.seats)]
        limit, features, actions = self.game.feature_limit, self.game.features, self.game.num_actions
        self.observation_spaces = {
            agent: spaces.Dict(
                {
                    "observation": spaces.Box(-limit, limit, (features,), dtype=np.float32),
                    "action_mask": spaces.Box(0, 1, (actions,), dtype=np.int8),
                }
            )
            for agent in self.possible_agents
        }
        self.action_spaces = {agent: spaces.Discrete(actions) for agent in self.possible_agents}
        self._seed: int | None = None  # of the run; None: to be drawn
        self._index = 0

    def observation_space(self, agent: str) -> gymnasium.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Deals the next game of the run, or game 0 of the run that ``seed`` names. Options are passed over, as
        PettingZoo's test wants it: there are none.

        Raises:
            ValueError: on a seed that is none.
        """
        if seed is not None:
            self._seed, self._index = check_seed(seed), 0
        elif self._seed is None:
            self._seed = fresh_seed()
        self.position = self.game.deal(1, self._seed, first_index=self._index)
        self._index += 1
        self.agents = self.possible_agents[:]
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: {} for agent in self.agents}
        self.agent_selection = self._mover()

    def observe(self, agent: str) -> dict[str, np.ndarray]:
        """What the agent knows, and, if it is to move, what it may do; its columns are in the frame of the former."""
        seat = torch.tensor([self.possible_agents.index(agent)])
        mask = torch.zeros(1, self.game.num_actions, dtype=torch.bool)
        if agent == self.agent_selection and not self.game.is_terminal(self.position):
            mask = self.game.policy_mask(self.position)
        return {
            "observation": self.game.observe(self.position, seat)[0].numpy(),
            "action_mask": mask[0].numpy().astype(np.int8),
        }

    def step(self, action: int | None) -> None:
        """Makes the move of `agent_selection`; None for an agent whose game is over.

        Raises:
            ValueError: on an action outside the agent's mask. (`env` wraps this: there it ends the game.)
        """
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self.position = self.game.step(self.position, self._action(action))
        self._cumulative_rewards[agent] = 0.0
        if self.game.is_terminal(self.position):
            self.rewards = dict(zip(self.possible_agents, self.game.scores(self.position)[0].tolist(), strict=True))
            self.terminations = dict.fromkeys(self.agents, True)
        self.agent_selection = self._mover()
        self._accumulate_rewards()
        if self.render_mode == "human":
            self.render()

    def render(self) -> str | None:
        """The game as the agent to move sees it, and all of it once it is over; printed in the mode "human"."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                f"render() does nothing without a render_mode; choose {self.metadata['render_modes']}"
            )
            return None
        over = bool(self.game.is_terminal(self.position))
        seat = None if over else int(self.game.mover(self.position))
        text = shown(self.game, self.position, 0, seat, self.render_mode)
        if self.render_mode == "human":
            print(text)
            return None
        return text

    def close(self) -> None:
        """There is nothing to release."""

    def _mover(self) -> str:
        return self.possible_agents[int(self.game.mover(self.position))]

    def _action(self, column: int | None) -> torch.Tensor:
        """The game's action [1] at a column of the mask. Raises ValueError where there is none."""
        if column in self.action_spaces[self.agent_selection]:
            action, legal = action_at(self.game, self.position, torch.tensor([int(column)]))
            if legal:
                return action
        legal = self.game.policy_mask(self.position)[0].nonzero()[:, 0].tolist()
        raise ValueError(f"action {column!r} of {self.agent_selection} is illegal; its mask allows {legal}")
