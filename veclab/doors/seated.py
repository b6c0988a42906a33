"""A batch of games of which one seat is decided from outside, and players of this project have the others.

What an environment with opponents inside is made of, whatever library asks for it: tensors on one device, no loop over
games. Lanes may be at different decisions and in different games; each depends on its game's number, on the seed, and
on the actions taken in it alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from net import BlobNet, InferenceNet
from vecgame import Game, Purpose, State, Stream, resolve_device
from vecgame.game import actions_of
from vecgame.loading import nearest
from vecgame.philox import whole
from veclab.agents.checkpoint import load_network
from veclab.agents.networks import label, newest_network, other_rules
from veclab.arena.bots import HistoryPlayer, NetworkPlayer, Player, any_told, name_of, why_not
from veclab.arena.evaluate import known_bots
from veclab.arena.outsiders import ADDRESS, is_outsider, outsider
from veclab.arena.programs import PREFIX
from veclab.doors.shared import action_at
from veclab.files import is_there
from veclab.game_flags import flags_of
from veclab.presets import from_flags
from vecmcts import Past

Opponent = str | Path | Player | HistoryPlayer
"""A bot by its name, a program as cmd:COMMAND, a player of one's own as FILE.py:CLASS, a saved network's file or a
run's folder, or any player."""

MOST_DEALS = 1000  # in a row in which the seat has nothing to decide: then it never has


def players_of(
    opponents: Opponent | Sequence[Opponent], game: Game, device: str | torch.device = "cpu"
) -> list[Player | HistoryPlayer]:
    """The players of the seats after the own one, in their order; one for all of them, or one for each.

    Raises:
        ValueError: in one line, on a name that is none, a bot that does not play the game, a file that holds no network
            for it, another number of players, or a device that there is not.
    """
    device = resolve_device(device)
    if isinstance(opponents, str | Path) or not isinstance(opponents, Sequence):
        return [_player(opponents, game, device)] * (game.seats - 1)
    if len(opponents) != game.seats - 1:
        raise ValueError(f"opponents must be one, or one for each of the {game.seats - 1} others, got {len(opponents)}")
    return [_player(opponent, game, device) for opponent in opponents]


def _player(opponent: Opponent, game: Game, device: str | torch.device) -> Player | HistoryPlayer:
    player = _named(opponent, game, device) if isinstance(opponent, str | Path) else opponent
    if not (hasattr(player, "act") or hasattr(player, "act_after")):
        raise ValueError(f"an opponent is a bot's name, a network's file or a player with `act`, not {opponent!r}")
    if (reason := why_not(player, game)) is not None:
        raise ValueError(reason)
    return player


def _named(name: str | Path, game: Game, device: str | torch.device) -> Player | HistoryPlayer:
    if name in (bots := known_bots()):
        return bots[name]()
    if isinstance(name, str) and is_outsider(name):
        return outsider(name)
    if not is_there(name):
        known = nearest(str(name), bots)
        raise ValueError(
            f"there is no opponent {str(name)!r}; {known}, {PREFIX}COMMAND, {ADDRESS}, and networks by their file or "
            "run's folder"
        )
    path = newest_network(Path(name))
    network = load_network(path, device, game)
    if (told := _other_rules(path, game)) is not None:
        warnings.warn(told, stacklevel=2)
    return SavedPlayer(network, label(path))


def _other_rules(path: Path, game: Game) -> str | None:
    """See `other_rules`; None too for a game that only this process knows, of which no file can say more than its
    name."""
    try:
        settings = from_flags("document", flags_of([game]))
    except ValueError:
        return None
    return other_rules(path, settings)


class SavedPlayer(NetworkPlayer):
    """The player of a saved network. It can be copied and pickled, as what makes the network fast cannot."""

    def __init__(self, source: BlobNet, name: str) -> None:
        super().__init__(InferenceNet(source), name)
        self.source = source

    def __reduce__(self) -> tuple[type, tuple[BlobNet, str]]:
        return type(self), (self.source, self.name)


class SeatedGames:
    """B games, each at a decision of its own seat, or over.

    `state` (B games), `seat` [B] int64 (the own seat of each), `over` [B] bool and `forfeited` [B] bool (over because
    of an illegal action) are there to be read.
    """

    def __init__(
        self,
        game: Game,
        seat: int | str,
        players: Sequence[Player | HistoryPlayer],
        games: int,
        device: str | torch.device = "cpu",
    ) -> None:
        """
        Args:
            seat: the own one in all games, or "random": drawn for each game, by its number and the seed.
            players: of the seats after the own one, see `players_of`.
            games: B.

        Raises:
            ValueError: on a seat or device that is none, or a number of games below 1.
        """
        if seat != "random" and (isinstance(seat, bool) or seat not in range(game.seats)):
            raise ValueError(f"seat must be from 0 to {game.seats - 1}, or 'random', got {seat!r}")
        size = whole(games, 0)
        if size < 1:
            raise ValueError(f"the number of games must be a whole number of at least 1, got {games!r}")
        self.game, self.chosen, self.size, self.device = game, seat, size, resolve_device(device)
        self.players = list({id(player): player for player in players}.values())
        places = [next(k for k, one in enumerate(self.players) if one is player) for player in players]
        self.place = torch.tensor(places, device=self.device)  # [P - 1], the player so many seats after the own one
        self.told = any_told(self.players)

    def begin(self, seed: int) -> None:
        """Begins the run that ``seed`` names with its games 0 .. B - 1."""
        self.seed, self.next = seed, 0
        self.state = self.game.deal(self.size, seed, self.device)
        zeros = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        self.seat, self.made, self.forfeited = zeros, zeros.clone(), zeros.bool()
        self.past = Past.none(self.game, self.size, self.device)
        self.deal(~self.forfeited)

    def deal(self, lanes: Tensor) -> None:
        """Begins the run's next games in some lanes, [B] bool, and plays them up to the own seat's first decision.
        A game that ends before it has one, as Euchre may for the partner of who plays alone, is passed over.

        Raises:
            ValueError: if the seat never has a decision.
        """
        for _ in range(MOST_DEALS):
            places = lanes.nonzero()[:, 0]
            if len(places) == 0:
                return
            dealt = self.game.deal(len(places), self.seed, self.device, first_index=self.next)
            self.next += len(places)
            self.state = self.state.put(places, dealt)
            self.seat = self.seat.index_copy(0, places, self._seats(dealt))
            self.made, self.forfeited = torch.where(lanes, 0, self.made), self.forfeited & ~lanes
            self.past = Past(self.past.states, self.past.actions.masked_fill(lanes[:, None], -1))
            self._advance()
            lanes = lanes & self.over
        raise ValueError(f"seat {self.chosen} had nothing to decide in {MOST_DEALS} deals of {self.game!r}")

    @property
    def over(self) -> Tensor:
        return self.game.is_terminal(self.state) | self.forfeited

    def observations(self) -> Tensor:
        """What the own seats know: [B, F] float32."""
        return self.game.observe(self.state, self.seat)

    def masks(self) -> Tensor:
        """What the own seats may do, as columns: [B, A] bool, never empty. In a game that is over it says nothing."""
        return self.game.policy_mask(self.state)

    def play(self, columns: Tensor, lanes: Tensor) -> Tensor:
        """Takes actions of the own seats, and the moves of the others up to the next ones.

        Args:
            columns: [B] int64, actions as columns of `masks`. An illegal one forfeits the game: it is over.
            lanes: [B] bool, the games in which an action is taken; none of them is over.

        Returns:
            [B] float64: the own seat's score where the game is over now, a point less than the lowest score where it
            is forfeited, and else 0.
        """
        action, legal = action_at(self.game, self.state, columns)
        self.forfeited = self.forfeited | (lanes & ~legal)
        self._move(action, lanes & legal)
        self._advance()
        score = self.game.scores(self.state).gather(1, self.seat[:, None])[:, 0].double()
        return torch.where(lanes, torch.where(self.forfeited, self.game.lowest - 1.0, score), 0.0)

    def close(self) -> None:
        """Ends what the players have running, as programs have."""
        for player in self.players:
            getattr(player, "close", lambda: None)()

    def _seats(self, dealt: State) -> Tensor:
        """The own seat of each of K games that have just been dealt: [K] int64."""
        if self.chosen != "random":
            return torch.full_like(dealt.index, self.chosen)
        stream = Stream(self.seed, dealt.index, torch.zeros_like(dealt.index))
        return stream.integers(Purpose.SEAT, self.game.seats)

    def _advance(self) -> None:
        """Plays the others' moves up to the own seats' decisions, or the games' ends."""
        for _ in range(self.game.decisions):
            after = (self.game.mover(self.state) - self.seat - 1) % self.game.seats  # P - 1: the own seat
            waiting = ~self.over & (after < self.game.seats - 1)
            who = torch.where(waiting, self.place[after.clamp(max=self.game.seats - 2)], -1)
            if not waiting.any():
                return
            action = torch.zeros_like(who)
            for number, player in enumerate(self.players):
                lanes = (who == number).nonzero()[:, 0]
                if len(lanes):
                    action = action.index_copy(0, lanes, self._decided(player, lanes))
            self._move(action, waiting)

    def _decided(self, player: Player | HistoryPlayer, lanes: Tensor) -> Tensor:
        """A player's actions in K lanes [K] int64: [K] int64. Raises ValueError on one that is not legal."""
        state = self.state.take(lanes)
        if hasattr(player, "act_after"):
            action = player.act_after(self.game, state, self.past.take(lanes), self.seed)
        else:
            action = player.act(self.game, state, self.seed)
        try:
            action, most = actions_of(action, state), self.game.num_actions - 1
        except ValueError as error:
            raise ValueError(f"{name_of(player)} in {self.game.name}: {error}") from None
        there = self.game.legal_mask(state).gather(1, action.clamp(0, most)[:, None])[:, 0]
        legal = there & (action >= 0) & (action <= most)
        if not legal.all():
            lane = int(legal.logical_not().nonzero()[0, 0])
            raise ValueError(
                f"{name_of(player)} took action {int(action[lane])} in game {int(state.index[lane])} of "
                f"{self.game.name} after {int(self.made[lanes[lane]])} moves, which is not legal there"
            )
        return action

    def _move(self, action: Tensor, lanes: Tensor) -> None:
        """One move, [B] int64, in some lanes, [B] bool."""
        if self.told:
            self._remember(action, lanes)
        places = lanes.nonzero()[:, 0]
        if len(places):
            moved = self.game.step(self.state.take(places), action.index_select(0, places))
            self.state, self.made = self.state.put(places, moved), self.made + lanes

    def _remember(self, action: Tensor, lanes: Tensor) -> None:
        """Adds a move to the past of some lanes, of which each is at a decision of its own."""
        states = list(self.past.states)
        for number in self.made[lanes].unique().tolist():
            if number == len(states):
                states.append(self.state)
            states[number] = self.state.where(lanes & (self.made == number), states[number])
        here = torch.arange(self.game.decisions, device=self.device) == torch.where(lanes, self.made, -1)[:, None]
        actions = torch.where(here, action[:, None].to(self.past.actions.dtype), self.past.actions)
        self.past = Past(tuple(states), actions)
