"""The progress bar of a training run."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl

from catzoo.zoo.system.console import progress_bar
from catzoo.zoo.system.digits import score


class TrainingBar(pl.Callback):
    """Steps, steps a second, return, loss and time left of a training run."""

    REFRESH = 0.25
    """Seconds between updates; more would cost the training time."""

    def __init__(self) -> None:
        self.bar = progress_bar("training", "rate", "scores")
        self.last = 0.0

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Shows the bar from where the run begins or goes on."""
        self.bar.start()
        self.task = self.bar.add_task(
            "training", total=module.work.total_steps, completed=module.work.steps, rate="", scores=""
        )

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        """Moves the bar."""
        now = time.monotonic()
        if now - self.last < self.REFRESH:
            return
        self.last = now
        work, seen = module.work, module.work.metrics
        rate = f"{seen['time/steps_per_second']:,.0f} steps/s" if seen else ""
        named = (("return", "train/return"), ("loss", "train/loss"))
        scores = "  ".join(f"{name} {score(seen[key])}" for name, key in named if key in seen)
        self.bar.update(self.task, completed=min(work.steps, work.total_steps), rate=rate, scores=scores)

    def evaluating(self, episodes: int) -> None:
        """Says how far an evaluation is, in whose time no step is made."""
        self.bar.update(self.task, scores=f"evaluating, {episodes} episodes done")

    def on_train_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Leaves the bar full."""
        self.bar.update(self.task, completed=min(module.work.steps, module.work.total_steps))
        self.bar.stop()

    def on_exception(self, trainer: pl.Trainer, module: Any, exception: BaseException) -> None:
        """Gives the terminal back."""
        self.bar.stop()
