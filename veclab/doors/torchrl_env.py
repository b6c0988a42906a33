"""A batch of games as a TorchRL environment: B games in step, any game, all tensors on one device.

    from veclab.doors.torchrl_env import GameEnv, by_seat

    env = GameEnv(Blob(cards=5), games=512, seed=7)
    rollout = env.rollout(env.game.decisions, policy)  # [512, 24]
    trajectories = by_seat(rollout)                    # [512, 4, 6]: what each seat went through

One policy plays all seats, each time from the view of the seat to move: self-play. A policy reads ``observation``
[B, game.features] and ``action_mask`` [B, game.num_actions] and writes ``action`` [B], a column of the policy
(`Game.policy_columns`): the frame of the observation, in which Blob's trump comes first whatever suit it is. ``mover``
[B] is the seat to move, ``game`` [B] the number of the game in its run, ``reward`` [B, seats] the points of each
absolute seat: 0 until its game is over, then its score. Hidden cards are in no key; they stay in the environment.

**Credit.** Successive steps of a rollout belong to different seats, with opposed interests. A return or a GAE along the
time axis would credit a seat with its opponents' values, whatever scalar is chosen as the reward. `by_seat` regroups
a rollout into the trajectories of single agents: own decision, own next decision, own points in between, and everything
else the environment's doing. Any loss and value estimator of TorchRL may then be used as it is, with its time axis
last: `GAE` and `ClipPPOLoss` in examples/torchrl_ppo.py.
"""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from vecgame import Blob, Game, State, resolve_device
from vecgame.philox import check_seed
from veclab.doors.shared import action_at, fresh_seed, game_named

RAISE, END = "raise", "end"  # what an illegal action does
ENDS = ("done", "terminated", "truncated")


class GameEnv(EnvBase):
    """B games in step. `game`, `position` (the B games) and `seed` are there to be read.

    Games are dealt in the order of their numbers in the run that the seed names: the first reset of all lanes after
    ``set_seed(s)`` is ``game.deal(B, seed=s)``, and every game that is begun later is the next of that run. Without a
    seed each environment draws one, so that no two deal the same games.

    Games of one batch may end at different times. Then TorchRL's ways go: ``step_and_maybe_reset``, collectors, and
    ``rollout(.., break_when_any_done=False)`` begin a new game in the lanes whose game is over, and in those only;
    ``break_when_all_done=True`` leaves finished games as they are, with no further reward.

    An action outside of the mask is refused. ``illegal="raise"`` does so by a ValueError, for which every step reads
    one flag on the host. With ``illegal="end"`` a step neither copies anything to the host nor waits for the device:
    the game of that lane is over then (``terminated``), for the lowest score of the game to the seat that was to move
    and 0 to the others; no other lane knows. The mask is in the action spec too, so that random actions are legal
    (of an environment in transforms, with `torchrl.envs.ActionMask` among them).
    """

    batch_locked = True

    def __init__(
        self,
        game: Game | str | None = None,
        games: int = 1,
        seed: int | None = None,
        device: str | torch.device = "cpu",
        illegal: str = RAISE,
    ) -> None:
        """
        Args:
            game: any game, or one by its name or address (FILE.py:CLASS); Blob() by default.
            games: B.
            seed: of the run of games that is dealt; None draws one.
            device: where all tensors are.
            illegal: "raise" or "end".

        Raises:
            ValueError: in one line, on a number of games below 1, and on a game, seed, device or way with illegal
                actions that is none.
        """
        if isinstance(games, bool) or not isinstance(games, int) or games < 1:
            raise ValueError(f"games must be at least 1, got {games!r}")
        if illegal not in (RAISE, END):
            raise ValueError(f"illegal must be '{RAISE}' or '{END}', got {illegal!r}")
        game = game_named(Blob() if game is None else game)
        super().__init__(device=resolve_device(device), batch_size=[games])
        self.game = game
        self.illegal = illegal
        self._set_seed(seed)
        self._set_specs(games, self.device)  # with its number: TorchRL tells "cuda" and "cuda:0" apart

    def _set_specs(self, games: int, device: torch.device) -> None:
        game, most = self.game, float(self.game.feature_limit)
        floats = {"dtype": torch.float32, "device": device}
        self.observation_spec = Composite(
            observation=Bounded(-most, most, shape=(games, game.features), **floats),
            action_mask=Binary(game.num_actions, shape=(games, game.num_actions), dtype=torch.bool, device=device),
            mover=Categorical(game.seats, shape=(games,), dtype=torch.int64, device=device),
            game=Unbounded(shape=(games,), dtype=torch.int64, device=device),
            shape=(games,),
            device=device,
        )
        self.action_spec = Categorical(game.num_actions, shape=(games,), dtype=torch.int64, device=device)
        low, high = min(0.0, game.lowest), max(0.0, game.highest)
        self.reward_spec = Bounded(low, high, shape=(games, game.seats), **floats)
        self.done_spec = Composite(
            {name: Categorical(2, shape=(games, 1), dtype=torch.bool, device=device) for name in ENDS},
            shape=(games,),
            device=device,
        )

    def _set_seed(self, seed: int | None) -> None:
        self.seed, self._next_index = check_seed(fresh_seed() if seed is None else seed), 0

    def _deal(self, games: int) -> State:
        state = self.game.deal(games, self.seed, self.device, self._next_index)
        self._next_index += games
        return state

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: object) -> TensorDict:
        """Begins all games anew, or those that ``_reset`` [B, 1] bool chooses, whose number the host reads."""
        games = self.batch_size[0]
        chosen = tensordict.get("_reset", None) if tensordict is not None else None
        lanes = None if chosen is None else chosen.view(games).nonzero()[:, 0]
        if lanes is None or len(lanes) == games:
            self.position: State = self._deal(games)
            self._ended = torch.zeros(games, dtype=torch.bool, device=self.device)  # by an illegal action
        elif len(lanes):
            self.position = self.position.put(lanes, self._deal(len(lanes)))
            self._ended = self._ended.index_fill(0, lanes, False)
        return self._outcome()

    def _over(self) -> Tensor:
        return self.game.is_terminal(self.position) | self._ended

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        before, chosen = self.position, tensordict["action"]
        going, steps = ~self._over(), tensordict.get("_step", None)
        if steps is not None:
            going = going & steps.view(going.shape)
        action, legal = action_at(self.game, before, chosen)
        refused = going & ~legal
        if self.illegal == RAISE and refused.any():
            raise ValueError(self._refusal(refused, chosen))
        self.position = self.game.step(before, action).where(going & legal, before)
        self._ended = self._ended | refused
        reward = torch.where(going[:, None], self.game.scores(self.position), 0.0)
        seat = torch.arange(self.game.seats, device=self.device)
        fine = refused[:, None] & (self.game.mover(before)[:, None] == seat)
        return self._outcome(reward=torch.where(fine, self.game.lowest, reward))

    def _refusal(self, refused: Tensor, chosen: Tensor) -> str:
        lane = int(refused.nonzero()[0, 0])
        legal = self.game.policy_mask(self.position[lane])[0].nonzero()[:, 0].tolist()
        return f"action {int(chosen[lane])} is illegal in game {lane} of the batch; its action_mask allows {legal}"

    def _outcome(self, **entries: Tensor) -> TensorDict:
        """What the seat to move sees, with whether the game is over and other entries."""
        over = self._over()[:, None]
        mask = self.game.policy_mask(self.position)
        self.action_spec.update_mask(mask)
        return TensorDict(
            {
                "observation": self.game.observe(self.position),
                "action_mask": mask,
                "mover": self.game.mover(self.position),
                "game": self.position.index.clone(),
                "done": over,
                "terminated": over.clone(),
                "truncated": torch.zeros_like(over),
                **entries,
            },
            batch_size=self.batch_size,
            device=self.device,
        )


def by_seat(rollout: TensorDictBase) -> TensorDict:
    """A rollout as the trajectories of its seats: single-agent data, each row one seat's own decisions in order.

    A seat's row holds its decisions in all games of a lane, one game after the other; ``done`` ends each. Seats decide
    a different number of times in many games, so rows are filled up at their ends. ``valid`` says which entries are
    decisions; value estimators take the rows as they are, and losses take ``trajectories[trajectories["valid"]]``.

    A game that is cut off by the end of the rollout (or truncated by a transform) has no score yet. Its trajectories
    end, ``truncated``, at a seat's last decision but one, whose next observation is that of the last, from which value
    estimators go on; the last itself is not ``valid``. What came before the rollout is not needed, and the steps that
    ``break_when_all_done=True`` repeats are left out.

    Args:
        rollout: [B, T] steps of a `GameEnv`.

    Returns:
        [B, seats, L], L the most decisions of a seat, which the host reads. Every entry of the rollout is there (with
        ``mover`` equal to the seat where it is valid), ``valid`` [B, seats, L] bool, and under ``next`` what the seat
        met next:

        - all that is also an entry of the rollout, such as ``observation``: as at its next own decision of that game;
          at its last one, which has none after it, its own again (value estimators multiply what they make of it by 0);
        - ``reward`` [.., 1]: the seat's points up to its next decision, or the end of the game;
        - ``done``, ``terminated``, ``truncated`` [.., 1]: at its last decision in a game, see above. Entries that are
          not valid have a reward of 0 and are ``terminated``.

    Raises:
        ValueError: if the rollout has no time axis.
    """
    if rollout.batch_dims != 2:
        raise ValueError(f"the rollout must be [games, steps], got {list(rollout.shape)}")
    reward, end = rollout["next", "reward"], rollout["next", "done"][..., 0]
    lanes, steps, seats = reward.shape
    time = torch.arange(steps, device=reward.device)
    own = rollout["mover"][:, None] == torch.arange(seats, device=reward.device)[:, None]  # [B, seats, T]
    own = own & ~_repeated(rollout)[:, None]
    count = own.sum(-1, keepdim=True)
    longest = int(count.max())
    step = own.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[..., :longest]  # [B, seats, L] of T
    there = time[:longest] < count
    later = torch.cat([step[..., 1:], step[..., -1:]], -1)
    game = end.cumsum(1) - end.long()  # [B, T], the number of a step's game in its lane
    last = torch.where(end, time, steps).flip(1).cummin(1).values.flip(1)  # [B, T], that game's last step, T for none
    over = torch.cat([rollout["next", "terminated"][..., 0], torch.zeros_like(end[:, :1])], 1)

    def at(table: Tensor, place: Tensor) -> Tensor:
        """[B, N] at the places [B, seats, L] of its second axis."""
        return table.gather(1, place.flatten(1)).view(place.shape)

    again = torch.cat([there[..., 1:], torch.zeros_like(there[..., :1])], -1) & (at(game, later) == at(game, step))
    final = there & ~again
    valid = again | (final & at(over, at(last, step)))  # the last decision of a game that goes on is none
    cut = again & ~torch.cat([valid[..., 1:], torch.zeros_like(valid[..., :1])], -1)
    # A seat's points between two steps, as a difference of sums, exact in float64 for scores.
    sums = torch.nn.functional.pad(reward.double().cumsum(1), (0, 0, 1, 0)).transpose(1, 2)  # [B, seats, T + 1]
    until = torch.where(again, later, at(last, step) + 1).clamp(max=steps)
    points = torch.where(valid, sums.gather(2, until) - sums.gather(2, step), 0.0).to(reward.dtype)

    first = torch.arange(0, lanes * steps, steps, device=reward.device)[:, None, None]

    def pick(entry: Tensor, place: Tensor) -> Tensor:
        return entry.flatten(0, 1).index_select(0, (first + place).flatten()).view(*place.shape, *entry.shape[2:])

    result = rollout.exclude("next").apply(lambda entry: pick(entry, step), batch_size=step.shape)
    known = rollout["next"].exclude("reward", *ENDS).select(*rollout.keys(True, True), strict=False)
    following = rollout.select(*known.keys(True, True)).apply(
        lambda entry: pick(entry, torch.where(again, later, step)), batch_size=step.shape
    )
    ends = {"done": final | cut | ~valid, "terminated": final | ~valid, "truncated": cut}
    following.update({"reward": points[..., None], **{name: ended[..., None] for name, ended in ends.items()}})
    result["valid"], result["next"] = valid, following
    return result


def _repeated(rollout: TensorDictBase) -> Tensor:
    """[B, T] bool, the steps with which ``break_when_all_done`` fills up games that are over: further ones of a game
    that has ended. Its number says so; all else may be the same in two games that an illegal action ends at once."""
    ends, game = rollout["next", "done"][..., 0], rollout["game"]
    again = ends[:, 1:] & ends[:, :-1] & (game[:, 1:] == game[:, :-1])
    return torch.cat([torch.zeros_like(ends[:, :1]), again], 1)
