"""Label rules: how a target becomes a distribution over bins. A rule is constant numbers, checked once.

| rule | target | label |
|---|---|---|
| `GaussianLabel` | a value [...] | a Gaussian's mass in each bin (arXiv 2403.03950, section 3.1) |
| `TwoHotLabel` | a value [...] | the two nearest centers share the mass (eq. 3.2) |
| `ProjectedLabel` | `NextDistribution` | reward + discount * Z', projected (C51, arXiv 1707.06887) |
| `GivenLabel` | probabilities [..., K] | themselves |

Shapes: ... any leading dimensions, K bins.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from catzoo.kernels.bins import Bins

Method = Literal["auto", "polynomial", "erfc"]
METHODS: tuple[Method, ...] = get_args(Method)


class NextDistribution(NamedTuple):
    """What C51 projects: the next state's logits [..., K], reward [...] and discount [...]."""

    logits: Tensor
    reward: Tensor
    discount: Tensor


Target = Tensor | NextDistribution


@dataclass(frozen=True)
class GaussianLabel:
    """The mass of a Gaussian around the clamped target in each bin, truncated to the outermost edges.

    sigma and clamp are in units of value; clamp defaults to the outermost edges, and (-inf, inf) is none.
    method: "polynomial" (a window of equal bins, clamped targets), "erfc" (any bins, any target), or "auto".
    Raises ValueError for a bad sigma or clamp and for a method that cannot do what is asked.
    """

    bins: Bins
    sigma: float
    clamp: tuple[float, float] | None = None
    method: Method = "auto"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma must be positive and finite, got {self.sigma}")
        if self.clamp is not None:
            if len(self.clamp) != 2 or not self.clamp[0] <= self.clamp[1] or self.clamp[0] == math.inf:
                raise ValueError(f"clamp must be a lower and an upper end, got {self.clamp}")
            object.__setattr__(self, "clamp", (float(self.clamp[0]), float(self.clamp[1])))
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {self.method!r}")
        if self.method == "polynomial" and not self.bins.is_uniform:
            raise ValueError("method='polynomial' needs equal bins, got uneven ones: use 'erfc' or 'auto'")
        if self.method == "polynomial" and not self.is_clamped:
            raise ValueError(
                f"method='polynomial' needs a clamp inside the edges "
                f"[{self.bins.edge_min:g}, {self.bins.edge_max:g}], got {self.clamp}"
            )

    @property
    def value_range(self) -> tuple[float, float]:
        """Targets outside are clamped to it."""
        return (self.bins.edge_min, self.bins.edge_max) if self.clamp is None else self.clamp

    @property
    def is_clamped(self) -> bool:
        """Whether targets are never outside the bins."""
        low, high = self.value_range
        return self.bins.edge_min <= low and high <= self.bins.edge_max


@dataclass(frozen=True)
class TwoHotLabel:
    """The two nearest centers share the mass so that its mean is the target, clipped to the centers."""

    bins: Bins

    @property
    def value_range(self) -> tuple[float, float]:
        """Targets outside are clipped to it."""
        return self.bins.center_range


@dataclass(frozen=True)
class ProjectedLabel:
    """The atoms reward + discount * centers, clipped, each shared between its two nearest centers."""

    bins: Bins

    @property
    def value_range(self) -> tuple[float, float]:
        """Atoms outside are clipped to it."""
        return self.bins.center_range


@dataclass(frozen=True)
class GivenLabel:
    """The target is the label."""


Rule = GaussianLabel | TwoHotLabel | ProjectedLabel | GivenLabel
ValueRule = GaussianLabel | TwoHotLabel | ProjectedLabel
"""The rules over bins with values: those that a Bellman step can use."""
