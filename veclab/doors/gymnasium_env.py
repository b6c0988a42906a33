"""Any game as a Gymnasium environment: one agent at one seat, with opponents inside.

    import gymnasium
    import veclab.doors.gymnasium_env  # registers vecgame/Blob-v0, vecgame/Hearts-v0 and so on, and vecgame/Game-v0

    table = gymnasium.make("vecgame/Hearts-v0", rules={"passing": "rotate"}, opponents="random")
    observation, info = table.reset(seed=7)
    observation, reward, terminated, truncated, info = table.step(table.action_space.sample(info["action_mask"]))

An observation is what the own seat knows at its decisions, [F] float32; the moves of the others, partners too, are
made within a step. An action is a column in the frame of the observation (`veclab.doors.shared`). What may be done is
in ``info["action_mask"]``, [A] int8, as `gymnasium.spaces.Discrete.sample` takes it, and in `action_masks`, [A] bool,
as sb3-contrib's MaskablePPO does. The reward is 0 until the game is over, and then the own seat's score.

An illegal action ends the game with a point less than the lowest score and ``info["illegal"]`` true.

After ``reset(seed=s)`` the game is the first of ``game.deal(.., seed=s)`` in which the seat has something to decide,
and every later ``reset()`` deals the next. Without a seed the run is one that nobody has played yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from vecgame import GAMES, Game
from vecgame.philox import check_seed
from veclab.doors.seated import Opponent, SeatedGames, players_of
from veclab.doors.shared import check_render_mode, fresh_seed, game_named, render_modes, shown

NAMESPACE = "vecgame"


class GameEnv(gymnasium.Env[np.ndarray, np.int64]):
    """The environment. `game` and `table` (a batch of one) are there to be read."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["human", "ansi", "svg"], "render_fps": 1}

    def __init__(
        self,
        game: Game | str = "blob",
        seat: int | str = 0,
        opponents: Opponent | Sequence[Opponent] = "random",
        render_mode: str | None = None,
        rules: Mapping[str, object] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        """
        Args:
            game: a game, or one by its name or address (FILE.py:CLASS).
            seat: the agent's, or "random": another from game to game.
            opponents: who has the other seats, one for all or one for each in the order after the own seat: a bot's
                name, cmd:COMMAND, FILE.py:CLASS, a network's file or a run's folder, or a player
                (`veclab.arena.bots.Player`).
            render_mode: "human" prints at every decision; "ansi" and, in a game with hands, "svg" make `render` return
                the text or the picture.
            rules: what is changed of the rules of a game given by its name.
            device: where the game and the opponents are; observations are NumPy's.

        Raises:
            ValueError: in one line, on any of these that cannot be.
        """
        self.game = game_named(game, rules)
        check_render_mode(render_mode, self.game)
        self.render_mode = render_mode
        self.metadata = {**type(self).metadata, "render_modes": render_modes(self.game)}
        self.observation_space, self.action_space = spaces_of(self.game)
        self.table = SeatedGames(self.game, seat, players_of(opponents, self.game, device), games=1, device=device)
        self._over: bool | None = None  # None: nothing has been dealt yet

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Deals the next game of the run, or the first of the run that ``seed`` names.

        Raises:
            ValueError: on a seed that is none, and on options: there are none.
        """
        if options:
            raise ValueError(f"reset has no options, got {', '.join(map(str, options))}")
        super().reset(seed=seed)
        if seed is not None or self._over is None:
            self.table.begin(fresh_seed() if seed is None else check_seed(seed))
        else:
            self.table.deal(torch.ones(1, dtype=torch.bool, device=self.table.device))
        self._over = False
        self._print()
        return self._observation(), self._info(illegal=False)

    def step(self, action: int | np.integer) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Takes an action and plays on to the seat's next decision, or the end.

        Raises:
            ValueError: on what is outside of the action space. ResetNeeded: when the game is over.
        """
        check_begun(self._over)
        if self._over:
            raise ResetNeeded("the game is over: call reset() before step()")
        if action not in self.action_space:
            raise ValueError(f"action must be an integer from 0 to {self.game.num_actions - 1}, got {action!r}")
        every = torch.ones(1, dtype=torch.bool, device=self.table.device)
        reward = self.table.play(torch.tensor([int(action)], device=self.table.device), every)
        self._over = bool(self.table.over)
        self._print()
        return self._observation(), float(reward), self._over, False, self._info(bool(self.table.forfeited))

    def action_masks(self) -> np.ndarray:
        """What the seat may do: [A] bool. Raises ResetNeeded before a reset."""
        check_begun(self._over)
        return self.table.masks()[0].cpu().numpy()

    def render(self) -> str | None:
        """The game as the own seat sees it; printed at every decision, not here, in the mode "human"."""
        if self.render_mode in (None, "human"):
            return None
        check_begun(self._over)
        return self._shown()

    def close(self) -> None:
        """Ends the opponents that are programs."""
        self.table.close()

    def _observation(self) -> np.ndarray:
        return self.table.observations()[0].cpu().numpy()

    def _info(self, illegal: bool) -> dict[str, Any]:
        return {
            "action_mask": self.action_masks().astype(np.int8),
            "seat": int(self.table.seat),
            "game": int(self.table.state.index),
            "illegal": illegal,
        }

    def _shown(self) -> str:
        return shown(self.game, self.table.state, 0, int(self.table.seat), self.render_mode)

    def _print(self) -> None:
        if self.render_mode == "human":
            print(self._shown())


def check_begun(over: object) -> None:
    """Raises ResetNeeded before a reset, when nothing tells yet what is ``over``."""
    if over is None:
        raise ResetNeeded("call reset() first")


def spaces_of(game: Game) -> tuple[spaces.Box, spaces.Discrete]:
    """Observations and actions of a game."""
    limit = game.feature_limit
    return spaces.Box(-limit, limit, (game.features,), dtype=np.float32), spaces.Discrete(game.num_actions)


def register() -> None:
    """Makes every registered game known to `gymnasium.make` by its class's name, the first of several that have it,
    and all by vecgame/Game-v0, which takes ``game=``; again for games registered since."""
    names = {"Game": {}}
    for game, kind in GAMES.items():
        names.setdefault(kind.__name__, {"game": game})
    for name, known in names.items():
        if (env_id := f"{NAMESPACE}/{name}-v0") not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point="veclab.doors.gymnasium_env:GameEnv",
                vector_entry_point="veclab.doors.gymnasium_vector:GameVectorEnv",
                kwargs=known,
            )


register()
