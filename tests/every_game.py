"""The games that every tool is tried with: each kind of them at a size at which a whole game takes moments.

A game is named as on a command line, by its name or address and its rules: tools and tests take the same.
Those of the tutorials are taken from their pages, as the files of a user's own; so are some of this folder's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vecgame import Game, default_rules, make_game
from veclab.game_flags import read_rules

DOCS = Path(__file__).parents[1] / "docs"
TUTORIALS = {"polignac.py:Polignac": "new-game.md", "bluff.py:Bluff": "new-game-without-tricks.md"}
HERE = Path(__file__).parent
FILES = {
    "uno.py:Uno": HERE / "uno.py",  # of a deck in which cards look alike
    "gin.py:Gin": HERE / "gin.py",  # of melds
    "durak.py:Durak": HERE / "durak.py",  # in which all see the last card of the stock
}


@dataclass(frozen=True)
class Named:
    """A game as a command line names it."""

    game: str  # its name, or the address of one of a tutorial's
    rules: str = ""

    def __str__(self) -> str:
        return f"{self.game.rpartition(':')[2].lower()} {self.rules}".strip()

    @property
    def flags(self) -> list[str]:
        """What names it on a command line, in the folder that holds the tutorials' files."""
        return ["--game", self.game, *(["--rules", self.rules] if self.rules else [])]

    def make(self, folder: Path | None = None) -> Game:
        """The game; one of a tutorial's from its file, written into ``folder``."""
        address = self.game if folder is None or ":" not in self.game else f"{folder}/{self.game}"
        if address != self.game:
            write_tutorials(folder)
        return make_game(address, **read_rules(self.rules, default_rules(address)))


def write_tutorials(folder: Path) -> None:
    """Writes the games of `TUTORIALS` and `FILES` into a folder, as files of a user's own."""
    for address, page in TUTORIALS.items():
        code = re.search(r"^```python\n(.*?)^```", (DOCS / page).read_text(), flags=re.M | re.S)[1]
        (folder / address.partition(":")[0]).write_text(code)
    for file in FILES.values():
        (folder / file.name).write_text(file.read_text())


def write_player(folder: Path) -> None:
    """Writes the player of docs/own-parts.md into a folder, as `careful.py`."""
    code = re.search(r"^```python\n(.*?)^```", (DOCS / "own-parts.md").read_text(), flags=re.M | re.S)[1]
    (folder / "careful.py").write_text(code)


BLOB = (
    Named("blob", "cards=2"),
    *(Named("blob", f"players={players},cards=2") for players in (2, 3, 5, 6, 7)),
    Named("blob", "cards=2,trump=turned"),
    Named("blob", "cards=2,trump=bidder"),
    Named("blob", "cards=2,bidding=once,hook=false"),
    Named("blob", "cards=2,sight=forehead,sight_to=2"),
    Named("blob", "cards=2,sight=blind,sight_to=2"),
    Named("blob", "cards=2,exact_bonus=5,miss_penalty=10"),
    Named("blob", "cards=1,suits=2,ranks=3"),
)
MATCHES = (
    Named("blob-match", "cards=2"),
    Named("hearts-match", "target=20,games=1"),
    Named("spades-match", "target=60,cards=3,games=2"),
    Named("whist-match", "target=2,cards=3,trump=random,games=2"),
    Named("euchre-match", "target=3,games=2"),
)
OTHERS = (
    Named("hearts", "passing=rotate"),
    Named("spades", "cards=3"),
    Named("whist", "cards=3,trump=random"),
    Named("euchre"),
    Named("wizard", "cards=2"),
    Named("wizard", "players=3,cards=2"),
    Named("skat"),
    Named("doppelkopf"),
    Named("briscola"),
    Named("briscola", "players=4"),
    Named("kuhn"),
    Named("kuhn", "players=3"),
    Named("leduc"),
)
OWN = (
    *map(Named, TUTORIALS),
    Named("uno.py:Uno", "cards=3,decisions=40"),
    Named("gin.py:Gin", "decisions=40"),
    Named("durak.py:Durak", "cards=3,ranks=5,decisions=60"),
)
EVERY = (*BLOB, *MATCHES, *OTHERS, *OWN)
