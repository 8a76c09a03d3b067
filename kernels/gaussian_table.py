"""Polynomials for the Gaussian label: the mass in each bin of a window, from where in its bin the target is.

With s = sigma / bin width, f in [0, 1) the target's position inside its bin, and w the bins of a window of W,
of which number W / 2 - 1 holds the target:

    P_w(f) = Phi((w - W/2 + 2 - f) / s) - Phi((w - W/2 + 1 - f) / s)

is smooth in f, so a least-squares polynomial of low degree replaces the error function: its coefficients
depend on s only and fit in a cache line or two.
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

# The largest error of a probability that is let pass; the plain float32 formula makes up to 5e-7.
TOLERANCE = 2.5e-7
# Window sizes, and how many sigma they must hold on the short side: beyond 6 there is 2e-9 of the mass.
WINDOWS, SIGMAS = (16, 32), 6.0
DEGREES = (6, 7, 8, 10, 12, 16)


class Table(NamedTuple):
    """Coefficients [degree + 1, W] in powers of 2 f - 1, float32, lowest first."""

    window: int
    degree: int
    coefficients: Tensor


@functools.lru_cache(maxsize=256)
def gaussian_table(ratio: float) -> Table | None:
    """The smallest table for sigma / bin width = ratio; None where none is good enough."""
    fitting = [window for window in WINDOWS if (window // 2 - 1) / ratio >= SIGMAS]
    if not fitting:
        return None
    for degree in DEGREES:
        coefficients = _fit(ratio, fitting[0], degree)
        if _error(ratio, coefficients) <= TOLERANCE:
            return Table(fitting[0], degree, coefficients)
    return None


def exact(ratio: float, window: int, f: Tensor) -> Tensor:
    """P_w(f) in float64: f [...] → [..., W]."""
    edges = torch.arange(1 - window // 2, window // 2 + 2, dtype=torch.float64, device=f.device)
    z = (edges - f.double()[..., None]) / (ratio * math.sqrt(2))
    cdf: Tensor = torch.special.erf(z)
    return cdf.diff(dim=-1) / 2


def evaluate(coefficients: Tensor, f: Tensor) -> Tensor:
    """The polynomials by Horner's rule in float32: f [...] → [..., W]."""
    x = 2 * f.float()[..., None] - 1
    result = coefficients[-1].expand(*f.shape, -1)
    for row in coefficients[:-1].flip(0):
        result = result * x + row
    return result


def _fit(ratio: float, window: int, degree: int) -> Tensor:
    nodes = torch.cos(
        math.pi * (torch.arange(64, dtype=torch.float64, device="cpu") + 0.5) / 64
    )  # Chebyshev's
    powers = nodes[:, None] ** torch.arange(degree + 1, dtype=torch.float64, device="cpu")
    fit: Tensor = torch.linalg.lstsq(powers, exact(ratio, window, (nodes + 1) / 2)).solution
    return fit.float().contiguous()


def _error(ratio: float, coefficients: Tensor) -> float:
    f = torch.linspace(0, 1, 1025, dtype=torch.float32, device="cpu")
    return (evaluate(coefficients, f) - exact(ratio, coefficients.shape[1], f)).abs().max().item()
