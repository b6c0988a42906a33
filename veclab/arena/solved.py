"""The solution of a small game as a player."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from vecgame import Game, Purpose, State, Stream
from vecgame.philox import check_seed
from veclab.arena.versions import digest_of
from veclab.exact import deals, regret, sight, solution, table, tree
from veclab.exact.solution import nodes_of
from veclab.exact.table import is_known, table_of
from veclab.progress import Display


class SolvedBot:
    """Plays a solution of the game by what a network sees (`veclab.exact.solution`): what it does is drawn from that.
    A game is solved when it is first asked for, once in a process: see `get_ready`."""

    name = "solved"

    def refuses(self, game: Game) -> str | None:
        """Why it cannot play a game, in one line; None if it can."""
        try:
            nodes_of(game)
        except ValueError as error:
            return f"there is no solution to play by: {error}"
        return None

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        """A legal action for the mover of every lane: [B] int64. What is drawn depends on the seed, the game's number
        and the decision. Raises LookupError where the solution knows no such decision."""
        chances = self.chances(game, state).cumsum(-1)
        stream = Stream(check_seed(seed), state.index, game.turn(state))
        uniform = stream.uniform(Purpose.ACTION, 1) * chances[:, -1:]
        slot = (chances <= uniform).sum(-1, keepdim=True)  # which cannot be one of probability 0
        return game.legal_actions(state).gather(1, slot)[:, 0]

    def chances(self, game: Game, state: State) -> Tensor:
        """Probabilities of the movers' actions, by slot of `Game.legal_actions`: [B, max_legal] float64."""
        actions = game.legal_actions(state)
        chances = (actions >= 0).double()
        lanes = game.chooses(state, actions).nonzero()[:, 0]
        if len(lanes):
            known = table_of(game)
            chances[lanes] = known.policy[known.find(state.take(lanes))].to(state.device)
        return chances / chances.sum(-1, keepdim=True)

    def get_ready(self, games: Sequence[Game], display: Display) -> None:
        """Solves those of the games that are not, and shows that it does."""
        for game in dict.fromkeys(games):
            if not is_known(game):
                with display.task(f"solving {game.name}", 1.0, "game") as task:
                    table_of(game, lambda done, share, task=task: task.update(share, iterations=done))

    def told(self, games: Sequence[Game]) -> dict[str, object]:
        """How near to an equilibrium it is, means over the games."""
        tables = [table_of(game) for game in games]
        return {
            "best_response_gains": sum(one.gain for one in tables) / len(tables),
            "points": (sum(one.points for one in tables) / len(tables)).tolist(),
            "iterations": [one.iterations for one in tables],
        }

    def digest(self, game: Game) -> str:
        """SHA-256 of the source that it finds its solution and plays by."""
        return digest_of(type(self), table, solution, regret, tree, deals, sight)


def get_ready(players: Iterable[object], games: Sequence[Game], display: Display) -> None:
    """Has the players do what they must before they play the games, those that must (``get_ready``)."""
    for player in players:
        if hasattr(player, "get_ready"):
            player.get_ready(games, display)


def told_of(players: Iterable[object], games: Sequence[Game]) -> dict[str, dict[str, object]]:
    """What solutions among the players tell of themselves, by name."""
    return {player.name: player.told(games) for player in players if isinstance(player, SolvedBot)}


def gains_line(told: dict[str, object], unit: str) -> str:
    """How near to an equilibrium the solution is, in a line."""
    return f"{SolvedBot.name}: a best response gains {told['best_response_gains']:.4f} {unit} a game against it"
