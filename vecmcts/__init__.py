"""Batched Monte Carlo tree search over any `vecgame.Game`."""

from vecmcts.config import SearchConfig
from vecmcts.evaluators import CriticEvaluator, Evaluator, NetworkEvaluator, PlayoutEvaluator, random_action
from vecmcts.inference import Past
from vecmcts.ismcts import IsmctsConfig, ismcts
from vecmcts.root import best_action
from vecmcts.search import SearchResult, search

__all__ = [
    "CriticEvaluator",
    "Evaluator",
    "IsmctsConfig",
    "NetworkEvaluator",
    "Past",
    "PlayoutEvaluator",
    "SearchConfig",
    "SearchResult",
    "best_action",
    "ismcts",
    "random_action",
    "search",
]
