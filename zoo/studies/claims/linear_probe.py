"""Whether classification learns better features (arXiv 2403.03950, section 5.3.1).

Stage 0 trains agents. Stage 1 freezes each one's torso, and trains a new linear head on its features online,
with MSE whatever the torso was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import compare, known, matched, train_dqn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNTRAINED = "untrained"
"""The control: a torso with its first weights."""


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    episodes: int = 100
    """Of the greedy evaluation."""
    env: str = "MinAtar/Breakout"
    losses: tuple[str, ...] = ("hl_gauss", "c51", "mse")
    steps: int = 100_000
    probe_steps: int = 50_000


class LinearProbe(Study):
    """Scores of linear heads on frozen features."""

    name = "linear-probe"
    agent = "dqn"
    version = 2  # 2: values begin at zero with every loss
    source = "arXiv 2403.03950, section 5.3.1 (frozen penultimate features, a new linear Q head)"
    protocol = (
        "Features of DQN agents of the zoo's MinAtar recipe; the head is trained with MSE, online, from its "
        "own replay, at the recipe's learning rate. An untrained torso is the control."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, episodes=4, losses=("hl_gauss", "mse"), steps=600, probe_steps=600),
        "small": Settings(seeds=2, losses=("hl_gauss", "mse"), steps=20_000, probe_steps=10_000),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def tasks(self) -> list[Task]:
        """Agents first, then a probe of each, and of a torso that was not trained."""
        agents = [
            Task({"what": "agent", "loss": loss, "seed": seed})
            for seed in self.seeds
            for loss in self.settings.losses
        ]
        probes = [
            Task({"what": "probe", "loss": loss, "seed": seed}, stage=1)
            for seed in self.seeds
            for loss in (*self.settings.losses, UNTRAINED)
        ]
        return agents + probes

    def reads(self, task: Task) -> list[Task]:
        """A probe the agent of its loss and seed."""
        return [
            other
            for other in super().reads(task)
            if (other.labels["loss"], other.labels["seed"]) == (task.labels["loss"], task.labels["seed"])
        ]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Trains an agent, or a head on the features of one."""
        loss, seed = str(task.labels["loss"]), int(task.labels["seed"])
        if task.labels["what"] == "agent":
            return [train_dqn(self, task, tasks, loss)]
        source = None
        if loss != UNTRAINED:
            source = tasks / Task({**task.labels, "what": "agent"}).name / "run"
        return [{"final": self._probe(source, seed)}]

    def _probe(self, source: Path | None, seed: int) -> float:
        """Mean greedy return of a linear head on the frozen torso of a run."""
        import contextlib

        from catzoo.zoo.training.build import build_trainer
        from catzoo.zoo.training.evaluate import evaluate_trained
        from catzoo.zoo.training.train import recipe_of

        recipe = recipe_of(
            "dqn",
            self.settings.env,
            loss="mse",
            steps=self.settings.probe_steps,
            seed=seed,
            overrides=[matched("mse"), {"compute": {"device": "cpu", "threads": 1}}],
        )
        work = build_trainer(recipe, prepare=lambda agent: freeze_torso(agent, source))
        with contextlib.closing(work):
            while work.steps < recipe.steps:
                work.iterate()
            scores = evaluate_trained(work.agent, recipe, self.settings.episodes)
        return sum(scores) / len(scores)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """Pair by pair, and against the control."""

        def above(claim: str, one: str, other: str) -> Finding | None:
            sides = ((1.0, {"what": "probe", "loss": one}), (-1.0, {"what": "probe", "loss": other}))
            return compare(claim, rows, "final", sides, over=None)

        return known([
            above("features of HL-Gauss above those of MSE", "hl_gauss", "mse"),
            above("features of HL-Gauss above those of C51", "hl_gauss", "c51"),
            above("features of C51 above those of MSE", "c51", "mse"),
            above("features of MSE above untrained ones", "mse", UNTRAINED),
        ])  # fmt: skip

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Agents beside the heads on their features."""
        from catzoo.zoo.studies.study_pictures import bars

        return bars(rows, "final", across="loss", colour="what", title=f"{self.settings.env}: linear probes",
                    ylabel="greedy return")  # fmt: skip


def freeze_torso(agent: Any, source: Path | None) -> None:
    """Gives a new agent the torso of a run, or leaves it its own, and freezes it: only the head learns."""
    from catzoo.zoo.training.weights import load_agent

    if source is not None:
        _, trained = load_agent(source)
        agent.network.torso.load_state_dict(trained.network.torso.state_dict())
    agent.network.torso.requires_grad_(False)
    agent.update_target()


STUDY = LinearProbe
