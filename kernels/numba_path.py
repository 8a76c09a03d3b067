"""The implementation in Numba, for a CPU: one loop for a loss with its gradient, one for a Bellman step.

On a CPU a small batch costs what some thirty calls of PyTorch cost, and here it is one call. This side makes
tensors dense and float32 and hands over their addresses; where that cannot be, PyTorch's operations compute.
Half precision is computed in float32, as there. The module imports without Numba, which is imported at the
first call (half a second) and compiles at the first of all (seconds, `numba_kernels`).

Shapes: ... any leading dimensions, A actions, K bins, D powers of a polynomial, W bins of a window.
"""

from __future__ import annotations

import functools
import math
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

from catzoo.kernels import torch_path
from catzoo.kernels.bins import Bins
from catzoo.kernels.check import INTEGERS
from catzoo.kernels.gaussian_table import gaussian_table
from catzoo.kernels.labels import STEEPEST, WINDOW_SIGMAS
from catzoo.kernels.last_layer import LastLayer
from catzoo.kernels.rules import (
    GaussianLabel,
    GivenLabel,
    NextDistribution,
    Rule,
    Target,
    TwoHotLabel,
    ValueRule,
)
from catzoo.kernels.td import TDInputs, TDResult

INSTALLED = find_spec("numba") is not None
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# Loops over bins take four vectors of eight at once, and the rest one by one.
VECTORS = 32
# PyTorch shares an operation between threads from twice 32768 numbers on.
LARGE = 65_536
# Centers so many narrow bins apart cancel in float64 only, which these loops do not sum in.
FAR = 10_000


class _UnfitError(Exception):
    """A tensor of another dtype, or without memory of its own, or bins that reach too far."""


def refusal(device: torch.device, rule: Rule | None, num_bins: int, dtype: torch.dtype) -> str | None:
    """Why a call of this kind cannot run here; None if it can."""
    if device.type != "cpu":
        return "does not run on {device}"
    if not INSTALLED:
        return "needs Numba: pip install numba"
    if dtype not in DTYPES:
        return f"takes logits of {', '.join(map(str, DTYPES))}, got {dtype}"
    if isinstance(rule, GaussianLabel) and not rule.is_clamped:
        return f"takes a clamp inside the edges only, got {rule.value_range}"
    return None


def is_for_threads(numel: int) -> bool:
    """Whether so many logits are better left to PyTorch's threads; one takes 1.4 to 3 times as long."""
    return numel > LARGE and torch.get_num_threads() > 1


def loss_and_grad(
    logits_K: Tensor, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss [...] and, if asked for, its gradient [..., K], in one loop."""
    parts = target if isinstance(target, NextDistribution) else (target, None, None)
    try:
        logits, *others = (None if x is None else _dense(x) for x in (logits_K, *parts, weight))
    except _UnfitError:
        return torch_path.loss_and_grad(logits_K, target, rule, weight, with_grad)
    assert logits is not None
    loss = logits.new_empty(logits.shape[:-1])
    grad_K = torch.empty_like(logits) if with_grad else None
    if loss.numel():
        constants = _constants(rule, logits.shape[-1])
        addresses = [0 if x is None else x.data_ptr() for x in (logits, *others, loss, grad_K)]
        _kernels().cross_entropy(*addresses, loss.numel(), *constants.arguments)
    return loss, None if grad_K is None else grad_K.to(logits_K.dtype)


def linear_loss_and_grad(
    layer: LastLayer, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss [...] of the logits that a layer makes and, if asked for, the gradient [..., K] by them."""
    return loss_and_grad(layer.logits(), target, rule, weight, with_grad)


def categorical_td(inputs: TDInputs, rule: ValueRule, with_grad: bool) -> tuple[TDResult, Tensor | None]:
    """One Bellman step and, if asked for, the gradient [..., A, K], in one loop."""
    return _td(inputs, rule, with_grad, True)


def chosen_td(inputs: TDInputs, rule: ValueRule, with_grad: bool) -> tuple[TDResult, Tensor | None]:
    """One Bellman step and, if asked for, the gradient [..., K] by the outputs of the action taken."""
    return _td(inputs, rule, with_grad, False)


def _td(inputs: TDInputs, rule: ValueRule, with_grad: bool, whole: bool) -> tuple[TDResult, Tensor | None]:
    outputs_AK, action, following_AK, reward, discount, online_AK, weight = inputs
    try:
        logits, action = _dense(outputs_AK), _dense(action, INTEGERS)
        floats = following_AK, online_AK, reward, discount, weight
        others = [None if x is None else _dense(x) for x in floats]
        constants = _near(rule, logits.shape[-1])
    except _UnfitError:
        step = torch_path.categorical_td if whole else torch_path.chosen_td
        return step(inputs, rule, with_grad)
    shape, (actions, num_bins) = action.shape, logits.shape[-2:]
    loss, error = logits.new_empty(shape), logits.new_empty(shape)
    clipped, grad = logits.new_empty(shape, dtype=torch.bool), None
    if with_grad:
        grad = torch.zeros_like(logits) if whole else logits.new_empty((*shape, num_bins))
    if loss.numel():
        tensors = (logits, action, *others, loss, error, clipped, grad)
        addresses = [0 if x is None else x.data_ptr() for x in tensors]
        row = _kernels().categorical_td(*addresses, whole, loss.numel(), actions, *constants.arguments)
        if row >= 0:
            wrong = action.view(-1)[row].item()
            raise IndexError(f"action must be from 0 to {actions - 1}, got {wrong}")
    return TDResult(loss, error, clipped), None if grad is None else grad.to(outputs_AK.dtype)


def put_scaled(grad_K: Tensor, by: Tensor, action: Tensor, outputs_AK: Tensor) -> Tensor:
    """The gradient [..., A, K] of outputs from `chosen_td`'s and that of the losses [...], in one loop."""
    # The gradient of a mean is one number for all rows.
    stride = 0 if by.ndim == 1 and by.stride(0) == 0 else 1
    try:
        if grad_K.dtype != torch.float32:
            raise _UnfitError
        compact, scale, index = _dense(grad_K), _dense(by if stride else by[:1]), _dense(action, INTEGERS)
    except _UnfitError:
        return torch_path.put_scaled(grad_K, by, action, outputs_AK)
    grad_AK = grad_K.new_empty(outputs_AK.shape)
    if grad_AK.numel():
        addresses = compact.data_ptr(), scale.data_ptr(), stride, index.data_ptr(), grad_AK.data_ptr()
        _kernels().put_scaled(*addresses, index.numel(), *outputs_AK.shape[-2:])
    return grad_AK


def categorical_value(logits_K: Tensor, bins: Bins) -> Tensor:
    """The mean [...] of the softmax over the centers."""
    try:
        logits, constants = _dense(logits_K), _near(bins, bins.num_bins)
    except _UnfitError:
        return torch_path.categorical_value(logits_K, bins)
    value = logits.new_empty(logits.shape[:-1])
    if value.numel():
        addresses = logits.data_ptr(), 0, value.data_ptr()
        _kernels().greedy_action(*addresses, value.numel(), 1, *constants.arguments)
    return value


def greedy_action(logits_AK: Tensor, bins: Bins) -> Tensor:
    """The action [...] of the largest value."""
    try:
        logits, constants = _dense(logits_AK), _near(bins, bins.num_bins)
    except _UnfitError:
        return torch_path.greedy_action(logits_AK, bins)
    value = logits.new_empty(logits.shape[:-2])
    action = torch.empty_like(value, dtype=torch.int64)
    if action.numel():
        addresses = logits.data_ptr(), action.data_ptr(), value.data_ptr()
        _kernels().greedy_action(*addresses, action.numel(), logits.shape[-2], *constants.arguments)
    return action


def _dense(x: Tensor, dtypes: tuple[torch.dtype, ...] = DTYPES) -> Tensor:
    """A dense tensor of the same numbers and the first of the dtypes; `_UnfitError` if there is none."""
    if x.dtype != dtypes[0]:
        if x.dtype not in dtypes:
            raise _UnfitError
        x = x.to(dtypes[0])
    x = x.contiguous().resolve_neg()
    if not x.data_ptr() and x.numel():  # a wrapper, or zeros that only say that they are
        raise _UnfitError
    return x


class Constants(NamedTuple):
    """What a rule means to a kernel, and the tensors whose addresses are among the arguments."""

    arguments: tuple[int, ...]
    held: tuple[Any, ...]
    is_far: bool
    """Whether a mean over the centers needs float64."""


# By identity, as in `torch_path`; the rule is held so that its id stays its own.
_kept: dict[int, Constants] = {}


def _constants(rule: Rule | Bins, num_bins: int) -> Constants:
    """The constants of a rule, or of bins without one; `GivenLabel` is for any number of bins."""
    if isinstance(rule, GivenLabel):
        return _given(num_bins)
    kept = _kept.get(id(rule))
    if kept is None:
        with torch.inference_mode(False):
            kept = _made(rule)
        if len(_kept) >= 256:
            _kept.clear()
        _kept[id(rule)] = kept
    return kept


def _near(rule: ValueRule | Bins, num_bins: int) -> Constants:
    """The constants, where a mean is right by them; else `_UnfitError`."""
    constants = _constants(rule, num_bins)
    if constants.is_far:
        raise _UnfitError
    return constants


@functools.lru_cache(maxsize=256)
def _given(num_bins: int) -> Constants:
    with torch.inference_mode(False):
        return _filled(None, Bins(0.0, 1.0, num_bins), _kernels().GIVEN)


def _made(rule: ValueRule | Bins) -> Constants:
    kinds = _kernels()
    if isinstance(rule, Bins):
        return _filled(rule, rule, kinds.TWO_HOT)
    bins = rule.bins
    if isinstance(rule, GaussianLabel):
        ratio, by_table = rule.sigma / bins.width, bins.is_uniform and rule.method != "erfc"
        table = gaussian_table(ratio) if by_table else None
        if table is None:
            return _filled(rule, bins, kinds.ERF)
        return _filled(rule, bins, kinds.TABLE, table.coefficients)
    if isinstance(rule, TwoHotLabel):
        return _filled(rule, bins, kinds.TWO_HOT if bins.is_uniform else kinds.TWO_HOT_UNEVEN)
    return _filled(rule, bins, kinds.PROJECTED if bins.is_uniform else kinds.PROJECTED_UNEVEN)


def _filled(rule: Rule | Bins | None, bins: Bins, kind: int, table_DW: Tensor | None = None) -> Constants:
    """`numbers` and `singles` of the kernels; a Gaussian's points are the edges, others' the centers."""
    kinds, cpu = _kernels(), torch.device("cpu")
    centers, sigma = bins.center_tensor(torch.float64, cpu), 0.0
    points, (low, high), slope = centers, bins.center_range, 0.0
    if isinstance(rule, GaussianLabel):
        points, (low, high), sigma = bins.edge_tensor(torch.float64, cpu), rule.value_range, rule.sigma
        slope = min(1 / (sigma * math.sqrt(2)), STEEPEST)
    # A value is taken from the middle, so that little is lost to rounding where bins are far from zero.
    middle = sum(bins.center_range) / 2
    head = [low, high, points[0].item(), 1 / bins.width, slope, WINDOW_SIGMAS * sigma, middle]
    assert len(head) == kinds.POINTS
    numbers = torch.cat((torch.tensor(head, dtype=torch.float64, device=cpu), points))
    padded = -(-bins.num_bins // VECTORS) * VECTORS
    singles = torch.zeros(padded, dtype=torch.float32, device=cpu)
    singles[: bins.num_bins] = (centers - middle).float()
    window = 0 if table_DW is None else table_DW.shape[1]
    if table_DW is not None:
        rest = singles.new_zeros(kinds.DEGREE + 1 - len(table_DW), window)
        singles = torch.cat((singles, table_DW.flatten(), rest.flatten()))
    arguments = numbers.data_ptr(), singles.data_ptr(), kind, bins.num_bins, padded, window
    is_far = (centers[-1] - centers[0]) > FAR * centers.diff().min()
    return Constants(arguments, (rule, numbers, singles), bool(is_far) and not bins.is_uniform)


@functools.cache
def _kernels() -> Any:
    """The kernels' module; ImportError where Numba cannot be imported."""
    try:
        from catzoo.kernels import numba_kernels
    except (TypeError, ValueError) as error:  # beside another NumPy than it was built for
        raise ImportError(str(error)) from error
    return numba_kernels
