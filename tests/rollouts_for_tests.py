"""Vector environments of frame stacks, simulated, and their rollouts."""

import numpy as np
import torch
from tensordict import TensorDict


class Stacks:
    """N environments of random frames and episodes, in TorchRL's layout.

    Few grey levels, so that frames repeat and are black by chance. `pad` fills a stack at an episode's
    start: `black`, `repeat`, or `anything`.
    """

    def __init__(self, seed, envs=2, stack=3, frame=(2, 4), pad="black", same_step=True, end=0.2, levels=3):
        self.random = np.random.default_rng(seed)
        self.envs, self.stack, self.frame, self.pad = envs, stack, frame, pad
        self.same_step, self.end, self.levels = same_step, end, levels
        self.reset()

    def reset(self):
        self.now = np.stack([self._start() for _ in range(self.envs)])
        self.resetting = np.zeros(self.envs, bool)

    def _frame(self):
        if self.levels < 4 and self.random.random() < 0.2:
            return np.zeros(self.frame, np.uint8)
        return self.random.integers(0, self.levels, self.frame, dtype=np.uint8)

    def _start(self):
        newest = self._frame()
        fill = {"black": lambda: 0 * newest, "repeat": lambda: newest, "anything": self._frame}[self.pad]
        return np.stack([*(fill() for _ in range(self.stack - 1)), newest])

    def _step(self, i):
        """One step of environment i: (next observation, reward, terminated, truncated, what comes after)."""
        if self.resetting[i]:
            start = self._start()
            return start, 0.0, False, False, start
        following = np.concatenate([self.now[i, 1:], self._frame()[None]])
        kind = self.random.random()
        terminated, truncated = kind < self.end / 2, self.end / 2 <= kind < self.end
        after = self._start() if self.same_step and (terminated or truncated) else following
        return following, self.random.normal(), terminated, truncated, after

    def rollout(self, time):
        """[N, T], time-major in memory as the collector's are."""
        steps = {name: [] for name in ("now", "next", "reward", "terminated", "truncated", "mask", "action")}
        for _ in range(time):
            results = [self._step(i) for i in range(self.envs)]
            columns = [np.stack(column) for column in zip(*results, strict=True)]
            following, reward, terminated, truncated, after = columns
            row = (self.now, following, reward.astype(np.float32), terminated, truncated, ~self.resetting)
            for name, value in zip(steps, row, strict=False):
                steps[name].append(value)
            steps["action"].append(self.random.integers(0, 9, self.envs))
            self.resetting = np.zeros(self.envs, bool) if self.same_step else terminated | truncated
            self.now = after
        tensors = {name: torch.from_numpy(np.stack(rows)).transpose(0, 1) for name, rows in steps.items()}
        shape = (self.envs, time)
        following = {
            "observation": tensors["next"],
            "reward": tensors["reward"].unsqueeze(-1),
            "terminated": tensors["terminated"].unsqueeze(-1),
            "truncated": tensors["truncated"].unsqueeze(-1),
            "done": (tensors["terminated"] | tensors["truncated"]).unsqueeze(-1),
        }
        return TensorDict(
            {
                "observation": tensors["now"],
                "action": tensors["action"],
                "next": TensorDict(following, batch_size=shape),
                "collector": TensorDict({"mask": tensors["mask"]}, batch_size=shape),
            },
            batch_size=shape,
        )
