"""One measurement: what identifies it, the recipe behind it, and what a training side hands back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from catzoo.hparams import VALUE_LOSSES, Recipe
from catzoo.hparams.recipe import Replaying
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
    agent: str = "dqn"

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two measurements the same, for a benchmark that goes on."""
        return tuple(str(getattr(self, name)) for name in KEY)


KEY = ("part", "agent", "env", "library", "loss", "seed", "steps", "threads", "eval_episodes")


@dataclass
class Trained:
    """What one library's training gives back."""

    seconds: float
    """Of the training alone: no imports, no construction, no evaluation."""
    steps: int
    updates: int
    policy: nn.Module
    """Observation [N, ...] to greedy actions [N, ...] on the host, continuous ones in ±1."""
    envs: str
    """Which environments it stepped."""


class Greedy(nn.Module):
    """A library's greedy policy, as the zoo's environments take it: continuous actions in ±1.

    Args:
        act: observation [N, ...] to the actions [N, ...] that the environment itself takes.
        bounds: the least and the greatest of them [M], where they are continuous.
    """

    def __init__(
        self, act: Callable[[Tensor], np.ndarray], bounds: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        super().__init__()
        self.act, self.bounds = act, bounds

    def forward(self, observation: Tensor) -> np.ndarray:
        """Observation [N, ...] to actions [N, ...]."""
        action = self.act(observation)
        if self.bounds is None:
            return action
        low, high = self.bounds
        return ((2 * action - low - high) / (high - low)).astype(np.float32)


@dataclass(frozen=True)
class Work:
    """What all sides do for an agent."""

    env: str
    """The environment, where nobody names another."""
    steps: int
    """The length of a run, where nobody says another."""
    loss: str
    """Of the peers; ours runs with it and with `hl_gauss`."""
    keys: Mapping[str, Any]
    """Over the zoo's recipe for the environment; on Atari the recipe is as it is."""
    always: Mapping[str, Any] = field(default_factory=dict)
    """The same, on Atari too."""
    supports: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """v_min and v_max by environment, where the recipe's own do not fit; `""`: of any other one."""


PLAIN = {"normalize": {"reward": False, "observation": False}, "support": "set"}
"""Nothing is scaled by what was seen of it: the peers have no such thing in their loops."""
WIDE = {"": (-1_000.0, 1_000.0)}
"""Fits Pendulum's returns, and HalfCheetah's with the first temperature's entropy."""
CONTINUOUS = {
    **PLAIN,
    "num_envs": 1,
    "rollout_length": 8,
    "updates_per_step": 1.0,
    "learning_starts": 5_000,
    "batch_size": 256,
    "tau": 0.005,
    "optimizer": {"lr": 3e-4, "eps": 1e-8},
    "network": {"hidden": [256, 256], "layer_norm": False},
}
"""Stable-Baselines3's settings for SAC, in bursts of eight."""
WORK = {
    "dqn": Work(
        env="CartPole-v1",
        steps=100_000,
        loss="huber",
        # CleanRL's DQN for classic control, but for four times its learning rate: with 2.5e-4 and a Huber
        # loss no side leaves the start within 100,000 steps, and equal returns would say nothing.
        keys={
            "num_envs": 16,
            "rollout_length": 10,
            "updates_per_step": 0.1,
            "batch_size": 128,
            "target_update_every": 50,
            "learning_starts": 10_000,
            "optimizer": {"lr": 1e-3, "eps": 1e-8},
            "network": {"hidden": [120, 84]},
            "exploration": {"end": 0.05, "decay_steps": 50_000},
        },
        always={"double": False, "n_step": 1},  # which not every side has
    ),
    "sac": Work(
        env="Pendulum-v1",
        steps=10_000,
        loss="mse",
        keys={**CONTINUOUS, "policy_delay": 1, "alpha": 1.0},
        supports=WIDE,
    ),
    "td3": Work(
        env="Pendulum-v1",
        steps=10_000,
        loss="mse",
        keys={**CONTINUOUS, "policy_delay": 2},
        supports=WIDE,
    ),
    "ppo": Work(
        env="CartPole-v1",
        steps=100_000,
        loss="mse",
        # The rest as the recipe says, which is Stable-Baselines3's tuned one, at the policy's rate.
        keys={
            **PLAIN,
            "network": {"hidden": [64, 64], "activation": "tanh", "layer_norm": False, "shared": False},
        },
        supports={"CartPole-v1": (0.0, 50.0), "Pendulum-v1": (-200.0, 0.0), **WIDE},
    ),
}
"""By agent: those that a benchmark of loops knows."""


def bench_recipe(job: Job, **compute: Any) -> Recipe:
    """The work of the job: `WORK`, or on Atari the zoo's recipe, as every side can do it.

    Short runs start to learn after a tenth of their steps and explore for a fifth, or else they would
    measure random play.
    """
    said: dict[str, Any] = {
        "steps": job.steps,
        "seed": job.seed,
        "compute": {"device": "cpu", "threads": job.threads, "precision": "fp32", **compute},
    }
    if job.library == "catzoo pqn":  # as its recipe says: there is no one to do the same work as
        return find_recipe("pqn", job.env, job.loss, [said])
    work = WORK[job.agent]
    keys = {} if job.env.startswith("ALE/") else {**work.keys, **_support(work, job)}
    recipe = _at_one_rate(find_recipe(job.agent, job.env, job.loss, [keys, work.always, said]))
    return _shortened(recipe) if isinstance(recipe, Replaying) else recipe


def _support(work: Work, job: Job) -> dict[str, Any]:
    ends = work.supports.get(job.env, work.supports.get(""))
    if ends is None or "v_min" not in VALUE_LOSSES[job.loss].keys:
        return {}
    return {"value_loss": {"v_min": ends[0], "v_max": ends[1]}}


def _at_one_rate(recipe: Recipe) -> Recipe:
    """The policy's for the value too: the peers have one."""
    rate = getattr(recipe.optimizer, "actor_lr", None)
    if rate is None:
        return recipe
    return dataclasses.replace(
        recipe, optimizer=dataclasses.replace(recipe.optimizer, lr=rate, actor_lr=None)
    )


def _shortened(recipe: Any) -> Recipe:
    decay = min(recipe.exploration.decay_steps, recipe.steps // 5)
    return dataclasses.replace(
        recipe,
        learning_starts=min(recipe.learning_starts, recipe.steps // 10),
        exploration=dataclasses.replace(recipe.exploration, decay_steps=decay),
        # Whatever a run cannot fill need not be allocated, by anyone.
        replay=dataclasses.replace(
            recipe.replay, capacity=max(min(recipe.replay.capacity, recipe.steps), 2 * recipe.batch_size)
        ),
    )


def warm_up(recipe: Recipe) -> Recipe:
    """The same work for two bursts of updates: what is loaded, compiled or allocated once is not timed."""
    steps, _ = burst(recipe)
    if not isinstance(recipe, Replaying):
        return dataclasses.replace(recipe, steps=2 * steps)
    starts = recipe.batch_size
    return dataclasses.replace(recipe, learning_starts=starts, steps=starts + 2 * steps)


def burst(recipe: Any) -> tuple[int, int]:
    """Steps of one iteration, and the updates that follow them."""
    steps = recipe.num_envs * recipe.rollout_length
    if isinstance(recipe, Replaying):
        return steps, max(round(steps * recipe.updates_per_step), 1)
    return steps, recipe.epochs * minibatches(recipe)


def minibatches(recipe: Any) -> int:
    """Updates of one pass over a rollout."""
    return math.ceil(recipe.num_envs * recipe.rollout_length / recipe.batch_size)
