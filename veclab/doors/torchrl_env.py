"""Blob as a batched TorchRL environment: B games at once, all of them tensors on one device.

    from veclab.doors.torchrl_env import BlobEnv, by_seat

    env = BlobEnv(Blob(cards=5), games=512, seed=7, device="cuda")
    rollout = env.rollout(env.game.decisions, policy)  # [512, 24]: whole games
    trajectories = by_seat(env.game, rollout)          # [512, 4, 6]: what each seat went through

One policy plays all four seats, each time from the view of the seat to move: self-play. A policy reads ``observation``
[B, 256] and ``action_mask`` [B, 52] and writes ``action`` [B], a column in the frame of the observation
(`veclab.doors.shared`). ``mover`` [B] is the seat to move, ``reward`` [B, 4] the points of each absolute seat: 0 until
the game is over, then its score. Hidden cards are in no key; they stay in the environment.

**Credit.** Successive steps of a rollout belong to different seats, with opposed interests. A return or a GAE along the
time axis would credit a seat with its opponents' values, whatever scalar is chosen as the reward. But every seat
decides exactly once in each round (the bidding, then every trick). So a game's 4 (1 + cards) steps *are* four
single-agent trajectories of 1 + cards steps: own decision, own next decision, own score at the end, and everything in
between the environment's doing. `by_seat` regroups a rollout so. Any loss and value estimator of TorchRL may then be
used as it is, with its time axis last: `GAE` and `ClipPPOLoss` in examples/torchrl_ppo.py.
"""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from vecgame import Blob, BlobState, resolve_device
from vecgame.cards import DECK, SEATS
from vecgame.games.blob_observation import FEATURES
from vecgame.philox import check_seed
from veclab.doors.shared import action_of_column, four_seats, observation_bounds


class BlobEnv(EnvBase):
    """B games of Blob in step. Its work in a step neither copies anything to the host nor waits for the device.

    Every reset deals the next games of the run that the seed names: the first batch of `set_seed(s)` is ``game.deal(B,
    seed=s)``, the next ``game.deal(B, seed=s, first_index=B)``, and so on. Games of one batch begin and end together,
    since each has exactly `game.decisions` decisions; a partial reset is obeyed nevertheless. An action outside the
    mask makes a meaningless state in its own lane; the mask is in the action spec too, so that random actions are
    legal.
    """

    batch_locked = True

    def __init__(
        self, game: Blob | None = None, games: int = 1, seed: int = 0, device: str | torch.device = "cpu"
    ) -> None:
        """
        Args:
            game: the rules; Blob() by default.
            games: B.
            seed: of the run of games that is dealt.
            device: where all tensors are.

        Raises:
            ValueError: on a number of games below 1, a seed or device that is none.
        """
        if games < 1:
            raise ValueError(f"games must be at least 1, got {games}")
        super().__init__(device=resolve_device(device), batch_size=[games])
        device = self.device  # with its number: TorchRL tells "cuda" and "cuda:0" apart
        self.game = four_seats(game)
        self._set_seed(seed)
        low, high = (bound.to(device).expand(games, FEATURES) for bound in observation_bounds())
        self.observation_spec = Composite(
            observation=Bounded(low, high, shape=(games, FEATURES), dtype=torch.float32, device=device),
            action_mask=Binary(DECK, shape=(games, DECK), dtype=torch.bool, device=device),
            mover=Categorical(SEATS, shape=(games,), dtype=torch.int64, device=device),
            shape=(games,),
            device=device,
        )
        self.action_spec = Categorical(DECK, shape=(games,), dtype=torch.int64, device=device)
        self.reward_spec = Unbounded(shape=(games, SEATS), dtype=torch.float32, device=device)
        self.done_spec = Composite(
            {
                name: Categorical(2, shape=(games, 1), dtype=torch.bool, device=device)
                for name in ("done", "terminated", "truncated")
            },
            shape=(games,),
            device=device,
        )

    def _set_seed(self, seed: int | None) -> None:
        self._seed, self._next_index = check_seed(seed), 0

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: object) -> TensorDict:
        games = self.batch_size[0]
        state = self.game.deal(games, self._seed, self.device, self._next_index)
        self._next_index += games
        chosen = tensordict.get("_reset", None) if tensordict is not None else None
        self.position: BlobState = state if chosen is None else state.where(chosen.view(games), self.position)
        return self._outcome()

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        action = action_of_column(self.position, tensordict["action"])
        self.position = self.game.step(self.position, action)
        return self._outcome(reward=self.game.scores(self.position))

    def _outcome(self, **entries: Tensor) -> TensorDict:
        """What the seat to move sees, with whether the game is over and other entries."""
        over = self.game.is_terminal(self.position)[:, None]
        mask = self.game.policy_mask(self.position)
        self.action_spec.update_mask(mask)
        return TensorDict(
            {
                "observation": self.game.observe(self.position),
                "action_mask": mask,
                "mover": self.game.mover(self.position),
                "done": over,
                "terminated": over.clone(),
                "truncated": torch.zeros_like(over),
                **entries,
            },
            batch_size=self.batch_size,
            device=self.device,
        )


def by_seat(game: Blob, rollout: TensorDictBase) -> TensorDict:
    """Whole games as the trajectories of their seats.

    Args:
        game: the rules that were played.
        rollout: [B, K * 4 * (1 + cards)] steps of a `BlobEnv`, each lane K whole games one after the other.

    Returns:
        [B * K, 4, 1 + cards]: by game, absolute seat and the seat's own decisions in order. Every entry of the rollout
        is there (with ``mover`` equal to the seat), and under ``next`` what the seat met next:

        - ``observation``, ``action_mask``, ``mover``: those of its next own decision; at its last one, which has none
          after it, its own again (value estimators multiply what they make of it by 0);
        - ``reward`` [.., 1]: the seat's score at its last decision, 0 before;
        - ``done``, ``terminated`` [.., 1]: at its last decision; ``truncated``: never.

    Raises:
        ValueError: when the time axis is no whole number of games.
    """
    if rollout.batch_dims != 2 or rollout.shape[1] % game.decisions:
        raise ValueError(
            f"the rollout must be [games, K * {game.decisions}] steps, whole games of {game}; got {list(rollout.shape)}"
        )
    rounds = game.decisions // SEATS
    mover = rollout["mover"].reshape(-1, rounds, SEATS)
    games, device = mover.shape[0], mover.device
    # In each round of four every seat moves once: the step at which seat s does, for each s.
    step = mover.argsort(-1) + torch.arange(0, game.decisions, SEATS, device=device)[:, None]
    step = step + torch.arange(0, games * game.decisions, game.decisions, device=device)[:, None, None]
    step = step.transpose(1, 2)  # [games, 4, rounds] rows of the flattened rollout
    later = torch.cat([step[:, :, 1:], step[:, :, -1:]], dim=-1)  # the seat's next decision, the last one again

    def pick(entry: Tensor, rows: Tensor) -> Tensor:
        return entry.flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, *entry.shape[2:])

    own = rollout.exclude("next").apply(lambda entry: pick(entry, step), batch_size=step.shape)
    last = torch.arange(rounds, device=device) == rounds - 1
    over = last.expand(step.shape).unsqueeze(-1).contiguous()
    score = rollout["next", "reward"].reshape(games, game.decisions, SEATS)[:, -1]
    following = {name: pick(rollout[name], later) for name in ("observation", "action_mask", "mover")}
    following |= {"reward": score[:, :, None, None] * over}
    following |= {"done": over, "terminated": over.clone(), "truncated": torch.zeros_like(over)}
    own["next"] = TensorDict(following, batch_size=step.shape, device=device)
    return own
