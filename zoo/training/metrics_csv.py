"""Metrics as rows of CSV: appended as they come, and cut back when a run goes on from a checkpoint."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from catzoo.agents import LightningAgent
from catzoo.agents.collecting.collector import Episode
from catzoo.zoo.system.csv_rows import EPISODE, read_rows, write_rows
from catzoo.zoo.system.digits import exact


class Events(TensorBoardLogger):
    """Lightning's logger for TensorBoard, in the very folder that it is given."""

    @property
    def log_dir(self) -> str:
        """Lightning's would put the environment's variables into a name such as `a$HOME`."""
        return self.root_dir


class CSVMetrics(Logger):
    """A Lightning logger that appends to one CSV file.

    Lightning's own empties its folder when a run goes on. A metric that was not there before adds a
    column, and the file is written anew.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.columns: list[str] = []
        self.pending: dict[str, Any] = {}
        if path.exists():
            rows = read_rows(path)
            self.columns = list(rows[0]) if rows else []

    @property
    def name(self) -> str:
        """Lightning's name for a logger."""
        return "csv"

    @property
    def version(self) -> str:
        """Lightning's version of a logger; runs have folders instead."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds to the row of `step`; the row is written once another step begins."""
        if self.pending.get("step") != step:
            self.save()
            self.pending = {"step": step}
        self.pending |= {key: f"{value:.6g}" for key, value in metrics.items()}

    def save(self) -> None:
        """Writes the row that is being gathered."""
        row, self.pending = self.pending, {}
        if not row:
            return
        new = [key for key in row if key not in self.columns]
        if new:
            rows = read_rows(self.path)
            self.columns += new
            write_rows(self.path, self.columns, rows)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns, restval="").writerow(row)

    def finalize(self, status: str) -> None:
        """Lightning calls this at the end, and after an error."""
        self.save()

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the recipe is its own file."""


class EpisodeLog(pl.Callback):
    """Writes every finished training episode to a CSV file: step, return, length; which of several games.

    Args:
        path: the file.
        games: of the run; environment i of a learner plays game i modulo their number.
    """

    def __init__(self, path: Path, games: Sequence[str]) -> None:
        self.path, self.games = path, games

    def on_train_start(self, trainer: pl.Trainer, module: LightningAgent) -> None:
        """Begins the file, which a run has also before its first episode has ended."""
        columns = [*EPISODE, *(["game"] if len(self.games) > 1 else [])]
        if not self.path.exists():
            self._append([columns])
        elif (rows := read_rows(self.path)) and not set(columns) <= rows[0].keys():
            write_rows(self.path, columns, rows)  # begun when games were not told apart

    def on_train_batch_end(self, trainer: pl.Trainer, module: LightningAgent, *_: Any) -> None:
        """Appends what ended in this iteration."""
        if finished := module.work.take_finished():
            each = module.work.feed.collector.num_envs
            self._append(self._row(episode, episode.env % each) for episode in finished)

    def _row(self, episode: Episode, env: int) -> tuple[Any, ...]:
        row = (episode.step, exact(episode.score), episode.length)
        return row if len(self.games) == 1 else (*row, self.games[env % len(self.games)])

    def _append(self, rows: Iterable[Sequence[Any]]) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
