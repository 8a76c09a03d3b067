"""A batch of transitions.

Legend: B batch, K batches.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """What one update sees: plain tensors, so that the update can be compiled and graphed.

    [B, ...] for one batch, or [K, B, ...] for K batches that were sampled together.
    """

    observation: Tensor
    """[B, ...], as the environment gives it."""
    action: Tensor
    """[B], int64."""
    reward: Tensor
    """[B], n-step return without the bootstrap."""
    discount: Tensor
    """[B], gamma^n · (1 − terminated)."""
    next_observation: Tensor
    """[B, ...], after n steps, or the episode's last."""
    weight: Tensor | None = None
    """[B], importance weights of prioritised replay; the largest of each batch is 1."""
    next_action: Tensor | None = None
    """[B], int64, what the data's policy did next, for SARSA; of no meaning where the episode ended."""

    def at(self, which: int | slice) -> Batch:
        """Of K batches [K, B, ...], one or a few."""
        return Batch(*(None if tensor is None else tensor[which] for tensor in self))
