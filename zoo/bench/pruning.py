"""What pruning would have saved: the trials of a finished study without pruner, judged again by every pruner.

    python -m catzoo.zoo.bench.pruning studies/breakout-unpruned --out zoo/results/pruning.csv

Trials come in random orders, trial 0 first. Runs are functions of their seed and values, so that a trial
which a pruner spares is the one that was recorded; only the sampler would have gone elsewhere, and trials
that it drew at random would not.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from catzoo.hparams import RecipeError
from catzoo.hparams.paths import path_of
from catzoo.zoo.bench.rows import Row, stamp, whole, write_results
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.folders.study_folder import StudyFolder
from catzoo.zoo.statistics.intervals import student_interval
from catzoo.zoo.system.console import pasteable, print_table
from catzoo.zoo.system.csv_rows import read_rows
from catzoo.zoo.tuning.objective import MARKS, progress_at

COLUMNS = (
    "env", "loss", "trials", "runs_a_trial", "steps_a_run", "pruner", "saved", "saved_low", "saved_high",
    "best", "best_half_width", "best_left", "best_kept", "orders", "cpu", "date", "command",
)  # fmt: skip
PRUNERS = ("wilcoxon", "median", "hyperband")
ORDERS = 200


@dataclass(frozen=True)
class Recorded:
    """A trial that was not pruned."""

    scores: list[float]
    """Of its runs [S]."""
    progress: list[list[float]]
    """Training return of each run at each mark [S, MARKS]."""

    @property
    def value(self) -> float:
        """What the study took it for."""
        return statistics.fmean(self.scores)


def recorded(folder: StudyFolder, steps: int) -> list[Recorded]:
    """The trials of a study on one environment, in order.

    Raises:
        RecipeError: trials that are not whole, or of several environments.
    """
    trials = []
    for row in read_rows(folder.table):
        runs = [Run(path.parent) for path in folder.trial(int(row["trial"])).glob("*/recipe.yaml")]
        runs.sort(key=lambda run: run.recipe().seed)  # as the table's columns are
        if len({run.recipe().env for run in runs}) > 1:
            raise RecipeError(f"{folder.path}: tunes on several environments: needs a study on one")
        scores = [float(value) for key, value in row.items() if key.rpartition(" s")[2].isdigit()]
        if row["state"] != "complete" or len(runs) != len(scores):
            raise RecipeError(
                f"{folder.path}: trial {row['trial']} is {row['state']}: needs a study without pruner"
            )
        marks = [[progress_at(run, steps, mark) for mark in range(1, MARKS + 1)] for run in runs]
        trials.append(Recorded(scores, marks))
    return trials


def judged(trials: Sequence[Recorded], pruner: str, steps: int) -> tuple[float, float]:
    """Share of the steps that a pruner saves on trials in this order, and the value of the best it leaves."""
    import optuna

    from catzoo.hparams.tuning.samplers import make_pruner

    runs = len(trials[0].scores)
    study = optuna.create_study(
        direction="maximize",
        pruner=make_pruner(pruner, runs, runs * steps),
        study_name=pruner,  # Hyperband's brackets go by it
    )
    made, best = 0.0, -np.inf
    for recorded_trial in trials:
        trial = study.ask()
        spent, whole = _spared(recorded_trial, trial, pruner == "wilcoxon", steps)
        made += spent
        if whole:
            best = max(best, recorded_trial.value)
        if whole:
            study.tell(trial, recorded_trial.value)
        elif pruner == "wilcoxon":  # as the scheduler does: the value of the runs that it had
            study.tell(trial, statistics.fmean(recorded_trial.scores[: int(spent)]))
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    return 1 - made / (runs * len(trials)), best


def _spared(recorded_trial: Recorded, trial: object, by_run: bool, steps: int) -> tuple[float, bool]:
    """Runs of a trial until it is pruned, in parts of one, and whether it never is."""
    runs = len(recorded_trial.scores)
    for run in range(runs):
        for mark in range(1, MARKS + 1):
            last = run == runs - 1 and mark == MARKS
            if by_run and mark < MARKS:
                continue
            value = recorded_trial.scores[run] if by_run else recorded_trial.progress[run][mark - 1]
            if not np.isfinite(value):
                continue
            trial.report(value, run if by_run else (run * MARKS + mark) * steps // MARKS)  # type: ignore[attr-defined]
            if trial.should_prune() and not last:  # type: ignore[attr-defined]
                return run + mark / MARKS, False
    return float(runs), True


def bench_pruning(study: str | os.PathLike[str], out: str | os.PathLike[str], command: str) -> list[Row]:
    """Judges a study's trials in many orders; a row for each pruner.

    Raises:
        RecipeError: no study, or one with a pruner.
    """
    from catzoo.hparams.tuning.optuna_study import quiet

    folder = StudyFolder(study)
    settings = folder.settings()
    if settings is None:
        raise RecipeError(f"{folder.path}: not a study")
    steps = int(settings["steps"])
    trials = recorded(folder, steps)
    best = max(trial.value for trial in trials)
    top = max(trials, key=lambda trial: trial.value)
    half = student_interval(top.scores)[1]
    random = np.random.default_rng(0)
    orders = [[0, *(1 + random.permutation(len(trials) - 1))] for _ in range(ORDERS)]
    about, rows = stamp(command), []
    for pruner in PRUNERS:
        with quiet():
            found = [judged([trials[index] for index in order], pruner, steps) for order in orders]
        saved, left = np.array(found).T
        low, high = np.quantile(saved, (0.025, 0.975))
        rows.append(whole(COLUMNS, about, {
            "env": settings["envs"][0], "loss": settings["loss"], "trials": str(len(trials)),
            "runs_a_trial": str(len(top.scores)), "steps_a_run": str(steps), "pruner": pruner,
            "saved": f"{saved.mean():.3f}", "saved_low": f"{low:.3f}", "saved_high": f"{high:.3f}",
            "best": f"{best:.3f}", "best_half_width": f"{half:.3f}", "best_left": f"{left.mean():.3f}",
            "best_kept": f"{(left == best).mean():.3f}", "orders": str(ORDERS),
        }))  # fmt: skip
    write_results(path_of(out), COLUMNS, rows)
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m catzoo.zoo.bench.pruning", description=__doc__)
    parser.add_argument("study", help="folder of a study with --pruner none, on one environment")
    parser.add_argument("--out", default="pruning.csv", help="default pruning.csv")
    arguments = parser.parse_args()
    command = pasteable("python", "-m", "catzoo.zoo.bench.pruning", path_of(arguments.study))
    rows = bench_pruning(arguments.study, arguments.out, command)
    columns = ("pruner", "saved", "saved_low", "saved_high", "best", "best_left", "best_kept")
    print_table("Steps saved by pruning", columns, [[row[column] for column in columns] for row in rows])


if __name__ == "__main__":
    main()
