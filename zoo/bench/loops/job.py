"""One measurement: what identifies it, the recipe behind it, and what a training side hands back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from catzoo.hparams import Recipe
from catzoo.zoo.catalogue.recipe_files import find_recipe


@dataclass(frozen=True)
class Job:
    """One measurement in a process of its own; the fields are columns of its rows."""

    part: str
    env: str
    library: str
    loss: str
    seed: int
    steps: int
    threads: int = 1
    eval_episodes: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two measurements the same, for a benchmark that goes on."""
        return tuple(str(getattr(self, name)) for name in KEY)


KEY = ("part", "env", "library", "loss", "seed", "steps", "threads", "eval_episodes")


@dataclass
class Trained:
    """What one library's training gives back."""

    seconds: float
    """Of the training alone: no imports, no construction, no evaluation."""
    steps: int
    updates: int
    policy: nn.Module
    """Observation [N, ...] to greedy actions [N] on the host."""
    envs: str
    """Which environments it stepped."""


class Greedy(nn.Module):
    """The greedy policy of any network that emits one value per action.

    Args:
        values: observation [N, ...] to values [N, A].
    """

    def __init__(self, values: nn.Module) -> None:
        super().__init__()
        self.values = values

    @torch.no_grad()
    def forward(self, observation: Tensor) -> np.ndarray:
        """Observation [N, ...] to actions [N]."""
        return self.values(observation).argmax(dim=-1).cpu().numpy()


CLASSIC_WORK = {
    "num_envs": 16,
    "rollout_length": 10,
    "updates_per_step": 0.1,
    "batch_size": 128,
    "target_update_every": 50,
    "learning_starts": 10_000,
    "optimizer": {"lr": 1e-3, "eps": 1e-8},
    "network": {"hidden": [120, 84]},
    "exploration": {"end": 0.05, "decay_steps": 50_000},
}
"""CleanRL's DQN for classic control, but for four times its learning rate: with 2.5e-4 and a Huber loss no
side leaves the start within 100,000 steps, and equal returns would say nothing."""


def bench_recipe(job: Job, **compute: Any) -> Recipe:
    """The work of the job: `CLASSIC_WORK`, or on Atari the zoo's recipe, as every side can do it.

    No double Q-learning and no n-step returns, which not every side has. Short runs start to learn after a
    tenth of their steps and explore for a fifth, or else they would measure random play.
    """
    said: dict[str, Any] = {
        "steps": job.steps,
        "seed": job.seed,
        "compute": {"device": "cpu", "threads": job.threads, "precision": "fp32", **compute},
    }
    if job.library == "catzoo pqn":  # as its recipe says: there is no one to do the same work as
        return find_recipe("pqn", job.env, job.loss, [said])
    work = {} if job.env.startswith("ALE/") else CLASSIC_WORK
    recipe = find_recipe("dqn", job.env, job.loss, [{**work, "double": False, "n_step": 1, **said}])
    decay = min(recipe.exploration.decay_steps, job.steps // 5)
    return dataclasses.replace(
        recipe,
        learning_starts=min(recipe.learning_starts, job.steps // 10),
        exploration=dataclasses.replace(recipe.exploration, decay_steps=decay),
        # Whatever a run cannot fill need not be allocated, by anyone.
        replay=dataclasses.replace(
            recipe.replay, capacity=max(min(recipe.replay.capacity, job.steps), 2 * recipe.batch_size)
        ),
    )


def warm_up(recipe: Recipe) -> Recipe:
    """The same work for two bursts of updates: what is loaded, compiled or allocated once is not timed."""
    if recipe.agent == "pqn":
        return dataclasses.replace(recipe, steps=2 * recipe.num_envs * recipe.rollout_length)
    starts = recipe.batch_size
    return dataclasses.replace(recipe, learning_starts=starts, steps=starts + 2 * burst(recipe)[0])


def burst(recipe: Recipe) -> tuple[int, int]:
    """Steps of one iteration, and the updates that follow them."""
    steps = recipe.num_envs * recipe.rollout_length
    return steps, max(round(steps * recipe.updates_per_step), 1)
