"""An upper bound for measuring only: a player that cheats, for it looks at everybody's cards."""

from __future__ import annotations

import torch
from torch import Tensor

from vecgame import Blob, BlobState, Game
from vecgame.cards import popcount
from veclab.arena.bots import SearchPlayer
from vecmcts import Evaluator, SearchConfig
from vecmcts.endgame import solve
from vecmcts.evaluators import Network


class OpenHands(Blob):
    """Blob with all hands open: the only world is the true one."""

    def determinize(self, state: BlobState, count: int = 1, seed: int = 0) -> BlobState:
        return state.repeat(count)


class CheatingSearch:
    """Searches the true hands, and plays the last tricks by exhaustive max^n on them. No player: it breaks the rules.

    What it scores above the same search on worlds is what the hidden cards cost that search (as long as its opponents
    play as its tree supposes; against others max^n is no bound in the strict sense).

    Args:
        evaluator: judges the leaves.
        config: the search; its worlds are all the true one.
        exact_tricks: from how many cards a seat on the rest is solved exactly, 0 for never. 3 costs up to 1,296 lines.
    """

    def __init__(self, evaluator: Evaluator | Network, config: SearchConfig, exact_tricks: int = 2) -> None:
        if not 0 <= exact_tricks <= 4:
            raise ValueError(f"exact_tricks must be from 0 to 4, got {exact_tricks!r}")
        self.searching, self.exact_tricks = SearchPlayer(evaluator, config), exact_tricks
        self.name = f"CHEATS (true hands) {config.worlds}x{config.simulations}"

    def refuses(self, game: Game) -> str | None:
        """Why it cannot play a game, in one line; None if it can: it opens the hands of Blob itself."""
        return None if type(game) is Blob else f"the search that cheats plays Blob only, not {game!r}"

    def act(self, game: Blob, state: BlobState, seed: int) -> Tensor:
        """The mover's action in every lane, chosen with knowledge that no player has: [B] int64."""
        ending = (state.made >= game.opening) & (popcount(state.hands).amax(-1) <= self.exact_tricks)
        action = torch.zeros_like(state.index)
        for lanes, decide in ((ending.nonzero()[:, 0], self._solved), ((~ending).nonzero()[:, 0], self._searched)):
            if len(lanes):
                action[lanes] = decide(game, state.take(lanes), seed)
        return action

    def _solved(self, game: Blob, state: BlobState, seed: int) -> Tensor:
        return solve(game, state).action

    def _searched(self, game: Blob, state: BlobState, seed: int) -> Tensor:
        return self.searching.act(OpenHands(game.rules), state, seed)
