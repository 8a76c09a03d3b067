"""Callbacks that act every so many steps: greedy evaluation, checkpoints, the best weights.

All count agent steps; Lightning's own counters move with iterations and stay out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from catzoo.agents.agent import Agent
from catzoo.agents.at_work import AtWork
from catzoo.agents.checkpoints import Checkpoints
from catzoo.agents.lightning import LightningAgent


class EverySteps(pl.Callback):
    """Calls `act` whenever another `every` agent steps are done; 0 never does."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.last = 0

    def on_train_start(self, trainer: pl.Trainer, module: LightningAgent) -> None:
        """Counts from where the run begins or goes on."""
        self.last = module.work.steps

    def on_train_batch_end(self, trainer: pl.Trainer, module: LightningAgent, *_: Any) -> None:
        """Acts when a multiple of `every` was passed."""
        steps = module.work.steps
        if self.every and steps // self.every > self.last // self.every:
            self.act(module.work)
        self.last = steps

    def act(self, work: AtWork) -> None:
        """What to do."""
        raise NotImplementedError  # pragma: no cover


class Evaluation(EverySteps):
    """Logs `eval/return` and `eval/return_std` of the greedy policy, `eval/cut`, and other metrics by name.

    `eval/cut` counts episodes that were cut.

    Args:
        every: agent steps.
        evaluate: agent to the returns of some episodes; without any there is nothing to log.
    """

    def __init__(self, every: int, evaluate: Callable[[Agent], Sequence[float]]) -> None:
        super().__init__(every)
        self.evaluate = evaluate

    def act(self, work: AtWork) -> None:
        """Evaluates and logs."""
        found = self.evaluate(work.agent)
        scores = np.asarray(found)
        if not scores.size:
            return
        row = {"eval/return": float(scores.mean()), "eval/return_std": float(scores.std())}
        if cut := getattr(found, "cut", 0):
            row["eval/cut"] = cut
        row |= {f"eval/{name}": value for name, value in getattr(found, "metrics", {}).items()}
        work.log(row)


class Checkpointing(EverySteps):
    """Saves every so many steps, and when it is asked to stop.

    Args:
        every: agent steps.
        checkpoints: where.
        stopping: says whether training is to stop here.
    """

    def __init__(
        self, every: int, checkpoints: Checkpoints, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__(every)
        self.checkpoints, self.stopping = checkpoints, stopping

    def on_train_batch_end(self, trainer: pl.Trainer, module: LightningAgent, *_: Any) -> None:
        """Saves when it is time, and in between writes what is worth it."""
        super().on_train_batch_end(trainer, module)
        if self.stopping():
            self.act(module.work)
            trainer.should_stop = True
        else:
            self.checkpoints.spill()

    def act(self, work: AtWork) -> None:
        """Saves, the row of metrics at hand included."""
        for logger in work.loggers:
            logger.save()
        self.checkpoints.save()


class BestWeights(EverySteps):
    """Keeps the weights at which the last 100 training episodes, or all so far, had the best mean return.

    The best of many looks at noisy returns is too good to be true as a score: whoever uses these weights
    plays anew.

    Args:
        every: agent steps between looks.
    """

    def __init__(self, every: int) -> None:
        super().__init__(every)
        self.score: float | None = None
        self.steps = 0
        self.weights: dict[str, torch.Tensor] = {}

    def act(self, work: AtWork) -> None:
        """Looks, and keeps a copy if these are the best."""
        score = work.recent_return()
        if score is not None and (self.score is None or score > self.score):
            self.score, self.steps, self.weights = score, work.steps, work.agent.weights()

    def state_dict(self) -> dict[str, Any]:
        """The weights and whose they are."""
        return {"score": self.score, "steps": self.steps, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them."""
        self.score, self.steps, self.weights = state["score"], state["steps"], state["weights"]
