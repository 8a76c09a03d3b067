"""The Lightning module around an agent at work: one step is one iteration.

Collection happens inside `training_step`: Lightning fetches batches ahead of time, so a dataloader that
collects would run one policy behind without saying so. (`compute.overlap` collects ahead on purpose, and
reports by how much.)
"""

from __future__ import annotations

from collections.abc import Iterator

import lightning.pytorch as pl

from catzoo.agents.at_work import AtWork


class LightningAgent(pl.LightningModule):
    """Lets Lightning's loop drive an agent until its `total_steps`.

    Args:
        work: the agent at work.
    """

    def __init__(self, work: AtWork) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.work, self.agent = work, work.agent

    def on_train_start(self) -> None:
        """Takes the trainer's loggers; rates count from here."""
        self.work.loggers = self.loggers
        self.work.begin_rate()

    def training_step(self, token: None, index: int) -> None:
        """One iteration. The token carries nothing."""
        if self.work.steps < self.work.total_steps:
            self.work.iterate()

    def configure_optimizers(self) -> None:
        """None: the learner holds the raw optimizer."""

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
