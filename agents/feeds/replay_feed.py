"""Agents that learn from replay: store, and update as often as the replay ratio says.

Updates come in bursts between rollouts. A burst is sampled at once, which costs hardly more than one batch;
with prioritised replay its later batches therefore do not yet see the priorities that its earlier ones set
(Schaul et al. 2016 update after every batch).
"""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from catzoo.agents.agent import Agent
from catzoo.agents.learning.augmentation import random_shift
from catzoo.agents.learning.resets import reset_last_layers
from catzoo.agents.replay import Batch, Replay

MAX_BURST = 64
"""Batches sampled at once, which bounds the memory of a burst: 115 MB of Atari stacks at a batch of 32."""


class OffPolicyAgent(Agent):
    """An agent with a replay buffer. Subclasses write `update`, and `update_target` if they have a target."""

    def attach(
        self, env: Any, *, rollout_length: int, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        """As `Agent.attach`, and the replay."""
        super().attach(env, rollout_length=rollout_length, seed=seed, device=device)
        options = self.options
        self.replay = Replay(
            n_step=options.n_step,
            gamma=options.gamma,
            reward_clip=options.reward_clip,
            device=device,
            priorities=options.priorities,
            observation_shape=env.single_observation_space.shape,
            **options.replay,
        )

    def components(self) -> dict[str, Any]:
        """As `Agent.components`, and the replay."""
        return {**super().components(), "replay": self.replay}

    def cut_waiting(self) -> None:
        """As `Agent.cut_waiting`, the steps that wait for their n-step return too."""
        super().cut_waiting()
        self.replay.cut()

    def learn_from(self, rollout: TensorDictBase) -> None:
        """Stores a rollout and makes the updates that are due."""
        self.replay.add(rollout)
        if self.total_steps and self.options.priorities is not None:
            start = self.options.priorities.beta
            self.replay.set_beta(start + (1.0 - start) * min(self.steps / self.total_steps, 1.0))
        while (due := self.updates_due()) > 0 and len(self.replay):
            self._burst(min(due, MAX_BURST, self._until_event()))

    def updates_due(self) -> int:
        """Updates owed by the replay ratio for the steps since learning began."""
        learned_from = max(self.steps - self.options.learning_starts, 0)
        return int(learned_from * self.options.updates_per_step) - self.updates

    def _until_event(self) -> int:
        """Updates until the target network or a reset is due: a burst ends there."""
        every = [self.options.target_update_every, self.options.reset_every]
        return min(interval - self.updates % interval for interval in every if interval)

    def _burst(self, count: int) -> None:
        """`count` updates on fresh samples, and what follows from them."""
        batches, index_KB = self._sample(count)
        td_error_KB = self.learn(batches)
        self.replay.update_priority(index_KB, td_error_KB)
        self._after_burst()

    def _sample(self, count: int) -> tuple[Batch, Tensor]:
        """K = `count` batches [K, B, ...] as the updates see them, and their slots [K, B]."""
        batches, index_KB = self.replay.sample(self.options.batch_size, count, self.learner.device)
        if self.options.random_shift:
            batches = _shifted(batches, self.options.random_shift)
        return batches, index_KB

    def _after_burst(self) -> None:
        """The reset or the copy into the target network, where one is due."""
        if self.options.reset_every and self.updates % self.options.reset_every == 0:
            reset_last_layers(self.network, self.options.reset_keep)
            self.learner.reset()
            self.update_target()
        elif self.updates % self.options.target_update_every == 0:
            self.update_target()

    def update_target(self) -> None:
        """Called every `target_update_every` updates and after a reset; nothing to do without a target."""


def _shifted(batches: Batch, pad: int) -> Batch:
    """Batches [K, B, ...] whose images are shifted, each by an amount of its own."""

    def shift(images: torch.Tensor) -> torch.Tensor:
        return random_shift(images.flatten(0, 1), pad).unflatten(0, images.shape[:2])

    return batches._replace(
        observation=shift(batches.observation), next_observation=shift(batches.next_observation)
    )
