"""What studies that train have in common: a run inside a task, its scores, and comparisons between groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from catzoo.hparams import VALUE_LOSSES, RecipeError
from catzoo.zoo.statistics.intervals import contrast_interval
from catzoo.zoo.studies.study import Cell, Finding, Row, Study, Task, values

RATE = 1.0e-3
"""One learning rate for every loss: that of the zoo's MinAtar recipe, found with MSE and with HL-Gauss."""
ON_ONE_THREAD = {"compute": {"device": "cpu", "threads": 1}}
"""Studies run several at a time."""
LEVEL = 0.05
"""Of a share, what the last quarter of a curve may have over the quarter before, and count as level."""
BINS = 51
"""One number of bins for every loss that has any: the paper's."""


def matched(loss: str, rate: float = RATE) -> dict[str, Any]:
    """What every loss of a comparison has in common, whatever the recipes found best for each.

    Not `align`: HL-Gauss has its outer bin edges on the support's ends, C51 and Two-Hot their outer centres.
    """
    bins = {"value_loss": {"num_bins": BINS}} if "num_bins" in VALUE_LOSSES[loss].keys else {}
    return {"optimizer": {"lr": rate}, **bins}


def train_inside(
    folder: Path,
    agent: str,
    env: str,
    *,
    loss: str,
    seed: int,
    steps: int,
    episodes: int,
    overrides: Sequence[Mapping[str, Any]] = (),
) -> Row:
    """Trains in `folder/run`, or goes on there, and keeps the weights and tables, not the checkpoints.

    Returns:
        `final`, the mean greedy return after training, and `auc`, the mean return of the training episodes.
    """
    from catzoo.zoo.folders.episodes import area
    from catzoo.zoo.folders.run_folder import Run
    from catzoo.zoo.training.resume import drop_checkpoints
    from catzoo.zoo.training.train import train

    run = Run(folder / "run")
    said = [{"eval": {"every": 0, "episodes": episodes}}, ON_ONE_THREAD, *overrides]
    result = train(agent, env, loss=loss, seed=seed, steps=steps, run_dir=run.path, overrides=said)
    drop_checkpoints(run)
    return {"final": float(result["mean_return"]), "auc": area(run, steps)}


def train_dqn(
    study: Study, task: Task, tasks: Path, loss: str, change: Mapping[str, Any] | None = None
) -> Row:
    """A DQN of a study's environment, steps and episodes, with what all losses share and one change.

    The task is labelled with a `seed`. Returns and continues as `train_inside`.
    """
    settings = study.settings
    return train_inside(
        tasks / task.name,
        "dqn",
        settings.env,
        loss=loss,
        seed=int(task.labels["seed"]),
        steps=settings.steps,
        episodes=settings.episodes,
        overrides=[matched(loss), change or {}],
    )


def normalised(rows: Sequence[Row], column: str) -> list[Row]:
    """The rows with a column on one scale: 0 is random play, 1 the best of the zoo's first agents."""
    from catzoo.zoo.statistics.normalisation import scale_of

    return [{**row, column: scale_of(str(row["env"]))(float(row[column]))} for row in rows]


def on_one_scale(envs: Sequence[str]) -> None:
    """Refuses environments whose returns `normalised` cannot take.

    Raises:
        RecipeError: in one line.
    """
    from catzoo.zoo.statistics.normalisation import scale_of

    for env in envs:
        scale_of(env)


def check_support(v_min: float, v_max: float) -> None:
    """Refuses a support that is none.

    Raises:
        RecipeError: in one line.
    """
    if not v_min < v_max:
        raise RecipeError(f"v_min={v_min:g} must be below v_max={v_max:g}")


def compare(
    claim: str,
    rows: Sequence[Row],
    column: str,
    sides: Sequence[tuple[float, Mapping[str, Cell]]],
    *,
    over: str | None = "env",
    margin: float | None = None,
    waits: str = "",
    aside: bool = False,
) -> Finding | None:
    """Tests a weighted sum of means over seeds, averaged over environments.

    Args:
        claim: the statement.
        rows: a study's.
        column: what is compared.
        sides: weights and labels of the groups: (1, HL-Gauss) and (-1, MSE).
        over: the label over which is averaged; None: over nothing.
        margin, waits, aside: see `Finding`.

    Returns:
        The finding; None where a group has no rows.
    """
    places = list(dict.fromkeys(row[over] for row in rows if over in row)) if over else [None]
    groups, weights = [], []
    for place in places:
        where = {} if over is None or place is None else {over: place}
        for weight, labels in sides:
            groups.append(values(rows, column, **where, **labels))
            weights.append(weight / len(places))
    if not places or not all(groups):
        return None
    interval = contrast_interval(groups, weights)
    return Finding(claim, *interval, margin=margin, waits=waits, aside=aside)


def rising(
    rows: Sequence[Row], column: str, groups: Sequence[Mapping[str, Cell]], level: float = LEVEL
) -> str:
    """Why the ends of curves cannot be compared yet: one of these groups' still rises; else empty."""
    rise = any(still_rises(rows, column, labels, level) for labels in groups)
    return "their curves still rise" if rise else ""


def still_rises(rows: Sequence[Row], column: str, labels: Mapping[str, Cell], level: float = LEVEL) -> bool:
    """Whether the mean of the last quarter of the evaluations is `level` above that of the quarter before.

    Of fewer than four evaluations nobody can tell: they do.
    """
    own = [row for row in rows if labels.items() <= row.items() and row.get(column) not in (None, "")]
    steps = sorted({float(row["step"]) for row in own if "step" in row})
    quarter = len(steps) // 4
    if not quarter:
        return True

    def mean(some: Sequence[float]) -> float:
        found = [float(row[column]) for row in own if float(row["step"]) in some]
        return sum(found) / len(found)

    return mean(steps[-quarter:]) - mean(steps[-2 * quarter : -quarter]) > level


def peaks(rows: Sequence[Row], column: str) -> list[Row]:
    """Of each run, a loss and a seed, the row with the greatest number in this column."""
    best: dict[tuple[Cell, Cell], Row] = {}
    for row in rows:
        key = (row["loss"], row["seed"])
        if "step" in row and (key not in best or float(row[column]) > float(best[key][column])):
            best[key] = row
    return list(best.values())


def a_fifth(rows: Sequence[Row], column: str) -> float:
    """A fifth of the range of a column: what counts as none where nobody knows the unit."""
    found = [float(row[column]) for row in rows if math.isfinite(float(row[column]))]
    return (max(found) - min(found)) / 5 or 1.0 if found else 1.0


A_TENTH = {
    "Pendulum-v1": 110.0,
    "InvertedDoublePendulum-v5": 930.0,
    "Hopper-v5": 300.0,
    "HalfCheetah-v5": 700.0,
}
"""What counts as no difference between returns: a tenth of the way from random play to a trained agent, which
is at -150, 9,360, about 3,000 and, at 100,000 steps, about 6,700."""


def known(findings: Sequence[Finding | None]) -> list[Finding]:
    """Those that could be made."""
    return [finding for finding in findings if finding is not None]


def means(rows: Sequence[Row], column: str, *keys: str) -> list[Row]:
    """A row for each combination of these labels, with the mean of a column over all rows that have it."""
    found: dict[tuple[Cell, ...], list[float]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(float(row[column]))
    return [
        {**dict(zip(keys, labels, strict=True)), column: sum(each) / len(each)}
        for labels, each in found.items()
    ]


def trend(points: Sequence[float]) -> list[float]:
    """Weights that turn means at these points into the slope of their least-squares line."""
    middle = sum(points) / len(points)
    spread = sum((point - middle) ** 2 for point in points)
    return [(point - middle) / spread for point in points]
