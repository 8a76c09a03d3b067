"""What the losses' different starts do to their comparison: all from one value, and each from its own.

A fresh softmax head says the middle of its support, a fresh MSE head says zero, so that comparisons of the
two compare starts as well. Here each loss begins at zero (`alike`, the zoo's default), and wherever a fresh
network has it (`own`, `initial_value=null`, as in the paper).

Expected beforehand: MSE's lead in the accuracy of values is mostly the start's; returns after training hardly
depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.hparams import loss_title
from catzoo.hparams.schema import check_name
from catzoo.losses import CategoricalLoss
from catzoo.losses.initial_logits import SPREAD
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.study import Cell, Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import (
    ON_ONE_THREAD,
    compare,
    known,
    matched,
    normalised,
    on_one_scale,
)
from catzoo.zoo.studies.value_errors import accuracy
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork

STARTS: dict[str, float | None] = {"alike": 0.0, "own": None}
"""`initial_value` by the name of the start."""
STARTS_NAMED = {"alike": "all from zero", "own": "each from its own start"}


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    envs: tuple[str, ...] = (
        "MinAtar/Breakout",
        "MinAtar/Asterix",
        "MinAtar/SpaceInvaders",
        "MinAtar/Freeway",
    )
    losses: tuple[str, ...] = ("hl_gauss", "two_hot", "c51", "mse")
    steps: int = 100_000
    points: int = 4
    """Times of measuring, evenly over training."""
    play_steps: int = 1_000
    """Of greedy play in each environment, for the errors of values."""
    episodes: int = 40
    """Of greedy play, for the return."""
    starts: tuple[str, ...] = ("alike", "own")
    spread: float = SPREAD
    """How broad a distribution categorical losses begin with where they begin alike; see `initial_logits`."""
    margin: float = 0.1
    """Of normalised return: what counts as none."""


class InitialValues(Study):
    """Returns and errors of values, by loss and start."""

    name = "initial-values"
    agent = "dqn"
    source = "arXiv 2403.03950 gives no loss a start; its comparisons are of losses with their starts"
    protocol = (
        "DQN of the zoo's MinAtar recipe, one learning rate for every loss, greedy returns with sticky "
        "actions 0.1, normalised by game (0: random play, 1: the best of the zoo's first agents). Errors are "
        "root mean squares of values along greedy play less the discounted returns that followed, in "
        "their standard deviations."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, envs=("MinAtar/Breakout",), losses=("hl_gauss", "mse"), steps=4_000,
                         points=1, play_steps=200, episodes=4),
        "small": Settings(seeds=2, envs=("MinAtar/Breakout",), losses=("hl_gauss", "mse"), steps=20_000),
        "full": Settings(seeds=5),
    }  # fmt: skip
    settings: Settings

    def check(self) -> None:
        """Environments whose returns go on one scale, and starts that there are."""
        on_one_scale(self.settings.envs)
        for start in self.settings.starts:
            check_name("start", start, STARTS)

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        return [
            Task({"env": env, "loss": loss, "start": start, "seed": seed})
            for seed in self.seeds
            for env in self.settings.envs
            for loss in self.settings.losses
            for start in self.settings.starts
        ]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Trains an agent, and measures it on the way."""
        from catzoo.zoo.training.evaluate import evaluate_trained

        settings, loss = self.settings, str(task.labels["loss"])
        start = {"initial_value": STARTS[str(task.labels["start"])]}
        recipe = recipe_of(
            "dqn",
            str(task.labels["env"]),
            loss=loss,
            steps=settings.steps,
            seed=int(task.labels["seed"]),
            overrides=[matched(loss), ON_ONE_THREAD, start],
        )

        def measure(step: int, work: AtWork) -> list[Row]:
            scores = evaluate_trained(work.agent, recipe, settings.episodes)
            return [{"return": sum(scores) / len(scores), **accuracy(work, recipe, settings.play_steps)}]

        with beginning(settings.spread):
            return measured_training(recipe, settings.points, measure, tasks / task.name)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """Errors and returns with equal starts, and what the starts have to do with them."""
        rows = normalised([row for row in rows if row["step"] == self.settings.steps], "return")

        def lead(loss: str, start: str, sign: float = 1.0) -> list[tuple[float, Mapping[str, Cell]]]:
            return [(sign, {"loss": loss, "start": start}), (-sign, {"loss": "mse", "start": start})]

        error = "monte_carlo_error"
        found: list[Finding | None] = []
        for loss in [loss for loss in self.settings.losses if loss != "mse"]:
            title = loss_title(loss)
            alike, own = lead(loss, "alike"), lead(loss, "own")
            found += [
                compare(f"{title}'s error above MSE's is smaller with equal starts", rows, error,
                        [*own, *lead(loss, "alike", -1.0)]),
                compare(f"error of {title} below MSE's, equal starts", rows, error,
                        lead(loss, "alike", -1.0)),
                compare(f"return of {title} above MSE's, equal starts", rows, "return", alike),
                compare(f"return of {title} above MSE's, own starts", rows, "return", own),
                compare(f"{title}'s return less MSE's does not depend on the starts", rows, "return",
                        [*alike, *lead(loss, "own", -1.0)], margin=self.settings.margin),
            ]  # fmt: skip
        for loss in self.settings.losses:
            sides = [(1.0, {"loss": loss, "start": "alike"}), (-1.0, {"loss": loss, "start": "own"})]
            claim = f"return of {loss_title(loss)}, from zero above from its own start"
            found.append(compare(claim, rows, "return", sides))
        return known(found)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Returns through training, and errors of values under them, game by game."""
        from catzoo.zoo.studies.study_pictures import lines

        long = [
            {**row, "value": row[column], "what": f"{title}, {STARTS_NAMED[str(row['start'])]}"}
            for column, title in (("return", "return"), ("monte_carlo_error", "error of values"))
            for start in STARTS
            for row in rows
            if row["start"] == start
        ]
        return lines(long, "step", "value", by="loss", panels="env", down="what", xlabel="agent steps",
                     title="Every loss from the same value, and from its own")  # fmt: skip


@contextmanager
def beginning(spread: float) -> Iterator[None]:
    """Categorical losses begin so broad."""
    before, CategoricalLoss.initial_spread = CategoricalLoss.initial_spread, spread
    try:
        yield
    finally:
        CategoricalLoss.initial_spread = before


STUDY = InitialValues
