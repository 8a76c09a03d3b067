"""Target networks: copies that only follow."""

from __future__ import annotations

import copy

import torch
from torch import nn


def target_of(network: nn.Module) -> nn.Module:
    """A copy of a network that learns nothing by itself."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow_parameters(source: nn.Module, target: nn.Module, tau: float) -> None:
    """Moves a target's parameters a share `tau` of the way to those of the network that it follows."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), tau)


@torch.no_grad()
def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Copies the parameters of a network into another of the same build."""
    torch._foreach_copy_(list(target.parameters()), list(source.parameters()))
