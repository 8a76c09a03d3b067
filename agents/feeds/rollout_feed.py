"""Batches from whole rollouts, which are learned from and thrown away.

Legend: N environments, T steps, B batch, K batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from catzoo.agents.bookkeeping import Bookkeeping
from catzoo.agents.feeds.playing_feed import PlayingFeed
from catzoo.agents.learning.batches import Rollout, mapped
from catzoo.agents.learning.learner import Learner

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent


class RolloutFeed(PlayingFeed):
    """Plays and shuffles, for an agent that can `label` a `Rollout`; arguments as `PlayingFeed`.

    Raises:
        ValueError: a minibatch larger than a rollout.
    """

    def __init__(self, agent: Agent, learner: Learner, env: Any, **settings: Any) -> None:
        recipe = agent.recipe
        steps = env.num_envs * recipe.rollout_length
        if recipe.batch_size > steps:
            raise ValueError(
                f"batch_size={recipe.batch_size} is more than the {steps} steps of a rollout "
                f"(num_envs={env.num_envs} x rollout_length={recipe.rollout_length})"
            )
        super().__init__(agent, learner, env, **settings)
        self.own_row: dict[str, float] = {}

    def batches(self, books: Bookkeeping) -> Iterator[Any]:
        """Plays a rollout, and gives the minibatches [K, B, ...] of what the agent makes of it."""
        collected = self.collect(books)
        rollout = self._rollout(collected)
        with self.learner.autocast:
            labelled = self.agent.label(rollout)
        yield from self.minibatches(labelled, rollout.valid)
        # Both only now: densities of the actions hold for observations as they were scaled when played.
        if books.row_due(self.agent.recipe.log_every):
            self.own_row = self.agent.row(books.last_batch)
        self.update_norm(collected)

    def row(self, books: Bookkeeping) -> dict[str, float]:
        """As `PlayingFeed.row`; what the agent says of itself is of the end of the updates."""
        return self.playing_row(books, self.own_row)

    def minibatches(self, steps: Any, valid_NT: Tensor) -> Iterator[Any]:
        """Epochs of shuffled steps, of steps [N, T, ...]."""
        size, device, ranks = self.agent.recipe.batch_size, valid_NT.device, self.learner.ranks
        # Time-major, as the collector wrote it: no copy. Reset steps are no transitions.
        steps = mapped(steps, lambda column: column.transpose(0, 1).flatten(0, 1))
        valid = valid_NT.T.flatten().nonzero().squeeze(-1)
        # Where steps are too few for whole batches, some come twice. All ranks have as many batches: none, if
        # one of them has nothing but reset steps.
        counts = ranks.gathered(len(valid))
        if 0 in counts:
            return
        number = math.ceil(sum(counts) / (size * ranks.count))
        for _ in range(self.agent.recipe.epochs):
            order = valid[torch.randperm(len(valid), device=device)]
            index_KB = order[torch.arange(number * size, device=device) % len(order)].view(number, size)
            yield mapped(steps, lambda column, index_KB=index_KB: column[index_KB])

    def _rollout(self, collected: TensorDictBase) -> Rollout:
        """What was collected, as it is learned from."""
        device, following = self.learner.device, collected["next"]
        reward_NT, clip = following["reward"].squeeze(-1), self.agent.recipe.reward_clip
        if clip is not None:
            reward_NT = reward_NT.clamp(-clip, clip)
        log_prob = collected.get("log_prob", None)
        return Rollout(
            observation=collected["observation"].to(device, non_blocking=True),
            action=collected["action"].to(device, non_blocking=True),
            reward=self.scaled(reward_NT.to(device)),
            terminated=following["terminated"].squeeze(-1).to(device),
            done=following["done"].squeeze(-1).to(device),
            next_observation=following["observation"],
            valid=collected["collector", "mask"].to(device),
            log_prob=None if log_prob is None else log_prob.to(device),
        )

    def learned(self, td_error_KB: Tensor, books: Bookkeeping) -> None:
        """Nothing follows from an update."""


class SegmentFeed(RolloutFeed):
    """Plays, and gives whole rollouts, once, in minibatches of environments."""

    def minibatches(self, steps: Any, valid_NT: Tensor) -> Iterator[Any]:
        """Segments [N, T, ...] as [K, B, T, ...], B T being about the recipe's batch."""
        environments, length = valid_NT.shape
        number = round(environments * length / self.agent.recipe.batch_size)
        number = min(max(number, 1), environments)
        size = math.ceil(environments / number)  # where that leaves a few too few, some come twice
        order = torch.randperm(environments, device=valid_NT.device)
        index_KB = order[torch.arange(number * size, device=order.device) % environments].view(number, size)
        yield mapped(steps, lambda column: column[index_KB])
