"""Batches, a family for each way of learning: plain tensors, so that an update can be compiled and graphed.

Every field is [B, ...] in one batch, or [K, B, ...] in K batches that are learned from in turn.

Legend: B batch, K batches.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from torch import Tensor

T = TypeVar("T", bound=tuple[Any, ...])


def mapped(batch: T, change: Any) -> T:
    """A batch of the same family with every tensor changed; what is None stays None."""
    return type(batch)(*(None if tensor is None else change(tensor) for tensor in batch))


class Transitions(NamedTuple):
    """Steps from replay or from a dataset."""

    observation: Tensor
    """[B, ...], as the environment gives it."""
    action: Tensor
    """[B], int64; [B, ...], float32, in a continuous space."""
    reward: Tensor
    """[B], n-step return without the bootstrap."""
    discount: Tensor
    """[B], gamma^n · (1 − terminated)."""
    next_observation: Tensor
    """[B, ...], after n steps, or the episode's last."""
    weight: Tensor | None = None
    """[B], importance weights of prioritised replay; the largest of each batch is 1."""
    next_action: Tensor | None = None
    """As action, what the data's policy did next, for SARSA; of no meaning where the episode ended."""

    def at(self, which: int | slice) -> Transitions:
        """Of K batches [K, B, ...], one or a few."""
        return mapped(self, lambda tensor: tensor[which])


class Returns(NamedTuple):
    """Steps of a rollout with what followed them."""

    observation: Tensor
    """[B, ...], as the environment gives it."""
    action: Tensor
    """[B], int64."""
    returns: Tensor
    """[B], discounted, bootstrapped at its end: a target as it is."""

    def at(self, which: int | slice) -> Returns:
        """Of K batches [K, B, ...], one or a few."""
        return mapped(self, lambda tensor: tensor[which])
