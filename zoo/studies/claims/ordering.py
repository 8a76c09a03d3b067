"""Which loss scores best online (arXiv 2403.03950, section 4.1), with one learning rate and with the paper's.

The paper trains its classification losses at four times the rate of its regression losses, which is a
confound. Here every loss has one rate (`matched`), and the regression losses run at a quarter of it as well
(`paper`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import (
    RATE,
    compare,
    known,
    matched,
    normalised,
    on_one_scale,
    train_inside,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REGRESSION = ("mse", "huber", "softmax_mse")


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    episodes: int = 100
    """Of the greedy evaluation."""
    envs: tuple[str, ...] = ("MinAtar/Breakout", "MinAtar/Asterix")
    losses: tuple[str, ...] = ("hl_gauss", "c51", "two_hot", "mse", "huber", "softmax_mse")
    steps: int = 100_000
    lr: float = RATE


class Ordering(Study):
    """Online scores of six losses."""

    name = "ordering"
    agent = "dqn"
    version = 2  # 2: values begin at zero with every loss
    source = "arXiv 2403.03950, sections 4.1 and 5.1, figures 2 and 9 (60 Atari games, 200M frames)"
    protocol = (
        "DQN of the zoo's MinAtar recipe, sticky actions 0.1, greedy return of 100 episodes after training, "
        "normalised by game (0: random play, 1: the best of the zoo's first agents)."
    )
    budgets: ClassVar = {
        "tiny": Settings(
            seeds=1, episodes=4, envs=("MinAtar/Breakout",), losses=("hl_gauss", "mse"), steps=600
        ),
        "small": Settings(
            seeds=2, envs=("MinAtar/Breakout",), losses=("hl_gauss", "c51", "mse"), steps=20_000
        ),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def check(self) -> None:
        """Environments whose returns go on one scale."""
        on_one_scale(self.settings.envs)

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        return [
            Task({"env": env, "loss": loss, "rates": rates, "seed": seed})
            for seed in self.seeds
            for rates in ("matched", "paper")
            for env in self.settings.envs
            for loss in self.settings.losses
            if rates == "matched" or loss in REGRESSION
        ]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """One run."""
        label = task.labels
        rate = self.settings.lr / (4 if label["rates"] == "paper" else 1)
        scores = train_inside(
            tasks / task.name,
            "dqn",
            str(label["env"]),
            loss=str(label["loss"]),
            seed=int(label["seed"]),
            steps=self.settings.steps,
            episodes=self.settings.episodes,
            overrides=[matched(str(label["loss"]), rate)],
        )
        return [{"lr": rate, **scores}]

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """The paper's order, pair by pair, then the confound and the ablation."""
        rows = normalised(rows, "final")

        def above(claim: str, one: dict[str, str], other: dict[str, str]) -> Finding | None:
            return compare(claim, rows, "final", ((1.0, one), (-1.0, other)))

        def arm(loss: str, rates: str = "matched") -> dict[str, str]:
            return {"loss": loss, "rates": rates}

        return known([
            above("HL-Gauss above MSE, one rate for all", arm("hl_gauss"), arm("mse")),
            above("HL-Gauss above MSE, the paper's rates", arm("hl_gauss"), arm("mse", "paper")),
            above("HL-Gauss above C51", arm("hl_gauss"), arm("c51")),
            above("C51 above MSE, one rate for all", arm("c51"), arm("mse")),
            above("MSE above Two-Hot, one rate for all", arm("mse"), arm("two_hot")),
            above("HL-Gauss above MSE on a softmax head", arm("hl_gauss"), arm("softmax_mse")),
        ])  # fmt: skip

    def draw(self, rows: Sequence[Row]) -> Figure:
        """A bar of intervals per loss, game by game."""
        from catzoo.zoo.studies.study_pictures import bars

        return bars(rows, "final", across="loss", colour="rates", panels="env",
                    title="Greedy return by loss", ylabel="return")  # fmt: skip


STUDY = Ordering
