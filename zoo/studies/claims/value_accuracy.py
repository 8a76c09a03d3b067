"""Whether values learned by classification are more accurate: the open question of the paper's reproduction.

At several points of training: the mean squared Bellman error on the replay, and the error of the values along
greedy play against the discounted returns that followed (Monte-Carlo). Both in units of the spread of those
returns, since an agent that scores more has larger values to err about.

Legend: N environments, T steps, B batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import compare, known, matched

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

ENVS = 20
"""Environments of greedy play."""
BATCH = 4_096
"""Transitions of a Bellman error."""


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    env: str = "MinAtar/Breakout"
    losses: tuple[str, ...] = ("hl_gauss", "two_hot", "c51", "mse")
    steps: int = 60_000
    points: int = 6
    """Times of measuring, evenly over training."""
    play_steps: int = 1_000
    """Of greedy play in each environment."""


class ValueAccuracy(Study):
    """Bellman error and Monte-Carlo error through training."""

    name = "value-accuracy"
    source = "arXiv 2403.03950 does not measure it; its section 5 argues from it"
    protocol = (
        "DQN of the zoo's MinAtar recipe, one learning rate for every loss. Errors are root mean squares, in "
        "standard deviations of the Monte-Carlo returns of the same agent."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, losses=("hl_gauss", "mse"), steps=6_000, points=2, play_steps=200),
        "small": Settings(seeds=2, losses=("hl_gauss", "mse"), steps=20_000, points=4),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        return [Task({"loss": loss, "seed": seed}) for seed in self.seeds for loss in self.settings.losses]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Trains an agent and measures it on the way."""
        import contextlib

        from catzoo.zoo.training.build import build_trainer
        from catzoo.zoo.training.train import recipe_of

        settings = self.settings
        recipe = recipe_of(
            "dqn",
            settings.env,
            loss=str(task.labels["loss"]),
            steps=settings.steps,
            seed=int(task.labels["seed"]),
            overrides=[matched(str(task.labels["loss"])), {"compute": {"device": "cpu", "threads": 1}}],
        )
        work = build_trainer(recipe)
        rows: list[Row] = []
        with contextlib.closing(work):
            for point in range(1, settings.points + 1):
                step = settings.steps * point // settings.points
                while work.steps < step:
                    work.iterate()
                rows.append({"step": step, **accuracy(work, recipe, settings.play_steps)})
        return rows

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """At the end of training, MSE's error less that of cross-entropy."""
        last = {"step": self.settings.steps}

        def smaller(claim: str, column: str, loss: str) -> Finding | None:
            sides = ((1.0, {"loss": "mse", **last}), (-1.0, {"loss": loss, **last}))
            return compare(claim, rows, column, sides, over=None)

        return known([
            smaller("Monte-Carlo error of HL-Gauss below that of MSE", "monte_carlo_error", "hl_gauss"),
            smaller("Bellman error of HL-Gauss below that of MSE", "bellman_error", "hl_gauss"),
            smaller("Monte-Carlo error of C51 below that of MSE", "monte_carlo_error", "c51"),
            smaller("Monte-Carlo error of Two-Hot below that of MSE", "monte_carlo_error", "two_hot"),
        ])  # fmt: skip

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Both errors through training."""
        from catzoo.zoo.studies.study_pictures import lines

        long = [
            {**row, "error": row[column], "kind": title}
            for row in rows
            for column, title in (("monte_carlo_error", "against Monte-Carlo returns"),
                                  ("bellman_error", "Bellman error"))
        ]  # fmt: skip
        title = f"{self.settings.env}: accuracy of values"
        return lines(long, "step", "error", by="loss", panels="kind", xlabel="agent steps",
                     title=title, ylabel="error / spread of returns")  # fmt: skip


def accuracy(work: Any, recipe: Any, play_steps: int) -> Row:
    """Errors and mean bias of an agent's values, in standard deviations of its Monte-Carlo returns."""
    import numpy as np
    import torch

    from catzoo.agents.callbacks.evaluation import evaluation_mode

    agent = work.agent
    with evaluation_mode(agent), torch.no_grad():
        value, outcome = greedy_play(agent, recipe, play_steps)
        state = torch.get_rng_state()  # what is measured must not change what is trained
        batches, _ = work.feed.replay.sample(BATCH)
        torch.set_rng_state(state)
        _, td_error_B = agent.critic_loss(batches.at(0))
    # Where nothing was scored there is no spread, and errors stay as they are.
    spread = float(np.std(outcome)) or 1.0
    error = value - outcome
    return {
        "monte_carlo_error": math.sqrt(float(np.mean(error**2))) / spread,
        "bellman_error": math.sqrt(float((td_error_B**2).mean())) / spread,
        "bias": float(np.mean(error)) / spread,
        "mean_return_to_go": float(np.mean(outcome)),
        "spread": spread,
    }


def greedy_play(agent: Any, recipe: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of the states of greedy play [M], and the discounted returns that followed."""
    import numpy as np
    import torch

    from catzoo.zoo.environments.making import stream_seed
    from catzoo.zoo.training.build import build_env

    env = build_env(recipe, ENVS)
    try:
        observation, _ = env.reset(seed=stream_seed(recipe.seed, "accuracy"))
        shape = (steps, ENVS)
        value, reward, done = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
        for t in range(steps):
            outputs_NAK = agent.network(torch.as_tensor(observation))
            values_NA = agent.value_loss.decode(outputs_NAK) * agent.unit
            value[t], action = (part.numpy() for part in values_NA.max(dim=-1))
            observation, reward[t], terminated, truncated, _ = env.step(action)
            done[t] = terminated | truncated
    finally:
        env.close()
    outcome, whole = returns_to_go(reward, done, recipe.gamma)
    if not whole.any():  # no episode ended: take all, cut where the play was
        whole[:] = True
    return value[whole], outcome[whole]


def returns_to_go(reward_TN: np.ndarray, done_TN: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Discounted returns [T, N] from each step on, and whether its episode ended in time."""
    import numpy as np

    outcome, whole = np.zeros(reward_TN.shape), np.zeros(reward_TN.shape, dtype=bool)
    following, ended = np.zeros(reward_TN.shape[1]), np.zeros(reward_TN.shape[1], dtype=bool)
    for t in range(len(reward_TN) - 1, -1, -1):
        following = reward_TN[t] + gamma * np.where(done_TN[t], 0.0, following)
        ended = ended | done_TN[t]
        outcome[t], whole[t] = following, ended
    return outcome, whole


STUDY = ValueAccuracy
