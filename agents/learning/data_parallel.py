"""Many learners of one run: each has its share of every batch, and all have the same parameters.

One rule keeps them together: what drives an update is equal on all ranks. Gradients are averaged; what is
counted or measured (steps, episodes, moments of rewards and observations, the ends of a support) is gathered
first, so that all go on from the same numbers; what is drawn (a new start of layers) is rank 0's. What a rank
draws for itself (actions, samples of its replay, noise) comes from random streams of its own.

Legend: R ranks.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from catzoo.hparams import LostLearnerError

NO_ANSWER = "another learner does not answer"


class Ranks:
    """A learner that is alone: nobody has anything to tell it."""

    rank = 0
    """Which of them this is."""
    count = 1
    """R."""
    local = 0
    """Which of those on this machine."""
    neighbours = 1
    """Learners on this machine, this one too."""

    def seed(self, seed: int) -> int:
        """A seed for this rank's own streams; rank 0 has the run's."""
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0] >> 2) if self.rank else seed

    def averaged(self, gradients: Sequence[Tensor], weight: Tensor | None = None) -> Sequence[Tensor]:
        """The mean of all ranks' gradients; `weight` [] is the share of this one's rows that count."""
        return gradients

    def largest(self, tensor: Tensor) -> Tensor:
        """The largest of all ranks, number by number."""
        return tensor

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of all ranks, number by number."""
        return tensor

    def rows(self, tensor: Tensor) -> Tensor:
        """The rows [n, ...] of all ranks, of which each may have another number, rank by rank."""
        return tensor

    def equalize(self, tensors: Iterable[Tensor]) -> None:
        """Makes all ranks' tensors rank 0's, in place."""

    def gathered(self, said: Any) -> list[Any]:
        """What each rank says, plain data; it also waits until all have said it."""
        return [said]

    def total(self, number: int) -> int:
        """The sum of the ranks' numbers."""
        return sum(self.gathered(number))

    def mean_row(self, row: dict[str, float]) -> dict[str, float]:
        """A row of metrics, each the mean of the ranks', which have the same ones."""
        if self.count == 1:
            return row
        return dict(
            zip(row, self.mean(torch.tensor(list(row.values()), dtype=torch.float64)).tolist(), strict=True)
        )


ALONE = Ranks()


class Together(Ranks):
    """A learner among others, over torch's process group, which is there already.

    Every method is called by all ranks, in the same order.

    Raises:
        LostLearnerError: of every method: another one does not answer.
    """

    def __init__(self) -> None:
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        host, hosts = socket.gethostname(), self.gathered(socket.gethostname())
        self.local, self.neighbours = hosts[: self.rank].count(host), hosts.count(host)

    @torch.no_grad()
    def averaged(self, gradients: Sequence[Tensor], weight: Tensor | None = None) -> Sequence[Tensor]:
        """As `Ranks.averaged`, in one call for all of them."""
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        if weight is not None:
            flat = torch.cat([flat * weight, weight.reshape(1)])
        self._do(dist.all_reduce, flat)
        flat = flat.div_(self.count) if weight is None else flat[:-1] / flat[-1].clamp(min=1e-6)
        parts = flat.split([gradient.numel() for gradient in gradients])
        return [part.view(own.shape) for part, own in zip(parts, gradients, strict=True)]

    def largest(self, tensor: Tensor) -> Tensor:
        """See `Ranks.largest`."""
        found = tensor.clone()
        self._do(dist.all_reduce, found, dist.ReduceOp.MAX)
        return found

    def mean(self, tensor: Tensor) -> Tensor:
        """See `Ranks.mean`."""
        found = tensor.clone()
        self._do(dist.all_reduce, found)
        return found / self.count

    def rows(self, tensor: Tensor) -> Tensor:
        """See `Ranks.rows`."""
        count_R = self._columns(torch.tensor([len(tensor)], device=tensor.device))
        most = max(map(int, count_R))
        padded = tensor.new_zeros(most, *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        found_R = self._columns(padded) if most else [tensor]
        return torch.cat([found[: int(number)] for found, number in zip(found_R, count_R, strict=False)])

    def _columns(self, tensor: Tensor) -> list[Tensor]:
        found_R = [torch.empty_like(tensor) for _ in range(self.count)]
        self._do(dist.all_gather, found_R, tensor)
        return found_R

    @torch.no_grad()
    def equalize(self, tensors: Iterable[Tensor]) -> None:
        """See `Ranks.equalize`."""
        kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for tensor in tensors:
            kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        for same in kinds.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            self._do(dist.broadcast, flat, 0)
            for tensor, part in zip(same, flat.split([tensor.numel() for tensor in same]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def gathered(self, said: Any) -> list[Any]:
        """See `Ranks.gathered`."""
        found: list[Any] = [None] * self.count
        self._do(dist.all_gather_object, found, said)
        return found

    def total(self, number: int) -> int:
        """See `Ranks.total`."""
        found = torch.tensor(number)
        self._do(dist.all_reduce, found)
        return int(found)

    @staticmethod
    def _do(operation: Callable[..., Any], *arguments: Any) -> None:
        try:
            operation(*arguments)
        except RuntimeError as error:  # gloo's and NCCL's own, when a connection ends
            problem = str(error).partition("\n")[0][:200]
            raise LostLearnerError(f"{NO_ANSWER}: {problem}") from None
