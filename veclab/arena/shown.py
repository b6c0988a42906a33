"""Which seats are shown what the mover does: those to which nothing else that it might do would look the same."""

from __future__ import annotations

import torch
from torch import Tensor

from vecgame import Game, HandGame, State, TrickGame, concatenate
from vecgame.contract.views import looks_alike, viewed_by

DEALS = 32  # that a seat may take for the true one, in which is seen what else another could have done
LANES = 1 << 15  # games that are gone through at a time, about
REMEMBERED = 1 << 18  # decisions, at most


def shown_to(game: Game, state: State, action: Tensor) -> Tensor:
    """Which seats see which action ([B] int64) the mover takes: [B, seats] bool.

    The mover does, and another seat if nothing else would look the same to it (`alike`). In a trick game whose only
    legal move it is, it is compared with the action beside it, as if that were legal; a card played to a trick that
    lies open is shown to all, though the last of a deal is gone where the next deal of a match follows it.
    """
    return torch.stack([shown_to_seat(game, state, action, seat) for seat in range(game.seats)], -1)


def shown_to_seat(game: Game, state: State, action: Tensor, seat: int) -> Tensor:
    """Where one seat sees which action the mover takes: [B] bool. As `shown_to`."""
    told = (game.mover(state) == seat) | _plays_openly(game, state, action)
    lanes = (~told).nonzero()[:, 0]
    if len(lanes):
        told[lanes] = alike(game, state.take(lanes), action[lanes], seat).sum(-1) == 1
    return told


def _plays_openly(game: Game, state: State, action: Tensor) -> Tensor:
    """Where ``action`` [B] int64 is a card played to a trick that all see: [B] bool."""
    if not isinstance(game, TrickGame) or "trick" in game.hidden(state):
        return torch.zeros_like(action, dtype=torch.bool)
    giving, card = game.giving(state), action < game.layout.size
    return card & (~game.bidding(state) if giving is None else ~(game.bidding(state) | giving))


def alike(game: Game, state: State, action: Tensor, viewer: int) -> Tensor:
    """What else would look to ``viewer``, who is not to move, as ``action`` [B] int64 does, that too: [B, A] bool.

    Of a game of hands that is whatever is legal in one of `DEALS` deals that the viewer takes for possible, as the
    mover may have lost its other choices unseen; of another game what is legal now.
    """
    same = torch.zeros(state.batch_size, game.num_actions, dtype=torch.bool, device=action.device)
    deals = DEALS if isinstance(game, HandGame) else 0
    for lanes in torch.arange(state.batch_size, device=action.device).split(max(1, LANES // (1 + deals))):
        same[lanes] = _alike(game, state.take(lanes), action[lanes], viewer, deals)
    return same.scatter_(1, action[:, None], True)


def _alike(game: Game, state: State, action: Tensor, viewer: int, deals: int) -> Tensor:
    games = torch.arange(state.batch_size, device=action.device)
    worlds, of = state, games
    if deals:
        worlds = concatenate([state, viewed_by(game, viewer).determinize(state, deals, seed=0)])
        of = torch.cat([games, games.repeat_interleave(deals)])
    legal = game.legal_mask(worlds)
    if not deals:
        legal |= _beside(game, legal, action)
    legal &= torch.arange(game.num_actions, device=action.device) != action[of, None]
    lanes, others = legal.nonzero(as_tuple=True)
    same = torch.zeros(len(games), game.num_actions, dtype=torch.bool, device=action.device)
    if len(lanes):
        after = game.step(state, action).take(of[lanes])
        to = torch.full_like(lanes, viewer)
        found = looks_alike(game, after, game.step(worlds.take(lanes), others), to)
        same[of[lanes][found], others[found]] = True
    return same


def _beside(game: Game, legal: Tensor, action: Tensor) -> Tensor:
    """The action beside the only legal one, among the cards or all others: [B, A] bool."""
    last = (action == game.layout.size - 1) | (action == game.num_actions - 1)
    beside = torch.where(last, action - 1, action + 1).clamp(min=0)
    forced = legal.sum(-1, keepdim=True) == 1
    return forced & (torch.arange(game.num_actions, device=action.device) == beside[:, None])


class Remembered:
    """`shown_to` that is asked once of each decision, though histories tell it again at all that follow."""

    def __init__(self) -> None:
        self._game: Game | None = None
        self._known: dict[bytes, list[bool]] = {}

    def __call__(self, game: Game, state: State, action: Tensor) -> Tensor:
        """As `shown_to`."""
        if self._game != game or len(self._known) > REMEMBERED:
            self._game, self._known = game, {}
        columns = [tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None] for tensor in state.tensors().values()]
        rows = torch.cat([column.contiguous().view(torch.uint8) for column in (*columns, action[:, None])], -1)
        keys = [row.tobytes() for row in rows.cpu().numpy()]
        new = {key: lane for lane, key in enumerate(keys) if key not in self._known}
        if new:
            lanes = torch.tensor(list(new.values()), device=action.device)
            told = shown_to(game, state.take(lanes), action[lanes]).tolist()
            self._known.update(zip(new, told, strict=True))
        return torch.tensor([self._known[key] for key in keys], device=action.device)
