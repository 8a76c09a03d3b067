"""The base of all agents: a Lightning module of which one step is one iteration.

An iteration collects T steps from N environments and learns from them. Collection happens inside
`training_step`: Lightning fetches batches ahead of time, so a dataloader that collects would run one policy
behind without saying so. (`compute.overlap` collects ahead on purpose, and reports by how much.)

Logged metrics (`step` is the number of agent steps learned from):

| name | meaning |
|---|---|
| train/return, train/length | mean over the last 100 training episodes, unclipped; agent steps |
| train/episodes | episodes finished |
| train/loss | mean loss over the updates since the last row |
| train/td_error | mean absolute TD error of the last batch, in units of return |
| train/epsilon | share of random actions |
| train/updates | gradient steps so far |
| train/policy_age | updates made since the weights that collected the newest rollout; 0 without overlap |
| time/steps_per_second | agent steps a second since the last row, all work included |
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from tensordict import TensorDictBase
from torch import Tensor, nn

from catzoo.agents.collecting.collector import Episode, VectorCollector
from catzoo.agents.collecting.exploration import EpsilonGreedy, LinearSchedule
from catzoo.agents.collecting.rollouts import Ahead, OnDemand
from catzoo.agents.learning.learner import Learner
from catzoo.agents.networks import set_noise_generator
from catzoo.agents.replay import Batch, Priorities, Recorder
from catzoo.losses import ValueLoss

PATIENCE = 10.0
"""Seconds that environments have to finish a rollout when they are to be closed."""


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How an agent learns; the recipe's keys of the same names. An agent reads those that it needs."""

    gamma: float = 0.99
    n_step: int = 1
    q_lambda: float = 0.65
    epochs: int = 2
    reward_clip: float | None = None
    learning_starts: int = 10_000
    updates_per_step: float = 0.1
    batch_size: int = 128
    target_update_every: int = 50
    log_every: int = 1_000
    random_shift: int = 0
    reset_every: int = 0
    reset_keep: float = 0.8
    anneal: bool = False
    """Whether the learning rate falls to zero over `Agent.total_steps`."""
    overlap: bool = False
    """Whether rollouts are collected in a thread, one iteration ahead."""
    exploration: LinearSchedule = field(default_factory=lambda: LinearSchedule(1.0, 0.01, 10_000, 250_000))
    replay: dict[str, Any] = field(default_factory=lambda: {"capacity": 100_000})
    """Keyword arguments of `Replay`."""
    priorities: Priorities | None = None
    """Of prioritised replay."""
    learner: dict[str, Any] = field(default_factory=lambda: {"lr": 2.5e-4, "eps": 3.125e-4})
    """Keyword arguments of `Learner`."""
    dataset: Path | None = None
    """What an offline agent learns from."""
    reward_noise: float = 0.0
    """Offline: eta of `OfflineReplay`."""


class NotFiniteError(FloatingPointError):
    """A loss that is NaN or infinite.

    Args:
        step, update: agent steps and gradient steps by then, that one included.
        loss: what it was.
        batch: [B, ...], what it was the loss of.
    """

    def __init__(self, step: int, update: int, loss: float, batch: Batch) -> None:
        super().__init__(f"the loss is {loss} at step {step}, update {update}")
        self.step, self.update, self.loss, self.batch = step, update, loss, batch


class Agent(pl.LightningModule):
    """Learns action values with any value loss.

    Subclasses write `update`, and `learn_from`, which calls it. Training needs `attach`, which brings the
    environments; a network and a value loss are enough to act.

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
        self.steps = 0
        self.updates = 0
        self.total_steps = 0
        self.num_episodes = 0
        self.recent: deque[Episode] = deque(maxlen=100)
        self.finished: list[Episode] = []
        self.metrics: dict[str, float] = {}
        self.recorder: Recorder | None = None
        """Set it after `attach` to keep a share of what is collected."""

    def update(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Batch to (loss [B], TD error [B]); pure: tensors in, tensors out."""
        raise NotImplementedError  # pragma: no cover

    def learn_from(self, rollout: TensorDictBase) -> None:
        """Learns from a rollout [N, T] in TorchRL's layout, `steps` already counting it."""
        raise NotImplementedError  # pragma: no cover

    def attach(
        self, env: Any, *, rollout_length: int, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        """Builds what feeds the agent, on `device`: policy, collector and learner.

        Args:
            env: a `gymnasium.vector.VectorEnv`.
            rollout_length: T, steps of each environment per iteration.
            seed: of the environments and of the exploration.
            device: where the agent computes.
        """
        self.to(device)
        options = self.options
        acting = copy.deepcopy(self.network) if options.overlap else self.network
        policy = EpsilonGreedy(acting, self.value_loss.decode, int(env.single_action_space.n), seed=seed)
        if options.overlap:  # its own stream: two threads must not share one
            policy.noise = torch.Generator(device).manual_seed(seed)
            set_noise_generator(acting, policy.noise)
        self.collector = VectorCollector(
            env,
            policy,
            frames_per_batch=rollout_length * env.num_envs,
            device=device,
            seed=seed,
            gamma=options.gamma,
            reward_clip=options.reward_clip,
        )
        self.rollouts = (Ahead if options.overlap else OnDemand)(self.collector, self.network)
        self._attach_learner()

    def _attach_learner(self) -> None:
        self.learner = Learner(self.update, self.network.parameters(), **self.options.learner)
        self.last_batch: Batch | None = None
        self._unchecked: tuple[Batch, Tensor, int] | None = None
        self._losses: list[Tensor] = []
        self._td_error_B: Tensor | None = None
        self._last_row = 0
        self._rate_since = (time.perf_counter(), 0)

    def components(self) -> dict[str, Any]:
        """What a checkpoint saves of the agent beside its parameters and its progress, by name."""
        parts = {"collector": self.collector, "rollouts": self.rollouts, "learner": self.learner}
        return parts if self.recorder is None else {**parts, "recorder": self.recorder}

    @property
    def resumed(self) -> bool:
        """Whether what a checkpoint restored includes the open episodes."""
        return self.collector.resumed

    def rest(self) -> None:
        """Waits until nothing is being collected."""
        self.rollouts.rest()

    def progress(self) -> dict[str, Any]:
        """Counters, and what the next row of metrics will say, as plain data and tensors."""
        return {
            "steps": self.steps,
            "updates": self.updates,
            "num_episodes": self.num_episodes,
            "recent": [tuple(episode) for episode in self.recent],
            "metrics": self.metrics,
            "last_row": self._last_row,
            "losses": self._losses,
            "td_error": self._td_error_B,
            "last_batch": None if self.last_batch is None else tuple(self.last_batch),
        }

    def load_progress(self, progress: dict[str, Any]) -> None:
        """Restores `progress`."""
        self.steps, self.updates = int(progress["steps"]), int(progress["updates"])
        self.num_episodes = int(progress["num_episodes"])
        self.recent.clear()
        self.recent.extend(Episode(*episode) for episode in progress["recent"])
        self.metrics, self._last_row = progress["metrics"], int(progress["last_row"])
        device = self.learner.device
        self._losses = [loss_K.to(device) for loss_K in progress["losses"]]
        td_error_B = progress["td_error"]
        self._td_error_B = None if td_error_B is None else td_error_B.to(device)
        self.last_batch = None
        if progress.get("last_batch") is not None:
            columns = (None if column is None else column.to(device) for column in progress["last_batch"])
            self.last_batch = Batch(*columns)

    def cut(self) -> None:
        """Called when a continued run opens new episodes: those that were open end, as truncated."""
        if not self.rollouts.cut():
            self.cut_waiting()

    def cut_waiting(self) -> None:
        """Marks as truncated the steps that wait for what follows them."""
        if self.recorder is not None:
            self.recorder.cut()

    def iterate(self) -> None:
        """Collect and learn: one iteration, the whole of training."""
        rollout, episodes = self.rollouts.next(self.options.exploration(self.steps), self.updates)
        self._take(rollout, episodes)
        self.learn_from(rollout)
        if self.steps - self._last_row >= self.options.log_every:
            self.log_row()

    def _take(self, rollout: TensorDictBase, episodes: list[Episode]) -> None:
        """Books what was collected."""
        if self.options.anneal and self.total_steps:
            self.learner.set_lr(max(1.0 - self.steps / self.total_steps, 0.0))
        self.steps += int(rollout["collector", "mask"].sum())
        self._book(episodes)
        if self.recorder is not None:
            self.recorder.add(rollout, [episode.score for episode in episodes])

    def _book(self, episodes: list[Episode]) -> None:
        self.num_episodes += len(episodes)
        self.recent.extend(episodes)
        self.finished.extend(episodes)

    def take_finished(self) -> list[Episode]:
        """Training episodes that ended since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def learn(self, batches: Batch) -> Tensor:
        """One update for each of K batches [K, B, ...], in order; returns the TD errors [K, B]."""
        self.check_losses()
        loss_K, td_error_KB = self.learner.steps(batches)
        self._learned(batches, loss_K, td_error_KB)
        return td_error_KB

    def _learned(self, batches: Batch, loss_K: Tensor, td_error_KB: Tensor) -> None:
        """Books the updates on K batches."""
        self._unchecked = (batches, loss_K, self.steps)
        self._losses.append(loss_K)
        self._td_error_B = td_error_KB[-1]
        self.last_batch = batches.at(-1)
        self.updates += len(loss_K)

    def check_losses(self) -> None:
        """Stops if a loss of the last burst is not finite.

        Called when its successor is due, and before anything is saved: by then the numbers are there, and
        asking for them stalls no GPU.

        Raises:
            NotFiniteError: with the batch.
        """
        if self._unchecked is None:
            return
        (batches, loss_K, steps), self._unchecked = self._unchecked, None
        bad = (~loss_K.isfinite()).nonzero()
        if len(bad):
            index = int(bad[0])
            update = self.updates - len(loss_K) + index + 1
            raise NotFiniteError(steps, update, float(loss_K[index]), batches.at(index))

    @torch.no_grad()
    def act(self, observation: Tensor) -> Tensor:
        """Greedy actions [B] for observations [B, ...]."""
        return self.value_loss.decode(self.network(observation)).argmax(dim=-1)

    def recent_return(self) -> float | None:
        """Mean return of the last 100 training episodes, undiscounted; None before the first has ended."""
        return sum(episode.score for episode in self.recent) / len(self.recent) if self.recent else None

    def weights(self) -> dict[str, Tensor]:
        """A copy of the parameters and buffers, on the CPU."""
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.state_dict().items()}

    def playing(self) -> dict[str, float]:
        """What a row says of the episodes, and of the policy that plays them."""
        row: dict[str, float] = {
            "train/episodes": self.num_episodes,
            "train/epsilon": self.rollouts.epsilon,
            "train/policy_age": self.rollouts.policy_age,
        }
        score = self.recent_return()
        if score is not None:
            row["train/return"] = score
            row["train/length"] = sum(episode.length for episode in self.recent) / len(self.recent)
        return row

    def log_row(self) -> None:
        """Gathers the metrics of the module's table and sends them to every logger."""
        self.check_losses()
        now, then = time.perf_counter(), self._rate_since
        row = {
            **self.playing(),
            "train/updates": self.updates,
            "time/steps_per_second": (self.steps - then[1]) / max(now - then[0], 1e-9),
        }
        if self._td_error_B is not None and self._losses:
            row["train/loss"] = torch.cat(self._losses).mean().item()
            row["train/td_error"] = self._td_error_B.abs().mean().item()
            self._losses.clear()
        self.metrics = row
        self._last_row, self._rate_since = self.steps, (now, self.steps)
        for logger in self.loggers if self._trainer is not None else ():
            logger.log_metrics(row, step=self.steps)

    def on_train_start(self) -> None:
        """Rates count from here, also in a run that goes on."""
        self._rate_since = (time.perf_counter(), self.steps)

    def training_step(self, token: None, index: int) -> None:
        """Lightning's step: one iteration. The token carries nothing."""
        if self.steps < self.total_steps:
            self.iterate()

    def configure_optimizers(self) -> None:
        """None: the learner holds the raw optimizer."""

    def train_dataloader(self) -> Iterations:
        """One token for each iteration until `total_steps`."""
        return Iterations(self)

    def close(self) -> None:
        """Closes the environments, unless a thread still steps them: they may hang."""
        if self.recorder is not None:
            self.recorder.close()
        if self.rollouts.has_rested(PATIENCE):
            self.collector.shutdown()


class Iterations:
    """Endless tokens, until the agent has collected its steps."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def __iter__(self) -> Iterator[int]:
        while self.agent.steps < self.agent.total_steps:
            yield 0
