"""Returns of whole rollouts.

Legend: N environments, T steps.
"""

from __future__ import annotations

import torch
from torch import Tensor


def q_lambda_returns(
    reward_NT: Tensor, terminated_NT: Tensor, done_NT: Tensor, next_value_NT: Tensor, gamma: float, lam: float
) -> Tensor:
    """Peng's Q(lambda) returns [N, T], as PQN uses them (Gallici et al. 2024, arXiv 2407.04811, eq. 5).

    G_t = r_t + gamma (1 - terminated_t) ((1 - lambda) max_a Q(s'_t, a) + lambda G_{t+1}); where an episode
    or the rollout ends the bracket is max_a Q(s'_t, a) alone, so that a truncated episode bootstraps from its
    own last observation. Exploratory actions do not cut the trace.

    Args:
        reward_NT: rewards.
        terminated_NT, done_NT: bool; done is terminated or truncated.
        next_value_NT: max_a Q of the observation after each step; at an episode's end of its own last one.
        gamma, lam: discount and lambda.
    """
    returns_NT = torch.empty_like(reward_NT)
    discount_NT = gamma * (~terminated_NT).to(reward_NT.dtype)
    following_N = next_value_NT[:, -1]
    for t in reversed(range(reward_NT.shape[1])):
        value_N = next_value_NT[:, t]
        mixed_N = torch.where(done_NT[:, t], value_N, value_N + lam * (following_N - value_N))
        following_N = reward_NT[:, t] + discount_NT[:, t] * mixed_N
        returns_NT[:, t] = following_N
    return returns_NT
