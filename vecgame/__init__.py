"""Card games as tensors: rules, deals, observations and hidden-hand sampling for thousands of games at once."""

from vecgame.blob import Blob, BlobState
from vecgame.euchre import Euchre
from vecgame.game import Game, resolve_device
from vecgame.hearts import Hearts
from vecgame.match import BlobMatch
from vecgame.own_rules import TrickState
from vecgame.philox import Purpose, Stream
from vecgame.registry import GAMES, default_rules, make_game, register
from vecgame.rules import Rules, score
from vecgame.spades import Spades
from vecgame.state import State, concatenate
from vecgame.symmetry import SuitSymmetry
from vecgame.tricks import TrickGame
from vecgame.whist import Whist

__all__ = [
    "GAMES",
    "Blob",
    "BlobMatch",
    "BlobState",
    "Euchre",
    "Game",
    "Hearts",
    "Purpose",
    "Rules",
    "Spades",
    "State",
    "Stream",
    "SuitSymmetry",
    "TrickGame",
    "TrickState",
    "Whist",
    "concatenate",
    "default_rules",
    "make_game",
    "register",
    "resolve_device",
    "score",
]
