"""Value losses in closed form: gradients, biases and floors, in units of a bin's width.

Where a target lies within its bin is uniform, and averages are over that: a label's overlap with a label at
a distance is then a B-spline. HL-Gauss's mass in a bin is a Gaussian seen through a box, so two of them make
a spline of degree 1 (a triangle) smoothed by both Gaussians; Two-Hot's is a triangle, and two of them make
the cubic one. The support has no ends unless it is said where its end is.
"""

from __future__ import annotations

import math

PAPER_RATIO = 0.75
"""sigma in bin widths."""
LARGEST = math.sqrt(2)
"""What no gradient of a cross-entropy exceeds: softmax minus label is a difference of two distributions."""
TWO_HOT_FLOOR = 0.5
"""The mean of -f log f - (1 - f) log(1 - f) over f in [0, 1]."""
SERIES = 60
"""Terms of a sum, far more than count: they fall as a Gaussian does."""


def normal_cdf(z: float) -> float:
    """Phi(z), with small tails."""
    return math.erfc(-z / math.sqrt(2)) / 2


def gradient_norm(loss: str, error: float, ratio: float = PAPER_RATIO) -> float:
    """Root mean square norm of the gradient for a prediction that is off by `error`, and sure of itself.

    Of MSE 2 |error|; of a cross-entropy the distance between two labels.
    """
    if loss == "mse":
        return 2 * abs(error)
    return math.sqrt(2 * (overlap(loss, 0.0, 0.0, ratio) - overlap(loss, error, 0.0, ratio)))


def gradient_variance(loss: str, noise: float, ratio: float = PAPER_RATIO) -> float:
    """Total variance of the gradient when targets have a normal noise of this standard deviation.

    Of MSE 4 noise^2; of a cross-entropy the label's own, below 1: E |p|^2 - |E p|^2.
    """
    if loss == "mse":
        return 4 * noise**2
    return overlap(loss, 0.0, 0.0, ratio) - overlap(loss, 0.0, math.sqrt(2) * noise, ratio)


def overlap(loss: str, distance: float, noise: float, ratio: float = PAPER_RATIO) -> float:
    """The mean of sum_i p_i q_i of two labels whose targets lie apart by distance + noise * Z, Z normal."""
    if loss == "two_hot":
        return smoothed_spline(3, distance, noise)
    return smoothed_spline(1, distance, math.sqrt(2 * ratio**2 + noise**2))


def smoothed_spline(degree: int, place: float, deviation: float) -> float:
    """The mean of the centred B-spline with knots 1 apart at place + deviation * Z, Z normal."""
    order = degree + 1
    pieces = (
        (-1) ** k * math.comb(order, k) * truncated_power(degree, place + order / 2 - k, deviation)
        for k in range(order + 1)
    )
    return math.fsum(pieces) / math.factorial(degree)


def truncated_power(degree: int, place: float, deviation: float) -> float:
    """The mean of max(place + deviation * Z, 0)^degree, Z normal, by Stein's recursion."""
    if deviation == 0:
        return max(place, 0.0) ** degree
    z = place / deviation
    density = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    before, now = normal_cdf(z), place * normal_cdf(z) + deviation * density
    for power in range(2, degree + 1):
        before, now = now, place * now + (power - 1) * deviation**2 * before
    return now


def inside_bias(ratio: float, points: int = 2_000) -> float:
    """The largest distance of HL-Gauss's decoded label from its target, far from the support's ends.

    A bin's centre minus a value in it is a sawtooth; the Gaussian damps its Fourier series.
    """
    damping = [math.exp(-2 * (math.pi * k * ratio) ** 2) / (math.pi * k) for k in range(1, SERIES)]
    return max(
        abs(math.fsum(d * math.sin(2 * math.pi * k * f / points) for k, d in enumerate(damping, 1)))
        for f in range(points)
    )


def edge_bias(loss: str, distance: float, ratio: float = PAPER_RATIO) -> float:
    """The decoded label minus its target at a distance below the support's upper edge."""
    if loss == "mse":
        return 0.0
    if loss == "two_hot":  # targets are clipped to the last center
        return -max(0.0, 0.5 - distance)
    below = math.fsum(normal_cdf((distance - edge) / ratio) for edge in range(1, SERIES))
    return distance - 0.5 - below / normal_cdf(distance / ratio)


def floor(loss: str, ratio: float, step: float = 0.005) -> float:
    """The least that the loss can be on average: the label's entropy, in nats.

    For HL-Gauss the entropy of the density of a Gaussian plus a uniform number.
    """
    if loss == "two_hot":
        return TWO_HOT_FLOOR
    places = (step * k for k in range(math.ceil((1 + 12 * ratio) / step)))
    masses = [normal_cdf((0.5 - u) / ratio) - normal_cdf((-0.5 - u) / ratio) for u in places]
    entropies = [-mass * math.log(mass) if mass > 0 else 0.0 for mass in masses]
    return step * (2 * math.fsum(entropies) - entropies[0])  # even in u
