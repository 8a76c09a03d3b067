"""What is counted and measured while an agent trains.

Logged metrics (`step` is the number of agent steps learned from):

| name | meaning |
|---|---|
| train/return, train/length | mean over the last 100 training episodes, unclipped; agent steps |
| train/episodes | episodes finished |
| train/loss | mean loss over the updates since the last row; of the second step NAME on, train/NAME_loss |
| train/td_error | mean absolute TD error of the last batch, in units of value |
| train/return_scale | what rewards are divided by (`normalize.reward`): units of return in one of value |
| train/epsilon | share of random actions |
| train/alpha | temperature: what a nat of entropy is worth, in units of value (sac) |
| train/entropy | of the policy, in nats, over the last batch (ppo, impala) |
| train/kl | how far the policy is from the one that played the last batch, in nats (ppo, impala) |
| train/clipped | share of the last batch whose ratio was clipped (ppo) |
| train/updates | gradient steps so far |
| train/policy_age | updates made since the weights that collected the newest rollout; 0 without overlap |
| time/steps_per_second | agent steps a second since the last row, all work included |
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import torch
from torch import Tensor

from catzoo.agents.collecting.collector import Episode
from catzoo.agents.learning.batches import mapped


class NotFiniteError(FloatingPointError):
    """A loss that is NaN or infinite.

    Args:
        step, update: agent steps and gradient steps by then, that one included.
        loss: what it was.
        batch: [B, ...], what it was the loss of.
    """

    def __init__(self, step: int, update: int, loss: float, batch: Any) -> None:
        super().__init__(f"the loss is {loss} at step {step}, update {update}")
        self.step, self.update, self.loss, self.batch = step, update, loss, batch


class Bookkeeping:
    """Counters, recent episodes, the losses since the last row.

    Args:
        family: of batches.
        device: where losses and batches lie.
        total_steps: agent steps to train for.
    """

    def __init__(self, family: type[Any], device: torch.device, total_steps: int) -> None:
        self.family, self.device, self.total_steps = family, device, total_steps
        self.steps = 0
        self.updates = 0
        self.num_episodes = 0
        self.recent: deque[Episode] = deque(maxlen=100)
        self.finished: list[Episode] = []
        self.metrics: dict[str, float] = {}
        """The newest row."""
        self.last_batch: Any = None
        """[B, ...], of the newest update."""
        self.every: dict[str, int] = {}
        """Of the steps that are not taken at every update, at which they are."""
        self._losses: dict[str, list[Tensor]] = {}
        self._td_error_B: Tensor | None = None
        self._unchecked: tuple[Any, dict[str, Tensor], int] | None = None
        self._last_row = 0
        self._rate_since = (time.perf_counter(), 0)

    def played(self, steps: int, episodes: list[Episode]) -> None:
        """Books a rollout."""
        self.steps += steps
        self.num_episodes += len(episodes)
        self.recent.extend(episodes)
        self.finished.extend(episodes)

    def take_finished(self) -> list[Episode]:
        """Training episodes that ended since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def recent_return(self) -> float | None:
        """Mean return of the last 100 training episodes, undiscounted; None before the first has ended."""
        return sum(episode.score for episode in self.recent) / len(self.recent) if self.recent else None

    def recent_scores(self) -> dict[str, float]:
        """Mean return and length of the last 100 training episodes, once there are any."""
        score = self.recent_return()
        if score is None:
            return {}
        length = sum(episode.length for episode in self.recent) / len(self.recent)
        return {"train/return": score, "train/length": length}

    def learned(self, batches: Any, losses: dict[str, Tensor], td_error_KB: Tensor) -> None:
        """Books the updates on K batches."""
        self._unchecked = (batches, losses, self.steps)
        for name, loss_K in losses.items():
            self._losses.setdefault(name, []).append(loss_K)
        self._td_error_B = td_error_KB[-1]
        self.last_batch = batches.at(-1)
        self.updates += len(td_error_KB)

    def check_losses(self) -> None:
        """Stops if a loss of the last burst is not finite.

        Called when its successor is due, and before anything is saved: by then the numbers are there, and
        asking for them stalls no GPU.

        Raises:
            NotFiniteError: with the batch.
        """
        if self._unchecked is None:
            return
        (batches, losses, steps), self._unchecked = self._unchecked, None
        number = len(batches.action)
        before, found = self.updates - number, []
        for name, loss_K in losses.items():
            bad = (~loss_K.isfinite()).nonzero()
            if len(bad):
                # A step that is not taken at every update has fewer losses than there were batches.
                taken = [k for k in range(number) if (before + k + 1) % self.every.get(name, 1) == 0]
                found.append((taken[int(bad[0])], float(loss_K[bad[0]])))
        if found:
            index, loss = min(found, key=lambda one: one[0])
            raise NotFiniteError(steps, before + index + 1, loss, batches.at(index))

    def row_due(self, every: int) -> bool:
        """Whether a row of metrics is due: after `every` steps, and at the last of all."""
        return self.since_row >= every or self._last_row < self.total_steps <= self.steps

    def row(self, playing: dict[str, float]) -> dict[str, float]:
        """A row of metrics, which begins with what the feed says of playing; another one begins here."""
        self.check_losses()
        now, then = time.perf_counter(), self._rate_since
        row = {
            **playing,
            "train/updates": self.updates,
            "time/steps_per_second": (self.steps - then[1]) / max(now - then[0], 1e-9),
        }
        for number, (name, losses) in enumerate(self._losses.items()):
            if losses:
                row[f"train/{name}_loss" if number else "train/loss"] = torch.cat(losses).mean().item()
                losses.clear()
                if not number and self._td_error_B is not None:
                    row["train/td_error"] = self._td_error_B.abs().mean().item()
        self.metrics = row
        self._last_row, self._rate_since = self.steps, (now, self.steps)
        return row

    @property
    def since_row(self) -> int:
        """Steps since the last row."""
        return self.steps - self._last_row

    def begin_rate(self) -> None:
        """Rates count from here, also in a run that goes on."""
        self._rate_since = (time.perf_counter(), self.steps)

    def progress(self) -> dict[str, Any]:
        """Counters, and what the next row of metrics will say, as plain data and tensors."""
        first, *others = [*self._losses.items()] or [("", [])]
        progress = {
            "steps": self.steps,
            "updates": self.updates,
            "num_episodes": self.num_episodes,
            "recent": [tuple(episode) for episode in self.recent],
            "metrics": self.metrics,
            "last_row": self._last_row,
            "losses": first[1],
            "td_error": self._td_error_B,
            "last_batch": None if self.last_batch is None else tuple(self.last_batch),
        }
        return {**progress, "other_losses": dict(others)} if others else progress

    def load_progress(self, progress: dict[str, Any], first: str) -> None:
        """Restores `progress`, whose `losses` are those of the step named first."""
        self.steps, self.updates = int(progress["steps"]), int(progress["updates"])
        self.num_episodes = int(progress["num_episodes"])
        self.recent.clear()
        self.recent.extend(Episode(*episode) for episode in progress["recent"])
        self.metrics, self._last_row = progress["metrics"], int(progress["last_row"])
        found = {first: progress["losses"], **progress.get("other_losses", {})}
        self._losses = {name: [loss_K.to(self.device) for loss_K in each] for name, each in found.items()}
        td_error_B = progress["td_error"]
        self._td_error_B = None if td_error_B is None else td_error_B.to(self.device)
        self.last_batch = None
        if progress.get("last_batch") is not None:
            # Earlier versions gave rollouts' batches more columns, the last ones of no meaning.
            columns = progress["last_batch"][: len(self.family._fields)]
            self.last_batch = mapped(self.family(*columns), lambda column: column.to(self.device))
