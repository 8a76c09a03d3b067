"""Whether the best sigma is an absolute one (arXiv 2403.03950, section 5.1.2).

Scores of a grid of bins and sigma in bin widths are explained twice: by a parabola over the logarithm of the
absolute sigma, and by one over the ratio to the bin width; every number of bins has a level of its own. The
claim is that the first explains more. The interval is a bootstrap over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.zoo.studies.study import Finding, Row, Study, Task, values
from catzoo.zoo.studies.training_tasks import check_support, compare, known, train_dqn

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

RESAMPLES = 2_000


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    episodes: int = 100
    """Of the greedy evaluation."""
    env: str = "MinAtar/Breakout"
    bins: tuple[int, ...] = (21, 51, 101, 201)
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 2.0)
    steps: int = 50_000
    v_min: float = -5.0
    v_max: float = 25.0


class SigmaBins(Study):
    """The paper's grid."""

    name = "sigma-bins"
    agent = "dqn"
    version = 2  # 2: values begin at zero with every loss
    source = "arXiv 2403.03950, section 5.1.2 and appendix (13 Atari games)"
    protocol = (
        "DQN + HL-Gauss of the zoo's MinAtar recipe on one game; the mean return of the training episodes "
        "over the whole run, which varies less between seeds than the greedy return at its end."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, episodes=4, bins=(21, 51), ratios=(0.5, 1.0), steps=600),
        "small": Settings(seeds=2, bins=(21, 101), ratios=(0.25, 0.75, 2.0), steps=20_000),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def check(self) -> None:
        """A support."""
        check_support(self.settings.v_min, self.settings.v_max)

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        return [
            Task({"bins": bins, "ratio": ratio, "seed": seed})
            for seed in self.seeds
            for bins in self.settings.bins
            for ratio in self.settings.ratios
        ]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """One run."""
        label, span = task.labels, self.settings.v_max - self.settings.v_min
        loss = {
            "num_bins": label["bins"],
            "sigma_ratio": label["ratio"],
            "v_min": self.settings.v_min,
            "v_max": self.settings.v_max,
        }
        scores = train_dqn(self, task, tasks, "hl_gauss", {"value_loss": loss})
        return [{"sigma": float(label["ratio"]) * span / int(label["bins"]), **scores}]

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """Which coordinate explains the grid, and whether the paper's ratio is a good one."""
        cells = [(bins, ratio) for bins in self.settings.bins for ratio in self.settings.ratios]
        scores = [values(rows, "auc", bins=bins, ratio=ratio) for bins, ratio in cells]
        found = []
        if all(scores):
            span = self.settings.v_max - self.settings.v_min
            found.append(better_coordinate(cells, scores, span))
        smallest = {"ratio": self.settings.ratios[0]}
        claim = "the paper's ratio 0.75 above the smallest"
        return known([
            *found,
            compare(claim, rows, "auc", ((1.0, {"ratio": 0.75}), (-1.0, smallest)), over="bins"),
        ])  # fmt: skip

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Heat maps in both coordinates."""
        from catzoo.zoo.studies.study_pictures import heat_maps

        title, note = (
            f"{self.settings.env}: bins and sigma",
            "mean return over all of training, mean over seeds",
        )
        return heat_maps(rows, self.settings.bins, self.settings.ratios, "auc", title, note)


def better_coordinate(
    cells: Sequence[tuple[int, float]], scores: Sequence[Sequence[float]], span: float
) -> Finding:
    """How much more of the grid's variance a function of absolute sigma explains than one of the ratio.

    Args:
        cells: bins and ratio.
        scores: of each cell, by seed.
        span: of the support.
    """
    import numpy as np

    bins = np.array([cell[0] for cell in cells])
    ratio = np.log(np.array([cell[1] for cell in cells]))
    sigma = ratio + np.log(span / bins)
    random = np.random.default_rng(0)
    seeds = min(len(cell) for cell in scores)
    table_CS = np.array([cell[:seeds] for cell in scores])
    means_RC = np.stack([
        np.take_along_axis(table_CS, random.integers(seeds, size=table_CS.shape), 1).mean(1)
        for _ in range(RESAMPLES)
    ])  # fmt: skip
    gains = [explained(row, sigma, bins) - explained(row, ratio, bins) for row in means_RC]
    low, high = np.quantile(gains, (0.025, 0.975))
    mean_C = table_CS.mean(1)
    value = explained(mean_C, sigma, bins) - explained(mean_C, ratio, bins)
    claim = "absolute sigma explains more of the grid's variance than the ratio to the bin width"
    if seeds == 1:
        low, high = -np.inf, np.inf
    return Finding(claim, value, float(low), float(high))


def explained(score_C: np.ndarray, place_C: np.ndarray, bins_C: np.ndarray) -> float:
    """Share of the variance within numbers of bins that one parabola over a coordinate explains."""
    import numpy as np

    levels = np.stack([bins_C == number for number in np.unique(bins_C)], axis=1).astype(float)
    design = np.column_stack([levels, place_C, place_C**2])
    within = np.linalg.lstsq(levels, score_C, rcond=None)[0]
    fitted = np.linalg.lstsq(design, score_C, rcond=None)[0]
    total = float(((score_C - levels @ within) ** 2).sum())
    if not total > 1e-12 * float((score_C**2).sum()):  # all alike, but for rounding
        return 0.0
    return 1 - float(((score_C - design @ fitted) ** 2).sum()) / total


STUDY = SigmaBins
