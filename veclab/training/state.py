"""What a training run is made of: all that it takes to go on with it exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from vecgame import Blob
from veclab.agents.checkpoint import load_network
from veclab.agents.networks import network_config, newest_network, other_rules, progress_of
from veclab.arena.evaluate import bots_of, choose_device
from veclab.arena.gate import Gate
from veclab.arena.outsiders import is_address, own_player
from veclab.game_flags import identities
from veclab.precision import check_precision, check_ways
from veclab.progress import Display
from veclab.settings import Settings
from veclab.training.checking import REPLAY
from veclab.training.distributed import ALONE, Group
from veclab.training.imitation import Imitation
from veclab.training.learner import Learner
from veclab.training.replay import ReplayBuffer
from veclab.training.room import check_run
from veclab.training.schedule import Schedule
from veclab.training.selfplay import largest_chunk, threads_for

Progress = tuple[int, int]
"""Updates and iterations that a network has learned from; as updates come first, later ones compare as larger."""


class RunState:
    """Networks, optimiser, examples and counters of a run.

    Everything random is a function of the seed and the counters, so no generator has a state to save. Several processes
    all hold the same state; the leader of their ``group`` has it from the folder, and gives it to the others.
    """

    def __init__(self, folder: Path, settings: Settings, display: Display, group: Group = ALONE) -> None:
        self.folder, self.settings, self.display, self.group = folder, settings, display, group
        self.device = choose_device(settings.device, group.local_rank)
        check_precision(settings.precision, self.device)
        check_ways(settings.compile, settings.graphs, self.device)
        if group.size > 1 and ":" in settings.device:
            raise ValueError(f"--device {settings.device} is one GPU; {group.size} processes take --device cuda")
        least = group.size * len(settings.games())
        if group.size > 1 and settings.updates and settings.update_games < least:
            raise ValueError(
                f"{group.size} processes need at least {least} --update-games, for each of them one of each entry of "
                f"--cards, got {settings.update_games}"
            )
        if group.size > 1 and self.device.type == "cuda":
            torch.cuda.set_device(group.local_rank)
        self.games = settings.games()
        self.identities = identities(self.games)
        self.opponents = bots_of(self.games, settings.eval_opponents)  # refused now, not when all is learned
        if settings.eval_opponents:  # as they are found from any folder
            self.settings = settings = replace(settings, eval_opponents=",".join(self.opponents))
        # The files of players of one's own as they were when they were loaded, whatever becomes of them meanwhile.
        self.players = {name: own_player(name).digest() for name in self.opponents if is_address(name)}
        game = self.games[0]
        extras = settings.extras()
        config = network_config(settings.network, game, settings.values == 1, "tricks" in extras, "hidden" in extras)
        done = group.from_leader(self._updates_done)
        check_run(settings, self.games, config, self.device, group, done)
        self.learner = Learner(settings, config, self.device, group)
        room = (game.features, game.num_actions, game.seats, extras)
        self.buffer = ReplayBuffer(settings.replay_examples if settings.iterations else 0, self.device, *room)
        self.gate = Gate(settings, self.learner.net, self.device)
        self.updates = 0  # of policy gradient, done
        self.iteration = 0  # iterations done
        self.rates = {"updates": Schedule(), "iterations": Schedule()}  # of each learner's learning rate
        # Figures of the next iteration's self-play, once its examples are in the buffer but not yet learned from.
        self.pending: dict[str, object] | None = None
        self.chunks = [self._chunk_games(game) for game in self.games]
        self.imitation: Imitation | None = None  # while it lasts, which is before the first update

    @property
    def progress(self) -> Progress:
        """Which of the run's networks the learner holds."""
        return self.updates, self.iteration

    @property
    def imitated(self) -> int:
        """Games of others that it has learned from."""
        return self.settings.imitated_games if self.imitation is None else self.imitation.done

    @property
    def at_work(self) -> Learner:
        """Who learns: the student as long as the run imitates, when its own learner has not begun."""
        return self.learner if self.imitation is None else self.imitation.student

    @property
    def finished(self) -> bool:
        """Whether nothing is left to learn."""
        return self.updates >= self.settings.updates and self.iteration >= self.settings.iterations

    def _updates_done(self) -> int:
        """Updates that the folder's run has done, by its newest network, which is there before the state is loaded."""
        try:
            return progress_of(newest_network(self.folder))[1]
        except ValueError:  # there is none, or it is damaged
            return 0

    def _chunk_games(self, game: Blob) -> int:
        """Games that self-play searches at a time. The run keeps to it, as a network's rounding, and so the choice
        between two nearly equal actions, varies with the size of its batches."""
        count = self.group.share(self.settings.games_per_iter // len(self.games))[1]
        workers = threads_for(count, self.device) * (self.group.local_size if self.device.type == "cpu" else 1)
        return largest_chunk(game, self.settings.search(self_play=True), self.device, workers)

    def _set_initial_weights(self) -> None:
        """Begins: with the initial network, if there is one, and with the imitation of others, if that is asked for."""
        if self.settings.initial_network:
            path = Path(self.settings.initial_network)
            if others := other_rules(path, self.settings):
                self.display.line(f"the run begins {others}")
            self.learner.begin_with(load_network(path, self.device, self.games[0]))
        if self.settings.imitated_games:
            self.imitation = Imitation(self.settings, self.learner.net, self.device)
            self.imitation.find_teachers(self.games)

    def _end_imitation(self) -> None:
        """Has the learner begin with what the student has learned."""
        self.learner.begin_with(self.imitation.student.net)
        self.imitation = None

    def _state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """All that the run is: tensors, and plain values. It is a state between two steps of the loop."""
        replay = {f"{REPLAY}{name}": tensor for name, tensor in self.buffer.state_dict().items()}
        counters = {"updates": self.updates, "iteration": self.iteration, "pending": self.pending}
        counters |= {"device": self.device.type, "chunks": self.chunks, "settings": asdict(self.settings)}
        counters["games"] = self.identities
        if self.imitation is not None:
            counters["imitation"] = self.imitation.counters()
        counters["gate"] = self.gate.counters()
        counters["rates"] = {unit: asdict(schedule) for unit, schedule in self.rates.items()}
        return self.at_work.state_dict() | replay | self.gate.state_dict(), counters

    def _set_stage(self, counters: Mapping[str, object]) -> None:
        """Takes from the counters of a state whether the run imitates, and how far it is in that."""
        if (told := counters.get("imitation")) is None:
            self.imitation = None
            return
        self.imitation = self.imitation or Imitation(self.settings, self.learner.net, self.device)
        self.imitation.load_counters(told)

    def _load_state(self, tensors: dict[str, Tensor], counters: dict[str, object]) -> None:
        """The inverse of `_state`."""
        self._set_stage(counters)
        replay = {name.removeprefix(REPLAY): t for name, t in tensors.items() if name.startswith(REPLAY)}
        self.at_work.load_state_dict({n: t for n, t in tensors.items() if not n.startswith(REPLAY)})
        self.buffer.load_state_dict(replay)
        self.gate.load_state_dict(tensors, counters["gate"])
        self.updates, self.iteration, self.pending = (counters[k] for k in ("updates", "iteration", "pending"))
        # Earlier versions had one schedule only.
        self.rates |= {unit: Schedule(**told) for unit, told in counters.get("rates", {}).items()}
        if counters.get("device") == self.device.type:  # a GPU may be a smaller one, or have less of it free
            largest = self.chunks if self.device.type == "cuda" else counters["chunks"]
            self.chunks = list(map(min, largest, counters["chunks"]))

    def _share_out(self) -> None:
        """Gives the leader's state to all processes."""
        if self.group.size > 1:
            tensors, counters = self._state()
            self._load_state(self.group.tensors_from_leader(tensors), self.group.from_leader(lambda: counters))
