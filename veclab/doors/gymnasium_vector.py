"""A batch of games as a Gymnasium vector environment: one agent at one seat of each, with opponents inside.

    import gymnasium
    import veclab.doors.gymnasium_env

    tables = gymnasium.make_vec("vecgame/Hearts-v0", num_envs=512, opponents="random")
    observations, infos = tables.reset(seed=7)  # [512, F]; infos["action_mask"] is [512, A]

What `veclab.doors.gymnasium_env` says of one game holds for each of these. No step has a loop over games; opponents
move for all games at once. Games take the numbers of one run in the order in which they are begun, so that the first N
games are those of any other number of environments with the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from vecgame import Game
from vecgame.philox import check_seed
from veclab.doors.gymnasium_env import check_begun, spaces_of
from veclab.doors.seated import Opponent, SeatedGames, players_of
from veclab.doors.shared import check_render_mode, fresh_seed, game_named, render_modes, shown

Infos = dict[str, Any]


class GameVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """The environment. `game` and `table` (all games) are there to be read."""

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": ["ansi", "svg"],
        "render_fps": 1,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        game: Game | str = "blob",
        seat: int | str = 0,
        opponents: Opponent | Sequence[Opponent] = "random",
        render_mode: str | None = None,
        rules: Mapping[str, object] | None = None,
        device: str | torch.device = "cpu",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        """
        Args:
            num_envs: games at once, B.
            game, seat, opponents, rules, device: as of `veclab.doors.gymnasium_env.GameEnv`.
            render_mode: "ansi" and, in a game with hands, "svg" make `render` return a text or picture for each game.
            autoreset_mode: NEXT_STEP begins another game in the step after the last, whatever the action; SAME_STEP in
                that step, with ``infos["final_obs"]`` and ``infos["final_info"]``; DISABLED at ``reset(options=
                {"reset_mask": [B] bool})``, which the other modes take too.

        Raises:
            ValueError: in one line, on any of these that cannot be.
        """
        self.game = game_named(game, rules)
        if render_mode == "human":
            raise ValueError("render_mode 'human' is for one game; of many take 'ansi'")
        check_render_mode(render_mode, self.game)
        self.render_mode, self.num_envs = render_mode, num_envs
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        modes = [mode for mode in render_modes(self.game) if mode != "human"]
        self.metadata = {**type(self).metadata, "render_modes": modes, "autoreset_mode": self.autoreset_mode}
        self.table = SeatedGames(self.game, seat, players_of(opponents, self.game, device), num_envs, device)
        self.single_observation_space, self.single_action_space = spaces_of(self.game)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._over: np.ndarray | None = None  # [B] bool; None: nothing has been dealt yet

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, Infos]:
        """Deals the next games of the run, or the first of the run that ``seed`` names.

        Args:
            options: ``{"reset_mask": [B] bool}`` begins other games in those lanes only.

        Raises:
            ValueError: on a seed that is none, and on other options.
        """
        lanes = self._reset_mask(seed, options)
        super().reset(seed=seed)
        if seed is not None or self._over is None:
            self.table.begin(fresh_seed() if seed is None else check_seed(seed))
        else:
            self.table.deal(self._tensor(lanes))
        self._over = np.zeros(self.num_envs, dtype=bool) if self._over is None else self._over & ~lanes
        return self._observations(), self._infos(lanes)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Infos]:
        """Takes an action in each game and plays on to the seats' next decisions, or the ends.

        Args:
            actions: [B] integers, columns of ``infos["action_mask"]``.

        Returns:
            observations [B, F] float32, rewards [B] float64, terminations [B] bool, truncations [B] bool (none), infos.

        Raises:
            ValueError: on another shape, or an action outside of the action space where a game goes on. ResetNeeded:
                before a reset, and in the mode DISABLED where a game is over.
        """
        check_begun(self._over)
        if self.autoreset_mode == AutoresetMode.DISABLED and self._over.any():
            raise ResetNeeded(f"game {int(self._over.argmax())} of the batch is over: reset it by its reset_mask first")
        lanes = ~self._over
        reward = self.table.play(self._tensor(self._columns(actions, lanes)), self._tensor(lanes))
        if self._over.any():  # those that the mode NEXT_STEP left over
            self.table.deal(self._tensor(self._over))
        over, illegal = self._array(self.table.over), self._array(self.table.forfeited)
        final: Infos = {}
        self._over = over.copy()  # what is returned is the caller's
        if self.autoreset_mode == AutoresetMode.SAME_STEP and over.any():
            final = self._final(over, illegal)
            self.table.deal(self._tensor(over))
            self._over, illegal = np.zeros_like(over), illegal & ~over
        infos = {**self._infos(illegal=illegal), **final}
        return self._observations(), self._array(reward), over, np.zeros_like(over), infos

    def action_masks(self) -> np.ndarray:
        """What the seats may do: [B, A] bool. Raises ResetNeeded before a reset."""
        check_begun(self._over)
        return self._array(self.table.masks())

    def render(self) -> tuple[str, ...] | None:
        """Each game as its own seat sees it."""
        if self.render_mode is None:
            return None
        check_begun(self._over)
        seats = self.table.seat.tolist()
        return tuple(shown(self.game, self.table.state, k, seat, self.render_mode) for k, seat in enumerate(seats))

    def close_extras(self, **kwargs: object) -> None:
        """Ends the opponents that are programs."""
        self.table.close()

    def _reset_mask(self, seed: int | None, options: dict[str, Any] | None) -> np.ndarray:
        """The lanes that a reset is for: [B] bool."""
        every, options = np.ones(self.num_envs, dtype=bool), dict(options or {})
        mask = np.asarray(options.pop("reset_mask", every))
        if options:
            raise ValueError(f"reset has no option but 'reset_mask', got {', '.join(map(str, options))}")
        if mask.shape != every.shape or mask.dtype != bool or not mask.any():
            raise ValueError(
                f"reset_mask must be [{self.num_envs}] bool, one of them true; got {list(mask.shape)} of {mask.dtype}"
            )
        if not mask.all() and (seed is not None or self._over is None):
            raise ValueError("a reset of some games only goes on with the run: it takes no seed, and is not the first")
        return mask

    def _columns(self, actions: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        """Actions as [B] int64. Raises ValueError where they are none in games [B] bool that go on."""
        columns, most = np.asarray(actions), self.game.num_actions - 1
        if columns.shape != (self.num_envs,) or columns.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be {self.num_envs} integers, got shape {list(columns.shape)} of {columns.dtype}"
            )
        if wrong := np.flatnonzero(lanes & ((columns < 0) | (columns > most))).tolist():
            raise ValueError(f"actions must be from 0 to {most}, got {columns[wrong[0]]} in game {wrong[0]}")
        return columns.astype(np.int64)

    def _observations(self) -> np.ndarray:
        return self._array(self.table.observations())

    def _infos(self, lanes: np.ndarray | None = None, illegal: np.ndarray | None = None) -> Infos:
        """What is said of some games, [B] bool, or of all, as Gymnasium has it: under ``_key`` of which games."""
        told = {
            "action_mask": self.action_masks().astype(np.int8),
            "seat": self._array(self.table.seat),
            "game": self._array(self.table.state.index),
            "illegal": np.zeros(self.num_envs, dtype=bool) if illegal is None else illegal,
        }
        whose = np.ones(self.num_envs, dtype=bool) if lanes is None else lanes
        return told | {f"_{key}": whose.copy() for key in told}

    def _final(self, over: np.ndarray, illegal: np.ndarray) -> Infos:
        """The last observations and infos of games [B] bool that are over."""
        observations = np.full(self.num_envs, None, dtype=object)
        observations[over] = np.fromiter(self._observations()[over], dtype=object, count=int(over.sum()))
        infos = self._infos(over, illegal)
        return {"final_obs": observations, "_final_obs": over.copy(), "final_info": infos, "_final_info": over.copy()}

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.table.device)

    def _array(self, tensor: Tensor) -> np.ndarray:
        """A tensor as an array with memory of its own."""
        return np.array(tensor.cpu().numpy())
