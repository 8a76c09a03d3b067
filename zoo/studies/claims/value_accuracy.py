"""Whether values learned by classification are more accurate: the open question of the paper's reproduction.

At several points of training: the mean squared Bellman error on the replay, and the error of the values along
greedy play against the discounted returns that followed (Monte-Carlo). Both in units of the spread of those
returns, since an agent that scores more has larger values to err about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import ON_ONE_THREAD, compare, known, matched
from catzoo.zoo.studies.value_errors import accuracy
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork


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
    agent = "dqn"
    version = 2  # 2: values begin at zero with every loss
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
        settings, loss = self.settings, str(task.labels["loss"])
        recipe = recipe_of(
            "dqn",
            settings.env,
            loss=loss,
            steps=settings.steps,
            seed=int(task.labels["seed"]),
            overrides=[matched(loss), ON_ONE_THREAD],
        )

        def measure(step: int, work: AtWork) -> list[Row]:
            return [accuracy(work, recipe, settings.play_steps)]

        return measured_training(recipe, settings.points, measure, tasks / task.name)

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


STUDY = ValueAccuracy
