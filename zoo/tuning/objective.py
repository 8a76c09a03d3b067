"""What a trial is worth: one number from each of its runs, on one scale, and one from all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.statistics.aggregates import interval, iqm, mean
from catzoo.zoo.statistics.intervals import mean_interval
from catzoo.zoo.statistics.normalisation import Scale
from catzoo.zoo.system.csv_rows import number_of, read_rows

OBJECTIVES = {
    "final": "greedy return after training",
    "best": "best greedy return of all evaluations, the last one included",
    "auc": "mean return of the training episodes over the whole run (area under the learning curve)",
}
AGGREGATES = {"mean": mean, "iqm": iqm}
MARKS = 10
"""Times that a run's progress is looked at, where pruning goes by that."""


def run_score(run: Run, result: Mapping[str, Any], objective: str) -> float:
    """The objective of one finished run, in returns of its environment.

    Raises:
        ValueError: it is not a finite number.
    """
    from catzoo.zoo.folders.episodes import area

    if objective == "auc":
        value = area(run, int(result["steps"]))
    else:
        value = float(result["mean_return"])
        if objective == "best":
            scores = [number_of(row.get("eval/return")) for row in read_rows(run.metrics)]
            value = max([value, *(score for score in scores if not math.isnan(score))])
    if not math.isfinite(value):
        raise ValueError(f"{objective} is {value}: no episode ended, or rewards are not finite")
    return value


def progress_at(run: Run, steps: int, mark: int) -> float:
    """Return of the episodes that ended shortly before the `mark`-th of `MARKS` parts of a run; NaN: none."""
    from catzoo.zoo.folders.episodes import curve

    return float(curve(run, steps, MARKS)[1][mark - 1])


def trial_score(scores: Sequence[Sequence[float]], aggregate: str) -> float:
    """One number from the normalised scores of a trial's runs.

    Args:
        scores: by seed, then by environment.
        aggregate: `mean` or `iqm`.
    """
    return float(AGGREGATES[aggregate](np.asarray(scores, dtype=np.float64)))


def whole_seeds(scores: Sequence[float], environments: int) -> list[list[float]]:
    """A trial's scores by seed, then by environment; without a last seed that lacks environments."""
    whole = len(scores) // environments * environments
    return [list(scores[index : index + environments]) for index in range(0, whole, environments)]


def trial_interval(scores: Sequence[Sequence[float]], aggregate: str) -> tuple[float, float] | None:
    """95 % interval of `trial_score` over seeds; None for a single one.

    Of a mean Student's t over the seeds' means (a bootstrap from 30 on), else a stratified bootstrap.
    """
    if len(scores) < 2:
        return None
    if aggregate == "mean":
        return mean_interval([fmean(seed) for seed in scores])
    return interval(np.asarray(scores, dtype=np.float64), AGGREGATES[aggregate])


def normalised(value: float, scale: Scale | None) -> float:
    """A return on the scale of its environment; as it is where there is but one environment."""
    return value if scale is None else scale(value)
