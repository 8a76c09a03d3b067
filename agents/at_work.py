"""An agent at work: a feed brings batches, a learner takes the steps on them, and all is counted.

One iteration collects T steps from N environments and learns from them, or learns from a burst of a dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from catzoo.agents.agent import Agent
from catzoo.agents.bookkeeping import Bookkeeping
from catzoo.agents.learning.data_parallel import ALONE, Ranks
from catzoo.agents.learning.learner import Learner
from catzoo.agents.replay import Dataset, Recorder
from catzoo.agents.support_mover import SupportMover


@dataclass(frozen=True)
class Compute:
    """What `recipe.compute` came to on this machine, where it leaves something open."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: str = "fp32"
    """fp32, or bf16: autocast for the networks inside the update."""
    overlap: bool = False
    """Whether rollouts are collected in a thread, one iteration ahead."""
    threads: int = 0
    """Of torch on the CPU."""
    ranks: Ranks = ALONE
    """The learners of the run."""


def make_learner(agent: Agent, compute: Compute) -> Learner:
    """What takes an agent's steps, as its recipe wants it."""
    recipe = agent.recipe
    return Learner(
        agent.steps(),
        eps=recipe.optimizer.eps,
        weight_decay=recipe.optimizer.weight_decay,
        max_grad_norm=recipe.optimizer.max_grad_norm,
        autocast=torch.bfloat16 if compute.precision == "bf16" else None,
        compile=recipe.compute.compile,
        cuda_graph=recipe.compute.cuda_graph,
        after=agent.follow,
        ranks=compute.ranks,
    )


SHARED = ("learner", "mover")
"""Components that are the same for all learners of a run, as the agent is."""


class AtWork(Bookkeeping):
    """Trains an agent: `iterate` is the whole of it.

    Args:
        agent: who learns.
        env: a `gymnasium.vector.VectorEnv`.
        compute: where the agent computes, and how.
        seed: of the environments, the exploration, or of sampling a dataset.
        folder: for a replay on disk.
        recorder: keeps a share of what is collected.
        datasets: what an offline agent learns from.

    Raises:
        ValueError: anything that does not fit together.
    """

    def __init__(
        self,
        agent: Agent,
        env: Any,
        compute: Compute | None = None,
        *,
        seed: int = 0,
        folder: Path | None = None,
        recorder: Recorder | None = None,
        datasets: Sequence[Dataset] = (),
    ) -> None:
        self.compute = compute or Compute()
        self.ranks = agent.ranks = self.compute.ranks
        self.agent, self.recipe = agent.to(self.compute.device).train(), agent.recipe
        super().__init__(agent.family, self.compute.device, self.recipe.steps)
        self.learner = make_learner(agent, self.compute)
        self.every = {step.name: step.every for step in self.learner.steps}
        settings = {
            "folder": folder,
            "recorder": recorder,
            "datasets": datasets,
            "overlap": self.compute.overlap,
        }
        self.feed = agent.feed(agent, self.learner, env, seed=seed, **settings)
        self.mover = None if agent.adaptive is None else SupportMover(agent, self.learner)
        """Of an adaptive support."""
        self.loggers: Sequence[Any] = ()
        """Take the rows of metrics, see `bookkeeping`."""
        self.equalize()
        if self.ranks.rank:
            torch.manual_seed(self.ranks.seed(self.recipe.seed))

    def iterate(self) -> None:
        """Collect and learn: one iteration."""
        if self.recipe.optimizer.anneal:
            self.learner.set_lr(max(1.0 - self.steps / self.total_steps, 0.0))
        for batches in self.feed.batches(self):
            self.learn(batches)
        if self.row_due(self.recipe.log_every):
            row = self.row(self.feed.row(self))
            self.metrics = self.ranks.mean_row(row)
            self.log(self.metrics)

    def learn(self, batches: Any) -> Tensor:
        """One update for each of K batches [K, B, ...], in order; returns the TD errors [K, B]."""
        self.check_losses()
        if self.ranks.count > 1:
            batches = self.agent.joined(batches)
        losses, td_error_KB = self.learner.learn(batches, self.updates)
        self.learned(batches, losses, td_error_KB)
        self.feed.learned(td_error_KB, self)
        if self.mover is not None and (ends := self.mover.look(batches, self)) is not None:
            self.rest()  # what plays in a thread decodes by the support
            self.mover.move(ends, batches)
            self.equalize()  # each has fitted the heads to states of its own
        return td_error_KB

    def equalize(self) -> None:
        """All learners' parameters and moments become rank 0's."""
        moments = [tensor for adam in self.learner.optimizers for tensor in (*adam.first, *adam.second)]
        self.ranks.equalize([*self.agent.state_dict().values(), *moments])

    def log(self, row: dict[str, float]) -> None:
        """Sends a row of metrics to every logger."""
        for logger in self.loggers:
            logger.log_metrics(row, step=self.steps)

    def components(self) -> dict[str, Any]:
        """What a checkpoint saves beside the agent's parameters and the progress, by name."""
        return self.feed.components() | ({} if self.mover is None else {"mover": self.mover})

    def load_progress(self, progress: dict[str, Any]) -> None:
        """Restores `progress`."""
        super().load_progress(progress, self.learner.steps[0].name)

    @property
    def resumed(self) -> bool:
        """Whether what a checkpoint restored includes the open episodes."""
        return self.feed.resumed

    def rest(self) -> None:
        """Waits until nothing is being collected."""
        self.feed.rest()

    def cut(self) -> None:
        """Called when a continued run opens new episodes: those that were open end, as truncated."""
        self.feed.cut()

    def close(self) -> None:
        """Closes the environments."""
        self.feed.close()
