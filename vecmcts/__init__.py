"""Batched Monte Carlo tree search over any `vecgame.Game`."""

from vecmcts.config import RolloutConfig, SearchConfig
from vecmcts.evaluators import CriticEvaluator, Evaluator, NetworkEvaluator, PlayoutEvaluator, random_action
from vecmcts.inference import Past
from vecmcts.ismcts import IsmctsConfig, ismcts
from vecmcts.rollouts import rollouts
from vecmcts.root import best_action
from vecmcts.search import SearchResult, search

__all__ = [
    "CriticEvaluator",
    "Evaluator",
    "IsmctsConfig",
    "NetworkEvaluator",
    "Past",
    "PlayoutEvaluator",
    "RolloutConfig",
    "SearchConfig",
    "SearchResult",
    "best_action",
    "ismcts",
    "random_action",
    "rollouts",
    "search",
]
