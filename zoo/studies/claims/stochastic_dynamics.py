"""Whether classification gains more where dynamics are random (arXiv 2403.03950, section 5.2.1).

The caption of the paper's figure 15 says the opposite of its text; the text is what is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.hparams import RecipeError
from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import compare, known, train_dqn, trend

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    episodes: int = 100
    """Of the greedy evaluation."""
    env: str = "MinAtar/Breakout"
    losses: tuple[str, ...] = ("hl_gauss", "c51", "two_hot", "mse")
    sticky: tuple[float, ...] = (0.0, 0.1, 0.25)
    steps: int = 60_000


class StochasticDynamics(Study):
    """The gain over MSE against the share of repeated actions."""

    name = "stochastic-dynamics"
    agent = "dqn"
    version = 2  # 2: values begin at zero with every loss
    source = "arXiv 2403.03950, section 5.2.1, figure 15 (Atari with and without sticky actions)"
    protocol = (
        "DQN of the zoo's MinAtar recipe, one learning rate for every loss; sticky actions in training and "
        "in the greedy evaluation of 100 episodes alike."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, episodes=4, losses=("hl_gauss", "mse"), sticky=(0.0, 0.25), steps=600),
        "small": Settings(seeds=2, losses=("hl_gauss", "mse"), sticky=(0.0, 0.25), steps=20_000),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def check(self) -> None:
        """Shares of repeated actions, at least two, in order."""
        sticky = self.settings.sticky
        if len(sticky) < 2 or list(sticky) != sorted(sticky) or not 0 <= sticky[0] <= sticky[-1] < 1:
            raise RecipeError(f"sticky={list(sticky)}: at least two shares from 0 to below 1, in order")

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        return [
            Task({"loss": loss, "sticky": sticky, "seed": seed})
            for seed in self.seeds
            for sticky in self.settings.sticky
            for loss in self.settings.losses
        ]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """One run."""
        sticky = {"env_options": {"sticky_action_prob": task.labels["sticky"]}}
        return [train_dqn(self, task, tasks, str(task.labels["loss"]), sticky)]

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """The slope of the gap, the gap at either end, and the case without chance."""
        points = self.settings.sticky

        def gap(claim: str, one: str, other: str, weights: Sequence[float]) -> Finding | None:
            sides = [
                (sign * weight, {"loss": loss, "sticky": sticky})
                for weight, sticky in zip(weights, points, strict=True)
                for sign, loss in ((1, one), (-1, other))
            ]
            return compare(claim, rows, "final", sides, over=None)

        first = [float(index == 0) for index in range(len(points))]
        slope = [0.1 * weight for weight in trend(points)]
        return known([
            gap("gap of HL-Gauss over MSE grows per 0.1 of sticky actions", "hl_gauss", "mse", slope),
            gap("HL-Gauss above MSE with the most sticky actions", "hl_gauss", "mse", first[::-1]),
            gap("gap of C51 over MSE grows per 0.1 of sticky actions", "c51", "mse", slope),
            gap("HL-Gauss above Two-Hot without sticky actions", "hl_gauss", "two_hot", first),
        ])  # fmt: skip

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Return against the share, a line per loss."""
        from catzoo.zoo.studies.study_pictures import lines

        title = f"{self.settings.env}: return by sticky actions"
        return lines(rows, "sticky", "final", by="loss", title=title,
                     xlabel="share of repeated actions", ylabel="greedy return")  # fmt: skip


STUDY = StochasticDynamics
