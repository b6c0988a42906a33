"""Learning to play as others do, before a network learns from its own games.

Some of what pays in a game pays only once it is played well, such as a bid of nil in Spades: a network that begins with
nothing loses by it, leaves it alone, and never finds out. Behaviour cloning of a player that knows it (Pomerleau 1989,
"ALVINN") is a beginning from which it does. Of networks the whole policy is learned, and one can learn from several,
each where it is good, or a small one from a large one (policy distillation, Rusu et al. 2016, arXiv:1511.06295).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import NoReturn

import torch
from torch import Tensor

from net import BlobNet, InferenceNet
from vecgame import Game, Purpose, State, Stream
from vecgame.cards import pack_mask
from veclab.agents.networks import load_agent
from veclab.arena.bots import RuleBot, why_not
from veclab.command_line import HANGUP, leave_closed_terminal, on_stop
from veclab.progress import Display
from veclab.settings import RULE_PLAYERS, Settings
from veclab.training.learner import Learner, learn
from veclab.training.mixing import shared_out
from veclab.training.replay import Examples, ReplayBuffer
from veclab.training.selfplay import finished, sample
from veclab.training.steps import SPARE

AT_ONCE = 2048  # games played before learning from them
FIRST_INDEX = 1 << 43  # games that nothing else in a run has


Teacher = Callable[[Game, State, int], tuple[Tensor, Tensor]]
"""A game, B positions of it with a choice, a seed -> the teacher's action in each [B] int64, and the policy that is to
be learned there, [B, actions] float32 over the policy columns."""


def begin(learner: Learner, games: Sequence[Game], display: Display) -> None:
    """Has a run's learner begin with what the players that its settings name have taught it, and says so.

    Whatever asks the process to stop meanwhile stops it at once, for there is nothing yet that could be saved.

    Raises:
        KeyboardInterrupt: then, with what is said of it.
        ValueError: as `teachers_of`.
    """
    settings, done = learner.settings, 0
    lessons = list(zip(games, teachers_of(settings, games, learner.device), strict=True))
    count = settings.imitated_games

    def stop(signum: int, frame: object) -> NoReturn:
        if signum == HANGUP:
            leave_closed_terminal()
        raise KeyboardInterrupt(f"{done:,} of {count:,} games were imitated, and nothing of that is kept")

    with on_stop(stop), display.task("games to imitate", count, "games") as task:

        def report(now: int) -> None:
            nonlocal done
            done = now
            task.update(done)

        net = imitate(settings, learner.net, lessons, learner.device, report)
    learner.begin_with(net)
    by = "rule-based players" if settings.imitated == RULE_PLAYERS else settings.imitated
    display.line(f"begins by what {count:,} games of {by} taught it")


def teachers_of(settings: Settings, games: Sequence[Game], device: torch.device) -> list[Teacher]:
    """Who plays each of the games: the rule-based player or, of the networks that ``settings.imitated`` names, the one
    that was trained for this game and the fewest others.

    Raises:
        ValueError: in one line, where a game has no teacher, or one cannot be had.
    """
    if settings.imitated == RULE_PLAYERS:
        if (reason := why_not(RuleBot(), *games)) is not None:
            raise ValueError(f"--imitated-games: {reason}")
        return [by_rules] * len(games)
    named = [path.strip() for path in settings.imitated.split(",")]
    if "" in named:
        raise ValueError(f"--imitated must be {RULE_PLAYERS}, or files separated by commas, got {settings.imitated!r}")
    agents = [load_agent(path, device) for path in named]
    agents.sort(key=lambda agent: len(set(agent.games)))
    known = [next((agent for agent in agents if game in agent.games), None) for game in games]
    if None in known:
        raise ValueError(f"--imitated: none of {settings.imitated} was trained for {games[known.index(None)]!r}")
    if idle := [str(agent.path) for agent in agents if agent not in known]:
        raise ValueError(f"--imitated: {idle[0]} would teach none of these games; leave it out")
    taught = {agent.path: by_network(InferenceNet(agent.network)) for agent in known}
    return [taught[agent.path] for agent in known]


def by_rules(game: Game, state: State, seed: int) -> tuple[Tensor, Tensor]:
    """The rule-based player as a `Teacher`: what it does is to be done always."""
    action = RuleBot().act(game, state, seed)
    column = game.policy_columns(state, action[:, None])
    return action, torch.zeros(len(action), game.num_actions, device=action.device).scatter(1, column, 1.0)


def by_network(network: InferenceNet) -> Teacher:
    """A network as a `Teacher`, whose actions are drawn from its policy."""

    def teach(game: Game, state: State, seed: int) -> tuple[Tensor, Tensor]:
        mask, actions = game.policy_mask(state), game.legal_actions(state)
        logits, _ = network(game.observe(state), mask)
        policy = logits.float().masked_fill(~mask, -torch.inf).softmax(-1)
        uniform = Stream(seed, state.index, game.turn(state)).uniform(Purpose.ACTION, 1)[:, 0]
        columns = game.policy_columns(state, actions)
        slot = ((columns == sample(policy, uniform)[:, None]) & (actions >= 0)).to(torch.int8).argmax(-1)
        return actions.gather(1, slot[:, None])[:, 0], policy

    return teach


def imitate(
    settings: Settings,
    start: BlobNet,
    lessons: Sequence[tuple[Game, Teacher]],
    device: torch.device,
    report: Callable[[int], None] = lambda done: None,
) -> BlobNet:
    """``settings.imitated_games`` games shared out among the ``lessons``, each decision with a choice learned from
    once: a network of the sizes of ``start``, which it begins with. The learning rate falls to a tenth.

    Args:
        report: called with the games that are done, after some of them.
    """
    learner = Learner(replace(settings, epochs=1, average_decay=0.0, magnet=0.0, magnet_rate=0.0), start.config, device)
    learner.begin_with(start)
    teachers, games = dict(lessons), [game for game, _ in lessons]
    room = (games[0].features, games[0].num_actions, games[0].seats, settings.extras())
    buffer = ReplayBuffer(0, device, *room)  # one for all, where it can be: on a GPU steps are recorded for each
    done, number, count = 0, 0, settings.imitated_games
    while done < count:
        size = min(AT_ONCE, count - done)
        learner.set_rate(1 - 0.9 * done / count)
        parts = [
            played(game, teachers[game], share, settings.seed, FIRST_INDEX + done + first, device, settings.extras())
            for game, first, share in shared_out(games, size, number)
        ]
        if examples := sum(map(len, parts)):
            if examples > buffer.capacity:
                buffer = ReplayBuffer(int(SPARE * examples), device, *room)
            buffer.clear()
            for part in parts:
                buffer.add(part)
            learn(learner, buffer, examples, (settings.seed + number) % 2**63)
        done, number = done + size, number + 1
        report(done)
    return learner.net


def played(
    game: Game,
    teacher: Teacher,
    count: int,
    seed: int,
    first_index: int,
    device: torch.device,
    extras: Collection[str] = (),
) -> Examples:
    """Games ``first_index`` onwards with the teacher at every seat: an example of each decision with a choice, whose
    target is the teacher's policy; ``extras`` names the fields of `replay.EXTRAS` that they shall have."""
    state, stored = game.deal(count, seed, device, first_index), []
    for _ in range(game.decisions):
        actions = game.legal_actions(state)
        action = actions[:, 0]
        lanes = game.chooses(state, actions).nonzero()[:, 0]
        if len(lanes):
            choosing = state.take(lanes)
            chosen, policy = teacher(game, choosing, seed)
            action = action.index_copy(0, lanes, chosen)
            legal = pack_mask(game.policy_mask(choosing))
            hidden = game.others_hands(choosing) if "hidden" in extras else None
            stored.append((lanes, game.mover(choosing), game.observe(choosing).half(), legal, policy.half(), hidden))
        state = game.step(state, action)
    return finished(game, state, stored, extras)
