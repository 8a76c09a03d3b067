"""Batches from whole rollouts, which are learned from in a few epochs and thrown away.

Legend: N environments, T steps, B batch, K batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from catzoo.agents.bookkeeping import Bookkeeping
from catzoo.agents.feeds.playing_feed import PlayingFeed
from catzoo.agents.learning.batches import Returns
from catzoo.agents.learning.learner import Learner

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent


class RolloutFeed(PlayingFeed):
    """Plays and shuffles, for an agent with `returns`; arguments as `PlayingFeed`.

    Raises:
        ValueError: a minibatch larger than a rollout.
    """

    family = Returns

    def __init__(self, agent: Agent, learner: Learner, env: Any, **settings: Any) -> None:
        recipe = agent.recipe
        steps = env.num_envs * recipe.rollout_length
        if recipe.batch_size > steps:
            raise ValueError(
                f"batch_size={recipe.batch_size} is more than the {steps} steps of a rollout "
                f"(num_envs={env.num_envs} x rollout_length={recipe.rollout_length})"
            )
        super().__init__(agent, learner, env, **settings)

    def batches(self, books: Bookkeeping) -> Iterator[Returns]:
        """Plays a rollout, and gives epochs of shuffled minibatches [K, B, ...] of its steps."""
        rollout, device, size = self.collect(books), self.learner.device, self.agent.recipe.batch_size
        # Time-major, as the collector wrote it: no copy. Reset steps are no transitions.
        valid = rollout["collector", "mask"].T.flatten().nonzero().squeeze(-1).to(device)
        observation = rollout["observation"].transpose(0, 1).flatten(0, 1).to(device, non_blocking=True)
        action = rollout["action"].transpose(0, 1).flatten(0, 1).to(device, non_blocking=True)
        returns = self._returns(rollout).T.flatten()
        for _ in range(self.agent.recipe.epochs):
            order = valid[torch.randperm(len(valid), device=device)]
            # Reset steps leave a few too few for whole batches: some steps then come twice.
            number = max(round(len(order) / size), 1)
            index_KB = order[torch.arange(number * size, device=device) % len(order)].view(number, size)
            yield Returns(observation[index_KB], action[index_KB], returns[index_KB])

    def _returns(self, rollout: TensorDictBase) -> Tensor:
        """What the agent makes of a rollout [N, T], on the learner's device."""
        device, following = self.learner.device, rollout["next"]
        reward_NT = following["reward"].squeeze(-1)
        clip = self.agent.recipe.reward_clip
        if clip is not None:
            reward_NT = reward_NT.clamp(-clip, clip)
        ends = (following[name].squeeze(-1).to(device) for name in ("terminated", "done"))
        with self.learner.autocast:
            return self.agent.returns(self.scaled(reward_NT.to(device)), *ends, following["observation"])

    def learned(self, td_error_KB: Tensor, books: Bookkeeping) -> None:
        """Nothing follows from an update."""
