"""The Lightning module around an agent at work: one step is one iteration.

Collection happens inside `training_step`: Lightning fetches batches ahead of time, so a dataloader that
collects would run one policy behind without saying so. (`compute.overlap` collects ahead on purpose, and
reports by how much.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl

from catzoo.agents.at_work import AtWork
from catzoo.hparams import RecipeError


class LightningAgent(pl.LightningModule):
    """Lets Lightning's loop drive an agent until its `total_steps`.

    Any trainer will do: `limit_train_batches` iterations make an epoch, if there are to be epochs, and each
    row of metrics is among `callback_metrics` by its names, such as `train/return`, so that callbacks can
    monitor it. `global_step` is the number of updates, and the trainer's loggers take the rows at their agent
    steps. A checkpoint of Lightning's has the agent's weights, and no more.

    Args:
        work: the agent at work.
    """

    def __init__(self, work: AtWork) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.work, self.agent = work, work.agent
        self._seen = work.metrics

    def on_train_start(self) -> None:
        """Takes the trainer's loggers; rates count from here.

        Raises:
            RecipeError: the trainer is on another device than the agent.
        """
        if (place := self.work.compute.device.type) != self.device.type:
            raise RecipeError(
                f"compute.device={place}, and the trainer's accelerator is {self.device.type}: choose one"
            )
        self.work.loggers = self.loggers
        self.work.begin_rate()

    def training_step(self, token: None, index: int) -> None:
        """One iteration. The token carries nothing."""
        if self.work.steps < self.work.total_steps:
            self.work.iterate()
        # The trainer's global step is one of optimizers, of which it knows none.
        steps = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total
        steps.ready = steps.completed = self.work.updates
        if self.work.metrics is not self._seen:
            self._seen = self.work.metrics
            self.log_dict(dict(self._seen), logger=False, batch_size=1)
        if self.work.steps >= self.work.total_steps:
            self.trainer.should_stop = True  # however many epochs the trainer was to make

    def configure_optimizers(self) -> list[Any]:
        """None of Lightning's: the learner holds the raw optimizer."""
        return []

    def train_dataloader(self) -> Iterations:
        """One token for each iteration until `total_steps`."""
        return Iterations(self.work)


class Iterations:
    """Endless tokens, until the agent has collected its steps."""

    def __init__(self, work: AtWork) -> None:
        self.work = work

    def __iter__(self) -> Iterator[int]:
        while self.work.steps < self.work.total_steps:
            yield 0
