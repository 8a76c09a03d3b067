"""Frames made smaller as OpenCV does it by area, to the byte, in NumPy alone."""

from __future__ import annotations

import math

import numpy as np


class AreaResize:
    """Averages a frame over the area of each pixel of a smaller one.

    In the order and precision of OpenCV's `INTER_AREA` (resize.cpp, `ResizeArea_Invoker`), since a mean may
    lie half-way between two bytes. OpenCV has other code where both sides become shorter by whole factors:
    there a byte may differ by 1.

    Args:
        before, after: (height, width) of frames.

    Raises:
        ValueError: frames would become larger.
    """

    def __init__(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        if after[0] > before[0] or after[1] > before[1]:
            raise ValueError(f"frames of {before} become smaller by area, and cannot be {after}")
        self.same = before == after
        self.rows, self.row_weights = _taps(before[0], after[0])
        self.columns, self.column_weights = _taps(before[1], after[1])

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """A frame [H, W] or [H, W, 3] of bytes in the smaller size."""
        if self.same:
            return frame
        more = (1,) * (frame.ndim - 2)
        across, down = (
            weights.reshape(*weights.shape, *more) for weights in (self.column_weights, self.row_weights)
        )
        narrow = (frame[:, self.columns] * across).sum(1)
        small = (narrow[self.rows] * down[:, :, None]).sum(0)
        return np.rint(small).astype(np.uint8)


def _taps(before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that each new one covers [taps, after], and their weights; 0 where there are fewer."""
    scale = 1 / (after / before)
    taps: list[list[tuple[int, float]]] = []
    for pixel in range(after):
        start, end = pixel * scale, pixel * scale + scale
        width = min(scale, before - start)
        last = min(math.floor(end), before - 1)
        first = min(math.ceil(start), last)
        covered = [(inside, 1 / width) for inside in range(first, last)]
        if first - start > 1e-3:
            covered.insert(0, (first - 1, (first - start) / width))
        if end - last > 1e-3:
            covered.append((last, min(end - last, 1.0, width) / width))
        taps.append(covered)
    most = max(map(len, taps))
    filled = [covered + [(0, 0.0)] * (most - len(covered)) for covered in taps]
    places, weights = zip(*(zip(*covered, strict=True) for covered in filled), strict=True)
    return np.array(places).T, np.array(weights, np.float32).T
