"""The base of all agents: a Lightning module of which one step is one iteration.

An iteration collects T steps from N environments with the current weights, stores them, and makes as
many updates as the replay ratio owes. Collection happens inside `training_step`: Lightning fetches
batches ahead of time, so a dataloader that collects would run one policy behind.

Logged metrics (`step` is the number of agent steps collected):

| name | meaning |
|---|---|
| train/return, train/length | mean over the last 100 training episodes, unclipped; agent steps |
| train/episodes | episodes finished |
| train/loss | mean loss over the updates since the last row |
| train/td_error | mean absolute TD error of the last batch, in units of return |
| train/epsilon | share of random actions |
| train/updates | gradient steps so far |
| time/steps_per_second | agent steps a second since the last row, all work included |
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from catzoo.agents.collector import VectorCollector
from catzoo.agents.exploration import EpsilonGreedy, LinearSchedule
from catzoo.agents.learner import Learner
from catzoo.agents.replay import Batch, NStep, make_replay, sample_batches
from catzoo.losses import ValueLoss


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How an agent learns; the recipe's keys of the same names."""

    gamma: float = 0.99
    n_step: int = 1
    reward_clip: float | None = None
    learning_starts: int = 10_000
    updates_per_step: float = 0.1
    batch_size: int = 128
    replay_capacity: int = 100_000
    target_update_every: int = 50
    log_every: int = 1_000
    exploration: LinearSchedule = field(default_factory=lambda: LinearSchedule(1.0, 0.01, 10_000, 250_000))
    learner: dict[str, Any] = field(default_factory=lambda: {"lr": 2.5e-4, "eps": 3.125e-4})
    """Keyword arguments of `Learner`."""


class Agent(pl.LightningModule):
    """Learns action values from replayed transitions, with any value loss.

    Subclasses write `update`. Training needs `attach`, which brings the environments; a network and a
    value loss are enough to act.

    Args:
        network: observation [B, ...] to outputs [B, A, K].
        value_loss: what K outputs mean and how they are scored.
        options: how to learn.
    """

    def __init__(
        self, network: nn.Module, value_loss: ValueLoss, options: TrainingOptions | None = None
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.value_loss = value_loss
        self.options = options or TrainingOptions()
        self.updates = 0
        self.total_steps = 0
        self.metrics: dict[str, float] = {}

    def update(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Batch to (loss [B], TD error [B]); pure, and the only method that an agent must write."""
        raise NotImplementedError  # pragma: no cover

    def attach(
        self, env: Any, *, rollout_length: int, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        """Builds what feeds the agent: policy, collector, replay and learner, on `device`.

        Args:
            env: a `gymnasium.vector.VectorEnv`.
            rollout_length: T, steps of each environment per iteration.
            seed: of the environments and of the exploration.
            device: where the agent computes.
        """
        self.to(device)
        options = self.options
        num_actions = int(env.single_action_space.n)
        self.collector = VectorCollector(
            env,
            EpsilonGreedy(self.network, self.value_loss.decode, num_actions, seed=seed),
            frames_per_batch=rollout_length * env.num_envs,
            device=device,
            seed=seed,
            gamma=options.gamma,
            reward_clip=options.reward_clip,
        )
        self.n_step = NStep(options.n_step, options.gamma, options.reward_clip)
        self.replay = make_replay(options.replay_capacity)
        self.learner = Learner(self.update, self.network.parameters(), **options.learner)
        self.last_batch: Batch | None = None
        self._losses: list[Tensor] = []
        self._last_row = (time.perf_counter(), 0)

    @property
    def steps(self) -> int:
        """Agent steps collected."""
        return self.collector.frames

    def iterate(self) -> None:
        """Collect, store, learn: one iteration, the whole of training."""
        self.collector.policy.epsilon = self.options.exploration(self.steps)
        transitions = self.n_step(self.collector.rollout())
        if len(transitions):
            self.replay.extend(transitions)
        due = self.updates_due()
        if due > 0 and len(self.replay):
            for batch in sample_batches(self.replay, self.options.batch_size, due, self.learner.device):
                self.learn(batch)
        if self.steps - self._last_row[1] >= self.options.log_every:
            self.log_row()

    def updates_due(self) -> int:
        """Updates owed by the replay ratio for the steps since learning began."""
        learned_from = max(self.steps - self.options.learning_starts, 0)
        return int(learned_from * self.options.updates_per_step) - self.updates

    def learn(self, batch: Batch) -> None:
        """One update, and what follows from it."""
        loss, self._td_error_B = self.learner.step(batch)
        self._losses.append(loss)
        self.last_batch = batch
        self.updates += 1
        if self.updates % self.options.target_update_every == 0:
            self.update_target()

    def update_target(self) -> None:
        """Called every `target_update_every` updates; nothing to do without a target network."""

    @torch.no_grad()
    def act(self, observation: Tensor) -> Tensor:
        """Greedy actions [B] for observations [B, ...]."""
        return self.value_loss.decode(self.network(observation)).argmax(dim=-1)

    def log_row(self) -> None:
        """Gathers the metrics of the module's table and sends them to every logger."""
        now, then = time.perf_counter(), self._last_row
        recent = self.collector.recent
        row = {
            "train/episodes": self.collector.num_episodes,
            "train/epsilon": self.collector.policy.epsilon,
            "train/updates": self.updates,
            "time/steps_per_second": (self.steps - then[1]) / max(now - then[0], 1e-9),
        }
        if recent:
            row["train/return"] = sum(episode.score for episode in recent) / len(recent)
            row["train/length"] = sum(episode.length for episode in recent) / len(recent)
        if self._losses:
            row["train/loss"] = torch.stack(self._losses).mean().item()
            if not math.isfinite(row["train/loss"]):
                raise FloatingPointError(
                    f"the loss is not finite at step {self.steps}: look at the rewards, observations and "
                    "optimizer.lr"
                )
            row["train/td_error"] = self._td_error_B.abs().mean().item()
            self._losses.clear()
        self.metrics = row
        self._last_row = (now, self.steps)
        for logger in self.loggers if self._trainer is not None else ():
            logger.log_metrics(row, step=self.steps)

    def on_train_start(self) -> None:
        """Rates count from here, also in a run that goes on."""
        self._last_row = (time.perf_counter(), self.steps)

    def training_step(self, token: None, index: int) -> None:
        """Lightning's step: one iteration. The token carries nothing."""
        if self.steps < self.total_steps:
            self.iterate()

    def configure_optimizers(self) -> None:
        """None: the learner holds the raw optimizer."""

    def train_dataloader(self) -> Iterations:
        """One token for each iteration until `total_steps`."""
        return Iterations(self)


class Iterations:
    """Endless tokens, until the agent has collected its steps."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def __iter__(self) -> Iterator[int]:
        while self.agent.steps < self.agent.total_steps:
            yield 0
