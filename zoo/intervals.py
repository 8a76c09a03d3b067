"""Intervals of scores, over episodes or over seeds. Imports NumPy only where it resamples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

FEW = 10
"""Below so many values resampling them says too little: of three, a bootstrap covers 73 % and not 95."""
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t for 1, 2, 3 … degrees of freedom."""


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean over seeds: Student's t for fewer than `FEW` values, else a bootstrap."""
    if len(values) >= FEW:
        return bootstrap_interval(values)
    mean, half_width = student_interval(values)
    return mean - half_width, mean + half_width


def student_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval (Student's t); infinite for a single value."""
    mean, freedom = statistics.fmean(values), len(values) - 1
    if freedom < 1:
        return mean, math.inf
    # Beyond the table: off by less than 1 %.
    quantile = STUDENT[freedom - 1] if freedom <= len(STUDENT) else 1.96 + 2.5 / freedom
    return mean, quantile * statistics.stdev(values) / math.sqrt(len(values))


def bootstrap_interval(scores: Sequence[float], resamples: int = 2_000) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of the mean of `scores`."""
    import numpy as np

    random = np.random.default_rng(0)
    values = np.asarray(scores, dtype=np.float64)
    means = random.choice(values, size=(resamples, len(values))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
