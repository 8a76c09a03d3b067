"""What TorchRL's losses are given, read and checked: entries of a tensordict, gamma, the value loss.

Shapes: B batch (any leading dimensions).
"""

# mypy: disable-error-code="import-untyped"
# TorchRL and tensordict ship no types.

from collections.abc import Callable
from typing import Any, Self

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor, nn

from catzoo.losses.base import ValueLoss


class DiscountsKeepTheirDtype:
    """For a LossModule whose gamma and lmbda are buffers, its own or its value estimator's."""

    _value_estimator: nn.Module | None

    def _apply(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Follow a change of device, not one of dtype: in bfloat16 a gamma of 0.99 is 0.988."""
        owners = [owner for owner in (self, self._value_estimator) if isinstance(owner, nn.Module)]
        buffers = [(owner, *buffer) for owner in owners for buffer in owner.named_buffers(recurse=False)]
        super()._apply(fn)  # type: ignore[misc]
        for owner, name, buffer in buffers:
            if name in ("gamma", "lmbda"):
                setattr(owner, name, buffer.to(getattr(owner, name).device))
        return self


def checked_value_loss(value_loss: Any) -> ValueLoss:
    """The value loss; TypeError for anything else."""
    if not isinstance(value_loss, ValueLoss):
        raise TypeError(f"value_loss must be a catzoo.losses.ValueLoss, got {value_loss!r}")
    return value_loss


def checked_gamma(gamma: float) -> float:
    """gamma as a float; ValueError outside [0, 1]."""
    if not 0 <= float(gamma) <= 1:
        raise ValueError(f"gamma must be in [0, 1], got {gamma}")
    return float(gamma)


def refuse_options(loss: object, options: dict[str, Any], **reasons: str) -> None:
    """TypeError for an option of TorchRL's that a value loss leaves no room for, with the reason."""
    for name in reasons.keys() & options.keys():
        raise TypeError(f"{type(loss).__name__} takes no {name}: {reasons[name]}")


def entry(tensordict: TensorDictBase, key: NestedKey) -> Tensor:
    """What is at a key; ValueError if nothing is."""
    value = tensordict.get(key, None)
    if value is None:
        have = sorted(map(str, tensordict.keys(include_nested=True, leaves_only=True)))
        raise ValueError(f"no {key!r} in the tensordict, which has {', '.join(have)}; set_keys renames keys")
    return value  # type: ignore[no-any-return]


def per_row(key: NestedKey, x: Tensor, batch: torch.Size) -> Tensor:
    """x [B] from [B] or [B, 1]; ValueError for another shape."""
    if x.shape == batch:
        return x
    if x.shape == (*batch, 1):
        return x.squeeze(-1)
    raise ValueError(f"{key!r} must have shape {[*batch, 1]} or {list(batch)}, got {list(x.shape)}")


def without_last(key: NestedKey, x: Tensor) -> Tensor:
    """x [B] from [B, 1], TorchRL's convention; ValueError for another shape."""
    if x.shape[-1:] != (1,):
        raise ValueError(f"{key!r} must have shape [*batch, 1], got {list(x.shape)}")
    return x.squeeze(-1)


def reward_of(tensordict: TensorDictBase, keys: Any) -> Tensor:
    """The reward [B]; that it is [B, 1] is what tells B."""
    key = ("next", keys.reward)
    return without_last(key, entry(tensordict, key))


def discount_of(tensordict: TensorDictBase, keys: Any, gamma: Tensor, batch: torch.Size) -> Tensor:
    """gamma^n [B], zero where terminated; n is at `steps_to_next_obs`, if anything is."""
    terminated = tensordict.get(("next", keys.terminated), None)
    if terminated is None:
        terminated = entry(tensordict, ("next", keys.done))
    steps = tensordict.get(keys.steps_to_next_obs, None)
    if steps is not None:
        gamma = gamma ** per_row(keys.steps_to_next_obs, steps, batch)
    return gamma * per_row(("next", keys.terminated), terminated, batch).logical_not()
