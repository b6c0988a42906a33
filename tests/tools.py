"""Every tool with every game: what `docs/tools.md` says, tried. `python -m tests.tools` writes the page anew.

A tool is a command as a user would type it, or an environment played to its end. It works, or says in one line why not.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import re
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.every_game import EVERY, Named, write_player, write_tutorials
from vecgame import Game
from veclab.cli import call
from veclab.cores import cores

PAGE = Path(__file__).parents[1] / "docs" / "tools.md"
WORKS = "works"
BOT = Path(__file__).parents[1] / "examples" / "bot.py"

TINY_RUN = (
    "--network small --games-per-iter 4 --epochs 1 --worlds 1 --simulations 2 --batch-size 32 --updates 1 "
    "--update-games 4 --eval-every 0 --eval-deals 2 --seed 1 --device cpu"
)
EVALUATE = "evaluate {run} --players alone --eval-deals 2 --opponents"

Door = Callable[[Game], None]
"""Plays one whole game in an environment."""


def pettingzoo(game: Game) -> None:
    from veclab.doors.pettingzoo_env import env

    table, seen = env(game), 0
    table.reset(seed=1)
    for _ in table.agent_iter():
        observation, _reward, over, cut, _info = table.last()
        table.step(None if over or cut else int(observation["action_mask"].argmax()))
        seen += 1
    assert seen > game.seats


def gymnasium(game: Game) -> None:
    from veclab.doors.gymnasium_env import GameEnv

    table = GameEnv(game)
    _, info = table.reset(seed=1)
    over = False
    while not over:
        _, _, over, _, info = table.step(int(np.asarray(info["action_mask"]).argmax()))


def torchrl(game: Game) -> None:
    from veclab.doors.torchrl_env import GameEnv

    rollout = GameEnv(game, games=2, seed=1).rollout(game.decisions)
    assert bool(rollout["next", "done"].any())  # it ends when the first of the games does


def openspiel(game: Game) -> None:
    import pyspiel

    import veclab.doors.openspiel_game  # noqa: F401 - registers the game
    from vecgame import known_as
    from veclab.game_flags import identities, rules_text

    rules = rules_text(identities([game])[0]["rules"])
    table = pyspiel.load_game("python_vecgame", {"game": known_as(type(game)), "rules": rules})
    state, rng = table.new_initial_state(), np.random.RandomState(1)
    while not state.is_terminal():
        if state.is_chance_node():
            actions, chances = zip(*state.chance_outcomes(), strict=True)
            state.apply_action(int(rng.choice(actions, p=chances)))
        else:
            state.apply_action(int(rng.choice(state.legal_actions())))
    assert len(state.returns()) == game.seats


@dataclass(frozen=True)
class Tool:
    """A column of the table."""

    name: str
    command: str = ""  # with {run} for a run's folder, {game} for the flags that name the game, {address}
    door: Door | None = None
    typed: str = ""  # at a terminal


TOOLS = (
    Tool("train", f"train {{game}} --run {{run}} --iterations 1 {TINY_RUN}"),
    Tool(
        "train --gate test", f"train {{game}} --run {{run}}-gated --iterations 2 --gate test --gate-deals 30 {TINY_RUN}"
    ),
    Tool("evaluate: random", f"{EVALUATE} random"),
    Tool("rules", f"{EVALUATE} rules"),
    Tool("flat", f"{EVALUATE} flat"),
    Tool("solved", f"{EVALUATE} solved"),
    Tool("ismcts", f"{EVALUATE} ismcts --ismcts-simulations 4 --eval-deals 4"),  # one by each suit as trump
    Tool("cmd:", f"{EVALUATE} cmd:{sys.executable}\0{BOT}"),
    Tool("FILE.py:CLASS", f"{EVALUATE} careful.py:Careful"),
    Tool("ladder", "ladder {run} --eval-deals 2"),
    Tool("best-response", "best-response {run} --most 1"),
    Tool("solve", "solve {address}"),
    Tool("report", "report {run} --games 4"),
    Tool("export", "export {run} --onnx {run}.onnx"),
    Tool(
        "play",
        "play --agent {run} --plain --worlds 1 --simulations 2 --games 1 --seed 1 --delay 0",
        typed="h\n" + "1\n" * 400,
    ),
    Tool("play --watch", "play --agent {run} --plain --worlds 1 --simulations 2 --games 1 --seed 1 --delay 0 --watch"),
    Tool(
        "bench self-play",
        "bench self-play {game} --batches 2 --quick --timing-only --device cpu --network small",
    ),
    Tool("bench engine", "bench engine {game} --batches 2 --quick --repeats 1 --device cpu"),
    Tool("PettingZoo", door=pettingzoo),
    Tool("Gymnasium", door=gymnasium),
    Tool("TorchRL", door=torchrl),
    Tool("OpenSpiel", door=openspiel),
)
MUST_WORK = {"train", "ladder", "export", "play", "PettingZoo", "Gymnasium", "TorchRL", "OpenSpiel"}


def tried(tool: Tool, named: Named, folder: Path) -> str:
    """`WORKS`, or the one line that says why not. The first tool of a game leaves the run that others take.

    Args:
        folder: the current one, with the tutorials' games and player in it.
    """
    if tool.door is not None:
        tool.door(named.make(folder))
        return WORKS
    words = []
    for word in tool.command.split():
        if word in ("{game}", "{address}"):  # --game GAME, or GAME alone
            words += named.flags[word == "{address}" :]
        else:
            words.append(word.replace("{run}", str(folder / "run")).replace("\0", " "))
    shown, wrong = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, io.StringIO(tool.typed)
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(wrong):
            status = call(words)
    except SystemExit as end:  # of flags that the command does not have
        status = end.code
    finally:
        sys.stdin = before
    said = wrong.getvalue()
    if status == 0:
        return WORKS
    assert status == 2 and said.startswith("error: ") and said.count("\n") == 1, (words, status, shown.getvalue(), said)
    return in_general(re.sub(rf"{re.escape(str(folder))}/?", "", said.removeprefix("error: ").strip()))


def in_general(said: str) -> str:
    """A line without what differs from game to game, so that the page says it once."""
    said = re.sub(
        r"\w+\([^()]*\) is too large to enumerate: .*? deals", "GAME is too large to enumerate: N deals", said
    )
    said = re.sub(r"are the most; .*", "are the most; ..", said)
    said = re.sub(r"the deals of \w+\([^()]*\) cannot", "the deals of GAME cannot", said)
    said = re.sub(r"not \w+\([^()]*\), whose rules", "not GAME, whose rules", said)
    return re.sub(r"(rule-based player .*), not [\w-]+$", r"\1, not GAME", said)


def all_tried(named: Named) -> list[str]:
    """What every tool says of a game."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name).resolve()
        write_tutorials(folder)
        write_player(folder)
        return [tried(tool, named, folder) for tool in TOOLS]


def page(entries: dict[str, list[str]]) -> str:
    """The page with what was tried: a mark for what works, a number for each line that says why not."""
    notes: list[str] = []
    rows = []
    for game, row in entries.items():
        cells = []
        for entry in row:
            if entry != WORKS and entry not in notes:
                notes.append(entry)
            cells.append("+" if entry == WORKS else f"[{notes.index(entry) + 1}]")
        rows.append(f"| {game} | {' | '.join(cells)} |")
    head = ["| |" + "".join(f" {tool.name} |" for tool in TOOLS), "|---|" + "---|" * len(TOOLS)]
    said = [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(
        [TOP, *head, *rows, "", "Where there is a number, the tool says in one line why it cannot:", "", *said, ""]
    )


TOP = """# Which tool works with which game

Every command takes any game by `--game` and `--rules`, the package's by name and your own by its file, and a saved
network brings its own. `python -m tests.tools` tries each pair and writes this table; `make slow` tries them all
again, and CI some of them. Whether a game keeps what they rely on says `vecgame contract GAME`.
"""


def main() -> None:
    with ProcessPoolExecutor(cores(), mp_context=multiprocessing.get_context("spawn")) as pool:
        tries = {str(named): pool.submit(all_tried, named) for named in EVERY}
        entries = {}
        for game, row in tries.items():
            entries[game] = row.result()
            print(f"{game}: {sum(entry == WORKS for entry in entries[game])} of {len(TOOLS)} work", flush=True)
    PAGE.write_text(page(entries))


if __name__ == "__main__":
    main()
