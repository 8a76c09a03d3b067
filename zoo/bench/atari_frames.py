"""Made-up Atari transitions."""

from __future__ import annotations

import torch
from tensordict import TensorDict

ATARI = (4, 84, 84)


class Frames:
    """Rollouts [N, T] of Atari stacks, cheap to make: episodes of 1,000 steps of frames that differ."""

    def __init__(self, envs: int = 8, time: int = 16) -> None:
        self.envs, self.time, self.made = envs, time, 0
        stack, *frame = ATARI
        self.frames = torch.randint(0, 255, (stack + time, envs, *frame), dtype=torch.uint8)

    def __call__(self) -> TensorDict:
        stack, shape = ATARI[0], (self.envs, self.time)
        self.frames[:stack] = self.frames[-stack:].clone()
        self.frames[stack:] += 7 + torch.arange(self.time, dtype=torch.uint8)[:, None, None, None]
        windows = self.frames.unfold(0, stack, 1).movedim(-1, 2)  # [T + 1, N, S, H, W]
        done = torch.zeros(shape, dtype=torch.bool)
        self.made += self.time
        done[:, -1] = self.made % 1_000 < self.time
        following = {
            "observation": windows[1 : self.time + 1].contiguous().transpose(0, 1),
            "reward": torch.rand(*shape, 1),
            "terminated": done.unsqueeze(-1),
            "truncated": torch.zeros_like(done).unsqueeze(-1),
            "done": done.unsqueeze(-1),
        }
        return TensorDict(
            {
                "observation": windows[: self.time].contiguous().transpose(0, 1),
                "action": torch.randint(6, shape),
                "next": TensorDict(following, batch_size=shape),
            },
            batch_size=shape,
        )
