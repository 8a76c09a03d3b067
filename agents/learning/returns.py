"""Returns of whole rollouts.

Legend: N environments, T steps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from catzoo.agents.learning.batches import Rollout

CHUNK = 1_024
"""Observations valued at once: a whole rollout of Atari stacks would take gigabytes of activations."""


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


def generalized_advantages(
    reward_NT: Tensor,
    terminated_NT: Tensor,
    done_NT: Tensor,
    value_NT: Tensor,
    next_value_NT: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """GAE(lambda) [N, T] (Schulman et al. 2016, arXiv 1506.02438, eq. 16); plus value_NT it is a return.

    Args:
        reward_NT: rewards.
        terminated_NT, done_NT: bool; done is terminated or truncated.
        value_NT: of the observation before each step.
        next_value_NT: of the observation after it; at an episode's end of its own last one.
        gamma, lam: discount and lambda.
    """
    dtype = reward_NT.dtype
    delta_NT = reward_NT + gamma * (~terminated_NT).to(dtype) * next_value_NT - value_NT
    return _backwards(delta_NT, gamma * lam * (~done_NT).to(dtype))


def vtrace(
    reward_NT: Tensor,
    terminated_NT: Tensor,
    done_NT: Tensor,
    value_NT: Tensor,
    next_value_NT: Tensor,
    ratio_NT: Tensor,
    gamma: float,
) -> tuple[Tensor, Tensor]:
    """V-trace targets, and advantages for the policy gradient, [N, T] each (Espeholt et al. 2018, arXiv
    1802.01561, eq. 1 and section 4.2, rho and c clipped at 1).

    Args:
        reward_NT, terminated_NT, done_NT, value_NT, next_value_NT: as `generalized_advantages` takes them.
        ratio_NT: how likely an action is now, over how likely it was when it was taken.
        gamma: the discount.
    """
    dtype = reward_NT.dtype
    clipped_NT, discount_NT = ratio_NT.clamp(max=1.0), gamma * (~terminated_NT).to(dtype)
    delta_NT = clipped_NT * (reward_NT + discount_NT * next_value_NT - value_NT)
    target_NT = value_NT + _backwards(delta_NT, gamma * (~done_NT).to(dtype) * clipped_NT)
    # What follows a step inside of an episode is worth its target; beyond an end nothing has one.
    following_NT = torch.cat([target_NT[:, 1:], next_value_NT[:, -1:]], 1)
    following_NT = torch.where(done_NT, next_value_NT, following_NT)
    return target_NT, clipped_NT * (reward_NT + discount_NT * following_NT - value_NT)


def _backwards(delta_NT: Tensor, carried_NT: Tensor) -> Tensor:
    """x_t = delta_t + carried_t x_(t+1) [N, T], from 0 after the last step."""
    sums, following_N = [], torch.zeros_like(delta_NT[:, 0])
    for delta_N, carried_N in zip(reversed(delta_NT.unbind(1)), reversed(carried_NT.unbind(1)), strict=True):
        following_N = torch.addcmul(delta_N, carried_N, following_N)
        sums.append(following_N)
    return torch.stack(sums[::-1], 1)


def in_chunks(value_of: Callable[[Tensor], Tensor], observation: Tensor, device: torch.device) -> Tensor:
    """Values [n] of observations [n, ...] that may lie elsewhere, `CHUNK` at once."""
    return torch.cat([value_of(chunk.to(device)).float() for chunk in observation.split(CHUNK)])


def end_values(value_of: Callable[[Tensor], Tensor], rollout: Rollout) -> Tensor:
    """Values [N, T] of what followed a rollout's last step, and an episode that was truncated; else 0."""
    needed_NT = rollout.done.clone()
    needed_NT[:, -1] = True
    needed_NT &= ~rollout.terminated
    value_NT = torch.zeros_like(rollout.reward)
    where = needed_NT.to(rollout.next_observation.device)
    if where.any():
        value_NT[needed_NT] = in_chunks(value_of, rollout.next_observation[where], value_NT.device)
    return value_NT


def next_values(value_NT: Tensor, end_value_NT: Tensor, done_NT: Tensor) -> Tensor:
    """Values [N, T] after each step, from those before each step and those where something ended."""
    following_NT = torch.cat([value_NT[:, 1:], end_value_NT[:, -1:]], 1)
    return torch.where(done_NT, end_value_NT, following_NT)
