"""Matches at the table, and what tests of them look at."""

import io
import random
import re
import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from net import NetConfig
from tests.every_game import Named
from vecgame import Blob
from vecgame.cards import STANDARD
from veclab import play
from veclab.table.glyphs import ASCII
from veclab.table.session import Match, Settings, begin

SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
CARD = re.compile(r"(?:10|[2-9JQKA])'?[♠♥♣♦]")


def of_blob(cards: int = 5, **others: object) -> Settings:
    """A match of Blob with hands of so many cards at most."""
    return Settings(Blob(cards=cards), **others)


def played(settings: Settings, seed: int = 0, stop: int | None = None) -> Match:
    """A match in which all seats act at random, after ``stop`` actions or at its end."""
    rng, match = random.Random(seed), begin(settings)
    while not match.over and len(match.history) != stop:
        match = match.act(rng.choice(match.legal))
    return match


def one_game(named: Named, **others: object) -> Match:
    """A match of one game, or of the first of a match of Blob."""
    return begin(Settings(named.make(), **{"games": 1, "agent": "random", "seed": 3, **others}))


def name(card: str) -> int:
    """A card's id by its name in letters."""
    return next(c for c in range(52) if ASCII.card(STANDARD, c) == card)


def position(hands: list[str], trump: int, dealer: int, actions: list[int]) -> Match:
    """A match whose first game has these hands, after some actions."""
    ids = torch.tensor([[[name(card) for card in hand.split()] for hand in hands]])
    match = begin(of_blob(cards=ids.shape[2]))
    match = replace(match, state=match.game.from_hands(ids, dealer, trump))
    for action in actions:
        match = match.act(action)
    return match


class Recorder:
    """A console in memory, with every text that was shown since the last look."""

    def __init__(self, width: int = 80) -> None:
        self.file = io.StringIO()
        self.console = Console(file=self.file, width=width, height=24, force_terminal=True, highlight=False)

    def take(self) -> str:
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.file.getvalue())
        self.file.seek(0)
        self.file.truncate()
        return text


def run_without_agents(monkeypatch, capsys, typed: str, *flags: str) -> tuple[int, str, str]:
    """`run` where no agents came with the program."""
    monkeypatch.setattr(play, "SHIPPED", Path("no-such-folder"))
    return run(monkeypatch, capsys, typed, *flags)


def run(monkeypatch, capsys, typed: str, *flags: str) -> tuple[int, str, str]:
    """The command with lines typed at it: exit status, output and errors."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    try:
        status = play.main(list(flags))
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def answers(count: int) -> str:
    """Lines that finish any game: for each decision every bid or card by number, the wrong ones refused."""
    return "".join(f"{number}\n" for _ in range(count) for number in range(6))
