"""Batches of transitions from a dataset.

Legend: M transitions, B batch, K batches.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from catzoo.agents.learning.batches import Transitions
from catzoo.agents.replay.dataset import Dataset
from catzoo.agents.replay.dataset_replay import DatasetReplay


class OfflineReplay(DatasetReplay):
    """Samples transitions; arguments and errors as `DatasetReplay`, and these.

    Args:
        dataset: what was recorded.
        gamma: discount of one step.
        reward_clip: clips each reward to ± this, or None.
        reward_noise: eta: each reward has U(0, eta) added, after clipping, drawn once for each transition
            (arXiv 2403.03950, noisy rewards).
        next_actions: whether batches have the data's next actions; transitions without one that are no
            terminal ones (an episode's time was up) are then left out.
        options: of `DatasetReplay`.

    Raises:
        ValueError: another kind of dataset, or nothing to sample from.
    """

    kind = "transitions"
    family = Transitions

    def __init__(
        self,
        dataset: Dataset,
        *,
        gamma: float = 0.99,
        reward_clip: float | None = None,
        reward_noise: float = 0.0,
        next_actions: bool = False,
        seed: int = 0,
        **options: Any,
    ) -> None:
        own = self.columns_of(dataset)
        reward, terminated = own["reward"], own["terminated"]
        if reward_clip is not None:
            reward = reward.clamp(-reward_clip, reward_clip)
        if reward_noise:  # its own stream: a run without noise draws the same batches
            stream = np.random.default_rng([seed, 1])
            reward = reward + torch.from_numpy(stream.random(len(reward), np.float32)) * reward_noise
        columns = {
            "observation": own["observation"],
            "action": _numbered(dataset, own["action"]),
            "reward": reward,
            "discount": gamma * (~terminated).float(),
            "next_observation": own["next_observation"],
        }
        self.usable: Tensor | None = None
        if next_actions:
            following = own["next_action"]
            missing = following.isnan() if following.is_floating_point() else following < 0
            columns["next_action"] = _numbered(dataset, following.masked_fill(missing, 0))
            known = ~missing.flatten(1).any(1) if missing.ndim > 1 else ~missing
            self.usable = (known | terminated).nonzero().squeeze(-1)
        super().__init__(dataset, columns, seed=seed, **options)
        if not len(self):
            raise ValueError("the dataset has no transition with a next action")

    @classmethod
    def from_recipe(cls, dataset: Dataset, recipe: Any, *, device: torch.device, seed: int) -> Self:
        """As CQL's recipe has it."""
        return cls(
            dataset,
            gamma=recipe.gamma,
            reward_clip=recipe.reward_clip,
            reward_noise=recipe.reward_noise,
            next_actions=recipe.bootstrap == "sarsa",
            place=recipe.replay.place,
            device=device,
            seed=seed,
        )

    def __len__(self) -> int:
        """Transitions that can be sampled."""
        return self.count if self.usable is None else len(self.usable)

    def _numbers(self, index: Tensor) -> Tensor:
        return index if self.usable is None else self.usable[index]


def _numbered(dataset: Dataset, action: Tensor) -> Tensor:
    """Actions of a dataset by the agent's numbers."""
    numbers = dataset.action_numbers
    return action if numbers is None else torch.tensor(numbers)[action]
