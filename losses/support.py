"""The support: K equal bins over a range of values, in one of two conventions.

    align="edges"      the outermost bin edges lie on v_min and v_max (the paper's HL-Gauss); w = range / K
    align="centers"    the outermost bin centers do (C51, Two-Hot); w = range / (K - 1)

A comparison of losses must use one convention for all. Padding widens the range at both ends; v_min and v_max
stay what they were, the ends to which targets are clamped.
"""

import math
from collections.abc import Callable
from typing import Any, Final, Literal, Self, get_args

import torch
from torch import Tensor, nn

from catzoo.kernels import Bins

Align = Literal["edges", "centers"]


class Support(nn.Module):
    """Bin `edges` [K+1] and `centers` [K] (float32, constant), and the numbers that they come from.

    A module, so that its tensors follow the loss to a device; they are not in the state_dict, and `.half()`
    or `.to(torch.bfloat16)` leaves them in float32. Raises ValueError for an empty or non-finite range,
    fewer than two bins, an unknown align, or a negative padding.
    """

    edges: Tensor
    centers: Tensor

    def __init__(
        self, v_min: float, v_max: float, num_bins: int, align: Align = "edges", *, padding: float = 0.0
    ) -> None:
        super().__init__()
        check_support(v_min, v_max, num_bins, align)
        if not (math.isfinite(padding) and padding >= 0):
            raise ValueError(f"padding must be finite and not negative, got {padding}")
        self.v_min: Final = float(v_min)
        self.v_max: Final = float(v_max)
        self.num_bins: Final = num_bins
        self.align: Final[Align] = align
        self.padding: Final = float(padding)
        self.bin_width: Final = (self.v_max - self.v_min + 2 * self.padding) / bins_in_range(num_bins, align)
        beyond = self.padding + (self.bin_width / 2 if align == "centers" else 0.0)
        self.edge_min: Final = self.v_min - beyond
        self.edge_max: Final = self.v_max + beyond
        self.bins: Final = Bins(self.edge_min, self.edge_max, num_bins)
        edges, centers = self.grid(torch.float64)
        self.register_buffer("edges", edges.float(), persistent=False)
        self.register_buffer("centers", centers.float(), persistent=False)

    def grid(self, dtype: torch.dtype, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
        """Fresh edges [K+1] and centers [K] in a dtype, from the exact numbers."""
        device = device or torch.get_default_device()
        return self.bins.edge_tensor(dtype, device).clone(), self.bins.center_tensor(dtype, device).clone()

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
        return f"[{self.v_min:g}, {self.v_max:g}], num_bins={self.num_bins}, align={self.align!r}{padding}"


def bins_in_range(num_bins: int, align: Align) -> int:
    """How many bin widths the range is long."""
    return num_bins if align == "edges" else num_bins - 1


def check_support(v_min: float, v_max: float, num_bins: Any, align: str) -> None:
    """Raise ValueError unless these describe a support."""
    if not (math.isfinite(v_min) and math.isfinite(v_max) and v_min < v_max):
        raise ValueError(f"v_min must be below v_max, both finite; got v_min={v_min} and v_max={v_max}")
    if not isinstance(num_bins, int) or num_bins < 2:
        raise ValueError(f"num_bins must be an integer of at least 2, got {num_bins!r}")
    if align not in get_args(Align):
        raise ValueError(f"align must be 'edges' or 'centers', got {align!r}")
