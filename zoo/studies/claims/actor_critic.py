"""Which loss serves SAC's critics, where all of them learn under the same conditions.

Everybody who trains categorical critics since 2025 divides rewards by a running scale of the return, and
nobody compares the losses with that. Here each has the divisor, the initial value and the learning rate of
the others; `mse` without the divisor and at three times the rate are arms of their own. Level is what lies
within a tenth of what there is to learn (`A_TENTH`).

Expected beforehand, from per-seed data that SimbaV2's authors publish (arXiv 2502.15280): level at 100,000
steps and on the small tasks; ahead where episodes end early (Hopper), but only from 300,000 steps on, which
this study does not reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from catzoo.hparams import Recipe, RecipeError, loss_title
from catzoo.hparams.schema import check_name
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import A_TENTH, ON_ONE_THREAD, compare, known
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "hl_gauss": ("hl_gauss", {}),
    "two_hot": ("two_hot", {}),
    "c51": ("c51", {}),
    "mse": ("mse", {}),
    "mse-raw": ("mse", {"support": "set", "normalize": {"reward": False}}),
    "mse-fast": ("mse", {"fast": 3.0}),
}
"""Loss and what differs by the name of the arm; `fast` is a factor on every learning rate."""
TITLES = {"mse-raw": "MSE, no divisor", "mse-fast": "MSE, rate x 3"}
"""Of arms that are more than a loss."""


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    """Of the small tasks."""
    small: tuple[str, ...] = ("Pendulum-v1", "InvertedDoublePendulum-v5")
    large: tuple[str, ...] = ("Hopper-v5", "HalfCheetah-v5")
    large_seeds: int = 3
    arms: tuple[str, ...] = tuple(ARMS)
    large_arms: tuple[str, ...] = ("hl_gauss", "two_hot", "c51", "mse")
    small_steps: int = 8_000
    large_steps: int = 100_000
    points: int = 4
    """Evaluations, evenly over training."""
    episodes: int = 20
    """Of each evaluation."""


class ActorCritic(Study):
    """Returns of SAC by loss and task."""

    name = "actor-critic"
    agent = "sac"
    source = "arXiv 2403.03950 has no actor-critic of continuous actions but for its robots"
    protocol = (
        "SAC of the zoo's recipe for the task, 101 bins on ±10, rewards divided by the running scale of the "
        "return, every loss with the same initial value and rate. HL-Gauss's outer bin edges lie on ±10, the "
        "others' outer centres. Greedy returns."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, small=("Pendulum-v1",), large=(), arms=("hl_gauss", "mse"),
                         small_steps=1_040, points=1, episodes=2),
        "small": Settings(seeds=3, small=("Pendulum-v1",), large=(), arms=("hl_gauss", "mse")),
        "full": Settings(seeds=10),
    }  # fmt: skip
    optional = ("small", "large")
    settings: Settings

    def check(self) -> None:
        """Arms are of `ARMS`, and there is a task."""
        for arm in {*self.settings.arms, *self.settings.large_arms}:
            check_name("arm", arm, ARMS)
        if not self.settings.small + self.settings.large:
            raise RecipeError("small=[] large=[]: at least one task is needed")

    def tasks(self) -> list[Task]:
        """Small tasks first, seeds outermost."""
        settings = self.settings
        groups = (
            (settings.small, self.seeds, settings.arms),
            (settings.large, range(settings.large_seeds), settings.large_arms),
        )
        return [
            Task({"env": env, "arm": arm, "seed": seed})
            for envs, seeds, arms in groups
            for seed in seeds
            for env in envs
            for arm in arms
        ]

    def _steps(self, env: str) -> int:
        return self.settings.large_steps if env in self.settings.large else self.settings.small_steps

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Trains an agent, and evaluates it on the way."""
        from catzoo.zoo.training.evaluate import evaluate_trained

        env = str(task.labels["env"])
        recipe = recipe_for(env, str(task.labels["arm"]), self._steps(env), int(task.labels["seed"]))

        def measure(step: int, work: AtWork) -> list[Row]:
            scores = evaluate_trained(work.agent, recipe, self.settings.episodes)
            return [{"return": sum(scores) / len(scores)}]

        return measured_training(recipe, self.settings.points, measure, tasks / task.name)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """Task by task: categorical losses level with MSE, or above it where nobody has said what level is.
        Aside: what MSE's divisor and rate do.
        """
        found: list[Finding | None] = []
        for env in (*self.settings.small, *self.settings.large):
            own = [row for row in rows if row["env"] == env and row["step"] == self._steps(env)]

            def apart(one: str, other: str, own: Sequence[Row] = own) -> dict[str, Any]:
                sides = [(1.0, {"arm": one}), (-1.0, {"arm": other})]
                return {"rows": own, "column": "return", "sides": sides, "over": None}

            def aside(claim: str, one: str, other: str) -> Finding | None:
                return compare(claim, **apart(one, other), aside=True)

            for arm in ("hl_gauss", "two_hot", "c51"):
                title = loss_title(arm)
                words, margin = ("as", A_TENTH[env]) if env in A_TENTH else ("above", None)
                found.append(compare(f"{env}: {title} {words} MSE", **apart(arm, "mse"), margin=margin))
            found += [
                aside(f"{env}: MSE with the divisor above MSE without", "mse", "mse-raw"),
                aside(f"{env}: MSE at three times the rate above MSE", "mse-fast", "mse"),
            ]
        return known(found)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Returns through training, task by task."""
        from catzoo.zoo.studies.study_pictures import lines

        named = [{**row, "arm": TITLES.get(str(row["arm"]), row["arm"])} for row in rows]
        return lines(named, "step", "return", by="arm", panels="env", xlabel="agent steps",
                     title="SAC by loss, under the same conditions")  # fmt: skip


def recipe_for(env: str, arm: str, steps: int, seed: int) -> Recipe:
    """The recipe of a task."""
    loss, change = ARMS[arm]
    change = dict(change)
    fast = change.pop("fast", None)
    recipe = recipe_of("sac", env, loss=loss, steps=steps, seed=seed, overrides=[ON_ONE_THREAD, change])
    if fast is None:
        return recipe
    rate = {"optimizer": {"lr": fast * recipe.optimizer.lr}}
    return recipe_of("sac", env, loss=loss, steps=steps, seed=seed, overrides=[ON_ONE_THREAD, change, rate])


STUDY = ActorCritic
