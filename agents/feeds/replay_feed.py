"""Batches from replay: store what is played, and update as often as the replay ratio says.

Updates come in bursts between rollouts. A burst is sampled at once, which costs hardly more than one batch;
with prioritised replay its later batches therefore do not yet see the priorities that its earlier ones set
(Schaul et al. 2016 update after every batch).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from catzoo.agents.bookkeeping import Bookkeeping
from catzoo.agents.feeds.bursts import Bursts
from catzoo.agents.feeds.playing_feed import PlayingFeed
from catzoo.agents.learning.batches import Transitions
from catzoo.agents.learning.learner import Learner
from catzoo.agents.replay import Priorities, Replay

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent


class ReplayFeed(PlayingFeed):
    """Plays, stores and samples; arguments as `PlayingFeed`, a replay on disk lies in `folder`."""

    def __init__(
        self, agent: Agent, learner: Learner, env: Any, *, folder: Path | None = None, **settings: Any
    ) -> None:
        super().__init__(agent, learner, env, folder=folder, **settings)
        recipe, replay = agent.recipe, agent.recipe.replay
        self.replay = Replay(
            replay.capacity,
            n_step=recipe.n_step,
            gamma=recipe.gamma,
            reward_clip=recipe.reward_clip,
            store=replay.store,
            place=replay.place,
            device=learner.device,
            folder=folder,
            priorities=Priorities(alpha=replay.alpha, beta=replay.beta) if replay.prioritized else None,
            observation_shape=env.single_observation_space.shape,
            action_shape=env.single_action_space.shape,
            ranks=learner.ranks,
        )
        self.bursts = Bursts(agent, learner, self.replay)
        self.open_steps = env.num_envs * learner.ranks.count * (recipe.n_step - 1)
        """Of all learners, which wait for their n-step return."""

    def batches(self, books: Bookkeeping) -> Iterator[Transitions]:
        """Plays a rollout, and gives the batches [K, B, ...] of the updates that are due."""
        rollout = self.collect(books)
        self.update_norm(rollout)
        self.replay.add(rollout)
        self._set_beta(books)
        while (due := self.updates_due(books)) > 0 and len(self.replay):
            batches = self.bursts.sample(due, books)
            yield batches._replace(reward=self.scaled(batches.reward))

    def learned(self, td_error_KB: Tensor, books: Bookkeeping) -> None:
        """See `Bursts.learned`."""
        self.bursts.learned(td_error_KB, books)

    def updates_due(self, books: Bookkeeping) -> int:
        """Updates owed by the replay ratio for the steps since learning began.

        It begins once every environment's first n-step return is whole: before, the replay is all but empty.
        """
        recipe = self.agent.recipe
        start = max(recipe.learning_starts, self.open_steps)
        return int(max(books.steps - start, 0) * recipe.updates_per_step) - books.updates

    def _set_beta(self, books: Bookkeeping) -> None:
        start = self.agent.recipe.replay.beta
        self.replay.set_beta(start + (1.0 - start) * min(books.steps / books.total_steps, 1.0))

    def components(self) -> dict[str, Any]:
        """As `PlayingFeed.components`, and the replay."""
        return {**super().components(), "replay": self.replay}

    def cut_waiting(self) -> None:
        """As `PlayingFeed.cut_waiting`, the steps that wait for their n-step return too."""
        super().cut_waiting()
        self.replay.cut()
