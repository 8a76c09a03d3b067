"""From rollouts to n-step transitions.

Legend: N environments, T steps, M transitions.
"""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

NESTED = ("next", "collector")
"""What of a rollout is no column."""


class NStep:
    """Turns rollouts into n-step transitions; the last n − 1 steps wait for the next rollout.

    A transition that reaches the end of its episode stops there: a terminal step has discount 0,
    a truncated one bootstraps from the episode's last observation.

    Args:
        n: length of the return.
        gamma: discount of one step.
        reward_clip: clips each reward to ± this, or None.
    """

    def __init__(self, n: int, gamma: float, reward_clip: float | None = None) -> None:
        if n < 1:
            raise ValueError(f"n={n} must be at least 1")
        self.n, self.gamma, self.reward_clip = n, gamma, reward_clip
        self.waiting: TensorDictBase | None = None

    def __call__(self, rollout: TensorDictBase) -> TensorDict:
        """Rollout [N, T] in TorchRL's layout to transitions [M], flat, time-major, reset steps dropped.

        Columns beside observation and action, such as `log_prob`, are those of the first step.
        """
        if self.waiting is not None:
            rollout = torch.cat([self.waiting, rollout], dim=1)
        steps = rollout.shape[1]
        ready = max(steps - self.n + 1, 0)
        self.waiting = rollout[:, ready:].clone() if self.n > 1 else None
        following = rollout["next"]
        reward = following["reward"].squeeze(-1)
        if self.reward_clip is not None:
            reward = reward.clamp(-self.reward_clip, self.reward_clip)
        done, terminated = following["done"].squeeze(-1), following["terminated"].squeeze(-1)
        returns, discount, last = self._accumulate(reward, done, terminated, ready)
        rows = torch.arange(rollout.shape[0]).unsqueeze(-1)
        transitions = {
            **{name: column[:, :ready] for name, column in rollout.items() if name not in NESTED},
            "reward": returns,
            "discount": discount,
            "next_observation": following["observation"][rows, last]
            if self.n > 1
            else following["observation"],
        }
        flat = {key: value.transpose(0, 1).flatten(0, 1) for key, value in transitions.items()}
        result = TensorDict(flat, batch_size=[rollout.shape[0] * ready])
        mask = rollout.get(("collector", "mask"), None)
        if mask is None:
            return result
        keep = mask[:, :ready].transpose(0, 1).flatten()
        return result if keep.all() else result[keep]

    def _accumulate(
        self, reward: Tensor, done: Tensor, terminated: Tensor, ready: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[N, T] step data to n-step return, discount and index of the last step, each [N, ready]."""
        returns = torch.zeros_like(reward[:, :ready])
        discount = torch.ones_like(returns)
        last = torch.arange(ready).expand(returns.shape).clone()
        alive = torch.ones_like(returns, dtype=torch.bool)
        for k in range(self.n):
            window = slice(k, k + ready)
            returns += torch.where(alive, discount * reward[:, window], 0.0)
            last = torch.where(alive, torch.arange(k, k + ready), last)
            discount = torch.where(alive, discount * self.gamma * ~terminated[:, window], discount)
            alive &= ~done[:, window]
        return returns, discount, last

    def cut(self) -> None:
        """Marks the steps that wait as truncated, for when what follows is another episode."""
        if self.waiting is not None and self.waiting.shape[1]:
            following = self.waiting["next"]
            following["truncated"][:, -1] |= ~following["terminated"][:, -1]
            following["done"][:, -1] = True

    def state_dict(self) -> dict[str, Any]:
        """The steps that wait."""
        return {} if self.waiting is None else {"waiting": flat_tensors(self.waiting)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them."""
        self.waiting = nested_tensors(state["waiting"]) if "waiting" in state else None


def flat_tensors(rollout: TensorDictBase) -> dict[str, Tensor]:
    """A rollout [N, T] as tensors under dotted names."""
    return rollout.flatten_keys(".").to_dict()  # type: ignore[no-any-return]


def nested_tensors(tensors: dict[str, Tensor]) -> TensorDict:
    """The rollout of `flat_tensors`."""
    return TensorDict(tensors, batch_size=tensors["action"].shape[:2]).unflatten_keys(".")
