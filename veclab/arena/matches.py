"""Matches on duplicate deals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, permutations

import torch
from torch import Tensor

from vecgame import Game, State
from vecgame.dealing import MOST_GAMES
from vecgame.game import actions_of
from veclab.arena.bots import HistoryPlayer, Player, any_told, name_of, why_not
from veclab.arena.forked import Report, in_processes, shared
from veclab.arena.intervals import Interval, span_of, strata_of
from veclab.room import check_deals
from veclab.shares import even_shares
from vecmcts import Past

PIECES = 4  # for each process, so that one that another program holds up leaves some to the others
FIRST_INDEX = 1 << 48  # of a match's deals: no run deals these to learn from
LISTED = 12  # legal actions in a message, at most

Seatings = tuple[tuple[int, ...], ...]
"""Which of two players sits at each seat, in each of the games that are played of a deal."""


def one_against_all(seats: int) -> Seatings:
    """Player 0 at each of so many seats in turn, player 1 at all others."""
    return tuple(tuple(int(seat != own) for seat in range(seats)) for own in range(seats))


ONE_AGAINST_THREE = one_against_all(4)
TWO_AGAINST_TWO: Seatings = tuple(sorted(set(permutations((0, 0, 1, 1)))))
SIDES: Seatings = ((0, 1, 0, 1), (1, 0, 1, 0))  # of partners, who sit opposite


@dataclass(frozen=True)
class MatchResult:
    """One player against all others, who are another; in a game of partners, two against two; in a cooperative game
    the games of one and those of the other."""

    player: Interval  # points a game of the player
    opponents: Interval  # points a game of one opponent
    lead: Interval  # their difference in the same games
    games: int

    @property
    def significant(self) -> bool:
        """The player is ahead and the interval of its lead excludes zero."""
        return self.lead.mean - self.lead.half > 0

    def to_dict(self) -> dict[str, object]:
        """Plain numbers for a JSON file."""
        return asdict(self)


def play_match(
    games: Sequence[Game],
    player: Player | HistoryPlayer,
    opponent: Player | HistoryPlayer,
    deals: int,
    seed: int,
    device: str | torch.device = "cpu",
    report: Report | None = None,
    processes: int = 1,
) -> MatchResult:
    """Plays every deal once for each seat, with the player there and opponents at all others; in a game of partners
    twice, with the player at both seats of each side in turn; in a cooperative game twice, with the player at all seats
    and with the opponent there.

    What the deal gives a seat thus counts for both sides alike. The games of a deal are not independent; the intervals
    are over deals, those by each of several rules for themselves (`strata_of`).

    Args:
        games: rules to mix; the deals are shared out among them.
        seed: of the deals and of everything random that the players do.
        report: called with the share of the match that is over.
        processes: as of `play_deals`.

    Raises:
        ValueError: as `decisions`.
    """
    seatings = seatings_of(games[0])
    points = play_deals(games, (player, opponent), seatings, deals, seed, device, report, processes=processes)
    mine, theirs = side_points(points, seatings).unbind(-1)
    strata, span = strata_of(deals, len(games)), span_of(games)
    pairs = ((mine, span), (theirs, span), (mine - theirs, 2 * span))
    return MatchResult(*(Interval.of(each, strata, far) for each, far in pairs), games=len(mine) * len(seatings))


def sides_of(game: Game) -> Seatings:
    """One side, a seat or two partners, at each of its places in turn, and another player at all other seats."""
    return SIDES if game.partners else one_against_all(game.seats)


def together(seats: int) -> Seatings:
    """Each player at all of so many seats, as all are on one side."""
    return (0,) * seats, (1,) * seats


def seatings_of(game: Game) -> Seatings:
    """How a match plays each deal: one against all others, in a game of partners side against side, in a cooperative
    game, where who sits together has the same, each player with itself."""
    return together(game.seats) if game.cooperative else sides_of(game)


def opposed(seatings: Seatings) -> str:
    """How a match's player meets the opponents, whose name follows."""
    others = sum(seatings[0])
    return f"against {others} x " if others else "beside the games of "


def even_seatings_of(game: Game) -> Seatings:
    """How two players meet in each deal at as many seats each: two and two of four in all ways, else every other seat.

    With an odd number of seats one has a seat more; each deal is played again with the players exchanged. In a
    cooperative game each plays with itself, see `seatings_of`.
    """
    if game.cooperative:
        return together(game.seats)
    if game.partners or game.seats == 4:
        return SIDES if game.partners else TWO_AGAINST_TWO
    first = tuple(seat % 2 for seat in range(game.seats))
    turned = (first[start:] + first[:start] for start in range(game.seats))
    return tuple(sorted({tuple(side ^ swapped for side in seats) for seats in turned for swapped in (0, 1)}))


def play_deals(
    games: Sequence[Game],
    players: Sequence[Player | HistoryPlayer],
    seatings: Seatings,
    deals: int,
    seed: int,
    device: str | torch.device = "cpu",
    report: Report | None = None,
    first_index: int = FIRST_INDEX,
    processes: int = 1,
) -> Tensor:
    """Plays deals ``first_index`` onwards, shared out among the rules ``games``, each once in every seating.

    Args:
        processes: among how many the games are shared out at most, see `veclab.arena.forked`, if a player decides game
            after game (`Player`), and none must stay in one. The result is the same, but for the rounding of networks.

    Returns:
        [deals, seatings, seats] float64, points by absolute seat.

    Raises:
        ValueError: on fewer deals than rules, some of which would not be played.
    """
    check_deals(games, deals, "deals")
    least = [player.games_a_process for player in players if hasattr(player, "games_a_process")]
    processes = 1 if not least or None in least else processes
    pieces = _pieces(games, len(seatings), deals, processes, min(least) if processes > 1 else 1)
    processes = min(processes, len(pieces))
    size, kind = (deals, len(seatings), games[0].seats), {"dtype": torch.float64}
    points = shared(*size, **kind) if processes > 1 else torch.empty(size, **kind, device=device)

    def play(number: int, tell: Report) -> None:
        game, start, count = pieces[number]
        state = game.deal(count, seed, device, first_index + start).repeat(len(seatings))
        seats = torch.tensor(seatings, device=state.device).repeat(count, 1)
        played = play_games(game, state, players, seats, seed, tell)
        points[start : start + count] = played.view(count, len(seatings), game.seats)

    in_processes(play, len(pieces), processes, report or (lambda share: None))
    return points


def _pieces(
    games: Sequence[Game], seatings: int, deals: int, processes: int, least: int
) -> list[tuple[Game, int, int]]:
    """A match in pieces, `PIECES` for each of several processes and those that take longest first: of each the rules,
    and the first and number of its deals. Where these would have fewer games than ``least``, there are fewer."""
    pieces, first, wanted = [], 0, PIECES * processes if processes > 1 else 1
    for game, count in zip(games, even_shares(deals, len(games)), strict=True):
        apart = min(-(-wanted // len(games)), count, count * seatings // least)
        for share in even_shares(count, max(1, apart)):
            pieces.append((game, first, share))
            first += share
    return pieces if processes == 1 else sorted(pieces, key=lambda piece: -piece[0].decisions * piece[2])


@dataclass(frozen=True)
class Decision:
    """A decision of each of B games that are played side by side; those that are over stand still."""

    state: State  # B games, before it
    over: Tensor  # [B] bool, games that were over before it
    seat: Tensor  # [B] int64, to move
    player: Tensor  # [B] int64, which of the players sits there, -1 where the game is over
    action: Tensor  # [B] int64, legal; 0 where the game is over
    past: Past | None  # of the B games, kept where a player is told it
    after: State  # B games


def play_games(
    game: Game,
    state: State,
    players: Sequence[Player | HistoryPlayer],
    seats: Tensor,
    seed: int,
    report: Report | None = None,
) -> Tensor:
    """Plays games that have just been dealt to their ends.

    Args:
        seats: [B, seats] integers, which of the players sits at each absolute seat.

    Returns:
        [B, seats] float64, points by absolute seat.

    Raises:
        ValueError: as `decisions`.
    """
    for number, decision in enumerate(decisions(game, state, players, seats, seed), start=1):
        state = decision.after
        if report is not None:
            report(number / game.decisions)
    return game.scores(state).double()


def self_played(
    game: Game,
    player: Player | HistoryPlayer,
    games: int,
    seed: int,
    device: str | torch.device = "cpu",
    first_index: int = 0,
    keep_past: bool = False,
) -> Iterator[Decision]:
    """`decisions` of games ``first_index`` onwards, dealt and played by ``seed``, with one player at every seat."""
    state = game.deal(games, seed, device, first_index)
    seats = torch.zeros(games, game.seats, dtype=torch.int64, device=state.device)
    return decisions(game, state, (player,), seats, seed, keep_past)


def decisions(
    game: Game,
    state: State,
    players: Sequence[Player | HistoryPlayer],
    seats: Tensor,
    seed: int,
    keep_past: bool = False,
) -> Iterator[Decision]:
    """Plays games that have just been dealt, decision by decision, until all are over; nothing is played ahead of what
    is asked for.

    Args:
        state: B games.
        players: any number of them.
        seats: [B, seats] integers, which of the players sits at each absolute seat.
        seed: of everything random that the players do.
        keep_past: tell how the games came to each decision though no player asks for it, which takes memory.

    Raises:
        ValueError: in one line, on seats that are none, a player that cannot play the game, or one that does not give
            a legal action for each of its games.
    """
    _check_seats(game, state, players, seats)
    for player in players:
        if (reason := why_not(player, game)) is not None:
            raise ValueError(reason)
    told = keep_past or any_told(players)
    past = Past.none(game, state.batch_size, state.device) if told else None
    for number in range(1, game.decisions + 1):
        over = game.is_terminal(state)
        if over.all():
            return
        seat = game.mover(state)
        who = torch.where(over, -1, seats.gather(1, seat[:, None])[:, 0])
        action = torch.zeros(state.batch_size, dtype=torch.int64, device=state.device)
        for place, player in enumerate(players):
            lanes = (who == place).nonzero()[:, 0]
            if len(lanes):
                action[lanes] = _act(player, game, state.take(lanes), past, lanes, seed, number)
        _check_legal(game, state, over, action, lambda lane, who=who: players[int(who[lane])], number)
        after = game.step(state, action)
        yield Decision(state, over, seat, who, action, past, after)
        past = None if past is None else past.then(state, action)
        state = after


def _check_seats(game: Game, state: State, players: Sequence[Player | HistoryPlayer], seats: Tensor) -> None:
    shape = [state.batch_size, game.seats]
    if list(seats.shape) != shape or seats.is_floating_point() or seats.dtype == torch.bool:
        raise ValueError(f"seats must be integers of shape {shape}, got {list(seats.shape)} of {seats.dtype}")
    if seats.numel() and not 0 <= int(seats.min()) <= int(seats.max()) < len(players):
        raise ValueError(f"seats must be numbers of the {len(players)} players, from 0 to {len(players) - 1}")


def decided(
    player: Player | HistoryPlayer, game: Game, state: State, past: Past | None, seed: int, number: int
) -> Tensor:
    """A player's actions for the mover of each of B games that are not over: [B] int64.

    Args:
        past: of the games; None for a player that is not told it.
        number: of the decision, from 1, for what is said.

    Raises:
        ValueError: in one line, unless it gives a legal action for each of them.
    """
    lanes = torch.arange(state.batch_size, device=state.device)
    action = _act(player, game, state, past, lanes, seed, number)
    _check_legal(game, state, torch.zeros_like(lanes).bool(), action, lambda lane: player, number)
    return action


def _act(
    player: Player | HistoryPlayer,
    game: Game,
    state: State,
    past: Past | None,
    lanes: Tensor,
    seed: int,
    number: int,
) -> Tensor:
    """A player's actions in its games, [K] int64 on their device, whose values are not checked yet."""
    if hasattr(player, "act_after"):
        action = player.act_after(game, state, past.take(lanes), seed)
    else:
        action = player.act(game, state, seed)
    try:
        action = actions_of(action, state)
    except ValueError as error:
        raise ValueError(f"{name_of(player)} in {game.name}, decision {number}: {error}") from None
    if action.device != state.device:
        raise ValueError(
            f"{name_of(player)} in {game.name}, decision {number}: the action must be on {state.device}, where the "
            f"games are, got {action.device}"
        )
    return action


def _check_legal(
    game: Game, state: State, over: Tensor, action: Tensor, player_of: Callable[[int], object], number: int
) -> None:
    """Raises ValueError unless the actions [B] int64 are legal in the games that are not ``over`` [B] bool. The host
    waits once."""
    inside = (action >= 0) & (action < game.num_actions)
    legal = game.legal_mask(state).gather(1, action.clamp(0, game.num_actions - 1)[:, None])[:, 0]
    wrong = ~((inside & legal) | over)
    if not wrong.any():
        return
    lane = int(wrong.nonzero()[0, 0])
    taken, seat, one = int(action[lane]), int(game.mover(state)[lane]), state[lane]
    options = game.legal_mask(one)[0].nonzero()[:, 0].tolist()
    named = [_named(game, option, one) for option in options[:LISTED]]
    more = f" and {len(options) - LISTED} more" if len(options) > LISTED else ""
    raise ValueError(
        f"{name_of(player_of(lane))} in {game.name} took {_named(game, taken, one)} at decision {number} of "
        f"{deal_told(int(state.index[lane]))}, seat {seat}, which is not legal; legal there: {', '.join(named)}{more}"
    )


def deal_told(index: int) -> str:
    """The game of a number in words: which deal of its match it is, from 1 on, where it is one of a match, and else by
    its number, if that is one that people give."""
    deal = index - FIRST_INDEX
    if 0 <= deal < MOST_GAMES:
        return f"deal {deal + 1:,} of the match"
    return f"game {index}" if index < MOST_GAMES else "a game"


def _named(game: Game, action: int, state: State) -> str:
    """An action by its number, with what people call it where it is one and that is another word."""
    name = game.action_name(action, state) if 0 <= action < game.num_actions else str(action)
    return f"action {action}" if name == str(action) else f"action {action} ({name})"


def side_points(points: Tensor, seatings: Seatings) -> Tensor:
    """Mean points a game and seat of both players over each deal's games: [D, K, seats] -> [D, 2] float64."""
    seats = torch.tensor(seatings, device=points.device)
    return torch.stack([points[:, seats == side].mean(-1) for side in (0, 1)], dim=-1)


def win_shares(points: Tensor, seatings: Seatings) -> Tensor:
    """How much of each deal's games player 0 won from player 1: [D, K, seats] -> [D] float64 in 0..1.

    In a game, every seat of one player is compared with every seat of the other: more points win, equal points are half
    a win for each. The share is over all these comparisons in all games of the deal. Where each player plays with
    itself there is one: of its points with the other's.
    """
    if not rivalries(seatings):
        mine, theirs = side_points(points, seatings).unbind(-1)
        return (mine > theirs).double() + (mine == theirs).double() / 2
    seats = torch.tensor(seatings, device=points.device)
    rivals = (seats[:, :, None] == 0) & (seats[:, None, :] == 1)  # [K, seats, seats]
    ahead = (points[..., :, None] > points[..., None, :]).double()
    equal = (points[..., :, None] == points[..., None, :]).double()
    return (ahead + equal / 2)[:, rivals].mean(-1)


def rivalries(seatings: Seatings) -> int:
    """How many pairs of seats of a deal's games have the two players; 0 where each plays with itself."""
    return sum(a != b for seats in seatings for a, b in combinations(seats, 2))
