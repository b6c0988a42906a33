"""Card games as tensors: rules, deals, observations and hidden-hand sampling for thousands of games at once."""

from vecgame.cards import Layout
from vecgame.dealing import DealerRules
from vecgame.game import Game, resolve_device
from vecgame.games.blob import Blob
from vecgame.games.blob_match import BlobMatch
from vecgame.games.blob_rules import Rules, score
from vecgame.games.blob_state import BlobState
from vecgame.games.briscola import Briscola
from vecgame.games.doppelkopf import Doppelkopf
from vecgame.games.euchre import Euchre
from vecgame.games.hearts import Hearts
from vecgame.games.kuhn import Kuhn
from vecgame.games.leduc import Leduc
from vecgame.games.matches import EuchreMatch, HeartsMatch, SpadesMatch, WhistMatch
from vecgame.games.skat import Skat
from vecgame.games.spades import Spades
from vecgame.games.whist import Whist
from vecgame.games.wizard import Wizard
from vecgame.hands import HandGame, HandState
from vecgame.hidden import Hidden
from vecgame.loading import address_of
from vecgame.own_rules import TrickState
from vecgame.philox import Purpose, Stream
from vecgame.registry import GAMES, default_rules, game_class, game_of, identity, known_as, make_game, register
from vecgame.state import State, concatenate, starts
from vecgame.symmetry import SuitSymmetry
from vecgame.tricks import TrickGame

__version__ = "0.1.0"

__all__ = [
    "GAMES",
    "Blob",
    "BlobMatch",
    "BlobState",
    "Briscola",
    "DealerRules",
    "Doppelkopf",
    "Euchre",
    "EuchreMatch",
    "Game",
    "HandGame",
    "HandState",
    "Hearts",
    "HeartsMatch",
    "Hidden",
    "Kuhn",
    "Layout",
    "Leduc",
    "Purpose",
    "Rules",
    "Skat",
    "Spades",
    "SpadesMatch",
    "State",
    "Stream",
    "SuitSymmetry",
    "TrickGame",
    "TrickState",
    "Whist",
    "WhistMatch",
    "Wizard",
    "address_of",
    "concatenate",
    "default_rules",
    "game_class",
    "game_of",
    "identity",
    "known_as",
    "make_game",
    "register",
    "resolve_device",
    "score",
    "starts",
]
