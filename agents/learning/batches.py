"""Batches, a family for each way of learning: plain tensors, so that an update can be compiled and graphed.

Every field is [B, ...] in one batch, or [K, B, ...] in K batches that are learned from in turn; `Rollout` is
what two of them are made from.

Legend: B batch, K batches, N environments, T steps.
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
    return_to_go: Tensor | None = None
    """[B], discounted, what the data had from there to the episode's end."""

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


class Advantages(NamedTuple):
    """Steps of a rollout with what their actions were worth."""

    observation: Tensor
    """[B, ...], as the environment gives it."""
    action: Tensor
    """[B], int64; [B, M], float32, in a continuous space."""
    log_prob: Tensor
    """[B], of the action, by the policy that took it."""
    advantage: Tensor
    """[B], what the action's return had over the value of its state."""
    returns: Tensor
    """[B], a target for that value."""

    def at(self, which: int | slice) -> Advantages:
        """Of K batches [K, B, ...], one or a few."""
        return mapped(self, lambda tensor: tensor[which])


class Segments(NamedTuple):
    """Whole rollouts of B environments, T steps each, for an agent that goes back over them itself."""

    observation: Tensor
    """[B, T, ...], as the environment gives it."""
    action: Tensor
    """[B, T], int64; [B, T, M], float32, in a continuous space."""
    log_prob: Tensor
    """[B, T], of the action, by the policy that took it."""
    reward: Tensor
    """[B, T]."""
    terminated: Tensor
    """[B, T], bool."""
    done: Tensor
    """[B, T], bool: terminated or truncated."""
    end_value: Tensor
    """[B, T], of what followed the last step of the rollout or of a truncated episode; else 0."""
    valid: Tensor
    """[B, T], bool: whether the step is a transition, and no reset."""

    def at(self, which: int | slice) -> Segments:
        """Of K batches [K, B, T, ...], one or a few."""
        return mapped(self, lambda tensor: tensor[which])


class Sequences(NamedTuple):
    """Whole episodes as tokens, with the choices that made them."""

    tokens: Tensor
    """[B, L], uint8."""
    action: Tensor
    """[B, T], int8, in order; -1 after an episode's end."""
    reward: Tensor
    """[B, T], of each choice."""

    def at(self, which: int | slice) -> Sequences:
        """Of K batches [K, B, ...], one or a few."""
        return mapped(self, lambda tensor: tensor[which])


class Positions(NamedTuple):
    """Positions of a game with all their moves, at most W of each."""

    board: Tensor
    """[B, L], uint8."""
    action: Tensor
    """[B, W, ...], uint8, the moves; 0 where a position has no more."""
    value: Tensor
    """[B, W], what each move is worth; 0 where there is none."""
    live: Tensor
    """[B, W], bool: whether there is a move."""

    def at(self, which: int | slice) -> Positions:
        """Of K batches [K, B, ...], one or a few."""
        return mapped(self, lambda tensor: tensor[which])


class Rollout(NamedTuple):
    """What was played, in the order in which it was: [N, T, ...], on the learner's device."""

    observation: Tensor
    """As the environment gives it."""
    action: Tensor
    """int64; float32 in a continuous space."""
    reward: Tensor
    """As they are learned from: clipped, scaled."""
    terminated: Tensor
    """bool."""
    done: Tensor
    """bool: terminated or truncated."""
    next_observation: Tensor
    """After each step; of an episode's last one its own. May lie elsewhere: of these few are needed."""
    valid: Tensor
    """bool: whether the step is a transition, and no reset."""
    log_prob: Tensor | None = None
    """Of the action, by the policy that took it, where that said so."""
