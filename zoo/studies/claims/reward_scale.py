"""What a running divisor of rewards is worth to an actor-critic, where nobody chose the rewards' scale.

The same task with its rewards multiplied. With the divisor (`auto`) values lie on ±10 whatever the rewards
are; without it (`set`) the support stays the one that fits the task as it is registered, and so do the
learning rate and the temperature's start. Ends as at scale 1 is what lies within a tenth of what there is to
learn (`A_TENTH`).

Expected beforehand: with the divisor every loss ends at every scale where it ends at scale 1. Without it
large rewards are clipped away for HL-Gauss and make MSE's errors explode; small ones drown in the entropy's
worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from catzoo.hparams import VALUE_LOSSES, Recipe, loss_title
from catzoo.hparams.schema import check_name
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.scaled_rewards import check_scales, on_scale, scale_picture, scale_tasks
from catzoo.zoo.studies.study import Cell, Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import A_TENTH, ON_ONE_THREAD, compare, known
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork

HAND: dict[str, tuple[float, float]] = {
    "Pendulum-v1": (-1_700.0, 100.0),
    "InvertedDoublePendulum-v5": (-100.0, 1_100.0),
}
"""Ends of a support that somebody who knows the task would set: a hundred times the least and the greatest
reward, which discounted returns at 0.99 cannot leave, and a margin. Time limits end neither task's values."""


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    envs: tuple[str, ...] = ("Pendulum-v1", "InvertedDoublePendulum-v5")
    scales: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    losses: tuple[str, ...] = ("hl_gauss", "mse")
    supports: tuple[str, ...] = ("auto", "set")
    steps: int = 8_000
    episodes: int = 20
    """Greedy ones, after training."""


class RewardScale(Study):
    """Returns of SAC by scale of the rewards, divisor and loss."""

    name = "reward-scale"
    agent = "sac"
    source = "SimbaV2 (arXiv 2502.15280) ablates the divisor at the rewards' own scale"
    version = 2  # 2: supports set by hand hold the task without its time limit
    protocol = (
        "SAC of the zoo's recipe for the task, one learning rate for every loss; greedy returns, divided by "
        "what the rewards were multiplied by."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, envs=("Pendulum-v1",), scales=(1.0, 10.0), losses=("mse",),
                         supports=("auto",), steps=1_040, episodes=2),
        "small": Settings(seeds=2, envs=("Pendulum-v1",), scales=(1.0, 100.0)),
        "full": Settings(seeds=5),
    }  # fmt: skip
    settings: Settings

    def check(self) -> None:
        """Tasks have ends of `HAND`, supports are `auto` or `set`, scales above 0 and 1 among them."""
        for env in self.settings.envs:
            check_name("env", env, HAND)
        for support in self.settings.supports:
            check_name("support", support, ("auto", "set"))
        check_scales(self.settings.scales)

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        return scale_tasks(self)

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Trains an agent, and evaluates it."""
        from catzoo.zoo.training.evaluate import evaluate_trained

        settings, scale = self.settings, float(task.labels["scale"])
        recipe = recipe_for(task.labels, settings.steps)

        def measure(step: int, work: AtWork) -> list[Row]:
            scores = evaluate_trained(work.agent, recipe, settings.episodes)
            return [{"return": sum(scores) / len(scores) / scale}]

        return measured_training(recipe, 1, measure, tasks / task.name)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """Task by task: every scale as scale 1 with the divisor, and the divisor above none at each; at scale
        1, which the ends were set for, aside."""
        found: list[Finding | None] = []
        for env in self.settings.envs:
            own = [row for row in rows if row["env"] == env]
            for loss in self.settings.losses:
                title = f"{env}, {loss_title(loss)}"

                def side(
                    sign: float, support: str, scale: float, loss: str = loss
                ) -> tuple[float, Mapping[str, Cell]]:
                    return sign, {"support": support, "scale": scale, "loss": loss}

                for scale in self.settings.scales:
                    if scale != 1:
                        as_one = [side(1.0, "auto", scale), side(-1.0, "auto", 1.0)]
                        claim = f"{title}, with the divisor: rewards x {scale:g} end as x 1"
                        found.append(compare(claim, own, "return", as_one, over=None, margin=A_TENTH[env]))
                    sides = [side(1.0, "auto", scale), side(-1.0, "set", scale)]
                    claim = f"{title}, rewards x {scale:g}: the divisor above none"
                    found.append(compare(claim, own, "return", sides, over=None, aside=scale == 1))
        return known(found)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """A line for each loss over the scales, with the divisor above without, task by task."""
        return scale_picture(rows, "SAC by the scale of the rewards")


def recipe_for(labels: Mapping[str, Cell], steps: int) -> Recipe:
    """The recipe of a task: the environment's own, on the environment with multiplied rewards."""
    env, loss = str(labels["env"]), str(labels["loss"])
    said: list[Mapping[str, Any]] = [ON_ONE_THREAD]
    if labels["support"] == "set":
        low, high = HAND[env]
        bounded = "v_min" in VALUE_LOSSES[loss].keys
        ends = {"value_loss": {"v_min": low, "v_max": high}} if bounded else {}
        said.append({"support": "set", "normalize": {"reward": False}, **ends})
    recipe = recipe_of("sac", env, loss=loss, steps=steps, seed=int(labels["seed"]), overrides=said)
    return on_scale(recipe, float(labels["scale"]))


STUDY = RewardScale
