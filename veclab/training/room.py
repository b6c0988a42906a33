"""Whether a run's settings fit into memory, asked before it begins; see `veclab.room`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from net import NetConfig
from vecgame import Game
from veclab.arena.matches import seatings_of
from veclab.exact.solution import NODE_BYTES, nodes_of
from veclab.room import FLOAT, Need, check_match, check_room, of_search
from veclab.settings import CFR, NEURD, PPO, Settings
from veclab.training.all_actions import judged_a_game
from veclab.training.distributed import Group
from veclab.training.replay import Examples
from veclab.training.selfplay import threads_for


def check_run(
    settings: Settings, games: Sequence[Game], net: NetConfig, device: torch.device, group: Group, updates: int = 0
) -> None:
    """Raises `NoRoomError`, in one line that names a flag, where a run cannot fit into the memory that is free now.

    Args:
        games: the rules that it mixes.
        net: sizes of the network that learns.
        updates: of policy gradient that are done.
    """
    copies = group.local_size if device.type == "cpu" else 1  # of what every process holds
    example = sum(t.nbytes for t in Examples.empty(1, device, *_shape(games[0]), settings.extras()).tensors().values())
    # A game's decisions are at most so many; about half leave no choice and no example, and the rest is held twice as
    # the parts are put together.
    decisions = sum(game.decisions for game in games) / len(games)
    if settings.updates > updates:
        judges_all = settings.update_rule == NEURD
        each = sum(map(judged_a_game, games)) / len(games) if judges_all else decisions
        if settings.update_rule == CFR:
            each = 1
            nodes = sum(map(nodes_of, games))
            less = f"--update-rule {PPO} or a smaller deck"
            laid_out = Need(f"a game of {nodes:,} nodes, laid out,", group.local_size * nodes * NODE_BYTES, less)
            check_room(torch.device("cpu"), laid_out)
        rows = int(settings.update_games * each)
        drawn = int(settings.update_share * rows)
        # Of all actions the policy and the advantages, and of those that are drawn what the magnet says.
        told = (2 * rows * judges_all + (drawn if settings.magnet else 0)) * games[0].num_actions
        seen = copies * (rows * games[0].features + told) * FLOAT
        rollout = Need(f"what {settings.update_games:,} games leave to learn from", seen, "a smaller --update-games")
        check_room(device, rollout, _batch(settings.update_batch, drawn, net, "--update-batch"))
    check_match(device, games, settings.eval_deals, len(seatings_of(games[0])), settings.search(), "--eval-deals")
    if not settings.iterations:
        return
    kept, count = settings.replay_examples, settings.games_per_iter
    buffer = Need(f"a replay buffer of {kept:,} examples", copies * kept * example, "a smaller --replay-examples")
    size = int(copies * count * decisions * example)
    played = Need(f"the examples of {count:,} games", size, "a smaller --games-per-iter")
    config, share = settings.search(self_play=True), group.share(count // len(games) or 1)[1]
    at_once = copies * threads_for(share, device)  # one game each: more only as far as there is room
    flag = ""
    if settings.chunk_games and device.type == "cpu":  # a GPU that has too little takes fewer
        at_once, flag = min(at_once * settings.chunk_games, copies * share), "--chunk-games"
    trees = max((of_search(max(1, at_once), game, config, flag) for game in games), key=lambda need: need.bytes)
    check_room(device, buffer, played, trees)
    check_room(device, buffer, _batch(settings.batch_size, kept, net, "--batch-size"))


def _batch(size: int, rows: int, net: NetConfig, flag: str) -> Need:
    """What a learning step of so many of the rows keeps of the network's layers, two bytes each."""
    columns = net.observation + net.layers * (4 * net.dim + net.ffn)
    return Need(f"a learning step of {size:,} examples", 2 * min(size, rows) * columns, f"a smaller {flag}")


def _shape(game: Game) -> tuple[int, int, int]:
    return game.features, game.num_actions, game.seats
