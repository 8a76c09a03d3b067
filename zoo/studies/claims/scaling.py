"""Whether bigger networks pay, by loss (arXiv 2403.03950, section 4.2: SoftMoE experts; networks in 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.hparams import RecipeError
from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import compare, known, train_dqn

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    episodes: int = 100
    """Of the greedy evaluation."""
    env: str = "MinAtar/Breakout"
    losses: tuple[str, ...] = ("hl_gauss", "mse")
    widths: tuple[float, ...] = (0.5, 1.0, 2.0)
    experts: tuple[int, ...] = (1, 4)
    steps: int = 60_000


class Scaling(Study):
    """Scores against width, and against the number of experts."""

    name = "scaling"
    agent = "dqn"
    version = 2  # 2: values begin at zero with every loss
    source = "arXiv 2403.03950, section 4.2, figure 4 (SoftMoE on 20 Atari games) and section 4.3 (ResNets)"
    protocol = (
        "DQN of the zoo's MinAtar recipe; its network's width, or a SoftMoE of so many experts in place of "
        "its hidden layer. One learning rate for all sizes."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, episodes=4, widths=(0.5, 1.0), experts=(2,), steps=600),
        "small": Settings(seeds=2, widths=(0.5, 2.0), experts=(4,), steps=15_000),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def check(self) -> None:
        """Sizes above nothing."""
        if not all(width > 0 for width in self.settings.widths):
            raise RecipeError(f"widths={list(self.settings.widths)}: each must be above 0")

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        sizes = [("width", width) for width in self.settings.widths]
        sizes += [("experts", float(experts)) for experts in self.settings.experts]
        return [
            Task({"loss": loss, "what": what, "size": size, "seed": seed})
            for seed in self.seeds
            for what, size in sizes
            for loss in self.settings.losses
        ]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """One run."""
        label = task.labels
        size = float(label["size"])
        network = {"width": size} if label["what"] == "width" else {"experts": int(size)}
        return [train_dqn(self, task, tasks, str(label["loss"]), {"network": network})]

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """Growth of either loss, and the difference of the two, from the smallest size to the largest."""
        found: list[Finding | None] = []
        for what, sizes in (("width", self.settings.widths), ("experts", self.settings.experts)):
            ends = ((1.0, max(sizes)), (-1.0, min(sizes)))
            if len(sizes) < 2:
                continue

            def grow(claim: str, losses: Sequence[tuple[float, str]], what: str = what,
                     ends: Sequence[tuple[float, float]] = ends) -> Finding | None:  # fmt: skip
                sides = [
                    (sign * weight, {"loss": loss, "what": what, "size": size})
                    for weight, loss in losses
                    for sign, size in ends
                ]
                return compare(f"{what}: {claim}", rows, "final", sides, over=None)

            found += [
                grow("HL-Gauss gains more than MSE by growing", ((1.0, "hl_gauss"), (-1.0, "mse"))),
                grow("HL-Gauss gains by growing", ((1.0, "hl_gauss"),)),
            ]
        return known(found)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Return against size, a panel for width and one for experts."""
        from catzoo.zoo.studies.study_pictures import lines

        return lines(rows, "size", "final", by="loss", panels="what", title=f"{self.settings.env}: scaling",
                     xlabel="size", ylabel="greedy return")  # fmt: skip


STUDY = Scaling
