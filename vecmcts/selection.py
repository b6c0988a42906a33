"""Which slot a descent takes, and which policy a finished search recommends."""

import torch
from torch import Tensor

from vecmcts.config import SearchConfig


def puct(prior: Tensor, visits: Tensor, value_sum: Tensor, own_value: Tensor, c_puct: float) -> Tensor:
    """PUCT (Silver et al., "Mastering the game of Go without human knowledge", 2017), one bound a slot:

        Q + c_puct * P * sqrt(1 + sum of n) / (1 + n),    Q = W / n, and the node's own value where n = 0.

    Args:
        prior: [K, A] P, -inf in slots without an action, whose bound is then -inf.
        visits: [K, A] n.
        value_sum: [K, A] W.
        own_value: [K] value of the node to its mover.

    Returns:
        [K, A].
    """
    # One division gives both: W is 0 where n is. A `where` that broadcasts takes a CPU six times as long.
    q = torch.addcmul(value_sum, (visits == 0).to(visits.dtype), own_value[:, None]) / visits.clamp(min=1)
    return q + exploration(prior, visits, c_puct)


def exploration(prior: Tensor, visits: Tensor, c_puct: float) -> Tensor:
    """The part of `puct` beside Q: [K, A]."""
    return c_puct * prior * (1 + visits.sum(-1, keepdim=True)).sqrt() / (1 + visits)


def improved_policy(
    log_prior: Tensor, visits: Tensor, value_sum: Tensor, own_value: Tensor, config: SearchConfig
) -> Tensor:
    """The policy improved by completed Q-values (Danihelka et al., "Policy improvement by planning with Gumbel", 2022,
    equations 10, 11 and 33):

        softmax(log P + (c_visit + min(max n, trusted_visits)) * c_scale * Q),

    where Q = W / n for visited actions and otherwise v_mix, the mean of the node's own value and the prior-weighted Q
    of the visited actions. The weight of Q grows with the visits, as trust in it should, but not without end: the
    bound is ours.

    Args:
        log_prior: [B, A] log P without noise, -inf in slots without an action.
        visits: [B, A] n.
        value_sum: [B, A] W.
        own_value: [B] the evaluator's value of the root to its mover.

    Returns:
        [B, A] probabilities, 0 in slots without an action.
    """
    return torch.softmax(improved_logits(log_prior, visits, value_sum, own_value, config), dim=-1)


def improved_logits(
    log_prior: Tensor, visits: Tensor, value_sum: Tensor, own_value: Tensor, config: SearchConfig
) -> Tensor:
    """What `improved_policy` is the softmax of: [B, A], -inf in slots without an action."""
    tried, tiny = visits > 0, torch.finfo(log_prior.dtype).tiny
    q = value_sum / visits.clamp(min=1)
    prior_tried = torch.where(tried, log_prior.exp().clamp(min=tiny), 0.0)  # of some weight, however unlikely
    total = visits.sum(-1)
    mean_q = (prior_tried * q).sum(-1) / prior_tried.sum(-1).clamp(min=tiny)
    mixed = (own_value + total * mean_q) / (1 + total)
    most = visits.amax(-1, keepdim=True).clamp(max=config.trusted_visits)
    weight = (config.c_visit + most) * config.c_scale
    return log_prior + weight * torch.where(tried, q, mixed[:, None])
