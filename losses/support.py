"""The support: K bins over a range of values, in one of two conventions.

    align="edges"      the outermost bin edges lie on v_min and v_max (the paper's HL-Gauss); w = range / K
    align="centers"    the outermost bin centers do (C51, Two-Hot); w = range / (K - 1)

    spacing="uniform"  bins are equally wide
    spacing="symexp"   they are on symlog's axis (DreamerV3's), and so grow with 1 + |value|: few bins reach
                       from hundredths to millions

Of 51 bins the two differ by a fiftieth in width: a comparison of losses says which each has, or uses one.
Padding widens the range at both ends; v_min and v_max stay what they were, the ends to which targets are
clamped.
"""

import math
from collections.abc import Callable
from typing import Any, Final, Literal, Self, get_args

import torch
from torch import Tensor, nn

from catzoo.kernels import Bins
from catzoo.losses.symlog import symexp, symlog

Align = Literal["edges", "centers"]
Spacing = Literal["uniform", "symexp"]


class Support(nn.Module):
    """Bin `edges` [K+1] and `centers` [K] (float32, constant), and the numbers that they come from.

    A module, so that its tensors follow the loss to a device; they are not in the state_dict, and `.half()`
    or `.to(torch.bfloat16)` leaves them in float32. `bin_width` and padding are in units of value; with
    symexp they are symlog's, which at zero is the same. label_sigma is the width there of the Gaussian that
    will be a label: symexp's mean over it is too large, and the centers make up for that. Raises ValueError
    for an empty or non-finite range, fewer than two bins, an unknown align or spacing, or a negative padding.
    """

    edges: Tensor
    centers: Tensor

    def __init__(
        self,
        v_min: float,
        v_max: float,
        num_bins: int,
        align: Align = "edges",
        *,
        padding: float = 0.0,
        spacing: Spacing = "uniform",
        label_sigma: float = 0.0,
    ) -> None:
        super().__init__()
        check_support(v_min, v_max, num_bins, align, spacing)
        if not (math.isfinite(padding) and padding >= 0):
            raise ValueError(f"padding must be finite and not negative, got {padding}")
        self.v_min: Final = float(v_min)
        self.v_max: Final = float(v_max)
        self.num_bins: Final = num_bins
        self.align: Final[Align] = align
        self.padding: Final = float(padding)
        self.spacing: Final[Spacing] = spacing
        low, high = placed_ends(v_min, v_max, spacing)
        self.bin_width: Final = (high - low + 2 * self.padding) / bins_in_range(num_bins, align)
        beyond = self.padding + (self.bin_width / 2 if align == "centers" else 0.0)
        self.places: Final = Bins(low - beyond, high + beyond, num_bins)
        """Equal bins: of the values, or with symexp on symlog's axis."""
        self.bins: Final = self.places if spacing == "uniform" else symexp_bins(self.places, label_sigma)
        self.edge_min: Final = self.bins.edge_min
        self.edge_max: Final = self.bins.edge_max
        edges, centers = self.grid(torch.float64)
        self.register_buffer("edges", edges.float(), persistent=False)
        self.register_buffer("centers", centers.float(), persistent=False)

    def grid(self, dtype: torch.dtype, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
        """Fresh edges [K+1] and centers [K] in a dtype, from the exact numbers."""
        # torch 2.6 cannot be asked for its default device once `set_default_device(None)` was called.
        device = device or torch.empty(0).device
        return self.bins.edge_tensor(dtype, device).clone(), self.bins.center_tensor(dtype, device).clone()

    def width_at(self, value: Tensor) -> Tensor:
        """The width [...] of a bin at values [...]."""
        width = torch.full_like(value, self.bin_width)
        return width if self.spacing == "uniform" else width * (1 + value.abs())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow a change of device, not one of dtype: a bfloat16 support has steps of 1/32 at 10.

        Filled anew from the exact numbers, since `to_empty` brings no content along.
        """
        before = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, exact in zip(
            ("edges", "centers"), self.grid(torch.float64, torch.device("cpu")), strict=True
        ):
            moved = self._buffers[name]
            if moved is not None and moved is not before[name]:
                self._buffers[name] = exact.float().to(moved.device)
        return self

    def extra_repr(self) -> str:
        padding = f", padding={self.padding:g}" if self.padding else ""
        spacing = "" if self.spacing == "uniform" else f", spacing={self.spacing!r}"
        shown = f"[{self.v_min:g}, {self.v_max:g}], num_bins={self.num_bins}, align={self.align!r}"
        return f"{shown}{padding}{spacing}"


def bins_in_range(num_bins: int, align: Align) -> int:
    """How many bin widths the range is long."""
    return num_bins if align == "edges" else num_bins - 1


def placed_ends(v_min: float, v_max: float, spacing: Spacing) -> tuple[float, float]:
    """The ends on the axis on which bins are equal."""
    if spacing == "uniform":
        return float(v_min), float(v_max)
    low, high = symlog(torch.tensor([v_min, v_max], dtype=torch.float64, device="cpu")).tolist()
    return low, high


def symexp_bins(places: Bins, sigma: float) -> Bins:
    """The bins of values that are equal on symlog's axis.

    Of a Gaussian of width sigma in equal bins of width w the mean of exp is too large by exp(sigma^2 / 2)
    sinh(w / 2) / (w / 2); the centers are too small by as much. A label of one bin, or of two that are
    weighted in values, needs no such thing.

    Raises:
        ValueError: bins or a sigma so wide that the centers would not increase.
    """
    exact, device = torch.float64, torch.device("cpu")
    edges, centers = places.edge_tensor(exact, device), places.center_tensor(exact, device)
    if sigma == 0:
        return Bins.uneven(symexp(edges).tolist(), symexp(centers).tolist())
    half = places.width / 2
    smaller = math.exp(-(sigma**2) / 2) * half / math.sinh(half)
    side = torch.sign((centers / places.width).round(decimals=6))  # 0 for a bin in the middle
    corrected = side * (centers.abs().exp() * smaller - 1)
    if not bool((corrected.diff() > 0).all()):
        raise ValueError(
            f"bins of {places.width:.3g} and a sigma of {sigma:.3g} on symlog's axis are too wide for "
            "spacing='symexp': take more bins, or a smaller sigma"
        )
    return Bins.uneven(symexp(edges).tolist(), corrected.tolist())


def check_support(v_min: float, v_max: float, num_bins: Any, align: str, spacing: str = "uniform") -> None:
    """Raise ValueError unless these describe a support."""
    if not (math.isfinite(v_min) and math.isfinite(v_max) and v_min < v_max):
        raise ValueError(f"v_min must be below v_max, both finite; got v_min={v_min} and v_max={v_max}")
    if not isinstance(num_bins, int) or num_bins < 2:
        raise ValueError(f"num_bins must be an integer of at least 2, got {num_bins!r}")
    if align not in get_args(Align):
        raise ValueError(f"align must be 'edges' or 'centers', got {align!r}")
    if spacing not in get_args(Spacing):
        raise ValueError(f"spacing must be 'uniform' or 'symexp', got {spacing!r}")
