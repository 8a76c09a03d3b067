"""HL-Gauss: a Gaussian around the target, integrated over each bin and truncated to the support.

Deviations from the paper (arXiv 2403.03950): targets are clamped to [v_min, v_max], since its listing is
0/0 once a target is about 5.75 sigma outside; eq. 3.1 is printed without its minus sign. Truncation pulls
the decoded value inwards near the ends (0.69 bins at v_max with the default ratio); `pad_sigmas=3` makes
that 0.004 bins.
"""

import math

from catzoo.kernels import Backend, GaussianLabel
from catzoo.losses.base import LabelLoss
from catzoo.losses.support import Align, Spacing, Support, bins_in_range, check_support, placed_ends
from catzoo.losses.symlog import symlog

PAPER_SIGMA_RATIO = 0.75


class HLGauss(LabelLoss):
    """Cross-entropy to the histogram of a Gaussian around the target (arXiv 2403.03950, section 3.1).

    v_min, v_max and sigma are in units of value, sigma_ratio is sigma / bin width; at most one of the two,
    with neither the paper's ratio of 0.75. pad_sigmas widens the support by so many sigma at both ends, at
    the same number of bins. `sigma` and `sigma_ratio` hold both forms. With spacing="symexp" the Gaussian
    stands on symlog's axis, where sigma is the same at zero and grows with 1 + |value|. Raises ValueError for
    a bad support, sigma, padding or backend.
    """

    def __init__(
        self,
        v_min: float = -10.0,
        v_max: float = 10.0,
        num_bins: int = 51,
        sigma_ratio: float | None = None,
        sigma: float | None = None,
        align: Align = "edges",
        pad_sigmas: float = 0.0,
        backend: Backend = "auto",
        spacing: Spacing = "uniform",
    ) -> None:
        check_support(v_min, v_max, num_bins, align, spacing)
        if sigma is not None and sigma_ratio is not None:
            raise ValueError(f"sigma and sigma_ratio exclude each other, got {sigma} and {sigma_ratio}")
        if not (math.isfinite(pad_sigmas) and pad_sigmas >= 0):
            raise ValueError(f"pad_sigmas must be finite and not negative, got {pad_sigmas}")
        if sigma is None:
            ratio = PAPER_SIGMA_RATIO if sigma_ratio is None else sigma_ratio
            _check_positive("sigma_ratio", ratio)
            low, high = placed_ends(v_min, v_max, spacing)
            sigma = ratio * _padded_bin_width(high - low, bins_in_range(num_bins, align), ratio, pad_sigmas)
        _check_positive("sigma", sigma)
        support = Support(
            v_min, v_max, num_bins, align, padding=pad_sigmas * sigma, spacing=spacing, label_sigma=sigma
        )
        rule = GaussianLabel(support.places, float(sigma), placed_ends(v_min, v_max, spacing))
        super().__init__(support, rule, backend=backend, place=None if spacing == "uniform" else symlog)
        self.sigma = rule.sigma
        self.sigma_ratio = self.sigma / support.bin_width
        self.pad_sigmas = float(pad_sigmas)

    def extra_repr(self) -> str:
        return f"sigma={self.sigma:g}, sigma_ratio={self.sigma_ratio:g}, pad_sigmas={self.pad_sigmas:g}"


def _padded_bin_width(value_range: float, bins: int, ratio: float, pad_sigmas: float) -> float:
    """The width w that solves bins * w = range + 2 * pad_sigmas * (ratio * w)."""
    left = bins - 2 * pad_sigmas * ratio
    if left <= 0:
        raise ValueError(
            f"pad_sigmas must be below {bins / (2 * ratio):g} to leave the range a bin, got {pad_sigmas}"
        )
    return value_range / left


def _check_positive(name: str, x: float) -> None:
    if not (math.isfinite(x) and x > 0):
        raise ValueError(f"{name} must be positive and finite, got {x}")
