"""Batches from a dataset, for agents that play nothing.

Legend: M transitions, B batch, K batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from catzoo.agents.learning.batches import Transitions
from catzoo.agents.replay.dataset import Dataset

PLACES = ("memory", "disk", "device")


class OfflineReplay:
    """Samples the transitions of a dataset uniformly, with replacement, by a random stream of its own.

    Args:
        dataset: what was recorded.
        gamma: discount of one step.
        reward_clip: clips each reward to ± this, or None.
        reward_noise: eta: each reward has U(0, eta) added, after clipping, drawn once for each transition
            (arXiv 2403.03950, noisy rewards).
        next_actions: whether batches have the data's next actions; transitions without one that are no
            terminal ones (an episode's time was up) are then left out.
        place: `memory`, `disk` (the dataset's own files, mapped), or `device`.
        device: the learner's, for `place="device"`.
        seed: of noise and sampling.

    Raises:
        ValueError: an argument that is not one of these, or nothing to sample from.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        gamma: float = 0.99,
        reward_clip: float | None = None,
        reward_noise: float = 0.0,
        next_actions: bool = False,
        place: str = "memory",
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        if place not in PLACES:
            raise ValueError(f"place={place!r} must be one of {', '.join(PLACES)}")
        self.device = torch.device(device if place == "device" else "cpu")
        self.random = torch.Generator().manual_seed(seed)
        self.crc32 = [spec["crc32"] for spec in dataset.manifest["columns"].values()]
        reward, terminated = dataset.columns["reward"], dataset.columns["terminated"]
        if reward_clip is not None:
            reward = reward.clamp(-reward_clip, reward_clip)
        if reward_noise:  # its own stream: a run without noise draws the same batches
            stream = np.random.default_rng([seed, 1])
            reward = reward + torch.from_numpy(stream.random(len(reward), np.float32)) * reward_noise
        columns = {
            "observation": dataset.columns["observation"],
            "action": _numbered(dataset, dataset.columns["action"]),
            "reward": reward,
            "discount": gamma * (~terminated).float(),
            "next_observation": dataset.columns["next_observation"],
        }
        self.usable: Tensor | None = None
        if next_actions:
            following = dataset.columns["next_action"]
            missing = following.isnan() if following.is_floating_point() else following < 0
            columns["next_action"] = _numbered(dataset, following.masked_fill(missing, 0))
            known = ~missing.flatten(1).any(1) if missing.ndim > 1 else ~missing
            self.usable = (known | terminated).nonzero().squeeze(-1)
        if place != "disk":
            columns = {name: column.to(self.device, copy=True) for name, column in columns.items()}
        self.columns = columns
        if not len(self):
            raise ValueError("the dataset has no transition with a next action")

    def __len__(self) -> int:
        """Transitions that can be sampled."""
        return len(self.columns["action"] if self.usable is None else self.usable)

    def sample(
        self, batch_size: int, count: int = 1, device: torch.device | str | None = None
    ) -> tuple[Transitions, Tensor]:
        """K = `count` batches [K, B, ...] on `device`, and the transitions' numbers [K, B]."""
        device = self.device if device is None else torch.device(device)
        index = torch.randint(len(self), (count * batch_size,), generator=self.random)
        if self.usable is not None:
            index = self.usable[index]
        here = index.to(self.device, non_blocking=True)
        columns = {
            name: column.index_select(0, here).to(device, non_blocking=True).unflatten(0, (count, batch_size))
            for name, column in self.columns.items()
        }
        return Transitions(**columns), index.view(count, batch_size)

    def update_priority(self, index: Tensor, td_error: Tensor) -> None:
        """Nothing: sampling is uniform."""

    def state_dict(self) -> dict[str, Any]:
        """The position of the random stream, and what tells the dataset from another."""
        return {"random": self.random.get_state(), "crc32": self.crc32}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the stream.

        Raises:
            ValueError: it was another dataset.
        """
        if state["crc32"] != self.crc32:
            raise ValueError("it learned from another dataset, or from another state of this one")
        self.random.set_state(state["random"])


def _numbered(dataset: Dataset, action: Tensor) -> Tensor:
    """Actions of a dataset by the agent's numbers."""
    numbers = dataset.action_numbers
    return action if numbers is None else torch.tensor(numbers)[action]
