"""Arguments checked by shape, dtype and device, before anything is launched and without a host sync.

Shapes: ... any leading dimensions, A actions, K bins.
"""

from typing import NoReturn

import torch
from torch import Tensor

from catzoo.kernels.rules import GivenLabel, NextDistribution, ProjectedLabel, Rule, Target
from catzoo.kernels.td import TDInputs

INTEGERS = (torch.int64, torch.int32)


def check_outputs(name: str, x: Tensor, num_bins: int, dims: int = 1) -> None:
    """Raise ValueError unless x is floating point of shape [..., K] or, with dims = 2, [..., A, K]."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise ValueError(f"{name} must be a floating point tensor, got {_what(x)}")
    shape = x.shape
    if len(shape) < dims or shape[-1] != num_bins or (dims == 2 and shape[-2] == 0):
        wanted = f"[..., {'A, ' if dims == 2 else ''}{num_bins}]"
        raise ValueError(f"{name} must have shape {wanted}, got {list(shape)}")


def check_tensor(name: str, x: object) -> None:
    """Raise ValueError unless x is a tensor."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} must be a tensor, got {x!r}")


def check_target(logits: Tensor, target: Target, rule: Rule, weight: Tensor | None) -> None:
    """Raise ValueError unless target and weight fit the logits and the rule."""
    if isinstance(rule, GivenLabel):
        check_outputs("logits", logits, logits.shape[-1] if isinstance(logits, Tensor) and logits.ndim else 2)
        _check("label", target, logits, logits.shape)
    else:
        check_outputs("logits", logits, rule.bins.num_bins)
    batch = logits.shape[:-1]
    if isinstance(rule, ProjectedLabel):
        if not isinstance(target, NextDistribution):
            raise ValueError(f"target must be a NextDistribution for ProjectedLabel, got {_what(target)}")
        _check("next_logits", target.logits, logits, logits.shape)
        _check("reward", target.reward, logits, batch)
        _check("discount", target.discount, logits, batch)
    elif not isinstance(rule, GivenLabel):
        _check("target", target, logits, batch)
    if weight is not None:
        _check("weight", weight, logits, batch)


def check_td(inputs: TDInputs, num_bins: int) -> None:
    """Raise ValueError unless the tensors of a Bellman step fit each other and the bins."""
    outputs, action, next_outputs, reward, discount, online, weight = inputs
    check_outputs("outputs", outputs, num_bins, dims=2)
    shape = outputs.shape
    batch = shape[:-2]
    if not isinstance(action, Tensor) or action.dtype not in INTEGERS:
        raise ValueError(f"action must be an int64 or int32 tensor, got {_what(action)}")
    if action.shape != batch or action.device != outputs.device:
        _refuse("action", action, outputs, batch)
    _check("next_outputs", next_outputs, outputs, shape)
    _check("reward", reward, outputs, batch)
    _check("discount", discount, outputs, batch)
    if online is not None:
        _check("next_online_outputs", online, outputs, shape)
    if weight is not None:
        _check("weight", weight, outputs, batch)


def _check(name: str, x: object, like: Tensor, shape: torch.Size) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise ValueError(f"{name} must be a floating point tensor of shape {list(shape)}, got {_what(x)}")
    if x.shape != shape or x.device != like.device:
        _refuse(name, x, like, shape)


def _refuse(name: str, x: Tensor, like: Tensor, shape: torch.Size) -> NoReturn:
    if x.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(x.shape)}")
    raise ValueError(f"{name} must be on {str(like.device)!r} as the logits, got {str(x.device)!r}")


def _what(x: object) -> str:
    return str(x.dtype) if isinstance(x, Tensor) else repr(x)
