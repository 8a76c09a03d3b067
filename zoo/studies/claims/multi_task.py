"""Whether one network learns several games better by classification, and better still when it is wider.

The paper's experiment 4 (arXiv 2403.03950, section 4.2): IMPALA's learner on variants of one game, where
HL-Gauss goes on gaining with the network's size and MSE does not. Here five games of MinAtar stand for the
variants, and widths of its small network for ResNets.

Expected beforehand: HL-Gauss above MSE at every width, by more at larger ones; games whose returns are large
(Freeway, Space Invaders) at the cost of the others under MSE, whose gradients grow with the errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.names import TOGETHER
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.study import Cell, Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import ON_ONE_THREAD, compare, known, means, normalised, trend
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    games: tuple[str, ...] = ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")
    """Of MinAtar."""
    losses: tuple[str, ...] = ("hl_gauss", "mse")
    widths: tuple[float, ...] = (1.0, 2.0, 4.0)
    steps: int = 1_000_000
    """Of all games together."""
    points: int = 4
    """Evaluations, evenly over training."""
    episodes: int = 20
    """Of each game and evaluation."""


class MultiTask(Study):
    """Returns by game, loss and width."""

    name = "multi-task"
    agent = "impala"
    source = "arXiv 2403.03950, section 4.2, figure 6"
    version = 3  # 3: four updates a rollout; 2: a torso each for policy and value
    protocol = (
        "IMPALA of the zoo's MinAtar recipe, one network for all games, which are filled up to one shape and "
        "share their steps evenly; rewards divided by one running scale. Greedy returns with sticky actions "
        "0.1, normalised by game (0: random play, 1: the best of the zoo's first agents)."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, games=("Breakout", "Freeway"), widths=(0.2, 0.4), steps=320, points=1,
                         episodes=1),
        "small": Settings(seeds=1, games=("Breakout", "Freeway"), widths=(1.0, 2.0), steps=200_000),
        "full": Settings(seeds=5),
    }  # fmt: skip
    settings: Settings

    def check(self) -> None:
        """Several games, and several widths to compare."""
        from catzoo.zoo.environments.selection import expand

        games = self.settings.games
        if len(set(games)) < 2:
            raise RecipeError(f"games={list(games)}: at least two are needed")
        expand(",".join(f"MinAtar/{game}" for game in games))
        if not all(0 < width < math.inf for width in self.settings.widths):
            raise RecipeError(f"widths={list(self.settings.widths)}: each must be above 0")
        if len(set(self.settings.widths)) < 2:
            raise RecipeError(f"widths={list(self.settings.widths)}: at least two are needed")

    def env_of(self, task: Task) -> str:
        """All games as one."""
        return TOGETHER.join(f"MinAtar/{game}" for game in self.settings.games)

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        return [
            Task({"loss": loss, "width": width, "seed": seed})
            for seed in self.seeds
            for width in self.settings.widths
            for loss in self.settings.losses
        ]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Trains an agent on all games, and evaluates it on each on the way."""
        from catzoo.zoo.training.evaluate import evaluate_trained, result_of

        settings, games = self.settings, len(self.settings.games)
        recipe = recipe_of(
            "impala",
            self.env_of(task),
            loss=str(task.labels["loss"]),
            steps=settings.steps,
            seed=int(task.labels["seed"]),
            overrides=[
                ON_ONE_THREAD,
                {"num_envs": 4 * games, "batch_size": 20 * games},
                {"network": {"width": float(task.labels["width"])}},
            ],
        )

        def measure(step: int, work: AtWork) -> list[Row]:
            scores = evaluate_trained(work.agent, recipe, settings.episodes * games)
            norm, played = gradient_norm(work), result_of(recipe, scores)["games"]
            return [
                {"env": game, "return": own["mean_return"], "gradient": norm} for game, own in played.items()
            ]

        return measured_training(recipe, settings.points, measure, tasks / task.name)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """The mean over games: HL-Gauss above MSE by width, and what width is worth to each."""
        last = [row for row in rows if row["step"] == self.settings.steps]
        rows, widths = over_games(normalised(last, "return")), sorted(self.settings.widths)

        def side(sign: float, loss: str, width: float) -> tuple[float, Mapping[str, Cell]]:
            return sign, {"loss": loss, "width": width}

        slope = trend([float(index) for index in range(len(widths))])
        growth = {
            loss: [side(weight, loss, width) for weight, width in zip(slope, widths, strict=True)]
            for loss in ("hl_gauss", "mse")
        }
        less = [(-weight, labels) for weight, labels in growth["mse"]]
        apart: list[Finding | None] = [
            compare(f"return of HL-Gauss above MSE's, width {width:g}", rows, "return",
                    [side(1.0, "hl_gauss", width), side(-1.0, "mse", width)], over=None)
            for width in widths
        ]  # fmt: skip
        return known([
            *apart,
            compare("a wider network gains with HL-Gauss", rows, "return", growth["hl_gauss"], over=None),
            compare("a wider network gains with MSE", rows, "return", growth["mse"], over=None, aside=True),
            compare("it gains more with HL-Gauss", rows, "return", [*growth["hl_gauss"], *less],
                    over=None),
        ])  # fmt: skip

    def draw(self, rows: Sequence[Row]) -> Figure:
        """A bar for each loss and width, game by game; and the gradient's norm, which is of all games."""
        from catzoo.zoo.studies.study_pictures import bars

        last = [row for row in rows if row["step"] == self.settings.steps]
        norms = means(last, "gradient", "loss", "width", "seed")
        last += [{**row, "env": "gradient norm", "return": row["gradient"]} for row in norms]
        return bars(last, "return", across="width", colour="loss", panels="env",
                    title="One network for all games, by its width", ylabel="return")  # fmt: skip


def over_games(rows: Sequence[Row]) -> list[Row]:
    """The mean return of each network over its games: one network is one sample, however many it plays."""
    return means(rows, "return", "loss", "width", "seed")


def gradient_norm(work: Any) -> float:
    """The norm of the gradient of the last batch's loss, before it is clipped."""
    import torch

    (step,) = work.agent.steps()
    loss, _ = step.loss(work.last_batch)
    gradients = torch.autograd.grad(loss.mean(), list(step.parameters))
    return float(torch.nn.utils.get_total_norm(gradients))


STUDY = MultiTask
