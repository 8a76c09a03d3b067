"""`python -m catzoo.zoo.reporting.score_rows RUN…`: adds finished runs to the zoo's measured scores.

One row a run, with everything that made the number; a run that is there already is replaced.
"""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from catzoo.hparams import Recipe, RecipeError
from catzoo.hparams.paths import Typed
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.catalogue.score_tables import SCORES
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.folders.run_recipe import INCIDENTAL, compare
from catzoo.zoo.system.csv_rows import read_rows, write_rows
from catzoo.zoo.system.digits import exact

ORDER = ("env", "agent", "loss", "seed", "steps", "protocol")
KEY = ("command",)
"""A run that the same command made is the same run."""
COLUMNS = [
    *ORDER,
    "mean_return",
    "low_95",
    "high_95",
    "episodes",
    "train_return",
    "versions",
    "cpu",
    "date",
    "command",
]


def score_of(run: Run) -> dict[str, str]:
    """The row of a finished run.

    Raises:
        RecipeError: not finished.
    """
    recipe, result = run.recipe(), run.result()
    if result is None:
        raise RecipeError(f"{run.path}: no result.json yet: let the training finish first")
    low, high = result["interval_95"]
    row: dict[str, Any] = {
        **{key: result[key] for key in ("env", "agent", "loss", "seed", "steps", "episodes")},
        "env": canonical(result["env"]),
        "date": result.get("date", ""),
        "protocol": result["protocol"]["name"],
        "mean_return": exact(result["mean_return"]),
        "low_95": exact(low),
        "high_95": exact(high),
        "train_return": exact(result["train_return"]) if result.get("train_return") is not None else "",
        "versions": " ".join(
            f"{name}-{result.get('versions', {}).get(name, '?')}"
            for name in ("catzoo", "torch", "torchrl", "gymnasium")
        ),
        "cpu": result.get("cpu", ""),
        "command": command_of(recipe),
    }
    return {key: str(row[key]) for key in COLUMNS}


def row_of(run: Run, result: Mapping[str, Any]) -> dict[str, str]:
    """The row of a finished run, also of another version, or with an agent or a loss of somebody's own."""
    try:
        return score_of(run)
    except RecipeError:  # its command cannot be told
        low, high = result["interval_95"]
        known = {
            **result,
            "protocol": result["protocol"]["name"],
            "low_95": low,
            "high_95": high,
            "versions": "",
        }
        return {key: str(known.get(key, "")) for key in COLUMNS}


def command_of(recipe: Recipe) -> str:
    """The command that makes this run, with whatever differs from the zoo's recipe."""
    loss, preset = recipe.value_loss.name, recipe.preset
    base = find_recipe(recipe.agent, recipe.env, loss, [{"seed": recipe.seed}], preset)
    words = ["catzoo", "train", recipe.agent, "--env", recipe.env, "--loss", loss]
    words += ["--preset", preset] if preset else []
    words += ["--steps", str(recipe.steps)] if recipe.steps != base.steps else []
    words += ["--seed", str(recipe.seed)]
    # Ends that the support has itself are not to be said again.
    chosen = getattr(recipe, "support", "set") != "set"
    own = ("value_loss.v_min", "value_loss.v_max") if chosen else ()
    for key, value in compare(base, recipe, (*INCIDENTAL, *own)).items():
        text = yaml.safe_dump(value, default_flow_style=True, width=math.inf)
        words.append(f"{key}={text.splitlines()[0]}")
    return shlex.join(words)


def record(runs: Sequence[Typed], file: Path = SCORES) -> int:
    """Adds the runs to `file`, sorted; returns the number of rows."""
    rows = {tuple(row[key] for key in KEY): row for row in read_rows(file)}
    for path in runs:
        row = score_of(Run(path))
        rows[tuple(row[key] for key in KEY)] = row
    write_rows(file, COLUMNS, sorted(rows.values(), key=lambda row: [row[name] for name in (*ORDER, *KEY)]))
    return len(rows)


if __name__ == "__main__":
    try:
        print(f"{SCORES}: {record(sys.argv[1:])} rows")
    except RecipeError as error:
        raise SystemExit(f"catzoo: error: {error}") from None
