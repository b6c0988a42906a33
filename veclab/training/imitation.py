"""Learning to play as others do, before a network learns from its own games.

Some of what pays in a game pays only once it is played well, such as a bid of nil in Spades: a network that begins with
nothing loses by it, leaves it alone, and never finds out. Behaviour cloning of a player that knows it (Pomerleau 1989,
"ALVINN") is a beginning from which it does. Of networks the whole policy is learned, and one can learn from several,
each where it is good, or a small one from a large one (policy distillation, Rusu et al. 2016, arXiv:1511.06295).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from net import BlobNet, InferenceNet
from vecgame import Game, Purpose, State, Stream
from vecgame.cards import pack_mask
from veclab.agents.networks import Agent, load_agent
from veclab.arena.bots import RuleBot, why_not
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


class Imitation:
    """What a run does before it learns from its own games: a student learns from the games of teachers.

    The student is a learner of its own, whose optimiser ends with it, and has neither averages nor a magnet: all that
    becomes the run's is its network. It and the `counters` are all that it takes to go on exactly.

    Args:
        settings: of the run.
        start: the weights that the student begins with, and its sizes.
    """

    def __init__(self, settings: Settings, start: BlobNet, device: torch.device) -> None:
        self.settings = settings
        own = replace(settings, epochs=1, average_decay=0.0, magnet=0.0, magnet_rate=0.0)
        self.student = Learner(own, start.config, device)
        self.student.begin_with(start)
        self.lessons: list[tuple[Game, Teacher]] = []  # games and who plays each of them, once that is known
        self.done = 0  # games that it has learned from
        self.teachers = ""  # see `digest_of`
        self.buffer: ReplayBuffer | None = None  # one for all, where it can be: on a GPU steps are recorded for each

    @property
    def over(self) -> bool:
        """Whether no games are left."""
        return self.done >= self.settings.imitated_games

    def counters(self) -> dict[str, object]:
        """How far it is, in plain values."""
        return {"games": self.done, "teachers": self.teachers}

    def load_counters(self, told: Mapping[str, object]) -> None:
        """The inverse of `counters`."""
        self.done, self.teachers = told["games"], told["teachers"]

    def find_teachers(self, games: Sequence[Game]) -> None:
        """Has those play that the settings name.

        Raises:
            ValueError: as `agents_of`; where they are not those that it has learned from so far.
        """
        agents = agents_of(self.settings, games, self.student.device)
        digest = digest_of(agents)
        if self.done and digest != self.teachers:
            raise ValueError(
                f"--imitated {self.settings.imitated}: other weights than those that {self.done:,} games of the run "
                "were imitated of; put the files back as they were, or begin a new run"
            )
        self.teachers = digest
        self.lessons = list(zip(games, teachers_by(agents, games), strict=True))

    def learn(self, check: Callable[[], None] = lambda: None) -> int:
        """The next `AT_ONCE` games, shared out among the lessons, each decision with a choice learned from once. The
        learning rate falls to a tenth over all games.

        Args:
            check: called often; what it raises leaves the student within its step.

        Returns:
            What is `done` then, which is the caller's to set.
        """
        settings, student, done = self.settings, self.student, self.done
        size, number = min(AT_ONCE, settings.imitated_games - done), done // AT_ONCE
        student.set_rate(1 - 0.9 * done / settings.imitated_games)
        teachers, parts = dict(self.lessons), []
        for game, first, share in shared_out([game for game, _ in self.lessons], size, number):
            index, extras = FIRST_INDEX + done + first, settings.extras()
            parts.append(played(game, teachers[game], share, settings.seed, index, student.device, extras, check))
        if examples := sum(map(len, parts)):
            buffer = self._room_for(examples)
            for part in parts:
                buffer.add(part)
            learn(student, buffer, examples, (settings.seed + number) % 2**63, lambda *_: check())
        return done + size

    def _room_for(self, examples: int) -> ReplayBuffer:
        """An empty buffer for so many examples at least."""
        if self.buffer is None or examples > self.buffer.capacity:
            game, extras = self.lessons[0][0], self.settings.extras()
            room = (game.features, game.num_actions, game.seats, extras)
            self.buffer = ReplayBuffer(int(SPARE * examples), self.student.device, *room)
        self.buffer.clear()
        return self.buffer


def imitate(
    settings: Settings,
    start: BlobNet,
    lessons: Sequence[tuple[Game, Teacher]],
    device: torch.device,
    report: Callable[[int], None] = lambda done: None,
) -> BlobNet:
    """All of an `Imitation` without a stop: a network of the sizes of ``start``, which it begins with.

    Args:
        report: called with the games that are done, after some of them.
    """
    imitation = Imitation(settings, start, device)
    imitation.lessons = list(lessons)
    while not imitation.over:
        imitation.done = imitation.learn()
        report(imitation.done)
    return imitation.student.net


def teachers_of(settings: Settings, games: Sequence[Game], device: torch.device) -> list[Teacher]:
    """Who plays each of the games; errors as `agents_of`."""
    return teachers_by(agents_of(settings, games, device), games)


def agents_of(settings: Settings, games: Sequence[Game], device: torch.device) -> list[Agent]:
    """For each of the games, of the networks that ``settings.imitated`` names the one that was trained for this game
    and the fewest others; nothing where rule-based players play.

    Raises:
        ValueError: in one line, where a game has no teacher, or one cannot be had.
    """
    if settings.imitated == RULE_PLAYERS:
        if (reason := why_not(RuleBot(), *games)) is not None:
            raise ValueError(f"--imitated-games: {reason}")
        return []
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
    return known


def teachers_by(agents: Sequence[Agent], games: Sequence[Game]) -> list[Teacher]:
    """The agents as teachers of the games, one for each; the rule-based player where there are none."""
    if not agents:
        return [by_rules] * len(games)
    taught = {agent.path: by_network(InferenceNet(agent.network)) for agent in agents}
    return [taught[agent.path] for agent in agents]


def digest_of(agents: Sequence[Agent]) -> str:
    """What tells agents from others, as a run's newest network that is named by its folder becomes another one: the
    SHA-256 of their weights; nothing of none."""
    if not agents:
        return ""
    digest = hashlib.sha256()
    for agent in {agent.path: agent for agent in agents}.values():
        for name, tensor in agent.network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy())
    return digest.hexdigest()


def by_rules(game: Game, state: State, seed: int) -> tuple[Tensor, Tensor]:
    """The rule-based player as a `Teacher`: what it does is to be done always."""
    action = RuleBot().act(game, state, seed)
    column = game.policy_columns(state, action[:, None])
    return action, torch.zeros(len(action), game.num_actions, device=action.device).scatter(1, column, 1.0)


def by_network(network: InferenceNet) -> Teacher:
    """A network as a `Teacher`, whose actions are drawn from its policy."""

    def teach(game: Game, state: State, seed: int) -> tuple[Tensor, Tensor]:
        actions = game.legal_actions(state)
        columns = game.policy_columns(state, actions)
        mask = game.mask_at(actions, columns)
        logits, _ = network(game.observe(state), mask)
        policy = logits.float().masked_fill(~mask, -torch.inf).softmax(-1)
        uniform = Stream(seed, state.index, game.turn(state)).uniform(Purpose.ACTION, 1)[:, 0]
        slot = ((columns == sample(policy, uniform)[:, None]) & (actions >= 0)).to(torch.int8).argmax(-1)
        return actions.gather(1, slot[:, None])[:, 0], policy

    return teach


def played(
    game: Game,
    teacher: Teacher,
    count: int,
    seed: int,
    first_index: int,
    device: torch.device,
    extras: Collection[str] = (),
    check: Callable[[], None] = lambda: None,
) -> Examples:
    """Games ``first_index`` onwards with the teacher at every seat: an example of each decision with a choice, whose
    target is the teacher's policy; ``extras`` names the fields of `replay.EXTRAS` that they shall have; ``check`` is
    called before each decision."""
    state, stored = game.deal(count, seed, device, first_index), []
    for _ in range(game.decisions):
        check()
        if game.is_terminal(state).all():
            break
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
