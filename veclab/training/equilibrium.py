"""What a network learns of a game that is solved: its policy and values, at all that there is to decide.

Where a game is so small that all of it can be laid out, regrets in a table come nearer to an equilibrium in seconds
than any learner from drawn games in minutes (`veclab.exact.regret`, docs/learning.md). So an update draws decisions
of the solution, and the network learns what it does there: by cross-entropy, and by the exact worth of each node.

A decision counts for as much as it comes up: with the probability that its seat itself plays towards it, and that
others do who play half by the solution and half at random, for whoever looks for weaknesses does not play as the
solution does. It is drawn in proportion to the square root of that, and counts for more or less as this is too much
or too little.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from net import InferenceNet
from vecgame import Game, Purpose, State, Stream, SuitSymmetry, concatenate
from vecgame.cards import pack_mask, unpack_mask
from veclab.exact.solution import Part, Report, Solution, solve
from veclab.training.drawing import Played, as_seen, by_column
from veclab.training.learner import Learner
from veclab.training.policy_gradient import as_read, in_passes, with_other_terms
from vecmcts.evaluators import to_relative

AT_RANDOM = 0.5  # of what others do, for how often a decision comes up
LEAST = 1e-3  # that a seat is thought to play towards each decision

_solved: dict[tuple[Game, torch.device], Lessons] = {}
KEPT = 16  # solved games


@dataclass(frozen=True, kw_only=True)
class Lesson(Played):
    """E drawn decisions of a solution, and what they count for."""

    policy: Tensor  # [E, actions] float32, of the solution; 0 where illegal
    counts: Tensor  # [E] float32, 1 on the average


@dataclass(frozen=True)
class Lessons:
    """All N decisions of a solved game in which there is a choice, one for each node."""

    iterations: int  # of the solution, see there
    gain: float  # of a best response to it, in points
    score: float  # mean points a game and seat
    state: State  # N lanes
    ends: Tensor  # [N] float64, sums of the probabilities to be drawn
    counts: Tensor  # [N] float32, what each counts for where it is drawn, 1 on the average of draws
    policy: Tensor  # [N, max_legal] float32, of the solution by slot
    value: Tensor  # [N, P] float32, worth to each absolute seat from 0 to 1, as `Game.values`

    @classmethod
    def of(cls, solution: Solution, device: torch.device) -> Lessons:
        """All that a solution teaches."""
        parts = [_of_part(solution.game, part) for part in solution.parts]
        state = concatenate([state for state, _ in parts])
        rows = {name: torch.cat([rows[name] for _, rows in parts]) for name in parts[0][1]}
        root = rows.pop("comes_up").sqrt()  # of the information set's
        chance = rows.pop("within") * root
        chance /= chance.sum()
        counts = root / (chance * root).sum()
        told = {"ends": chance.cumsum(0), "counts": counts.float(), **rows}
        score = float(solution.points.mean())
        held = {name: tensor.to(device) for name, tensor in told.items()}
        return cls(solution.iterations, solution.gain, score, state.to(device), **held)


def _of_part(game: Game, part: Part) -> tuple[State, dict[str, Tensor]]:
    """The decisions of a part of a solution: their states; how often the information set of each comes up, and how
    often it is this node then; its policy and values: [N, ..] each."""
    solver, found = part.solver, []
    alike = (level.legal / level.legal.sum(-1, keepdim=True) for level in solver.levels)
    mixed = [torch.lerp(*pair, AT_RANDOM) for pair in zip(part.tables, map(Tensor.double, alike), strict=True)]
    of_levels = zip(
        solver.levels,
        part.states,
        part.tables,
        solver.by_seats(solver.reach, mixed),
        solver.by_seats(solver.towards, part.tables),
        solver.by_seats(solver.values, part.tables),
        strict=True,
    )
    for level, state, table, reach, towards, points in of_levels:
        sets, mover = level.information, level.mover[:, None]
        by_others = reach.gather(1, mover)[:, 0] * part.share
        of_set = by_others.new_zeros(len(table)).index_add_(0, sets, by_others)[sets]
        comes_up = of_set * towards.gather(1, mover)[:, 0].clamp(min=LEAST)
        worth = (points - game.lowest) / (game.highest - game.lowest)
        rows = {
            "comes_up": comes_up,
            "within": by_others / of_set,
            "policy": table[sets].float(),
            "value": worth.float(),
        }
        place = game.chooses(state, game.legal_actions(state)).nonzero()[:, 0]
        found.append((state.take(place), {name: tensor[place] for name, tensor in rows.items()}))
    rows = {name: torch.cat([rows[name] for _, rows in found]) for name in found[0][1]}
    return concatenate([state for state, _ in found]), rows


def lessons_of(game: Game, device: torch.device, report: Report = lambda done, share: None) -> Lessons:
    """What is to be learned of a game, which is solved when it is first asked for; errors as `solve`."""
    if (game, device) not in _solved:
        while len(_solved) >= KEPT:
            del _solved[next(iter(_solved))]
        _solved[game, device] = Lessons.of(solve(game, by_observation=True, report=report), device)
    return _solved[game, device]


def forget() -> None:
    """Has games be solved anew."""
    _solved.clear()


def play(
    game: Game,
    network: InferenceNet,
    games: int,
    seed: int,
    first_index: int,
    device: torch.device,
    symmetry: SuitSymmetry | None = None,
    extras: Collection[str] = (),
    graphs: bool = True,
) -> Lesson:
    """Draws so many decisions of the game's solution; see `policy_gradient.play`. Each is a function of the seed and of
    its number, ``first_index`` onwards; nothing is played, and the network not asked."""
    lessons = lessons_of(game, device)
    index = torch.arange(first_index, first_index + games, device=device)
    stream = Stream(seed, index, torch.zeros_like(index))
    drawn = stream.uniform(Purpose.ACTION, 1)[:, 0].double() * lessons.ends[-1]
    place = torch.searchsorted(lessons.ends, drawn, right=True).clamp(max=len(lessons.ends) - 1)
    state = lessons.state.take(place)
    actions = game.legal_actions(state)
    observation, mask, columns, hidden = as_seen(game, state, actions, stream, symmetry, "hidden" in extras)
    return Lesson(
        observation=observation,
        legal=pack_mask(mask),
        value=to_relative(lessons.value[place], game.mover(state)),
        score=lessons.score,
        games=games,
        hidden=hidden,
        policy=by_column(lessons.policy[place], columns, actions >= 0, game.num_actions),
        counts=lessons.counts[place],
    )


def update(
    learner: Learner, lesson: Lesson, entropy_weight: float, seed: int, report: Callable[[], None] | None = None
) -> dict[str, float]:
    """A few passes over a lesson, which all processes of the learner's group hold. Arguments, figures and errors are
    those of `policy_gradient.update`; nothing is added for the policy's entropy."""
    lesson.check()
    order = torch.Generator().manual_seed(seed)
    rows = lesson.tensors()
    read = as_read(learner, {**rows, "weight": rows.pop("counts")})
    passes = torch.arange(len(lesson.legal), device=learner.device).expand(learner.settings.update_epochs, -1)
    return in_passes(learner, lesson, read, passes, order, loss, 0.0, report)


def loss(
    learner: Learner, lesson: dict[str, Tensor], entropy_weight: Tensor, index: Tensor, total: int
) -> tuple[Tensor, Tensor]:
    """See `policy_gradient.Loss`. The objective of a decision is what its policy makes of the log-probabilities."""
    batch = {name: tensor[index] for name, tensor in lesson.items()}
    mask = unpack_mask(batch["legal"], learner.net.config.actions)
    outputs = learner.forward(batch["observation"], mask, batch.get("hidden"))
    finite = outputs.log_policy.masked_fill(~mask, 0.0)
    objective = (batch["policy"] * finite).sum(-1)
    return with_other_terms(learner, batch, outputs, finite, objective, entropy_weight, total)
