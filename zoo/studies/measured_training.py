"""Training inside a study's task that is measured on the way, and goes on where it was interrupted."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catzoo.hparams import Recipe
from catzoo.zoo.studies.study import Row

if TYPE_CHECKING:
    from catzoo.agents import AtWork, Checkpoints

SAVE_EVERY = 300.0
"""Seconds of training between checkpoints. A kill costs so much, and the measurement that was under way."""
CHECKPOINTS = "checkpoints"
"""Where they lie in a task's folder, until the task has its rows."""


def measured_training(
    recipe: Recipe, points: int, measure: Callable[[int, AtWork], Sequence[Row]], folder: Path
) -> list[Row]:
    """Trains by a recipe in this process, and measures at so many steps, evenly, the last at the end.

    The rows do not depend on kills: where an environment cannot be saved in mid-episode, all begins again.

    Args:
        recipe: what to train.
        points: how many measurements.
        measure: gives rows, from the step and what trains; it may go on training after the last step only.
        folder: the task's own, which has the checkpoints.

    Returns:
        The rows, each with its `step`.
    """
    work, checkpoints, kept = _opened(recipe, folder / CHECKPOINTS)
    with contextlib.closing(work):
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
    return kept.rows


def _opened(recipe: Recipe, place: Path) -> tuple[AtWork, Checkpoints, _Rows]:
    """What trains, where a checkpoint left it; at the start without one, and with one that cannot be read, is
    another recipe's, or lacks the open episodes.
    """
    from torchrl.checkpoint import CheckpointError

    from catzoo.agents import Checkpoints
    from catzoo.zoo.training.build import build_trainer

    work, kept = build_trainer(recipe), _Rows()
    run = hashlib.sha256(repr(recipe).encode()).hexdigest()
    checkpoints = Checkpoints(place, work, keep=1, run=run, also={"rows": kept})
    try:
        if checkpoints.restore() is None or work.resumed:
            return work, checkpoints, kept
    except CheckpointError:
        pass  # of an earlier version, or torn
    work.close()
    shutil.rmtree(place)
    return _opened(recipe, place)


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
