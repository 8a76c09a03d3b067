"""A batch of continuous actions, for the losses of agents."""

import torch

from catzoo.agents import Transitions

B, D, M = 32, 3, 2
"""Transitions, numbers of an observation, numbers of an action."""


def batch_of(weight=None):
    generator = torch.Generator().manual_seed(1)
    observation, following = (torch.randn(B, D, generator=generator) for _ in range(2))
    action, reward = 2 * torch.rand(B, M, generator=generator) - 1, torch.randn(B, generator=generator)
    discount = 0.99 * (torch.arange(B) % 4 != 0)
    return Transitions(observation, action, reward, discount, following, weight)
