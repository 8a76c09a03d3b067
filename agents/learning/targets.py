"""Target networks: copies that only follow."""

from __future__ import annotations

import copy

import torch
from torch import nn


def target_of(network: nn.Module) -> nn.Module:
    """A copy of a network that learns nothing by itself."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Copies the parameters of a network into another of the same build."""
    torch._foreach_copy_(list(target.parameters()), list(source.parameters()))
