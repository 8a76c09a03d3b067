"""Agents that learn from a dataset and play nothing: their steps are gradient updates.

An iteration is one burst of updates; learner, target network, resets and random shifts are those of agents
with a replay. Of the metrics that `agent.py` lists, those of episodes and exploration are missing here, and
`time/steps_per_second` counts updates.
"""

from __future__ import annotations

from typing import Any

import torch

from catzoo.agents.feeds.replay_feed import MAX_BURST, OffPolicyAgent
from catzoo.agents.replay import Dataset, OfflineReplay, read_dataset


class OfflineAgent(OffPolicyAgent):
    """An agent with a dataset (`options.dataset`) in place of environments and replay."""

    def attach(
        self, env: Any, *, rollout_length: int = 1, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        """Opens and verifies the dataset, and builds the learner on `device`.

        Args:
            env: a `gymnasium.vector.VectorEnv`, for its spaces: it is not played.
            rollout_length: of no meaning.
            seed: of sampling and reward noise.
            device: where the agent computes.

        Raises:
            ValueError: no dataset, a damaged one, or one of other spaces.
        """
        options = self.options
        if options.dataset is None:
            raise ValueError("an offline agent needs a dataset")
        dataset = read_dataset(options.dataset)
        check_spaces(dataset, env)
        self.to(device)
        self.env = env
        self.replay = OfflineReplay(
            dataset,
            gamma=options.gamma,
            reward_clip=options.reward_clip,
            reward_noise=options.reward_noise,
            next_actions=self.needs_next_actions,
            place=options.replay.get("place", "memory"),
            device=device,
            seed=seed,
        )
        self._attach_learner()

    @property
    def needs_next_actions(self) -> bool:
        """Whether `update` reads `batch.next_action`."""
        return False

    def components(self) -> dict[str, Any]:
        """The replay's random stream, and the learner."""
        return {"replay": self.replay, "learner": self.learner}

    @property
    def resumed(self) -> bool:
        """True: there are no episodes."""
        return True

    def rest(self) -> None:
        """Nothing is ever being collected."""

    def iterate(self) -> None:
        """One burst of updates, the whole of training; a row of metrics is due at its end or later."""
        left = self.total_steps - self.steps if self.total_steps else MAX_BURST
        if self.options.anneal and self.total_steps:
            self.learner.set_lr(max(1.0 - self.steps / self.total_steps, 0.0))
        row = self.options.log_every - self.steps % self.options.log_every
        self._burst(min(left, MAX_BURST, self._until_event(), row))
        self.steps = self.updates
        if self.steps - self._last_row >= self.options.log_every:
            self.log_row()

    def playing(self) -> dict[str, float]:
        """Nothing: no policy plays."""
        return {}

    def close(self) -> None:
        """Closes the environment that was attached for its spaces."""
        self.env.close()


def check_spaces(dataset: Dataset, env: Any) -> None:
    """Refuses a dataset of other observations or actions than an environment's.

    Raises:
        ValueError: says which.
    """
    shape, actions = tuple(env.single_observation_space.shape), int(env.single_action_space.n)
    own = dataset.observation_shape
    if own != shape:
        raise ValueError(f"{dataset.folder}: its observations are {list(own)}, not {list(shape)}")
    if dataset.num_actions != actions:
        raise ValueError(f"{dataset.folder}: it has {dataset.num_actions} actions, not {actions}")
