"""Whether chess without search is learned better by classification, and by HL-Gauss best.

The paper (arXiv 2403.03950, section 4.3) trains networks of 9M to 270M parameters on 15 billion labelled
moves, with one-hot labels and with HL-Gauss: of the gap to Stockfish in puzzles HL-Gauss closes about 70 %.
MSE is no arm of that figure; the authors of the data have it a little above one-hot (arXiv 2402.04494).

Data first: games of Stockfish's first glance against itself, every legal move labelled at a depth. Then each
loss learns from the same positions, drawn in the same order. What is measured is on games that are held out;
curves, not ends, since values come long before moves, and a small network on little data over-fits. All seeds
learn from the same positions and are measured on the same: an interval over seeds speaks of these. Matches
are played by the first seed of each loss, and no finding is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.hparams import RecipeError
from catzoo.hparams.schema import check_name
from catzoo.zoo.datasets.chess_positions import check_games
from catzoo.zoo.environments.selection import expand
from catzoo.zoo.environments.uci_engine import find_engine
from catzoo.zoo.studies.chess_ladder import OPPONENTS, ladder, match
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import LEVEL, ON_ONE_THREAD, compare, known, rising
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork

HEADS = 8
"""Of the recipe's transformer."""
MEASURES = {
    "action_accuracy": "best move chosen",
    "kendall_tau": "Kendall's tau-b",
    "regret": "given away, chance to win",
    "mate_in_one": "mates in one found",
    "one_winning_move": "single winning moves found",
}
"""Those that are drawn, with what their axes say."""
ASKED = (
    ("the best move chosen", "action_accuracy", 1.0, 0.01),
    ("Kendall's tau-b", "kendall_tau", 1.0, 0.01),
    ("less given away", "regret", -1.0, math.inf),
    ("mates in one found", "mate_in_one", 1.0, LEVEL),
    ("single winning moves found", "one_winning_move", 1.0, LEVEL),
)
"""What HL-Gauss has more of (1) or less (-1): in words, its column, and a rise that counts as none."""


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    games: int
    """Of which a tenth is held out."""
    steps: int
    points: int = 8
    """Measurements, evenly over training."""
    depth: int = 6
    network: str = "transformer"
    """Or `after_states`, the recipe's, whose update takes a quarter of a small transformer's time."""
    size: int = 64
    layers: int = 4
    matches: int = 40
    """Games against each opponent, at the end."""
    opponents: tuple[str, ...] = OPPONENTS
    losses: tuple[str, ...] = ("hl_gauss", "one_hot", "mse")


class Chess(Study):
    """Measures on games that are held out, by loss, through training."""

    name = "chess"
    agent = "chess"
    source = "arXiv 2403.03950, section 4.3; arXiv 2402.04494"
    version = 3  # 3: `after_states` sees who attacks what; 2: one-hot's buckets, one seed plays matches
    protocol = (
        "Positions of self-play instead of Lichess's games, labelled by Stockfish at a depth and not for 50 "
        "ms; all legal moves scored at once, by a transformer over squares (full budget: 1.6M parameters) or "
        "by sums of a table for the positions after each move, which is told who attacks what (0.9M); one "
        "learning rate, 1e-3, falling to zero, for every loss; measured on held-out games, not on Lichess's "
        "puzzles."
    )
    budgets: ClassVar = {
        "tiny": Settings(
            seeds=1,
            games=10,
            steps=4,
            points=2,
            depth=1,
            size=8,
            layers=1,
            matches=1,
            opponents=OPPONENTS[:1],
        ),
        "small": Settings(
            seeds=3, games=1_000, steps=10_000, points=5, network="after_states", size=384, layers=2
        ),
        "full": Settings(seeds=5, games=20_000, steps=40_000, size=128, layers=6, matches=200),
    }
    settings: Settings

    def check(self) -> None:
        """Opponents and networks that there are, and whole files of games."""
        for opponent in self.settings.opponents:
            expand(opponent)
            if not opponent.startswith("chess/"):
                raise RecipeError(f"opponents: {opponent} does not play chess")
        check_name("network", self.settings.network, ("transformer", "after_states"))
        if self.settings.network == "transformer" and self.settings.size % HEADS:
            raise RecipeError(f"size={self.settings.size}: must be a multiple of {HEADS}, the heads")
        check_games(self.settings.games)

    def env_of(self, task: Task) -> str:
        """Of any opponent: what is learned from are positions."""
        return "chess/random"

    def check_here(self, tasks: Sequence[Task]) -> None:
        """And an engine, for the data and for opponents that are one."""
        super().check_here(tasks)
        plays = any("stockfish" in opponent for opponent in self.settings.opponents)
        if any(task.labels["loss"] == "data" or (plays and task.labels["seed"] == 0) for task in tasks):
            find_engine(None)

    def tasks(self) -> list[Task]:
        """Data first, the same for all; then seeds outermost."""
        arms = [{"loss": loss, "seed": seed} for seed in self.seeds for loss in self.settings.losses]
        return [Task({"loss": "data", "seed": 0}), *(Task(arm, stage=1) for arm in arms)]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Makes the data, or learns from them; a row for each measurement, and one for each match."""
        from safetensors.torch import load_model, save_model

        from catzoo.zoo.datasets.chess_positions import make_chess_positions
        from catzoo.zoo.system.machine import usable_cores
        from catzoo.zoo.training.named_metrics import named_metrics

        settings, labels = self.settings, task.labels
        data = (tasks / self.tasks()[0].name / "positions").absolute()
        if labels["loss"] == "data":
            made = make_chess_positions(
                data, games=settings.games, depth=settings.depth, workers=usable_cores()
            )
            return [{f"{part.replace('-', '_')}_positions": number for part, number in made.items()}]
        network = {"name": settings.network, "size": settings.size, "num_layers": settings.layers}
        recipe = recipe_of(
            "chess",
            "chess/random",
            loss=str(labels["loss"]),
            steps=settings.steps,
            seed=int(labels["seed"]),
            overrides=[ON_ONE_THREAD, {"dataset": str(data / "train"), "network": network}],
        )
        halfway = settings.steps * (settings.points // 2) // settings.points
        earlier = tasks / task.name / "halfway.safetensors"

        def measure(step: int, work: AtWork) -> list[Row]:
            rows: list[Row] = [dict(named_metrics(work.agent, recipe))]
            if step == halfway:
                save_model(work.agent, earlier)
            if step == settings.steps and labels["seed"] == 0:
                rows += ladder(work.agent, recipe, settings.matches, opponents=settings.opponents)
                if halfway:
                    before = deepcopy(work.agent)
                    load_model(before, earlier)
                    rows.append(match(work.agent, before, settings.matches, name=f"itself at {halfway:,}"))
            return rows

        return measured_training(recipe, settings.points, measure, tasks / task.name)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """HL-Gauss above one-hot and above MSE: moves, order, regret, and puzzles of two kinds."""
        own = measured(rows)
        last = [row for row in own if row["step"] == self.settings.steps]
        losses = [{"loss": loss} for loss in self.settings.losses]
        found = [
            compare(f"{words}, HL-Gauss over {title}", last, column,
                    [(sign, {"loss": "hl_gauss"}), (-sign, {"loss": other})], over=None,
                    waits=rising(own, column, losses, level))
            for other, title in (("one_hot", "One-Hot"), ("mse", "MSE"))
            for words, column, sign, level in ASKED
        ]  # fmt: skip
        return known(found)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Each measure through training, a panel each, a line for each loss."""
        from catzoo.zoo.studies.study_pictures import lines

        shown = [
            {"loss": row["loss"], "seed": row["seed"], "step": row["step"], "measure": words,
             "value": row[column]}
            for row in measured(rows)
            for column, words in MEASURES.items()
            if row.get(column) not in (None, "")
        ]  # fmt: skip
        return lines(shown, "step", "value", by="loss", panels="measure", xlabel="gradient updates",
                     title=f"Chess without search: {self.settings.games:,} games", ylabel="")  # fmt: skip


def measured(rows: Sequence[Row]) -> list[Row]:
    """The rows that are measurements: neither data nor matches."""
    return [row for row in rows if row["loss"] != "data" and row.get("action_accuracy") not in (None, "")]


STUDY = Chess
