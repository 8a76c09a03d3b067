"""The implementation in Triton: one launch for a loss with its gradient, one for a whole Bellman step.

This side chooses kernel, tile and constants from host numbers and launches; nothing waits for the device.
The module imports without Triton, whose absence shows at the first launch.

Shapes: ... any leading dimensions, N rows, A actions, K bins; J, R, L of a tile (`triton_device`).
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
from typing import Any, NamedTuple

import torch
from torch import Tensor

from catzoo.kernels.bins import Bins
from catzoo.kernels.gaussian_table import gaussian_table
from catzoo.kernels.last_layer import LastLayer
from catzoo.kernels.rules import (
    GaussianLabel,
    GivenLabel,
    NextDistribution,
    ProjectedLabel,
    Rule,
    Target,
    TwoHotLabel,
    ValueRule,
)
from catzoo.kernels.td import TDInputs, TDResult

MAX_BINS = 1024
# Beyond it a tile of the last layer would fill the shared memory of some devices.
MAX_HEAD = 256
# Beyond it the label is nearly flat, and the difference of two tails all rounding.
MAX_RATIO = 100
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


# Whether Triton runs kernels in Python, on a CPU; it asks when it is imported.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def refusal(device: torch.device, rule: Rule | None, num_bins: int, dtype: torch.dtype) -> str | None:
    """Why a call of this kind cannot run here; None if it can."""
    if device.type != "cuda" and not (INTERPRETED and device.type == "cpu"):
        return "does not run on {device}"  # filled in where it is shown: this is asked at every call
    if dtype not in DTYPES:
        return f"takes logits of {', '.join(map(str, DTYPES))}, got {dtype}"
    if num_bins > MAX_BINS:
        return f"takes at most {MAX_BINS} bins, got {num_bins}"
    if isinstance(rule, ProjectedLabel) and not rule.bins.is_uniform:
        return "projects onto equal bins only, got uneven ones"
    if isinstance(rule, GaussianLabel) and rule.sigma > MAX_RATIO * rule.bins.width:
        return f"takes sigma up to {MAX_RATIO} bin widths, got {rule.sigma / rule.bins.width:g}"
    return None


def loss_and_grad(
    logits_K: Tensor, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss [...] and, if asked for, its gradient [..., K], in one launch."""
    shape, num_bins, device = logits_K.shape[:-1], logits_K.shape[-1], logits_K.device
    loss = torch.empty(shape, dtype=torch.float32, device=device)
    grad_K = torch.empty(logits_K.shape, dtype=logits_K.dtype, device=device) if with_grad else None
    if logits_K.numel():
        rows_NK, tile = _rows(logits_K), tile_of(num_bins)
        arguments, options = _scored(loss, grad_K, rows_NK, target, rule, weight)
        arguments |= _strided("logits", rows_NK, "row", "k")
        options["K"] = num_bins
        _launch(device, "cross_entropy_kernel", -(-len(rows_NK) // tile.rows), arguments, options, tile)
    return loss, grad_K


def linear_loss_and_grad(
    layer: LastLayer, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss [...] of the logits that a layer makes and, if asked for, the gradient [..., K] by them."""
    features_D, head_KD, bias_K = layer
    shape, num_bins, device = features_D.shape[:-1], len(head_KD), features_D.device
    if num_bins > MAX_HEAD:
        return loss_and_grad(layer.logits(), target, rule, weight, with_grad)
    loss = torch.empty(shape, dtype=torch.float32, device=device)
    grad_K = torch.empty((*shape, num_bins), dtype=features_D.dtype, device=device) if with_grad else None
    if loss.numel():
        rows_ND, tile = _rows(features_D), head_tile(num_bins)
        arguments, options = _scored(loss, grad_K, rows_ND, target, rule, weight)
        arguments |= _strided("features", rows_ND, "row", "d") | _strided("head", head_KD, "k", "d")
        arguments |= {"bias": loss if bias_K is None else bias_K.contiguous(), "inputs": rows_ND.shape[1]}
        options |= {
            "K": num_bins,
            "D": max(16, min(_power_of_2(rows_ND.shape[1]), 128 // features_D.element_size())),
            "WITH_BIAS": bias_K is not None,
            "WIDEN": INTERPRETED,  # which multiplies the bits of bfloat16 as if they were numbers
            "PRECISION": "tf32" if _takes_tf32() else "ieee",
        }
        programs = -(-len(rows_ND) // tile.rows)
        _launch(device, "linear_cross_entropy_kernel", programs, arguments, options, tile)
    return loss, grad_K


def _takes_tf32() -> bool:
    """Whether float32 products may round their factors to TensorFloat-32; newer PyTorch's word first."""
    settings: Any = torch.backends.cuda.matmul
    if hasattr(settings, "fp32_precision"):
        return bool(settings.fp32_precision == "tf32")
    return torch.get_float32_matmul_precision() != "highest"


def _scored(
    loss: Tensor, grad_K: Tensor | None, rows_N: Tensor, target: Target, rule: Rule, weight: Tensor | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the kernels of a loss have in common: arguments, compile-time options; rows_N [N, ...]."""
    of_bins = isinstance(rule, GivenLabel | ProjectedLabel)
    reward = discount = loss  # what is not read still needs an address
    if isinstance(target, NextDistribution):
        reward, discount, target = _flat(target.reward), _flat(target.discount), target.logits
    constants = _constants(rule, loss.device)
    arguments = {
        **_strided("target", _rows(target) if of_bins else target.reshape(-1, 1), "row", "k"),
        "reward": reward,
        "discount": discount,
        "weight": loss if weight is None else _flat(weight),
        "table": constants.table,
        "numbers": constants.numbers,
        "loss": loss,
        **_strided("grad", rows_N if grad_K is None else _rows(grad_K), "row", "k"),
        "rows": len(rows_N),
    }
    options = {"WITH_GRAD": grad_K is not None, "WITH_WEIGHT": weight is not None}
    return arguments, constants.label | options


def categorical_td(inputs: TDInputs, rule: ValueRule, with_grad: bool) -> tuple[TDResult, Tensor | None]:
    """One Bellman step and, if asked for, the gradient [..., A, K], in one launch."""
    shape, (actions, num_bins) = inputs.action.shape, inputs.outputs.shape[-2:]
    device, online, weight = inputs.outputs.device, inputs.next_online_outputs, inputs.weight
    loss, td_error = (torch.empty(shape, dtype=torch.float32, device=device) for _ in range(2))
    clipped = torch.empty(shape, dtype=torch.bool, device=device)
    grad_AK = _like_samples(inputs.outputs) if with_grad else None
    if not inputs.outputs.numel():
        return TDResult(loss, td_error, clipped), grad_AK
    constants, tile = _constants(rule, device), tile_of(num_bins, actions)
    outputs_BAK, next_BAK = _samples(inputs.outputs), _samples(inputs.next_outputs)
    arguments = {
        **_strided("outputs", outputs_BAK, "b", "a", "k"),
        "action": _flat(inputs.action),
        **_strided("next", next_BAK, "b", "a", "k"),
        **_strided("online", next_BAK if online is None else _samples(online), "b", "a", "k"),
        "reward": _flat(inputs.reward),
        "discount": _flat(inputs.discount),
        "weight": loss if weight is None else _flat(weight),
        "table": constants.table,
        "numbers": constants.numbers,
        "centers": constants.centers,
        "loss": loss,
        "td_error": td_error,
        "clipped": clipped.view(torch.int8),
        **_strided("grad", outputs_BAK if grad_AK is None else _samples(grad_AK), "b", "a", "k"),
        "actions": actions,
    }
    options = constants.label | {
        "K": num_bins,
        "UNEVEN": not rule.bins.is_uniform,
        "DOUBLE": online is not None,
        "WITH_GRAD": with_grad,
        "WITH_WEIGHT": weight is not None,
    }
    _launch(device, "categorical_td_kernel", len(outputs_BAK), arguments, options, tile)
    return TDResult(loss, td_error, clipped), grad_AK


def categorical_value(logits_K: Tensor, bins: Bins) -> Tensor:
    """The mean [...] of the softmax over the centers."""
    value = torch.empty(logits_K.shape[:-1], dtype=torch.float32, device=logits_K.device)
    if not logits_K.numel():
        return value
    rows_NK, tile = _rows(logits_K), tile_of(bins.num_bins)
    constants = _constants(TwoHotLabel(bins), logits_K.device)
    arguments = {
        **_strided("logits", rows_NK, "row", "k"),
        "numbers": constants.numbers,
        "centers": constants.centers,
        "value": value,
        "rows": len(rows_NK),
    }
    options = {"K": bins.num_bins, "UNEVEN": not bins.is_uniform}
    programs = -(-len(rows_NK) // tile.rows)
    _launch(logits_K.device, "categorical_value_kernel", programs, arguments, options, tile)
    return value


def greedy_action(logits_AK: Tensor, bins: Bins) -> Tensor:
    """The action [...] of the largest value."""
    action = torch.empty(logits_AK.shape[:-2], dtype=torch.int64, device=logits_AK.device)
    if not logits_AK.numel():
        return action
    logits_BAK, actions = _samples(logits_AK), logits_AK.shape[-2]
    constants = _constants(TwoHotLabel(bins), logits_AK.device)
    arguments = {
        **_strided("logits", logits_BAK, "b", "a", "k"),
        "numbers": constants.numbers,
        "centers": constants.centers,
        "action": action,
        "actions": actions,
    }
    options = {"K": bins.num_bins, "UNEVEN": not bins.is_uniform}
    tile = tile_of(bins.num_bins, actions)
    _launch(logits_AK.device, "greedy_action_kernel", len(logits_BAK), arguments, options, tile)
    return action


def hard_label_loss_and_grad(logits_NK: Tensor, label_N: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy [N] to one bin's number (int64 [N]) and its gradient [N, K], in the tile of the others.

    What a label costs is measured against it; no loss uses it.
    """
    loss = torch.empty(len(logits_NK), dtype=torch.float32, device=logits_NK.device)
    grad_NK, tile = torch.empty_like(logits_NK), tile_of(logits_NK.shape[1])
    kind = _modules()[1].HARD
    arguments = {
        **_strided("logits", logits_NK, "row", "k"),
        **_strided("target", label_N[:, None], "row", "k"),
        **dict.fromkeys(("reward", "discount", "weight", "table", "loss"), loss),
        "numbers": (0.0,) * 10,
        **_strided("grad", grad_NK, "row", "k"),
        "rows": len(logits_NK),
    }
    options = _label(kind) | {"K": logits_NK.shape[1], "WITH_GRAD": True, "WITH_WEIGHT": False}
    programs = -(-len(logits_NK) // tile.rows)
    _launch(logits_NK.device, "cross_entropy_kernel", programs, arguments, options, tile)
    return loss, grad_NK


class Tile(NamedTuple):
    """[slots, rows, lanes] of a program: a thread for every row and lane, all slots in its registers."""

    slots: int
    rows: int
    lanes: int

    def warps(self, warp_size: int) -> int:
        """How many warps have a thread for every row and lane, at most 8."""
        return min(max(self.rows * self.lanes // warp_size, 1), 8)


def tile_of(num_bins: int, actions: int | None = None) -> Tile:
    """The tile for so many bins; with actions, that of one sample whose actions are the rows.

    Few lanes share the work that is done once a row among more rows of a warp (8 instead of 16 at 101 bins
    save 29 % of the instructions, `codegen`), but reach fewer bytes of a row at a time.
    """
    lanes = 8 if num_bins <= 128 else 16 if num_bins <= 256 else 32
    slots = _power_of_2(-(-num_bins // lanes))
    return Tile(slots, 128 // lanes if actions is None else min(_power_of_2(actions), 32), lanes)


def head_tile(num_bins: int) -> Tile:
    """The tile where the logits come from a matrix product, which takes 16 rows or more."""
    slots, _, lanes = tile_of(num_bins)
    return Tile(slots, min(max(8192 // (slots * lanes), 16), 128), lanes)


def _launch(
    device: torch.device,
    kernel: str,
    programs: int,
    arguments: dict[str, Any],
    options: dict[str, Any],
    tile: Tile,
) -> None:
    """Start a kernel of `triton_device` by its name."""
    code, _ = _modules()
    # Triton launches on the current device, which need not be the tensors' own.
    on = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
    with on:
        getattr(code, kernel)[(programs,)](
            **arguments,
            **options,
            J=tile.slots,
            R=tile.rows,
            L=tile.lanes,
            num_warps=tile.warps(64 if torch.version.hip else 32),
        )


class Constants(NamedTuple):
    """What a rule means to a kernel: numbers, tensors on the device, and the compile-time kind of label."""

    numbers: tuple[float, ...]
    table: Tensor
    centers: Tensor
    label: dict[str, int]


# Kept for good: a captured CUDA graph reads them for as long as it lives.
@functools.cache
def _constants(rule: Rule, device: torch.device) -> Constants:
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "call the loss once before capturing it in a CUDA graph, which makes its constants"
        )
    _, kinds = _modules()
    if isinstance(rule, GivenLabel):
        nothing = torch.zeros(1, dtype=torch.float32, device=device)
        return Constants((0.0,) * 10, nothing, nothing, _label(kinds.GIVEN))
    table, label = _table(rule, kinds)
    centers = torch.tensor(rule.bins.centers or (0.0,), dtype=torch.float32, device="cpu")
    return Constants(_numbers(rule, label["WINDOW"]), table.to(device), centers.to(device), label)


def _numbers(rule: ValueRule, window: int) -> tuple[float, ...]:
    """The tuple `numbers` of `triton_labels`."""
    bins, (center_min, center_max) = rule.bins, rule.bins.center_range
    gaussian = isinstance(rule, GaussianLabel)
    per_bin = 1 / bins.width
    per_bin_high = float(torch.tensor(per_bin, dtype=torch.float32, device="cpu"))
    shift = (bins.edge_min if gaussian else center_min) * per_bin
    whole = round(shift)
    # Few enough bits that whole bins can be added to it exactly.
    largest = max(abs(bins.edge_min), abs(bins.edge_max)) * per_bin + 2
    step = 2.0 ** (math.ceil(math.log2(largest)) - 23)
    shift_high = round((shift - whole) / step) * step
    slope = 1 / (math.sqrt(2) * rule.sigma) if isinstance(rule, GaussianLabel) else 0.0
    if bins.is_uniform:
        slope *= bins.width
    low, high = (min(max(end, -3e38), 3e38) for end in rule.value_range)
    return (
        low, high, per_bin_high, per_bin - per_bin_high, shift_high, shift - whole - shift_high,
        -float(whole + max(window // 2 - 1, 0)), min(slope, 1e30), bins.width, (center_min + center_max) / 2,
    )  # fmt: skip


def _table(rule: ValueRule, kinds: Any) -> tuple[Tensor, dict[str, int]]:
    """The table of a rule, on the CPU, and its kind of label."""
    bins, none = rule.bins, torch.zeros(1, dtype=torch.float64, device="cpu")
    if isinstance(rule, ProjectedLabel):
        return none, _label(kinds.C51)
    if isinstance(rule, TwoHotLabel):
        if bins.is_uniform:
            return none, _label(kinds.TWO_HOT, window=2)
        return torch.tensor(bins.centers, dtype=torch.float64, device="cpu"), _label(kinds.TWO_HOT_UNEVEN)
    if not bins.is_uniform:
        return torch.tensor(bins.edges, dtype=torch.float64, device="cpu"), _label(kinds.TAILS_UNEVEN)
    table = gaussian_table(rule.sigma / bins.width) if rule.is_clamped and rule.method != "erfc" else None
    if table is None:
        return none, _label(kinds.TAILS)
    return table.coefficients, _label(kinds.TABLE, window=table.window, degree=table.degree)


def _label(kind: Any, window: int = 1, degree: int = 0) -> dict[str, int]:
    return {"LABEL": kind.value, "WINDOW": window, "DEGREE": degree}


@functools.cache
def _modules() -> tuple[Any, Any]:
    """The kernels' modules; ImportError where there is no Triton."""
    from catzoo.kernels import triton_device, triton_labels

    return triton_device, triton_labels


def _strided(name: str, x: Tensor, *dims: str) -> dict[str, Any]:
    """A tensor and its strides, as arguments."""
    strides = {f"{name}_stride_{dim}": stride for dim, stride in zip(dims, x.stride(), strict=True)}
    return {name: x, **strides}


def _rows(logits_K: Tensor) -> Tensor:
    """[N, K], a view where the leading dimensions have one stride, else a copy."""
    return logits_K.reshape(-1, logits_K.shape[-1])


def _flat(x: Tensor) -> Tensor:
    """[N], dense: these are small, and a kernel's argument less for each."""
    return x.reshape(-1).contiguous()


def _samples(outputs_AK: Tensor) -> Tensor:
    """[B, A, K], a view where the leading dimensions have one stride, else a copy."""
    return outputs_AK.reshape(-1, *outputs_AK.shape[-2:])


def _like_samples(outputs_AK: Tensor) -> Tensor:
    """An empty tensor of the same shape whose `_samples` is a view; of the same layout for [B, A, K]."""
    if outputs_AK.ndim == 3:
        return torch.empty_like(outputs_AK)
    return torch.empty_like(outputs_AK, memory_format=torch.contiguous_format)


def _power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length()
