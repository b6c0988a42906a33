"""Card games as tensors: rules, deals, observations and hidden-hand sampling for thousands of games at once."""

from vecgame.blob import Blob, BlobState
from vecgame.game import Game, resolve_device
from vecgame.philox import Purpose, Stream
from vecgame.rules import Rules, score
from vecgame.state import State, concatenate

__all__ = ["Blob", "BlobState", "Game", "Purpose", "Rules", "State", "Stream", "concatenate", "resolve_device", "score"]
