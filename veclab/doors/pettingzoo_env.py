"""Blob as a PettingZoo AEC environment: one game, agents ``seat_0`` .. ``seat_3``.

    from veclab.doors.pettingzoo_env import env

    blob = env(Blob(cards=5))
    blob.reset(seed=7)
    for agent in blob.agent_iter():
        observation, reward, termination, truncation, info = blob.last()
        blob.step(None if termination else blob.action_space(agent).sample(observation["action_mask"]))

An observation is ``{"observation": [256] float32, "action_mask": [52] int8}`` as in PettingZoo's own card games; the
mask of an agent that is not to move is all zeros. Actions are columns in the frame of the observation
(`veclab.doors.shared`). Rewards are 0 until the last card; then every agent gets its score.

The game is a batch of one of `vecgame`: after ``reset(seed=s)`` it is game 0 of ``Blob.deal(.., seed=s)``, and every
later ``reset()`` deals the next game of that run, so that what was learned from here can be compared, game by game,
with what a batch of thousands does.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import AECEnv
from pettingzoo.utils import wrappers

from vecgame import Blob, BlobState
from vecgame.cards import DECK, SEATS, TRUMP_NAMES, unpack
from vecgame.philox import check_seed
from veclab.doors.shared import action_of_column, card_name, four_seats, observation_bounds

AGENTS = tuple(f"seat_{seat}" for seat in range(SEATS))


def env(game: Blob | None = None, seed: int = 0, render_mode: str | None = None) -> AECEnv:
    """`BlobAEC` in PettingZoo's usual wrappers: an illegal action ends the game, with -1 for the agent that took it."""
    wrapped = wrappers.TerminateIllegalWrapper(BlobAEC(game, seed, render_mode), illegal_reward=-1)
    return wrappers.OrderEnforcingWrapper(wrappers.AssertOutOfBoundsWrapper(wrapped))


class BlobAEC(AECEnv):
    """The bare environment. `game` and `position` (a batch of one) are there to be read, by a bot or a test."""

    metadata = {  # noqa: RUF012 - PettingZoo reads a plain dict of the class
        "name": "vecgame_blob_v0",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": False,
        "render_fps": 1,
    }
    position: BlobState  # the game, of batch size 1

    def __init__(self, game: Blob | None = None, seed: int = 0, render_mode: str | None = None) -> None:
        """
        Args:
            game: the rules; Blob() by default.
            seed: of the run of games that is dealt until a reset names another seed.
            render_mode: "human" prints after every move, "ansi" makes `render` return the text.

        Raises:
            ValueError: on a render mode that there is not, or a seed that is none.
        """
        super().__init__()
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be None, 'human' or 'ansi', got {render_mode!r}")
        self.game = four_seats(game)
        self.render_mode = render_mode
        self.possible_agents = list(AGENTS)
        low, high = (bound.numpy() for bound in observation_bounds())
        self.observation_spaces = {
            agent: spaces.Dict(
                {
                    "observation": spaces.Box(low, high, dtype=np.float32),
                    "action_mask": spaces.Box(0, 1, (DECK,), dtype=np.int8),
                }
            )
            for agent in AGENTS
        }
        self.action_spaces = {agent: spaces.Discrete(DECK) for agent in AGENTS}
        self._seed, self._index = check_seed(seed), 0

    def observation_space(self, agent: str) -> gymnasium.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Deals the next game of the run, or game 0 of the run that ``seed`` names. There are no options."""
        if seed is not None:
            self._seed, self._index = check_seed(seed), 0
        self.position = self.game.deal(1, self._seed, first_index=self._index)
        self._index += 1
        self.agents = self.possible_agents[:]
        self.rewards = dict.fromkeys(AGENTS, 0.0)
        self._cumulative_rewards = dict.fromkeys(AGENTS, 0.0)
        self.terminations = dict.fromkeys(AGENTS, False)
        self.truncations = dict.fromkeys(AGENTS, False)
        self.infos = {agent: {} for agent in AGENTS}
        self.agent_selection = self._mover()

    def observe(self, agent: str) -> dict[str, np.ndarray]:
        """What the agent knows, and, if it is to move, what it may do; its columns are in the frame of the former."""
        seat = torch.tensor([AGENTS.index(agent)])
        mask = torch.zeros(1, DECK, dtype=torch.bool)
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
        legal = self.game.policy_mask(self.position)[0].nonzero()[:, 0].tolist()
        if action not in legal:
            raise ValueError(f"action {action!r} of {agent} is illegal; its mask allows {legal}")
        self.position = self.game.step(self.position, action_of_column(self.position, torch.tensor([int(action)])))
        self._cumulative_rewards[agent] = 0.0
        if self.game.is_terminal(self.position):
            self.rewards = dict(zip(AGENTS, self.game.scores(self.position)[0].tolist(), strict=True))
            self.terminations = dict.fromkeys(AGENTS, True)
        self.agent_selection = self._mover()
        self._accumulate_rewards()
        if self.render_mode == "human":
            self.render()

    def render(self) -> str | None:
        """The table as the agent to move sees it, as text; printed in the mode "human"."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() does nothing without a render_mode; choose 'human' or 'ansi'")
            return None
        text = self._text()
        if self.render_mode == "human":
            print(text)
            return None
        return text

    def close(self) -> None:
        """There is nothing to release."""

    def _mover(self) -> str:
        return AGENTS[int(self.game.mover(self.position))]

    def _text(self) -> str:
        position = self.position
        trump, dealer = TRUMP_NAMES[int(position.trump)], AGENTS[int(position.dealer)]
        lines = [f"hands of {self.game.cards}, trump {trump}, {dealer} deals"]
        over = bool(self.game.is_terminal(position))
        scores = self.game.scores(position)[0].tolist()
        for agent, card, bid, won, score in zip(
            AGENTS, position.trick[0].tolist(), position.bids[0].tolist(), position.won[0].tolist(), scores, strict=True
        ):
            to_move = ">" if agent == self.agent_selection and not over else " "
            played = card_name(card) if card >= 0 else "--"
            end = f"  {score:g} points" if over else ""
            lines.append(f"{to_move} {agent}  {played}  bid {bid if bid >= 0 else '-'}  won {won}{end}")
        if not over:
            hand = unpack(position.hands[0, AGENTS.index(self.agent_selection)]).nonzero()[:, 0].tolist()
            lines.append(f"{self.agent_selection} holds {' '.join(card_name(card) for card in hand)}")
        return "\n".join(lines)
