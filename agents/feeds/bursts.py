"""Updates in bursts on samples, and what is due between them: the target network, resets, priorities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from catzoo.agents.bookkeeping import Bookkeeping
from catzoo.agents.learning.augmentation import random_shift
from catzoo.agents.learning.batches import Transitions
from catzoo.agents.learning.learner import Learner
from catzoo.agents.learning.resets import reset_last_layers

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent

MAX_BURST = 64
"""Batches sampled at once, which bounds the memory of a burst: 115 MB of Atari stacks at a batch of 32."""


class Bursts:
    """Samples a replay for an agent.

    Args:
        agent: of whose recipe the keys of `Bootstrapping` count, where it has them.
        learner: takes its steps.
        replay: with `sample` and `update_priority`.
    """

    def __init__(self, agent: Agent, learner: Learner, replay: Any) -> None:
        self.agent, self.learner, self.replay, self.recipe = agent, learner, replay, agent.recipe
        keys = ("target_update_every", "reset_every", "random_shift")
        self.target_update_every, self.reset_every, self.shift = (getattr(agent.recipe, k, 0) for k in keys)

    def sample(self, most: int, books: Bookkeeping) -> Any:
        """At most so many batches [K, B, ...], up to where a target network or a reset is due."""
        count = min(most, MAX_BURST, self._until_event(books.updates))
        batches, self._index_KB = self.replay.sample(self.recipe.batch_size, count, self.learner.device)
        return _shifted(batches, self.shift) if self.shift else batches

    def _until_event(self, updates: int) -> int:
        every = (self.target_update_every, self.reset_every)
        return min((interval - updates % interval for interval in every if interval), default=MAX_BURST)

    def learned(self, td_error_KB: Tensor, books: Bookkeeping) -> None:
        """Called after the updates on a sample: the priorities, and the reset or the copy that is due."""
        self.replay.update_priority(self._index_KB, td_error_KB)
        if self.reset_every and books.updates % self.reset_every == 0:
            reset_last_layers(self.agent.network, self.recipe.reset_keep)
            self.learner.ranks.equalize(self.agent.network.parameters())
            self.learner.reset()
            self.agent.update_target()
        elif self.target_update_every and books.updates % self.target_update_every == 0:
            self.agent.update_target()


def _shifted(batches: Transitions, pad: int) -> Transitions:
    """Batches [K, B, ...] whose images are shifted, each by an amount of its own."""

    def shift(images: Tensor) -> Tensor:
        return random_shift(images.flatten(0, 1), pad).unflatten(0, images.shape[:2])

    return batches._replace(
        observation=shift(batches.observation), next_observation=shift(batches.next_observation)
    )
