"""Bins: where a value's distribution lives, as numbers on the host.

Everything that a check, a choice of kernel or a compiled constant needs is known without reading a tensor
back from a device. Tensors of edges and centers are made from these numbers in the dtype of the computation.

Shapes: K bins.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from catzoo.kernels.numerics import may_keep, position_dtype


@dataclass(frozen=True)
class Bins:
    """K bins between two outermost edges, in units of value: equal, or with `edges` and `centers` given.

    Use `Bins(edge_min, edge_max, num_bins)` for equal bins, `Bins.centered` for equal bins by their outermost
    centers, and `Bins.uneven` for any others. Raises ValueError for a range that is empty or not finite and
    for fewer than two bins.
    """

    edge_min: float
    edge_max: float
    num_bins: int
    edges: tuple[float, ...] | None = None
    centers: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.num_bins, int) or self.num_bins < 2:
            raise ValueError(f"num_bins must be an integer of at least 2, got {self.num_bins!r}")
        # Plain numbers, which compare and hash by value, whatever came.
        object.__setattr__(self, "edge_min", float(self.edge_min))
        object.__setattr__(self, "edge_max", float(self.edge_max))
        if not (
            math.isfinite(self.edge_min)
            and math.isfinite(self.edge_max)
            and self.edge_min < self.edge_max
            and math.isfinite(self.edge_max - self.edge_min)
        ):
            raise ValueError(
                f"edge_min must be below edge_max, both finite; got {self.edge_min} and {self.edge_max}"
            )

    @classmethod
    def centered(cls, center_min: float, center_max: float, num_bins: int) -> "Bins":
        """Equal bins whose outermost centers are given, as for C51 and Two-Hot."""
        if not isinstance(num_bins, int) or num_bins < 2:
            raise ValueError(f"num_bins must be an integer of at least 2, got {num_bins!r}")
        if not (math.isfinite(center_min) and math.isfinite(center_max) and center_min < center_max):
            raise ValueError(
                f"center_min must be below center_max, both finite; got {center_min} and {center_max}"
            )
        half = (center_max - center_min) / (num_bins - 1) / 2
        return cls(center_min - half, center_max + half, num_bins)

    @classmethod
    def uneven(cls, edges: Sequence[float], centers: Sequence[float] | None = None) -> "Bins":
        """Bins between any increasing edges [K+1]; centers [K] are the middles unless given."""
        edges = tuple(float(edge) for edge in edges)
        middles = tuple((low + high) / 2 for low, high in itertools.pairwise(edges))
        centers = middles if centers is None else tuple(float(center) for center in centers)
        for name, points in (("edges", edges), ("centers", centers)):
            ordered = all(low < high for low, high in itertools.pairwise(points))
            if not (ordered and all(map(math.isfinite, points))):
                raise ValueError(f"{name} must increase strictly and be finite, got {_short(points)}")
        if len(edges) < 3 or len(centers) != len(edges) - 1:
            raise ValueError(
                f"edges must have K + 1 >= 3 and centers K numbers, got {len(edges)} and {len(centers)}"
            )
        return cls(edges[0], edges[-1], len(centers), edges, centers)

    @property
    def is_uniform(self) -> bool:
        """Whether all bins have one width and their centers in the middle."""
        return self.edges is None

    @property
    def width(self) -> float:
        """The width of a bin; the mean one where they are not equal."""
        return (self.edge_max - self.edge_min) / self.num_bins

    @property
    def center_range(self) -> tuple[float, float]:
        """The outermost centers: the values that the bins can represent."""
        if self.centers is not None:
            return self.centers[0], self.centers[-1]
        return self.edge_min + self.width / 2, self.edge_max - self.width / 2

    def edge_tensor(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The edges [K+1]; on a CPU always the same tensor, which must not be written to."""
        return _kept(self, True, dtype, device) if may_keep(device) else _points(self, True, dtype, device)

    def center_tensor(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The centers [K]; on a CPU always the same tensor, which must not be written to."""
        return _kept(self, False, dtype, device) if may_keep(device) else _points(self, False, dtype, device)

    def centers_to_sum(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The centers [K] as a mean over them needs them: uneven ones in float64.

        They may reach to 1e8 on both sides, and what is left of that when it cancels is the value.
        """
        return self.center_tensor(dtype if self.is_uniform else position_dtype(device), device)


def _points(bins: Bins, edges: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    given = bins.edges if edges else bins.centers
    if given is not None:
        return torch.tensor(given, dtype=dtype, device=device)
    low, high = (bins.edge_min, bins.edge_max) if edges else bins.center_range
    return torch.linspace(low, high, bins.num_bins + edges, dtype=dtype, device=device)


@functools.lru_cache(maxsize=256)
def _kept(bins: Bins, edges: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return _points(bins, edges, dtype, device)


def _short(points: Sequence[float]) -> str:
    shown = ", ".join(f"{point:g}" for point in points[:4])
    return f"[{shown}{', …' if len(points) > 4 else ''}]"
