"""Callbacks of a run: greedy evaluation, checkpoints, and the support monitor.

All count agent steps; Lightning's own counters move with iterations and stay out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from catzoo.agents.agent import Agent
from catzoo.agents.checkpoints import Checkpoints


class EverySteps(pl.Callback):
    """Calls `act` whenever another `every` agent steps are done; 0 never does."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.last = 0

    def on_train_start(self, trainer: pl.Trainer, agent: Agent) -> None:
        """Counts from where the run begins or goes on."""
        self.last = agent.steps

    def on_train_batch_end(self, trainer: pl.Trainer, agent: Agent, *_: Any) -> None:
        """Acts when a multiple of `every` was passed."""
        if self.every and agent.steps // self.every > self.last // self.every:
            self.act(agent)
        self.last = agent.steps

    def act(self, agent: Agent) -> None:
        """What to do."""
        raise NotImplementedError  # pragma: no cover


class Evaluation(EverySteps):
    """Logs `eval/return` and `eval/return_std` of the greedy policy.

    Args:
        every: agent steps.
        evaluate: agent to the returns of some episodes.
    """

    def __init__(self, every: int, evaluate: Callable[[Agent], Sequence[float]]) -> None:
        super().__init__(every)
        self.evaluate = evaluate

    def act(self, agent: Agent) -> None:
        """Evaluates and logs."""
        scores = np.asarray(self.evaluate(agent))
        row = {"eval/return": float(scores.mean()), "eval/return_std": float(scores.std())}
        for logger in agent.loggers:
            logger.log_metrics(row, step=agent.steps)


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

    def on_train_batch_end(self, trainer: pl.Trainer, agent: Agent, *_: Any) -> None:
        """Saves when it is time, and in between writes what is worth it."""
        super().on_train_batch_end(trainer, agent)
        if self.stopping():
            self.act(agent)
            trainer.should_stop = True
        else:
            self.checkpoints.spill()

    def act(self, agent: Agent) -> None:
        """Saves, the row of metrics at hand included."""
        for logger in agent.loggers:
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

    def act(self, agent: Agent) -> None:
        """Looks, and keeps a copy if these are the best."""
        score = agent.recent_return()
        if score is not None and (self.score is None or score > self.score):
            self.score, self.steps, self.weights = score, agent.steps, agent.weights()

    def state_dict(self) -> dict[str, Any]:
        """The weights and whose they are."""
        return {"score": self.score, "steps": self.steps, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them."""
        self.score, self.steps, self.weights = state["score"], state["steps"], state["weights"]
