"""What comes out of a study: a table, a CSV of its trials, pictures, and the best recipe with provenance."""

from __future__ import annotations

import datetime
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.console import print_table
from catzoo.zoo.intervals import mean_interval
from catzoo.zoo.rows import write_rows
from catzoo.zoo.runs import stamped, write_atomically
from catzoo.zoo.tuning.folder import StudyFolder
from catzoo.zoo.tuning.plan import Plan

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

SHOWN = 8
"""Trials in the printed table, beside the default."""


def found_by(plan: Plan, trials: Sequence[FrozenTrial], folder: StudyFolder) -> dict[str, Any]:
    """What `tune` returns, but for the verdict.

    Raises:
        RecipeError: no trial has a value.
    """
    from catzoo.hparams.study import best_of

    best = best_of(trials)
    if best is None:
        errors = [trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs]
        raise RecipeError(f"{folder.path}: no trial has a value{f': {errors[0]}' if errors else ''}")
    default = next((trial for trial in trials if trial.number == 0), None)
    return {
        "study_dir": str(folder.path),
        "trials": sum(trial.state.is_finished() for trial in trials),
        "best": _about(plan, best),
        "default": _about(plan, default) if default is not None else None,
        "verdict": None,
    }


def _about(plan: Plan, trial: FrozenTrial) -> dict[str, Any]:
    seeds = by_seed(plan, trial)
    return {
        "number": trial.number,
        "value": trial.value,
        "interval_95": list(mean_interval(seeds)) if len(seeds) > 1 else None,
        "seeds": seeds,
        "params": dict(trial.params) if trial.number else {},
    }


def by_seed(plan: Plan, trial: FrozenTrial) -> list[float]:
    """A trial's scores, one per seed that has all of its environments: the mean over them."""
    scores, across = trial.user_attrs.get("scores", []), len(plan.recipes)
    whole = len(scores) // across * across
    return [statistics.fmean(scores[index : index + across]) for index in range(0, whole, across)]


def write_best(
    plan: Plan,
    found: Mapping[str, Any],
    folder: StudyFolder,
    out: str | os.PathLike[str] | None,
) -> None:
    """Publishes best.yaml, in the study's folder and where else it is wanted.

    Raises:
        RecipeError: it cannot be written.
    """
    recipes = best_recipes(plan, found, folder)
    protocols = [stamped(recipe) for recipe in recipes]
    provenance = {
        "study": folder.path.resolve().name,
        "trial": found["best"]["number"],
        "objective": f"{plan.aggregate} of {plan.objective}",
        **{key: found["best"][key] for key in ("value", "interval_95", "seeds")},
        "default": found["default"]["value"] if found["default"] else None,
        "trials": found["trials"],
        "steps_a_run": plan.steps,
        "confirmed": found["verdict"],
        "date": datetime.date.today().isoformat(),
    }
    if len(recipes) == 1:
        content = {**protocols[0], "catzoo": {**protocols[0]["catzoo"], "study": provenance}}
    else:
        content = {"catzoo": {**protocols[0]["catzoo"], "study": provenance}, "recipes": [
            {key: value for key, value in whole.items() if key != "catzoo"} for whole in protocols
        ]}  # fmt: skip
    text = yaml.safe_dump(content, sort_keys=False)
    for file in (folder.best, *([Path(out)] if out is not None else [])):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, text)
        except OSError as error:
            raise RecipeError(f"{file}: cannot be written: {error.strerror or error}") from None


def best_recipes(plan: Plan, found: Mapping[str, Any], folder: StudyFolder) -> list[Recipe]:
    """The best trial's recipes, one per environment: as its runs have them, if they were made here."""
    number, params = found["best"]["number"], found["best"]["params"]
    try:
        return folder.recipes_of(number)
    except RecipeError:
        return [plan.recipe(env, plan.seed, params) for env in plan.recipes]


def write_trials(plan: Plan, trials: Sequence[FrozenTrial], folder: StudyFolder) -> None:
    """Writes trials.csv: a row a trial."""
    keys = [parameter.key for parameter in plan.space.parameters]
    names = [f"{env} s{seed}" for seed in plan.seeds for env in plan.recipes]
    columns = ["trial", "state", "value", *keys, *names, "steps", "error"]
    rows = []
    for trial in trials:
        scores = trial.user_attrs.get("scores", [])
        row: dict[str, Any] = {"trial": trial.number, "state": state_of(trial)}
        row["value"] = f"{trial.value:.6g}" if valued(trial) else ""
        row |= {key: trial.params.get(key, "") for key in keys}
        row |= {name: f"{score:.6g}" for name, score in zip(names, scores, strict=False)}
        row |= {"steps": trial.user_attrs.get("steps", ""), "error": trial.user_attrs.get("error", "")}
        rows.append(row)
    write_rows(folder.table, columns, rows)


def valued(trial: FrozenTrial) -> bool:
    """Whether a trial's value is of the objective; of one pruned in mid-run Optuna has its progress."""
    return trial.value is not None and trial.state.name == "COMPLETE"


def state_of(trial: FrozenTrial) -> str:
    """`complete`, `pruned`, `failed`, `running` or `waiting`."""
    if "error" in trial.user_attrs:
        return "failed"
    return "pruned" if trial.user_attrs.get("pruned") else str(trial.state.name.lower())


def print_trials(plan: Plan, trials: Sequence[FrozenTrial]) -> None:
    """Prints the best trials and trial 0, with intervals over seeds."""
    whole = [trial for trial in trials if state_of(trial) == "complete"]
    whole.sort(key=lambda trial: (-(trial.value or 0.0), trial.number))
    shown = [trial for index, trial in enumerate(whole) if index < SHOWN or trial.number == 0]
    rows = []
    for trial in shown:
        seeds = by_seed(plan, trial)
        low, high = mean_interval(seeds) if len(seeds) > 1 else (None, None)
        values = (_short(trial.params.get(parameter.key, "")) for parameter in plan.space.parameters)
        rows.append([
            f"{trial.number}{' (default)' if trial.number == 0 else ''}",
            f"{trial.value:.4g}",
            f"[{low:.4g}, {high:.4g}]" if low is not None else "",
            *values,
        ])  # fmt: skip
    counts = {state: sum(state_of(trial) == state for trial in trials) for state in ("pruned", "failed")}
    note = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    keys = [parameter.key for parameter in plan.space.parameters]
    title = f"Best of {len(trials)} trials ({plan.aggregate} of {plan.objective})"
    print_table(title, ["trial", "value", "95 % over seeds", *keys], rows, note=note)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
