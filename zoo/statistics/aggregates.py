"""Scores over seeds and environments: interquartile mean, optimality gap, profiles, and their intervals.

After Agarwal et al. 2021, "Deep RL at the Edge of the Statistical Precipice". Scores are arrays [S, E] of S
seeds in E environments, normalised where there is more than one environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Scores = np.ndarray
Aggregate = Callable[[Scores], np.ndarray]
RESAMPLES = 2_000
PAIRS = 1 << 22
"""Pairs of runs that are compared at a time."""


def mean(scores_SE: Scores) -> np.ndarray:
    """Mean over the last two axes."""
    return np.mean(scores_SE, axis=(-2, -1))


def median(scores_SE: Scores) -> np.ndarray:
    """Median over environments of the mean over seeds."""
    return np.median(np.mean(scores_SE, axis=-2), axis=-1)


def iqm(scores_SE: Scores) -> np.ndarray:
    """Interquartile mean over the last two axes: of what is left without the lowest and the highest quarter.

    Of n values, n // 4 are left out at either end.
    """
    values = np.sort(scores_SE.reshape(*scores_SE.shape[:-2], -1), axis=-1)
    cut = values.shape[-1] // 4
    return np.mean(values[..., cut : values.shape[-1] - cut], axis=-1)


def optimality_gap(scores_SE: Scores, target: float = 1.0) -> np.ndarray:
    """How far scores stay below a target, on average; what is beyond it does not make up for it."""
    return target - np.mean(np.minimum(scores_SE, target), axis=(-2, -1))


AGGREGATES: dict[str, Aggregate] = {
    "iqm": iqm,
    "median": median,
    "mean": mean,
    "optimality_gap": optimality_gap,
}


def resampled(scores_SE: Scores, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Stratified bootstrap samples [R, S, E]: seeds are drawn anew within each environment."""
    seeds, environments = scores_SE.shape
    drawn = np.random.default_rng(seed).integers(seeds, size=(resamples, seeds, environments))
    return scores_SE[drawn, np.arange(environments)]


def interval(
    scores_SE: Scores, aggregate: Aggregate, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of an aggregate: percentiles of a stratified bootstrap."""
    low, high = np.percentile(aggregate(resampled(scores_SE, resamples, seed)), (2.5, 97.5))
    return float(low), float(high)


def performance_profile(scores_SE: Scores, thresholds_T: np.ndarray) -> np.ndarray:
    """Share of runs [T] with a score above each threshold, environments counting alike."""
    return np.mean(scores_SE[..., None] > thresholds_T, axis=(-3, -2))


def profile_interval(
    scores_SE: Scores, thresholds_T: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals [T], [T] of a performance profile, threshold by threshold."""
    samples = resampled(scores_SE, resamples, seed)
    shares = np.stack([np.mean(samples > threshold, axis=(-2, -1)) for threshold in thresholds_T])
    low, high = np.percentile(shares, (2.5, 97.5), axis=1)
    return low, high


def probability_of_improvement(x_SE: Scores, y_SE: Scores) -> np.ndarray:
    """How probably a run of X beats one of Y, ties counting half, averaged over environments [..., S, E]."""
    better = x_SE[..., :, None, :] > y_SE[..., None, :, :]
    equal = x_SE[..., :, None, :] == y_SE[..., None, :, :]
    return np.mean(better + 0.5 * equal, axis=(-3, -2, -1))


def improvement_interval(
    x_SE: Scores, y_SE: Scores, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the probability of improvement; the sides are resampled independently."""
    x_RSE, y_RSE = resampled(x_SE, resamples, seed), resampled(y_SE, resamples, seed + 1)
    parts = -(-x_RSE.size * y_SE.shape[0] // PAIRS)  # all pairs at once would take gigabytes with many seeds
    samples = np.concatenate([
        probability_of_improvement(x, y)
        for x, y in zip(np.array_split(x_RSE, parts), np.array_split(y_RSE, parts), strict=True)
    ])  # fmt: skip
    low, high = np.percentile(samples, (2.5, 97.5))
    return float(low), float(high)


def matrix(scores: Mapping[str, Sequence[float]]) -> Scores:
    """Scores by environment as an array [S, E]; S is the smallest number of seeds that any of them has."""
    seeds = min(len(values) for values in scores.values())
    return np.array([list(values)[:seeds] for values in scores.values()], dtype=np.float64).T
