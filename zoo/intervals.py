"""Intervals of scores, over episodes or over seeds. Imports nothing but NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(scores: Sequence[float], resamples: int = 2_000) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of the mean of `scores`."""
    random = np.random.default_rng(0)
    values = np.asarray(scores, dtype=np.float64)
    means = random.choice(values, size=(resamples, len(values))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
