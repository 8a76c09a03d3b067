"""Whether `support: auto` learns whatever the rewards' scale, and as well as ends that were set by hand.

The same environment with its rewards multiplied. With `auto` returns are divided by a running scale, so
that ±10 holds them. With `set` the support stays the one that fits scale 1, as it does for a user who does
not know better.

Expected beforehand: with `auto` every loss ends at every scale where it ends at scale 1. With `set`, small
rewards all fall into one or two bins and large ones outside, which costs the categorical losses nearly all;
MSE loses at large scales, as its learning rate was found at scale 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from catzoo.hparams import Recipe, RecipeError, loss_title
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.scaled_rewards import check_scales, on_scale, scale_picture, scale_tasks
from catzoo.zoo.studies.study import Cell, Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import ON_ONE_THREAD, a_fifth, compare, known, matched
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork

HAND: dict[str, tuple[float, float]] = {
    "LunarLander-v3": (-200.0, 200.0),
    "Taxi-v4": (-110.0, 30.0),
    "CliffWalking-v1": (-150.0, 10.0),
    "FrozenLake-v1": (-0.25, 1.25),
    "Blackjack-v1": (-1.5, 1.5),
    "CartPole-v0": (0.0, 120.0),
}
"""Ends that somebody who knows the environment would set: its discounted returns at 0.99, and a margin."""


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    envs: tuple[str, ...] = ("CartPole-v1", "MinAtar/Breakout-v1")
    scales: tuple[float, ...] = (0.01, 1.0, 100.0)
    losses: tuple[str, ...] = ("hl_gauss", "two_hot", "c51", "mse")
    supports: tuple[str, ...] = ("auto", "set")
    steps: int = 50_000
    points: int = 2
    """Evaluations, evenly over training."""
    episodes: int = 50
    """Of each evaluation."""


class AutoSupport(Study):
    """Returns by scale of the rewards, support and loss."""

    name = "auto-support"
    agent = "dqn"
    source = "arXiv 2403.03950 clips rewards and sets [-10, 10]; dividing by a running scale is SimbaV2's"
    protocol = (
        "DQN of the zoo's recipe for the environment, 51 bins, one learning rate for every loss. Returns are "
        "greedy and divided by what the rewards were multiplied by. `set`: the ends of the recipe, or those "
        "that fit the environment where it has none; the same at every scale."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, envs=("CartPole-v1",), scales=(1.0, 100.0), losses=("mse",), steps=1_500,
                         points=1, episodes=2),
        "small": Settings(seeds=2, envs=("CartPole-v1",), losses=("hl_gauss", "mse"), steps=20_000),
        "full": Settings(seeds=5),
    }  # fmt: skip
    settings: Settings

    def check(self) -> None:
        """Scales above 0, and 1 among them; environments with ends, where ends are set."""
        check_scales(self.settings.scales)
        for task in self.tasks():
            if task.labels["seed"] == 0:
                recipe_for(task.labels, self.settings.steps)

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        return scale_tasks(self)

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Trains an agent, and evaluates it on the way."""
        from catzoo.zoo.training.evaluate import evaluate_trained

        settings, scale = self.settings, float(task.labels["scale"])
        recipe = recipe_for(task.labels, settings.steps)

        def measure(step: int, work: AtWork) -> list[Row]:
            scores = evaluate_trained(work.agent, recipe, settings.episodes, after=step)
            return [{"return": sum(scores) / len(scores) / scale}]

        return measured_training(recipe, settings.points, measure, tasks / task.name)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """Environment by environment: no scale below scale 1 with `auto`, and `auto` not below `set`."""
        rows = [row for row in rows if row["step"] == self.settings.steps]
        found: list[Finding | None] = []
        for env in self.settings.envs:
            own = [row for row in rows if row["env"] == env]
            for loss in self.settings.losses:
                title = f"{env}, {loss_title(loss)}"

                def side(sign: float, support: str, scale: float, loss: str = loss) -> tuple[float, Arm]:
                    return sign, {"support": support, "scale": scale, "loss": loss}

                found += [
                    compare(f"{title}, auto: rewards x {scale:g} end as x 1", own, "return",
                            [side(1.0, "auto", scale), side(-1.0, "auto", 1.0)], over=None,
                            margin=a_fifth(own, "return"))
                    for scale in self.settings.scales if scale != 1
                ]  # fmt: skip
                found += [
                    compare(f"{title}, rewards x {scale:g}: auto above ends set by hand", own, "return",
                            [side(1.0, "auto", scale), side(-1.0, "set", scale)], over=None)
                    for scale in self.settings.scales
                ]  # fmt: skip
        return known(found)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """A line for each loss over the scales, auto above set, game by game."""
        last = [row for row in rows if row["step"] == self.settings.steps]
        return scale_picture(last, "Return by the scale of the rewards")


Arm = Mapping[str, Cell]


def recipe_for(labels: Mapping[str, Cell], steps: int) -> Recipe:
    """The recipe of a task: the environment's own, on the environment with multiplied rewards.

    Raises:
        RecipeError: an environment without a recipe that nobody has set ends for.
    """
    env, loss = str(labels["env"]), str(labels["loss"])
    said: list[Mapping[str, Any]] = [matched(loss), ON_ONE_THREAD]
    if labels["support"] == "auto":
        said.append({"support": "auto"})
    elif env in HAND:
        said.append({"support": "set"})
        low, high = HAND[env]
        said += [{"value_loss": {"v_min": low, "v_max": high}}] if loss not in ("mse", "huber") else []
    recipe = recipe_of("dqn", env, loss=loss, steps=steps, seed=int(labels["seed"]), overrides=said)
    if labels["support"] == "set" and getattr(recipe, "support", "set") != "set":
        raise RecipeError(f"{env}: no recipe, and no ends set by hand: known are {', '.join(HAND)}")
    return on_scale(recipe, float(labels["scale"]))


STUDY = AutoSupport
