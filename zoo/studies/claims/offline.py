"""Offline learning over time, by loss (arXiv 2403.03950, sections 4.1 and 5.2.3): CQL, and offline SARSA.

CQL's policy moves while it learns, SARSA's is that of the data. If non-stationary targets are what
classification copes with, its gain should be there with the former and not with the latter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.zoo.studies.recorded_data import behaviour, dataset_of, record, score_of
from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import compare, known, matched, train_inside

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    env: str = "MinAtar/Breakout"
    losses: tuple[str, ...] = ("hl_gauss", "c51", "two_hot", "mse")
    sarsa: tuple[str, ...] = ("hl_gauss", "mse")
    data_steps: int = 200_000
    updates: int = 30_000
    points: int = 10
    """Evaluations over the updates, the last one included."""
    episodes: int = 100
    """Of each evaluation."""
    strength: float | None = None
    """CQL's strength in units of value, alike for every loss; null: the weight that is the recipe's."""
    margin: float = 0.1
    """Gap, in behaviour scores, that counts as none."""


class Offline(Study):
    """Behaviour-normalised scores through offline training."""

    name = "offline"
    agent = "cql"
    version = 2  # 2: values begin at zero with every loss
    source = "arXiv 2403.03950, section 4.1 (CQL on 17 Atari games) and 5.2.3 (offline SARSA)"
    protocol = (
        "A tenth of what a DQN with MSE saw in training, one dataset for each seed; scores are greedy "
        "returns divided by the mean return in the data. CQL weight 0.1, or a strength if the settings have "
        "one; one learning rate for every loss."
    )
    budgets: ClassVar = {
        "tiny": Settings(
            seeds=1, losses=("hl_gauss", "mse"), data_steps=6_000, updates=64, points=2, episodes=4
        ),
        "small": Settings(
            seeds=2, losses=("hl_gauss", "mse"), data_steps=40_000, updates=6_000, points=4, episodes=20
        ),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def tasks(self) -> list[Task]:
        """Data first; then CQL and SARSA on it."""
        data = [behaviour(seed) for seed in self.seeds]
        kinds = [("cql", loss) for loss in self.settings.losses]
        kinds += [("sarsa", loss) for loss in self.settings.sarsa]
        return data + [
            Task({"what": what, "loss": loss, "seed": seed}, stage=1)
            for seed in self.seeds
            for what, loss in kinds
        ]

    def reads(self, task: Task) -> list[Task]:
        """The data of its seed."""
        return [other for other in super().reads(task) if other.labels["seed"] == task.labels["seed"]]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Makes data, or learns from it; a row for each evaluation."""
        settings, seed = self.settings, int(task.labels["seed"])
        if task.labels["what"] == "behaviour":
            return [record(task, tasks, settings.env, steps=settings.data_steps, episodes=settings.episodes)]
        data = dataset_of(tasks, seed)
        sarsa = task.labels["what"] == "sarsa"
        strength = {} if settings.strength is None else {"cql_strength": settings.strength}
        offline = {"cql_weight": 0.0, "bootstrap": "sarsa"} if sarsa else strength
        scores = train_inside(
            tasks / task.name,
            "cql",
            settings.env,
            loss=str(task.labels["loss"]),
            seed=seed,
            steps=settings.updates,
            episodes=settings.episodes,
            overrides=[
                matched(str(task.labels["loss"])),
                {"dataset": str(data.resolve()), **offline},
                self._evaluations(),
            ],
        )
        unit = score_of(data)
        curve = {**evaluations(tasks / task.name / "run"), settings.updates: float(scores["final"])}
        return [{"update": at, "score": score / unit} for at, score in sorted(curve.items())]

    def _evaluations(self) -> dict[str, dict[str, int]]:
        every = self.settings.updates // self.settings.points
        return {"eval": {"every": every, "interim_episodes": self.settings.episodes}}

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """The gap at the end, MSE's decay, and the gap under SARSA."""
        last = {"update": self.settings.updates}
        peak = [{**row, "score": lost} for row, lost in decays(rows)]

        def side(what: str, loss: str) -> dict[str, str | int]:
            return {"what": what, "loss": loss, **last}

        cql = [(1.0, side("cql", "hl_gauss")), (-1.0, side("cql", "mse"))]
        sarsa = [(1.0, side("sarsa", "hl_gauss")), (-1.0, side("sarsa", "mse"))]
        less = [(-weight, labels) for weight, labels in sarsa]
        margin = self.settings.margin
        decay = [(1.0, {"what": "cql", "loss": "mse"}), (-1.0, {"what": "cql", "loss": "hl_gauss"})]
        return known([
            compare("CQL: HL-Gauss above MSE", rows, "score", cql, over=None),
            compare("CQL: after the second quarter MSE loses more than HL-Gauss", peak, "score", decay,
                    over=None),
            compare("SARSA: no gap between HL-Gauss and MSE", rows, "score", sarsa, over=None, margin=margin),
            compare("the gap is larger with CQL than with SARSA", rows, "score", [*cql, *less], over=None),
        ])  # fmt: skip

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Scores over updates, a panel for each algorithm."""
        from catzoo.zoo.studies.study_pictures import lines

        learned = [row for row in rows if "update" in row]
        return lines(learned, "update", "score", by="loss", panels="what", xlabel="gradient updates",
                     title=f"{self.settings.env}: offline", ylabel="return / return in the data")  # fmt: skip


def decays(rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """For each run, what its score loses from the second quarter of its evaluations to the last one."""
    runs: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if "update" in row:
            runs.setdefault((row["what"], row["loss"], row["seed"]), []).append(row)
    found = []
    for own in runs.values():
        scores = [float(row["score"]) for row in own]
        quarter = max(len(scores) // 4, 1)
        early, late = scores[quarter : 2 * quarter] or scores[:1], scores[-quarter:]
        found.append((own[0], sum(early) / len(early) - sum(late) / len(late)))
    return found


def evaluations(run: Path) -> dict[int, float]:
    """The interim evaluations of a run, by step."""
    from catzoo.zoo.folders.run_folder import Run
    from catzoo.zoo.system.csv_rows import number_of, read_rows, step_of

    found = {step_of(row): number_of(row.get("eval/return")) for row in read_rows(Run(run).metrics)}
    return {step: score for step, score in found.items() if step is not None and not math.isnan(score)}


STUDY = Offline
