"""Learning to play as the rule-based player does, before a network learns from its own games.

Some of what pays in a game pays only once it is played well, such as a bid of nil in Spades: a network that begins with
nothing loses by it, leaves it alone, and never finds out. Behaviour cloning of a player that knows it (Pomerleau 1989,
"ALVINN") is a beginning from which it does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import torch

from net import BlobNet
from vecgame import Game
from vecgame.cards import pack_mask
from veclab.arena.bots import Player, RuleBot, why_not
from veclab.settings import Settings
from veclab.training.learner import Learner, learn
from veclab.training.replay import Examples, ReplayBuffer
from veclab.training.selfplay import finished

AT_ONCE = 2048  # games played before learning from them
FIRST_INDEX = 1 << 43  # games that nothing else in a run has


def check(settings: Settings, games: Sequence[Game]) -> None:
    """Raises ValueError, in one line, where the rule-based player does not know what is played."""
    if settings.imitated_games and (reason := why_not(RuleBot(), *games)) is not None:
        raise ValueError(f"--imitated-games: {reason}")


def imitate(
    settings: Settings,
    start: BlobNet,
    games: Sequence[Game],
    device: torch.device,
    report: Callable[[int], None] = lambda done: None,
) -> BlobNet:
    """``settings.imitated_games`` games between rule-based players, the ``games`` in turn, each decision with a choice
    learned from once: a network of the sizes of ``start``, which it begins with. The learning rate falls to a tenth.

    Args:
        report: called with the games that are done, after some of them.
    """
    learner = Learner(replace(settings, epochs=1, average_decay=0.0, magnet=0.0, magnet_rate=0.0), start.config, device)
    learner.begin_with(start)
    done, number, count = 0, 0, settings.imitated_games
    while done < count:
        game, size = games[number % len(games)], min(AT_ONCE, count - done)
        learner.set_rate(1 - 0.9 * done / count)
        examples = played(game, RuleBot(), size, settings.seed, FIRST_INDEX + done, device, settings.extras())
        if len(examples):
            room = (game.features, game.num_actions, game.seats, settings.extras())
            buffer = ReplayBuffer(len(examples), device, *room)
            buffer.add(examples)
            learn(learner, buffer, len(examples), settings.seed + number)
        done, number = done + size, number + 1
        report(done)
    return learner.net


def played(
    game: Game,
    player: Player,
    count: int,
    seed: int,
    first_index: int,
    device: torch.device,
    extras: Collection[str] = (),
) -> Examples:
    """Games ``first_index`` onwards with the player at every seat: an example of each decision with a choice, whose
    target is the action that it took; ``extras`` names the fields of `replay.EXTRAS` that they shall have."""
    state, stored = game.deal(count, seed, device, first_index), []
    for _ in range(game.decisions):
        actions, action = game.legal_actions(state), player.act(game, state, seed)
        lanes = (actions[:, 1:] >= 0).any(-1).nonzero()[:, 0]
        if len(lanes):
            choosing = state.take(lanes)
            mask = game.policy_mask(choosing)
            column = game.policy_columns(choosing, action[lanes, None])
            target = torch.zeros(mask.shape, dtype=torch.float16, device=mask.device).scatter(1, column, 1.0)
            hidden = game.others_hands(choosing) if "hidden" in extras else None
            stored.append((lanes, game.mover(choosing), game.observe(choosing).half(), pack_mask(mask), target, hidden))
        state = game.step(state, action)
    return finished(game, state, stored, extras)
