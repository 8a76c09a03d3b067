"""The numbers of a report over environments: aggregates, improvements and profiles, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from catzoo.hparams import RecipeError
from catzoo.zoo.reporting.comparison import Comparison, Group
from catzoo.zoo.reporting.finished_runs import named
from catzoo.zoo.statistics.aggregates import (
    AGGREGATES,
    improvement_interval,
    interval,
    matrix,
    performance_profile,
    probability_of_improvement,
    profile_interval,
)
from catzoo.zoo.statistics.normalisation import scale_of

TITLES = {"iqm": "IQM", "median": "Median", "mean": "Mean", "optimality_gap": "Optimality gap"}
ALONE = ("iqm", "mean")
"""Aggregates that say something about one environment in its own units."""
MOST_PAIRED = 4
"""Groups of which every pair is compared; of more, each with one baseline."""
ENOUGH_SEEDS = 5
"""Of every group, for a profile over one environment."""
THRESHOLDS = 101
HIGHEST = 0.97
"""Share of all scores that a profile's axis goes up to, so that one game's 4,000 % do not press it flat."""


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; NaN where one seed leaves nothing to resample."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether there is one."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Improvement:
    """How probably a run of one group beats a run of another."""

    better: Group
    over: Group
    estimate: Estimate


@dataclass(frozen=True)
class Profile:
    """Shares of runs above thresholds, with their 95 % interval (NaN for one seed); all [T]."""

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Summary:
    """What holds over environments."""

    envs: list[str]
    """Those that every group has, on one scale; empty if there are none."""
    scale: str
    """What the numbers are in: `return`, `normalised score` or `human-normalised score`."""
    scores: dict[Group, np.ndarray]
    """[S, E], E as in `envs`."""
    aggregates: dict[str, dict[Group, Estimate]]
    improvements: list[Improvement]
    thresholds: np.ndarray
    """Of the profiles, [T]."""
    profiles: dict[Group, Profile]
    """Empty where they would say nothing."""
    notes: list[str]
    """What was left out, and why."""


def summarise(comparison: Comparison) -> Summary:
    """Aggregates the groups of a comparison over the environments that all of them have.

    Several environments are normalised (0 is random play, 1 the reference); one alone keeps its returns.
    """
    envs, notes = _common(comparison)
    alone = len(envs) == 1
    human = all(env.startswith("ALE/") for env in envs)
    scale = "return" if alone else "human-normalised score" if human else "normalised score"
    scores = {group: _scores(comparison, group, envs, notes) for group in comparison.groups} if envs else {}
    names = ALONE if alone else tuple(AGGREGATES)
    thresholds_T = _thresholds(list(scores.values())) if scores else np.zeros(0)
    enough = len(envs) > 1 or (scores and min(map(len, scores.values())) >= ENOUGH_SEEDS)
    return Summary(
        envs=envs,
        scale=scale,
        scores=scores,
        aggregates={
            name: {group: _aggregate(own, name) for group, own in scores.items()} for name in names if scores
        },
        improvements=[_improvement(better, over, scores) for better, over in _pairs(list(scores))],
        thresholds=thresholds_T,
        profiles={group: _profile(own, thresholds_T) for group, own in scores.items()} if enough else {},
        notes=notes,
    )


def _common(comparison: Comparison) -> tuple[list[str], list[str]]:
    """The environments that can be aggregated, and why others cannot."""
    notes = []
    shared = [env for env in comparison.envs
              if all((group, env) in comparison.runs for group in comparison.groups)]  # fmt: skip
    partial = [env for env in comparison.envs if env not in shared]
    if partial:
        notes.append(f"not in the aggregates, as not every group has finished runs on them: {named(partial)}")
    if len(shared) < 2:
        return shared, notes
    known = [env for env in shared if _is_known(env)]
    unknown = [env for env in shared if env not in known]
    if unknown:
        notes.append(f"not in the aggregates, as no random and reference score are known: {named(unknown)}")
    return known, notes


def _is_known(env: str) -> bool:
    try:
        return bool(scale_of(env))
    except RecipeError:
        return False


def _scores(comparison: Comparison, group: Group, envs: Sequence[str], notes: list[str]) -> np.ndarray:
    """A group's scores [S, E], normalised if there are several environments."""
    scores: dict[str, list[float]] = {}
    for env in envs:
        returns = [float(result["mean_return"]) for _, result in comparison.runs[group, env]]
        scores[env] = returns if len(envs) == 1 else [scale_of(env)(value) for value in returns]
    counts = sorted({len(values) for values in scores.values()})
    if len(counts) > 1:
        notes.append(
            f"{group.label} has {counts[0]} to {counts[-1]} seeds: the aggregates take the first {counts[0]} "
            "of every environment"
        )
    return matrix(scores)


def _aggregate(scores_SE: np.ndarray, name: str) -> Estimate:
    aggregate = AGGREGATES[name]
    value = float(aggregate(scores_SE))
    return Estimate(value, *interval(scores_SE, aggregate)) if len(scores_SE) > 1 else Estimate(value)


def _pairs(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """Who is compared with whom: (better, over)."""
    if len(groups) <= MOST_PAIRED:
        return [(later, earlier) for earlier, later in combinations(groups, 2)]
    baseline = next((group for group in groups if group.loss == "mse"), groups[0])
    return [(group, baseline) for group in groups if group != baseline]


def _improvement(better: Group, over: Group, scores: dict[Group, np.ndarray]) -> Improvement:
    x_SE, y_SE = scores[better], scores[over]
    value = float(probability_of_improvement(x_SE, y_SE))
    if min(len(x_SE), len(y_SE)) < 2:
        return Improvement(better, over, Estimate(value))
    return Improvement(better, over, Estimate(value, *improvement_interval(x_SE, y_SE)))


def _thresholds(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Where profiles are looked at, from the lowest score to one that few exceed."""
    every = np.concatenate([own.ravel() for own in scores])
    low, high = float(every.min()), float(np.quantile(every, HIGHEST))
    margin = 0.03 * ((high - low) or 1.0)
    return np.linspace(low - margin, high + margin, THRESHOLDS)


def _profile(scores_SE: np.ndarray, thresholds_T: np.ndarray) -> Profile:
    share_T = performance_profile(scores_SE, thresholds_T)
    if len(scores_SE) < 2:
        unknown_T = np.full_like(share_T, np.nan)
        return Profile(share_T, unknown_T, unknown_T)
    return Profile(share_T, *profile_interval(scores_SE, thresholds_T))
