"""The picture of a game in docs/games.md: `python -m tests.game_picture` writes it anew."""

from pathlib import Path

from vecgame import Blob
from vecgame.pictures import picture
from veclab.arena.bots import RuleBot

PATH = Path(__file__).parents[1] / "docs" / "pictures" / "blob.svg"


def drawing() -> str:
    """Thirteen cards each, in the third trick of rule-based players, as the seat to move sees it."""
    game, bot = Blob(cards=13, trump="hearts", dealer=2), RuleBot()
    state = game.deal(1, seed=11)
    for _ in range(game.seats * 3 + 3):
        state = game.step(state, bot.act(game, state, 0))
    seat = int(game.mover(state))
    names = ["South", "West", "North", "East"]
    return picture(game, state, 0, seat, names[-seat:] + names[:-seat]) + "\n"


if __name__ == "__main__":
    PATH.write_text(drawing())
