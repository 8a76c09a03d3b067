"""Precision and NaN rules shared by every formula: float32 at least, and not-finite in means NaN out."""

import functools

import torch
from torch import Tensor


def compute_dtype(x: Tensor) -> torch.dtype:
    """float64 for float64, float32 for everything else."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def at_least_float32(x: Tensor) -> Tensor:
    """Half-precision and integer tensors as float32; float32 and float64 as they are."""
    return x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)


def position_dtype(device: torch.device) -> torch.dtype:
    """The dtype of positions on the support: float64, so that 255 bins lose nothing to rounding.

    One number a sample, so it costs little even where float64 is slow; Apple's GPU has none at all.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def nan_unless_finite(x: Tensor, witness: Tensor) -> Tensor:
    """x, but NaN where the witness is NaN or infinite, without a branch: 0 * inf is NaN, 0 * finite is 0."""
    if witness.requires_grad or is_recorded():  # a trace with gradients is checked against one without
        witness = witness.detach()
    return torch.add(x, witness, alpha=0)


def witness_of_all(x_K: Tensor) -> Tensor:
    """One number [...] for all K of a row, NaN or infinite where any of these is: for `nan_unless_finite`.

    A plain sum overflows where several bins are masked by the lowest number there is.
    """
    if x_K.requires_grad or is_recorded():
        x_K = x_K.detach()
    share = 2.0**-12  # exact, and no sum of 4096 numbers overflows
    # Autocast on a CPU would take the product to bfloat16, where the lowest float32 is infinite.
    if may_keep(x_K.device) and not torch.is_autocast_enabled("cpu"):
        return x_K @ _kept_filled(x_K.shape[-1], share, x_K.dtype)
    return (x_K * share).sum(-1)


def clamp_or_nan(x: Tensor, low: float, high: float) -> Tensor:
    """x clamped to [low, high]; NaN where x is NaN or infinite, since those are bugs and not far targets."""
    return torch.add(torch.clamp(x, low, high), x, alpha=0)


def counted(n: int, device: torch.device, dtype: torch.dtype = torch.int64) -> Tensor:
    """0 … n - 1; on a CPU always the same tensor, which must not be written to."""
    return _kept_count(n, dtype) if may_keep(device) else torch.arange(n, dtype=dtype, device=device)


def is_recorded() -> bool:
    """Whether `torch.compile`, `torch.export` or `torch.jit.trace` makes a graph of what is called."""
    return torch.compiler.is_compiling() or torch._C._is_tracing()


def may_keep(device: torch.device) -> bool:
    """Whether a constant tensor may be kept for later calls: a CPU's, and none from inside a trace or mode.

    What is made while a CUDA graph is captured belongs to that graph, and what has no data to its mode.
    """
    return (
        device.type == "cpu"
        and not is_recorded()
        and not torch._C._len_torch_dispatch_stack()
        and torch._C._functorch.peek_interpreter_stack() is None
    )


@functools.lru_cache(maxsize=64)
def _kept_count(n: int, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.arange(n, dtype=dtype, device="cpu")


@functools.lru_cache(maxsize=64)
def _kept_filled(n: int, value: float, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.full((n,), value, dtype=dtype, device="cpu")
