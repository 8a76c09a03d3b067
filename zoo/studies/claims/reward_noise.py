"""Whether HL-Gauss copes better with noisy rewards, offline (arXiv 2403.03950, section 5.2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.hparams import VALUE_LOSSES, RecipeError
from catzoo.zoo.studies.recorded_data import behaviour, dataset_of, record, score_of
from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import check_support, compare, known, matched, train_inside

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    env: str = "MinAtar/Breakout"
    losses: tuple[str, ...] = ("hl_gauss", "mse")
    eta: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0)
    data_steps: int = 200_000
    updates: int = 20_000
    episodes: int = 100
    v_min: float = -5.0
    v_max: float = 80.0
    """The noise adds up to eta / 2 / (1 - gamma) = 50 to a value."""
    num_bins: int = 144
    """Bins of the width that the recipe's are."""


class RewardNoise(Study):
    """Behaviour-normalised scores of CQL against the noise."""

    name = "reward-noise"
    agent = "cql"
    version = 2  # 2: values begin at zero with every loss
    source = "arXiv 2403.03950, section 5.2.1 (CQL, eta 0.1, 0.3, 1)"
    protocol = (
        "CQL on a tenth of what a DQN with MSE saw, one dataset for each seed; noise drawn once for each "
        "transition. One support wide enough for all eta, where the paper keeps [-10, 10]."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, eta=(0.0, 1.0), data_steps=6_000, updates=64, episodes=4),
        "small": Settings(seeds=2, eta=(0.0, 1.0), data_steps=40_000, updates=5_000, episodes=20),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def check(self) -> None:
        """Amounts of noise from none on, a support, and losses that take it."""
        settings = self.settings
        if settings.eta[0] != 0 or list(settings.eta) != sorted(settings.eta):
            raise RecipeError(f"eta={list(settings.eta)}: from 0 on, in order")
        check_support(settings.v_min, settings.v_max)
        for loss in settings.losses:
            if loss != "mse" and "v_min" not in VALUE_LOSSES[loss].keys:
                raise RecipeError(f"losses: {loss} has no support")

    def tasks(self) -> list[Task]:
        """Data first."""
        return [behaviour(seed) for seed in self.seeds] + [
            Task({"what": "cql", "loss": loss, "eta": eta, "seed": seed}, stage=1)
            for seed in self.seeds
            for eta in self.settings.eta
            for loss in self.settings.losses
        ]

    def reads(self, task: Task) -> list[Task]:
        """The data of its seed."""
        return [other for other in super().reads(task) if other.labels["seed"] == task.labels["seed"]]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Makes data, or learns from it."""
        settings, seed = self.settings, int(task.labels["seed"])
        if task.labels["what"] == "behaviour":
            return [record(task, tasks, settings.env, steps=settings.data_steps, episodes=settings.episodes)]
        data, loss = dataset_of(tasks, seed), str(task.labels["loss"])
        support = {}
        if loss != "mse":
            support = {"v_min": settings.v_min, "v_max": settings.v_max, "num_bins": settings.num_bins}
        noise = {"dataset": str(data.resolve()), "reward_noise": task.labels["eta"], "value_loss": support}
        scores = train_inside(
            tasks / task.name,
            "cql",
            settings.env,
            loss=loss,
            seed=seed,
            steps=settings.updates,
            episodes=settings.episodes,
            overrides=[matched(loss), noise],
        )
        return [{"score": float(scores["final"]) / score_of(data)}]

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """What MSE loses to noise beyond what HL-Gauss loses, eta by eta, and both gaps."""
        clean, most = self.settings.eta[0], self.settings.eta[-1]

        def gap(claim: str, points: Sequence[tuple[float, float]]) -> Finding | None:
            sides = [
                (sign * weight, {"what": "cql", "loss": loss, "eta": eta})
                for weight, eta in points
                for sign, loss in ((1.0, "hl_gauss"), (-1.0, "mse"))
            ]
            return compare(claim, rows, "score", sides, over=None)

        return known([
            *(gap(f"HL-Gauss loses less than MSE from eta 0 to {eta:g}", ((1.0, eta), (-1.0, clean)))
              for eta in reversed(self.settings.eta[1:])),
            gap(f"HL-Gauss above MSE at eta {most:g}", ((1.0, most),)),
        ])  # fmt: skip

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Scores against the noise."""
        from catzoo.zoo.studies.study_pictures import lines

        learned = [row for row in rows if "eta" in row]
        return lines(learned, "eta", "score", by="loss", title=f"{self.settings.env}: CQL with noisy rewards",
                     xlabel="eta: rewards + U(0, eta)", ylabel="return / return in the data")  # fmt: skip


STUDY = RewardNoise
