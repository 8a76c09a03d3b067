"""Whether a Q-Transformer moves a robot's arm better by classification (arXiv 2403.03950, section 4.4).

The paper's experiment has Google's robot, 60M parameters and one figure: HL-Gauss reaches a peak success 67 %
above MSE's, and sooner. Here it is the Fetch arm of Gymnasium-Robotics, by its state, from episodes of a
scripted expert with noise, which in half of them goes for a wrong goal. What any loss has to beat is the
success of the data, and of cloning them.

Expected beforehand: MSE ahead early, since categorical heads start slowly. So success is shown through
training, and nothing is decided of their ends and peaks while a curve still rises. The rate falls to zero at
the last step, so that a curve is flat there in any case: more steps may have given more.

All seeds learn from the same episodes, and play the same starts: an interval over seeds speaks of these. That
success is above the data's and above their clone's stands aside.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from catzoo.hparams import RecipeError, loss_title
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import ON_ONE_THREAD, compare, known, matched, means, peaks, rising
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork

DATA, CLONING = "data", "cloning"
"""In the place of a loss: what the data do, and what a clone of them does."""
CLONE_POINTS = 4
"""Evaluations of a clone: its curve is no part of the question."""


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    envs: tuple[str, ...] = ("FetchPickAndPlace-v4", "FetchPush-v4")
    episodes: int = 1_200
    noise: tuple[float, ...] = (0.2,)
    wrong: float = 0.5
    """Share of the data's episodes in which the expert goes for a wrong goal: cloning averages noise away."""
    losses: tuple[str, ...] = ("hl_gauss", "mse")
    steps: int = 16_000
    points: int = 16
    """Evaluations, evenly over training."""
    starts: int = 100
    """Of each evaluation."""


class Robots(Study):
    """Success from fixed starts, by loss, beside the data and their clone."""

    name = "robots"
    agent = "q_transformer"
    source = "arXiv 2403.03950, section 4.4 (Q-Transformer, one figure)"
    version = 2  # 2: HL-Gauss's support is padded; a clone is evaluated four times
    protocol = (
        "The Fetch arm by its state instead of a robot by its camera; a transformer of 64 numbers and 2 "
        "layers instead of 60M parameters; 16 bins of each dimension; one learning rate for every loss; "
        "HL-Gauss's sigma, 0.1, was chosen on PickAndPlace, seed 0; success within 50 steps from fixed "
        "starts, the same for all."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, envs=("FetchReach-v4",), episodes=8, steps=2, points=1, starts=4),
        "small": Settings(seeds=2, envs=("FetchPickAndPlace-v4",), episodes=600, steps=4_000, points=8),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def check(self) -> None:
        """Data that can be made."""
        from catzoo.zoo.datasets.robot_episodes import Asked

        settings = self.settings
        for env in settings.envs:
            how = {"seed": 0, "gamma": 1.0, "wrong": settings.wrong}
            if problem := Asked(env, settings.episodes, settings.noise, **how).problem():
                raise RecipeError(problem.removeprefix("--"))

    def tasks(self) -> list[Task]:
        """Data first, the same for all seeds; then seeds outermost."""
        arms = (*self.settings.losses, CLONING)
        return [
            *(Task({"env": env, "loss": DATA, "seed": 0}) for env in self.settings.envs),
            *(
                Task({"env": env, "loss": loss, "seed": seed}, stage=1)
                for seed in self.seeds
                for env in self.settings.envs
                for loss in arms
            ),
        ]

    def reads(self, task: Task) -> list[Task]:
        """The data of its environment."""
        return [other for other in super().reads(task) if other.labels["env"] == task.labels["env"]]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Plays the episodes, or learns from them; a row for each evaluation."""
        from catzoo.zoo.datasets.robot_episodes import make_robot_episodes
        from catzoo.zoo.training.robot_metrics import make_starts, metrics

        settings, env, loss = self.settings, str(task.labels["env"]), str(task.labels["loss"])
        data = (tasks / Task({"env": env, "loss": DATA, "seed": 0}).name / "dataset").absolute()
        if loss == DATA:
            how: Any = {"noise": settings.noise, "wrong": settings.wrong}
            made = make_robot_episodes(env, data, episodes=settings.episodes, **how)
            return [{"success": made["success"]}]
        cloning = loss == CLONING
        recipe = recipe_of(
            "q_transformer",
            env,
            loss="mse" if cloning else loss,
            steps=settings.steps,
            seed=int(task.labels["seed"]),
            overrides=[
                matched("mse" if cloning else loss),
                ON_ONE_THREAD,
                {"dataset": str(data), "learn": CLONING if cloning else "values"},
            ],
        )
        points = min(settings.points, CLONE_POINTS) if cloning else settings.points
        with contextlib.closing(make_starts(recipe, settings.starts)) as starts:

            def measure(step: int, work: AtWork) -> list[Row]:
                return [{"success": metrics(work.agent, recipe, settings.starts, starts)["success"]}]

            return measured_training(recipe, points, measure, tasks / task.name)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """HL-Gauss above MSE at the end, at their peaks and sooner; aside, each above data and cloning."""
        found: list[Finding | None] = []
        for env in self.settings.envs:
            own = [row for row in rows if row["env"] == env]
            last = [row for row in own if row.get("step") == self.settings.steps]
            waits = rising(own, "success", [{"loss": loss} for loss in self.settings.losses])
            pair = [(1.0, {"loss": "hl_gauss"}), (-1.0, {"loss": "mse"})]
            for where, some in (("", last), (", at the peak", peaks(own, "success"))):
                claim = f"{env}{where}: HL-Gauss above MSE"
                found.append(compare(claim, some, "success", pair, over=None, waits=waits))
            claim = f"{env}, mean of the first half: HL-Gauss above MSE"
            found.append(compare(claim, self._early(own), "success", pair, over=None))
            data = [float(row["success"]) for row in own if row["loss"] == DATA]
            gained = [{**row, "gain": float(row["success"]) - data[0]} for row in last if data]
            for loss in self.settings.losses:
                side, who = (1.0, {"loss": loss}), f"{env}: {loss_title(loss)}"
                cloned = [side, (-1.0, {"loss": CLONING})]
                found += [
                    compare(f"{who} above the data", gained, "gain", [side], over=None, aside=True),
                    compare(f"{who} above cloning", last, "success", cloned, over=None, aside=True),
                ]
        return known(found)

    def _early(self, rows: Sequence[Row]) -> list[Row]:
        """Of each run the mean success of the evaluations in the first half of training."""
        early = [row for row in rows if float(row.get("step", math.inf)) <= self.settings.steps / 2]
        return means(early, "success", "loss", "seed")

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Success through training, a line for each loss, a panel for each task."""
        from catzoo.zoo.studies.study_pictures import lines

        shown = [row for row in rows if row["loss"] != DATA]
        steps = sorted({float(row["step"]) for row in shown})
        level = [row for row in rows if row["loss"] == DATA]  # they have no steps
        shown += [{**row, "step": step} for step in (steps[0], steps[-1]) for row in level]
        return lines(shown, "step", "success", by="loss", panels="env", xlabel="gradient updates",
                     title="success from fixed starts", ylabel="share", share=True)  # fmt: skip


STUDY = Robots
