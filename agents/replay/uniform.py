"""Uniform sampling among the newest transitions."""

from __future__ import annotations

import torch
from torch import Tensor
from torchrl.data.replay_buffers.samplers import RandomSampler
from torchrl.data.replay_buffers.storages import Storage


class Uniform(RandomSampler):
    """TorchRL's uniform sampler, which can leave out the oldest transitions.

    `live` is how many of the newest are sampled, None for all; `end` is the slot after the newest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live: int | None = None
        self.end = 0

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict]:
        """Slots [B], with replacement."""
        if self.live is None:
            return super().sample(storage, batch_size)
        if self.live < 1:
            raise RuntimeError("nothing can be sampled: the replay holds no transition")
        age = torch.randint(self.live, (batch_size,), generator=self._rng, device=storage.device)
        return (self.end - 1 - age) % storage.max_size, {}
