"""Where a run goes on: its newest whole checkpoint, and nothing in its tables from after that."""

from __future__ import annotations

import shutil
from typing import Any

from catzoo.hparams import Playing, Recipe, RecipeError
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.console import say
from catzoo.zoo.system.csv_rows import EPISODE, cut_after, put_aside, read_rows, step_of


def identity(recipe: Recipe) -> str:
    """What tells a run's checkpoints from another's, in words that later versions still understand."""
    return f"{recipe.agent} {recipe.env} {recipe.value_loss.name} seed {recipe.seed}"


def restore(checkpoints: Any, recipe: Recipe, run: Run) -> int:
    """Loads the newest checkpoint, says so, and cuts the tables to it; returns its step, 0 for a new run.

    Raises:
        RecipeError: there are checkpoints and none is whole, there should be some, or it has more steps than
            are asked for. Nothing is written then.
    """
    from torchrl.checkpoint import CheckpointError

    try:
        step = checkpoints.restore()
    except CheckpointError as error:
        raise RecipeError(f"{' '.join(str(error).split())}; delete the folder to begin anew") from None
    except (OSError, MemoryError) as error:
        raise RecipeError(f"{run.path}: its checkpoints cannot be read now: {error}") from None
    for problem in checkpoints.passed_over:
        say(f"{run.path}: passed over a checkpoint: {problem}")
    if step is None:
        _begin(run)
    elif step > recipe.steps + _steps_at_once(recipe):
        raise RecipeError(f"{run.path} has {step:,} steps already: ask for more than --steps {recipe.steps}")
    else:
        episodes = "" if checkpoints.work.resumed else ", with new episodes"
        if checkpoints.dealt_from:
            now = checkpoints.work.ranks.count
            episodes += f", dealt out from {checkpoints.dealt_from} learners to {now}"
        say(f"{run.path}: going on from step {step:,}{episodes}")
    for rows, columns in ((run.metrics, ("step",)), (run.episodes, EPISODE)):
        damaged = put_aside(rows, columns)
        if damaged is not None:
            say(f"{rows}: damaged: put aside as {damaged.name}, and begun anew")
        cut_after(rows, step or 0)
    return step or 0


def _begin(run: Run) -> None:
    """Begins at 0, unless there should have been a checkpoint."""
    from catzoo.agents.feeds.bursts import MAX_BURST

    logged = max((step_of(row) or 0 for row in read_rows(run.metrics)), default=0)
    recipe = run.recipe()
    # The first one is saved at the end of the iteration in which it is due.
    due = max(recipe.checkpoint_every, _steps_at_once(recipe) or MAX_BURST)
    missing = recipe.checkpoint_every and logged >= 2 * due
    if run.result_file.exists() or run.weights.exists() or missing:
        raise RecipeError(
            f"{run.path}: its checkpoints are gone, so that it cannot go on: choose another --run-dir"
        )
    if logged:
        say(f"{run.path}: stopped before its first checkpoint: beginning again")


def _steps_at_once(recipe: Recipe) -> int:
    """Agent steps of an iteration, at most; offline ones end with the steps asked for."""
    return recipe.num_envs * recipe.rollout_length if isinstance(recipe, Playing) else 0


def drop_checkpoints(run: Run) -> None:
    """Removes what only a run that goes on would need: a study has many runs."""
    for folder in (run.checkpoints, run.tensorboard):
        shutil.rmtree(folder, ignore_errors=True)
