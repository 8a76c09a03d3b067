"""Whether a study's gain holds: the best trial and trial 0, trained again on seeds that it has not seen.

The best of many trials is partly the luckiest: its value in the study promises too much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from catzoo.hparams.json_text import from_json, to_json
from catzoo.zoo.folders.run_folder import finished_result
from catzoo.zoo.folders.study_folder import StudyFolder
from catzoo.zoo.launch.backends import Backend
from catzoo.zoo.launch.jobs import Job
from catzoo.zoo.launch.train_many import train_jobs
from catzoo.zoo.statistics.aggregates import resampled
from catzoo.zoo.statistics.intervals import mean_interval
from catzoo.zoo.system.atomic_files import write_atomically
from catzoo.zoo.system.digits import digits_of, number, score, with_interval
from catzoo.zoo.training.resume import drop_checkpoints
from catzoo.zoo.tuning.objective import AGGREGATES, trial_score, whole_seeds
from catzoo.zoo.tuning.study_plan import Plan

APART = 10_000
"""Between the study's first seed and the first fresh one."""


def confirm_best(
    plan: Plan,
    found: Mapping[str, Any],
    folder: StudyFolder,
    seeds: int,
    backend: Backend,
    progress: Callable[[str], None] | None,
) -> dict[str, Any]:
    """Trains both sides again; runs that are there already are not made twice.

    Returns:
        `best` and `default` (scores by seed), `gain` (mean over seeds), its `interval_95`, `seeds`, and
        `words`; or `words` alone, where there was nothing to compare.
    """
    tell = progress or (lambda line: None)
    number = found["best"]["number"]
    if not found["best"]["params"]:
        return _write(
            folder, {"trial": number, "words": "the recipe as it is was the best: nothing gained"}, tell
        )
    sides = {"default": {}, "best": found["best"]["params"]}
    titles = {"default": "default", "best": f"{number:04d}"}
    jobs = {
        side: [
            plan.job(folder.confirmation, titles[side], env, plan.seed + APART + index, chosen)
            for index in range(seeds)
            for env in plan.recipes
        ]
        for side, chosen in sides.items()
    }
    every = [job for pair in zip(*jobs.values(), strict=True) for job in pair]
    todo = [job for job in every if finished_result(job.run, job.recipe) is None]
    if todo:
        tell(f"training trial {number} and the default again, on {seeds} fresh seeds")
        (folder.confirmation / "logs").mkdir(parents=True, exist_ok=True)
    failures = train_jobs(every, todo, backend, progress)
    if failures:
        run, problem = next(iter(failures.items()))
        words = f"not known: {run.name}: {problem}; the same command tries again"
        return _write(folder, {"trial": number, "words": words}, tell)
    for job in every:
        drop_checkpoints(job.run)
    try:
        scores = {side: _scores(plan, jobs[side]) for side in sides}
    except ValueError as error:
        return _write(folder, {"trial": number, "words": f"not known: {error}"}, tell)
    outcome = verdict(scores["best"], scores["default"], plan.aggregate)
    return _write(folder, {"trial": number, **outcome}, tell)


def standing_verdict(folder: StudyFolder, best: int) -> dict[str, Any] | None:
    """What an earlier command found out about the best trial; forgotten, if another is the best by now."""
    try:
        there = from_json(folder.verdict.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        there = None
    if not isinstance(there, dict) or there.get("trial") != best:
        folder.verdict.unlink(missing_ok=True)
        return None
    return there


def verdict(
    best: Sequence[Sequence[float]], default: Sequence[Sequence[float]], aggregate: str
) -> dict[str, Any]:
    """The gain, its 95 % interval over seeds, and what may be said of it.

    Args:
        best, default: scores by seed, then by environment.
        aggregate: the study's. Gains in the mean are taken seed by seed (Student's t), in the interquartile
            mean from independent bootstrap samples of the two sides.
    """
    count = len(best)
    best_value, default_value = trial_score(best, aggregate), trial_score(default, aggregate)
    gain = best_value - default_value
    bounds = None
    if count > 1 and aggregate == "mean":
        bounds = mean_interval([fmean(one) - fmean(other) for one, other in zip(best, default, strict=True)])
    elif count > 1:
        samples = (resampled(np.asarray(side), seed=seed) for seed, side in enumerate((best, default)))
        one, other = (AGGREGATES[aggregate](sample) for sample in samples)
        bounds = tuple(np.percentile(one - other, (2.5, 97.5)).tolist())
    low, high = bounds or (-math.inf, math.inf)
    word = "it held" if low > 0 else "it was a loss" if high < 0 else "not decided"
    sign = "+" if gain > 0 else ""
    gained = " ".join(with_interval(gain, *bounds)) if bounds else score(gain)
    digits = digits_of([best_value, default_value])
    sides = f"{number(best_value, digits)} against {number(default_value, digits)}"
    return {
        "best": [fmean(seed) for seed in best],
        "default": [fmean(seed) for seed in default],
        "gain": gain,
        "interval_95": list(bounds) if bounds else None,
        "seeds": count,
        "words": f"gain on {count} fresh seeds: {sign}{gained} ({sides}): {word}",
    }


def _scores(plan: Plan, jobs: Sequence[Job]) -> list[list[float]]:
    scores = []
    for job in jobs:
        try:
            scores.append(plan.score(job, job.run.result() or {}))
        except ValueError as error:
            raise ValueError(f"{job.run.path.name}: {error}") from None
    return whole_seeds(scores, len(plan.recipes))


def _write(folder: StudyFolder, verdict: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    write_atomically(folder.verdict, to_json(verdict))
    tell(verdict["words"])
    return verdict
