"""What feeds that play have in common: rollouts, what is booked of them, and the share that is recorded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from catzoo.agents.bookkeeping import Bookkeeping
from catzoo.agents.collecting.collector import Episode
from catzoo.agents.collecting.collector_pool import ANEW, CollectorPool
from catzoo.agents.collecting.exploration import LinearSchedule
from catzoo.agents.collecting.rollouts import make_rollouts
from catzoo.agents.learning.learner import Learner
from catzoo.agents.learning.return_scale import RunningReturns
from catzoo.agents.replay import Recorder

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent

PATIENCE = 10.0
"""Seconds that environments have to finish a rollout when they are to be closed."""


class PlayingFeed:
    """Plays an environment with the agent's policy.

    Args:
        agent: who plays and learns.
        learner: takes its steps.
        env: a `gymnasium.vector.VectorEnv`.
        seed: of the environments and of the exploration.
        overlap: whether rollouts are collected in a thread, one iteration ahead.
        folder: of feeds that store; without meaning for others.
        recorder: keeps a share of what is collected, or None.
        settings: of feeds that play nothing, without meaning here.
    """

    def __init__(
        self,
        agent: Agent,
        learner: Learner,
        env: Any,
        *,
        seed: int = 0,
        overlap: bool = False,
        folder: Path | None = None,
        recorder: Recorder | None = None,
        **settings: Any,
    ) -> None:
        self.agent, self.learner, self.recorder = agent, learner, recorder
        self.ranks, seed = learner.ranks, learner.ranks.seed(seed)
        recipe = agent.recipe
        self.exploration = _exploration(recipe)
        self.rollouts = make_rollouts(agent, env, seed=seed, device=learner.device, overlap=overlap)
        self.collector = self.rollouts.collector
        self.waited, self.row_at = 0.0, time.perf_counter()
        """Seconds of waiting for rollouts since the last row of metrics, and when that was."""
        self.running = None
        if agent.return_scale is not None:
            self.running = RunningReturns(env.num_envs, recipe.gamma, recipe.reward_clip)

    def collect(self, books: Bookkeeping) -> TensorDictBase:
        """The next rollout [N, T] in TorchRL's layout, booked and recorded."""
        began = time.perf_counter()
        rollout, episodes = self.rollouts.next(self.exploration(books.steps), books.updates)
        self.waited += time.perf_counter() - began
        if (anew := rollout["collector"].pop(ANEW[1], None)) is not None and anew.any():
            self.begin_anew()
        steps = int(rollout["collector", "mask"].sum())
        books.played(*self._played(steps, episodes, books.steps))
        if self.running is not None:
            self.agent.return_scale.update(self.ranks.rows(self.running.add(rollout)))
        if self.recorder is not None:
            self.recorder.add(rollout, [episode.score for episode in episodes])
        return rollout

    def _played(self, steps: int, episodes: list[Episode], before: int) -> tuple[int, list[Episode]]:
        """All ranks' steps, and their episodes, in order of the steps that all had made by then."""
        ranks, number = self.ranks, self.collector.num_envs
        if ranks.count == 1:
            return steps, episodes
        total, found = ranks.total(steps), []
        for episode in episodes:
            step = min(max(episode.step * ranks.count, before + 1), before + total)
            found.append(episode._replace(step=step, env=ranks.rank * number + episode.env))
        rows = ranks.rows(torch.tensor(found, dtype=torch.float64).view(-1, len(Episode._fields)))
        together = [
            Episode(int(step), score, int(length), int(env), discounted)
            for step, score, length, env, discounted in rows.tolist()
        ]
        return total, sorted(together, key=lambda episode: episode.step)

    def update_norm(self, rollout: TensorDictBase) -> None:
        """Observations of a rollout count in how others are scaled, where the network does that."""
        if (norm := getattr(self.agent.network, "normalize", None)) is not None:
            norm.update(self.ranks.rows(rollout["observation"][rollout["collector", "mask"]]))

    def scaled(self, reward: Tensor) -> Tensor:
        """Rewards as they are learned from: divided by the scale of returns, where the recipe wants it."""
        return reward if self.agent.return_scale is None else reward / self.agent.return_scale()

    def row(self, books: Bookkeeping) -> dict[str, float]:
        """What a row of metrics says of the episodes, and of the policy that plays them."""
        return self.playing_row(books, self.agent.row(books.last_batch))

    def playing_row(self, books: Bookkeeping, own: dict[str, float]) -> dict[str, float]:
        """The same, with what the agent says of itself."""
        explores = hasattr(self.agent.recipe, "exploration")
        playing = {"train/epsilon": self.rollouts.epsilon} if explores else {}
        playing["train/policy_age"] = self.rollouts.policy_age
        if self.running is not None:
            playing["train/return_scale"] = self.agent.unit
        if isinstance(self.collector, CollectorPool):
            now = time.perf_counter()
            playing["time/waiting"] = self.waited / max(now - self.row_at, 1e-9)
            playing["train/lost_collectors"] = self.collector.lost
            self.waited, self.row_at = 0.0, now
        return {"train/episodes": books.num_episodes, **playing, **own, **books.recent_scores()}

    def components(self) -> dict[str, Any]:
        """What a checkpoint saves, by name."""
        parts = {"collector": self.collector, "rollouts": self.rollouts, "learner": self.learner}
        also = {"recorder": self.recorder, "running": self.running}
        return parts | {name: part for name, part in also.items() if part is not None}

    @property
    def resumed(self) -> bool:
        """Whether what a checkpoint restored includes the open episodes."""
        return self.collector.resumed

    def rest(self) -> None:
        """Waits until nothing is being collected."""
        self.rollouts.rest()

    def cut(self) -> None:
        """Called when a continued run opens new episodes: those that were open end, as truncated.

        A rollout that waits goes on with them; they end with it.
        """
        if not self.rollouts.cut():
            self.begin_anew()

    def begin_anew(self) -> None:
        """What follows are new episodes, though those before had no end."""
        self.cut_waiting()
        if self.running is not None:
            self.running.begin()

    def cut_waiting(self) -> None:
        """Marks as truncated the steps that wait for what follows them."""
        if self.recorder is not None:
            self.recorder.cut()

    def close(self) -> None:
        """Closes the environments, unless a thread still steps them: they may hang."""
        if self.recorder is not None:
            self.recorder.close()
        if self.rollouts.has_rested(PATIENCE):
            self.collector.shutdown()


def _exploration(recipe: Any) -> LinearSchedule:
    """The share of random actions; none where the policy explores by itself."""
    if not hasattr(recipe, "exploration"):
        return LinearSchedule(0.0, 0.0, begin=0, duration=0)
    explore = recipe.exploration
    # It counts from the first update; without a replay to fill that is the first step.
    return LinearSchedule(
        explore.start, explore.end, getattr(recipe, "learning_starts", 0), explore.decay_steps
    )
