"""Sizes of layers: scaled by a width factor, and read off a dry run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def scaled(size: int, width: float) -> int:
    """`size` times `width`, at least 1."""
    return max(round(size * width), 1)


def output_shape(layers: nn.Module, shape: Sequence[int]) -> tuple[int, ...]:
    """What `layers` make of one input of a shape, without the batch dimension."""
    with torch.no_grad():
        return tuple(layers(torch.zeros(1, *shape)).shape[1:])
