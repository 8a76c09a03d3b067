"""What comes out of a study: a table, a CSV of its trials, pictures, and the best recipe with provenance."""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from catzoo.hparams import RecipeError, read_yaml
from catzoo.zoo.folders.run_recipe import compare, stamped
from catzoo.zoo.folders.study_folder import StudyFolder
from catzoo.zoo.system.atomic_files import write_atomically
from catzoo.zoo.system.console import print_table
from catzoo.zoo.system.csv_rows import write_rows
from catzoo.zoo.system.digits import exact, with_interval
from catzoo.zoo.tuning.objective import trial_interval, whole_seeds
from catzoo.zoo.tuning.study_plan import Plan

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

SHOWN = 8
"""Trials in the printed table, beside the default."""


def found_by(plan: Plan, trials: Sequence[FrozenTrial], folder: StudyFolder) -> dict[str, Any]:
    """What `tune` returns, but for the verdict.

    Raises:
        RecipeError: no trial has a value.
    """
    from catzoo.hparams.tuning.optuna_study import best_of
    from catzoo.hparams.tuning.samplers import ERROR, is_default

    best = best_of(trials)
    if best is None:
        errors = [trial.user_attrs[ERROR] for trial in trials if trial.user_attrs.get(ERROR)]
        raise RecipeError(
            f"{folder.path}: no trial has a value{f': {errors[0]}' if errors else ''}; with more --trials "
            "the study goes on, in another --study-dir it begins anew"
        )
    default = next((trial for trial in trials if is_default(trial)), None)
    return {
        "study_dir": str(folder.path),
        "trials": sum(trial.state.is_finished() for trial in trials),
        "best": _about(plan, best),
        "default": _about(plan, default) if default is not None else None,
        "verdict": None,
    }


def _about(plan: Plan, trial: FrozenTrial) -> dict[str, Any]:
    scores = whole_seeds(trial.user_attrs.get("scores", []), len(plan.recipes))
    interval = trial_interval(scores, plan.aggregate)
    return {
        "number": trial.number,
        "value": trial.value if valued(trial) else None,
        "interval_95": None if interval is None else list(interval),
        "seeds": [statistics.fmean(seed) for seed in scores],
        "params": chosen_by(trial),
        "date": trial.datetime_complete.date().isoformat() if trial.datetime_complete else None,
    }


def chosen_by(trial: FrozenTrial) -> dict[str, Any]:
    """The values that a trial's runs have in place of the recipe's: none, if it is the recipe as it is."""
    from catzoo.hparams.tuning.samplers import is_default

    return {} if is_default(trial) else dict(trial.params)


def write_best(
    plan: Plan,
    found: Mapping[str, Any],
    folder: StudyFolder,
    out: Path | None,
) -> None:
    """Publishes best.yaml, in the study's folder and where else it is wanted.

    Raises:
        RecipeError: it cannot be written.
    """
    protocols = _best_protocols(plan, found, folder)
    provenance = {
        "study": folder.path.resolve().name,
        "trial": found["best"]["number"],
        "objective": f"{plan.aggregate} of {plan.objective}",
        **{key: found["best"][key] for key in ("value", "interval_95", "seeds")},
        "default": found["default"]["value"] if found["default"] else None,
        "trials": found["trials"],
        "steps_a_run": plan.steps,
        "confirmed": found["verdict"],
        "date": found["best"]["date"],
    }
    if len(protocols) == 1:
        content = {**protocols[0], "catzoo": {**protocols[0]["catzoo"], "study": provenance}}
    else:
        content = {"catzoo": {**protocols[0]["catzoo"], "study": provenance}, "recipes": [
            {key: value for key, value in whole.items() if key != "catzoo"} for whole in protocols
        ]}  # fmt: skip
    text = yaml.safe_dump(content, sort_keys=False)
    for file in (folder.best, *([out] if out is not None else [])):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, text)
        except OSError as error:
            raise RecipeError(f"{file}: cannot be written: {error.strerror or error}") from None


def _best_protocols(plan: Plan, found: Mapping[str, Any], folder: StudyFolder) -> list[dict[str, Any]]:
    """The best trial's recipes with their stamps, one per environment.

    As its runs have them, with the versions that made them, if they were made here.
    """
    number, params = found["best"]["number"], found["best"]["params"]
    asked = [plan.recipe(env, plan.seed, params) for env in plan.recipes]
    with contextlib.suppress(RecipeError):
        made = folder.runs_of(number)
        # Not runs of a study in another storage, which had this folder before.
        if len(made) == len(asked) and not any(
            compare(run.recipe(), recipe) for run, recipe in zip(made, asked, strict=True)
        ):
            return [read_yaml(run.recipe_file) for run in made]
    return [stamped(recipe) for recipe in asked]


def write_trials(plan: Plan, trials: Sequence[FrozenTrial], folder: StudyFolder) -> None:
    """Writes trials.csv: a row a trial."""
    from catzoo.hparams.tuning.samplers import ERROR

    keys = [parameter.key for parameter in plan.space.parameters]
    names = [f"{env} s{seed}" for seed in plan.seeds for env in plan.recipes]
    columns = ["trial", "state", "value", *keys, *names, "steps", "error"]
    rows = []
    for trial in trials:
        scores = trial.user_attrs.get("scores", [])
        row: dict[str, Any] = {"trial": trial.number, "state": state_of(trial)}
        row["value"] = exact(trial.value) if valued(trial) else ""
        row |= {key: trial.params.get(key, "") for key in keys}
        row |= {name: exact(score) for name, score in zip(names, scores, strict=False)}
        row["steps"] = trial.user_attrs.get("steps", "")
        row["error"] = trial.user_attrs[ERROR] if row["state"] == "failed" else ""
        rows.append(row)
    write_rows(folder.table, columns, rows)


def valued(trial: FrozenTrial) -> bool:
    """Whether a trial's value is of the objective; of one pruned in mid-run Optuna has its progress."""
    return trial.value is not None and trial.state.name == "COMPLETE"


def state_of(trial: FrozenTrial) -> str:
    """`complete`, `pruned`, `failed`, `running` or `waiting`."""
    from catzoo.hparams.tuning.optuna_study import PRUNED
    from catzoo.hparams.tuning.samplers import ERROR

    if trial.state.is_finished() and trial.user_attrs.get(ERROR):
        return "failed"
    if trial.state.is_finished() and trial.user_attrs.get(PRUNED):
        return "pruned"
    return str(trial.state.name.lower())


def print_trials(plan: Plan, trials: Sequence[FrozenTrial]) -> None:
    """Prints the best trials and trial 0, with intervals over seeds."""
    from catzoo.hparams.tuning.samplers import is_default

    whole = [trial for trial in trials if state_of(trial) == "complete"]
    whole.sort(key=lambda trial: (-(trial.value or 0.0), trial.number))
    shown = [trial for index, trial in enumerate(whole) if index < SHOWN or is_default(trial)]
    rows = []
    for trial in shown:
        scores = whole_seeds(trial.user_attrs.get("scores", []), len(plan.recipes))
        interval = trial_interval(scores, plan.aggregate)
        values = (_short(trial.params.get(parameter.key, "")) for parameter in plan.space.parameters)
        value, bounds = with_interval(trial.value or 0.0, *(interval or (math.nan, math.nan)))
        rows.append([
            f"{trial.number}{' (default)' if is_default(trial) else ''}",
            value,
            bounds if interval else "",
            *values,
        ])  # fmt: skip
    counts = {state: sum(state_of(trial) == state for trial in trials) for state in ("pruned", "failed")}
    note = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    keys = [f"{one.key} / {one.of}" if one.of else one.key for one in plan.space.parameters]
    title = (
        f"Best of {len(trials)} trial{'s' if len(trials) > 1 else ''} ({plan.aggregate} of {plan.objective})"
    )
    print_table(title, ["trial", "value", "95 % over seeds", *keys], rows, note=note)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
