"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

LEVELS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve of at most so many characters, from its lowest value to its highest.

    Neighbours are averaged where there is no place for all; values that are not finite are left out.
    """
    finite = [value for value in values if math.isfinite(value)]
    count = min(len(finite), width)
    parts = [
        fmean(finite[index * len(finite) // count : (index + 1) * len(finite) // count])
        for index in range(count)
    ]
    low, high = min(parts, default=0.0), max(parts, default=0.0)
    if low == high:
        return LEVELS[len(LEVELS) // 2] * count
    return "".join(LEVELS[round((part - low) / (high - low) * (len(LEVELS) - 1))] for part in parts)
