"""Mean and standard deviation of all that was seen, number by number, as buffers: a part of the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class RunningMoments(nn.Module):
    """Moments of numbers of one shape.

    Args:
        shape: of what is seen; () for plain numbers.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, shape: Sequence[int] = ()) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        for name in ("mean", "squares"):
            self.register_buffer(name, torch.zeros(tuple(shape)))

    @property
    def deviation(self) -> Tensor:
        """The standard deviation [*shape]; 0 before anything was seen."""
        return (self.squares / self.count.clamp(min=1)).sqrt()

    @torch.no_grad()
    def update(self, seen: Tensor) -> None:
        """Takes more [n, *shape] (Chan et al. 1983: the squares of two sets around their common mean)."""
        if not len(seen):
            return
        seen = seen.to(self.mean)
        number, mean = len(seen), seen.mean(0)
        total, apart = self.count + number, mean - self.mean
        self.squares += (seen - mean).square().sum(0) + apart.square() * (self.count * (number / total))
        self.mean += apart * (number / total)
        self.count += number


class ObservationNorm(RunningMoments):
    """(observation - mean) / deviation, within ± `LARGEST`; as it is before anything was seen.

    Moments are those of the steps collected (`PlayingFeed`), or of a dataset (`DatasetFeed`), and not of what
    is learned from or played.
    """

    LARGEST = 10.0
    NARROWEST = 1e-4
    """The least deviation that is divided by: a number that never changes says nothing."""

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, *shape] to float32 [B, *shape]."""
        observation = observation.float()
        scaled = (observation - self.mean) / self.deviation.clamp(min=self.NARROWEST)
        return torch.where(self.count > 0, scaled, observation).clamp(-self.LARGEST, self.LARGEST)

    @torch.no_grad()
    def take_over(self, other: RunningMoments) -> None:
        """Becomes as another one is."""
        for own, theirs in zip(self.buffers(), other.buffers(), strict=True):
            own.copy_(theirs)
