"""`python -m catzoo.zoo.scores RUN…`: adds finished runs to the zoo's measured scores.

One row a run, with everything that made the number; a run that is there already is replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.catalogue import SCORES, find_recipe
from catzoo.zoo.rows import read_rows, write_rows
from catzoo.zoo.runs import Run, compare, cpu_model

KEY = ("env", "agent", "loss", "seed", "steps", "protocol")
COLUMNS = [
    *KEY,
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
        **{key: result[key] for key in ("env", "agent", "loss", "seed", "steps", "episodes", "date")},
        "protocol": result["protocol"]["name"],
        "mean_return": f"{result['mean_return']:.2f}",
        "low_95": f"{low:.2f}",
        "high_95": f"{high:.2f}",
        "train_return": f"{result['train_return']:.2f}" if result.get("train_return") is not None else "",
        "versions": " ".join(
            f"{name}-{result['versions'][name]}" for name in ("catzoo", "torch", "torchrl", "gymnasium")
        ),
        "cpu": cpu_model(),
        "command": command_of(recipe),
    }
    return {key: str(row[key]) for key in COLUMNS}


def command_of(recipe: Recipe) -> str:
    """The command that makes this run, with whatever differs from the zoo's recipe."""
    loss, preset = recipe.value_loss.name, recipe.preset
    base = find_recipe(recipe.agent, recipe.env, loss, [{"seed": recipe.seed}], preset)
    words = [f"catzoo train {recipe.agent} --env {recipe.env} --loss {loss}"]
    words += [f"--preset {preset}"] if preset else []
    words += [f"--steps {recipe.steps}"] if recipe.steps != base.steps else []
    words += [f"--seed {recipe.seed}"]
    words += [f"{key}={value}" for key, value in compare(base, recipe).items()]
    return " ".join(words)


def record(runs: Sequence[Path], file: Path = SCORES) -> int:
    """Adds the runs to `file`, sorted; returns the number of rows."""
    rows = {tuple(row[key] for key in KEY): row for row in read_rows(file)}
    for path in runs:
        row = score_of(Run(path))
        rows[tuple(row[key] for key in KEY)] = row
    write_rows(file, COLUMNS, [rows[key] for key in sorted(rows)])
    return len(rows)


if __name__ == "__main__":
    try:
        print(f"{SCORES}: {record([Path(word) for word in sys.argv[1:]])} rows")
    except RecipeError as error:
        raise SystemExit(f"catzoo: error: {error}") from None
