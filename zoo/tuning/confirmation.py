"""Whether a study's gain holds: the best trial and trial 0, trained again on seeds that it has not seen.

The best of many trials is partly the luckiest: its value in the study promises too much.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from typing import Any

from catzoo.zoo.continuing import drop_checkpoints
from catzoo.zoo.crew import Job
from catzoo.zoo.intervals import mean_interval
from catzoo.zoo.many import train_jobs
from catzoo.zoo.runs import write_atomically
from catzoo.zoo.training import finished_result
from catzoo.zoo.tuning.folder import StudyFolder
from catzoo.zoo.tuning.objective import normalised, run_score
from catzoo.zoo.tuning.plan import Plan

APART = 10_000
"""Between the study's first seed and the first fresh one."""


def confirm_best(
    plan: Plan,
    found: Mapping[str, Any],
    folder: StudyFolder,
    seeds: int,
    workers: int,
    progress: Callable[[str], None] | None,
) -> dict[str, Any]:
    """Trains both sides again; runs that are there already are not made twice.

    Returns:
        `best` and `default` (scores by seed), `gain` (mean over seeds), its `interval_95`, `seeds`, and
        `words`; or `words` alone, where there was nothing to compare.
    """
    tell = progress or (lambda line: None)
    number = found["best"]["number"]
    if number == 0:
        return _write(folder, {"trial": 0, "words": "the recipe as it is was the best: nothing gained"}, tell)
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
    failures = train_jobs(every, todo, workers, progress)
    if failures:
        run, problem = next(iter(failures.items()))
        words = f"not known: {run.name}: {problem}; the same command tries again"
        return _write(folder, {"trial": number, "words": words}, tell)
    for job in every:
        drop_checkpoints(job.run)
    scores = {side: _by_seed(plan, jobs[side]) for side in sides}
    return _write(folder, {"trial": number, **verdict(scores["best"], scores["default"])}, tell)


def verdict(best: list[float], default: list[float]) -> dict[str, Any]:
    """The gain over seeds, seed by seed, and what may be said of it."""
    gains = [one - other for one, other in zip(best, default, strict=True)]
    gain = statistics.fmean(gains)
    low, high = mean_interval(gains) if len(gains) > 1 else (float("-inf"), float("inf"))
    word = "it held" if low > 0 else "it was a loss" if high < 0 else "not decided"
    interval = f" [{low:.4g}, {high:.4g}]" if len(gains) > 1 else ""
    sides = f"{statistics.fmean(best):.4g} against {statistics.fmean(default):.4g}"
    words = f"gain on {len(gains)} fresh seeds: {gain:+.4g}{interval} ({sides}): {word}"
    bounds = [low, high] if len(gains) > 1 else None
    return {
        "best": best,
        "default": default,
        "gain": gain,
        "interval_95": bounds,
        "seeds": len(gains),
        "words": words,
    }


def _by_seed(plan: Plan, jobs: list[Job]) -> list[float]:
    scores = []
    for job in jobs:
        result = job.run.result() or {}
        score = run_score(job.run, result, plan.objective)
        scores.append(normalised(score, plan.scales[job.recipe.env]))
    across = len(plan.recipes)
    return [statistics.fmean(scores[index : index + across]) for index in range(0, len(scores), across)]


def _write(folder: StudyFolder, verdict: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    write_atomically(folder.verdict, json.dumps(verdict, indent=1) + "\n")
    tell(verdict["words"])
    return verdict
