"""Training inside a study's task that is measured on the way, and goes on where it was interrupted."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.studies.study import Row
from catzoo.zoo.system.console import say

if TYPE_CHECKING:
    from catzoo.agents import AtWork, Checkpoints

SAVE_EVERY = 300.0
"""Seconds between checkpoints: what a kill costs at most. Shorter tasks have none."""


def measured_training(
    recipe: Recipe, points: int, measure: Callable[[int, AtWork], Sequence[Row]], folder: Path
) -> list[Row]:
    """Trains by a recipe in this process, and measures at so many steps, evenly, the last at the end.

    Args:
        recipe: what to train.
        points: how many measurements.
        measure: gives rows, from the step and what trains; it may go on training after the last step only.
        folder: the task's own; while the training goes on, its checkpoints are there.

    Returns:
        The rows, each with its `step`.
    """
    from catzoo.agents import Checkpoints
    from catzoo.zoo.training.build import build_trainer
    from catzoo.zoo.training.resume import identity

    place, kept = folder / "checkpoints", _Rows()
    with contextlib.closing(build_trainer(recipe)) as work:
        checkpoints = Checkpoints(place, work, keep=1, run=identity(recipe), also={"rows": kept})
        _go_on(checkpoints)
        saved = time.monotonic()
        for point in range(kept.points + 1, points + 1):
            step = recipe.steps * point // points
            while work.steps < step:
                work.iterate()
                if time.monotonic() - saved > SAVE_EVERY:
                    checkpoints.save()
                    saved = time.monotonic()
            kept.rows += [{"step": step, **row} for row in measure(step, work)]
            kept.points = point
    shutil.rmtree(place, ignore_errors=True)
    return kept.rows


class _Rows:
    """The rows so far, as a part of checkpoints."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.points = 0
        """Measurements that are done."""

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"rows": self.rows, "points": self.points}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """From a checkpoint."""
        self.rows, self.points = list(state["rows"]), int(state["points"])


def _go_on(checkpoints: Checkpoints) -> None:
    """From the newest checkpoint, if there is one.

    Raises:
        RecipeError: none of them can be read.
    """
    from torchrl.checkpoint import CheckpointError

    try:
        step = checkpoints.restore()
    except CheckpointError as error:
        raise RecipeError(f"{' '.join(str(error).split())}; delete the folder to begin anew") from None
    if step is not None:
        say(f"going on from step {step:,}")
