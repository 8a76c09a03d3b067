"""Replay data for the offline studies: DQN agents that record a share of what they see, one for each seed."""

from __future__ import annotations

from pathlib import Path

from catzoo.hparams import RecipeError
from catzoo.zoo.studies.study import Row, Task
from catzoo.zoo.studies.training_tasks import train_inside

SHARE = 0.1
"""Of the transitions: the paper's 10 % of the DQN-replay data."""


def behaviour(seed: int) -> Task:
    """The task that makes the data of a seed; it comes before those that learn from it."""
    return Task({"what": "behaviour", "loss": "mse", "seed": seed})


def record(task: Task, tasks: Path, env: str, *, steps: int, episodes: int) -> Row:
    """Trains a DQN with MSE, as the paper's data come from DQN, and keeps what it saw.

    Returns:
        Its scores, and `behaviour`, the mean return of the episodes in the data.
    """
    folder = tasks / task.name
    scores = train_inside(
        folder,
        "dqn",
        env,
        loss="mse",
        seed=int(task.labels["seed"]),
        steps=steps,
        episodes=episodes,
        overrides=[{"record": SHARE}],
    )
    return {**scores, "behaviour": score_of(dataset_of(tasks, int(task.labels["seed"])))}


def dataset_of(tasks: Path, seed: int) -> Path:
    """Where the data of a seed are."""
    return tasks / behaviour(seed).name / "run" / "dataset"


def score_of(dataset: Path) -> float:
    """Mean return of the episodes in a dataset.

    Raises:
        RecipeError: there is none above 0, in multiples of which scores could be given.
    """
    from catzoo.agents.replay import Dataset

    mean = Dataset(dataset).manifest["mean_return"]
    if mean is None or mean <= 0:
        said = "no episode that ended" if mean is None else f"a mean return of {mean:g}"
        raise RecipeError(f"its data have {said}, and scores are multiples of that: take another environment")
    return float(mean)
