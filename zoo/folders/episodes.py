"""A run's training episodes as a curve, and the area under it."""

from __future__ import annotations

import csv
import math
from contextlib import suppress
from pathlib import Path

import numpy as np

from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.csv_rows import LARGEST_RETURN

POINTS = 100
"""Of a curve."""
SHARE = 0.1
"""A point is the mean of the episodes that ended in the last tenth of the run's steps before it."""


def curve(run: Run, total: int, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Steps [P] and the mean training return [P] of the episodes that ended shortly before each.

    NaN where none did. Training episodes explore, and their returns are undiscounted and unclipped.

    Args:
        run: with its episodes.csv.
        total: steps that the curve spans.
        points: P.
    """
    ends, scores = _episodes(run.episodes)
    whole = (abs(ends) <= LARGEST_RETURN) & (abs(scores) <= LARGEST_RETURN)
    order = np.argsort(ends[whole], kind="stable")
    ends, scores = ends[whole][order], scores[whole][order]
    steps = np.linspace(0, total, points + 1)[1:]
    first = np.searchsorted(ends, steps - SHARE * total, "right")
    last = np.searchsorted(ends, steps, "right")
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    count = last - first
    return steps, np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def area(run: Run, total: int) -> float:
    """Mean over training of the return of recent episodes, from the first one's end on; NaN: none ended."""
    _, returns_P = curve(run, total)
    return float(np.nanmean(returns_P)) if np.isfinite(returns_P).any() else math.nan


def _episodes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps [N] and returns [N] of an episodes.csv, as far as they can be read."""
    steps: list[float] = []
    scores: list[float] = []
    # Of a hundred runs these are half a million rows: a mapping for each would take most of a report's time.
    if path.is_file():
        with path.open(newline="", encoding="utf-8", errors="replace") as file, suppress(csv.Error):
            rows = csv.reader(file)
            header = next(rows, [])
            if {"step", "return"} <= set(header):
                step_at, score_at = header.index("step"), header.index("return")
                for row in rows:
                    try:
                        step, score = float(row[step_at]), float(row[score_at])
                    except (IndexError, ValueError):  # torn
                        continue
                    steps.append(step)
                    scores.append(score)
    return np.array(steps, dtype=np.float64), np.array(scores, dtype=np.float64)
