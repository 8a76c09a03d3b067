"""What is counted beside time: launches, operations, host syncs, memory, and the error against float64."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from catzoo.kernels.bench.tasks import Pair

OPERATOR = re.compile(r"(?!autograd::)\w+::\w+")
# Or the profiler tells of its own start and stop.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
SYNC = "called a synchronizing CUDA operation"


def launches(call: Callable[[], Any]) -> int | None:
    """Kernels, copies and fills that a call starts on the GPU; None where the profiler sees none."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    on_device = [
        event
        for event in profiler.events() or ()
        if event.device_type.name == "CUDA" and not getattr(event, "is_user_annotation", False)
    ]
    return len(on_device) or None


def operations(call: Callable[[], Any]) -> int:
    """PyTorch operators that a call runs on the CPU, those inside another operator left out."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        call()
    return sum(_is_outermost(event) for event in profiler.events() or ())


def host_syncs(call: Callable[[], Any]) -> int:
    """How often a call makes the host wait for the GPU, as far as PyTorch notices."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is a prototype
        torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return sum(SYNC in str(warning.message) for warning in caught)


def peak_bytes(call: Callable[[], Any], device: torch.device) -> int:
    """The most memory of a device in use during a call, above what was in use before it: outputs count.

    On a CPU these are the tensors that this thread makes, without what other libraries take.
    """
    if device.type == "cpu":
        return _peak_of_allocations(call)
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_of_allocations(call: Callable[[], Any]) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = call()
    recorded: Any = profiler.profiler
    events = list(recorded.kineto_results.experimental_event_tree())
    sizes = []
    while events:
        event = events.pop()
        events += event.children
        if event.tag.name == "Allocation":  # or the end of one, whose size is negative
            sizes.append((event.start_time_ns, -event.extra_fields.alloc_size))
    del result
    # Of one nanosecond what is taken comes first: too much rather than too little.
    return max(accumulate(-negative for _, negative in sorted(sizes)), default=0)


def errors(result: Pair, truth: Pair, rows: Tensor) -> tuple[float, float]:
    """Largest absolute error of the losses and of the gradient in those rows."""
    loss, grad = ((ours[rows] - exact).abs().max().item() for ours, exact in zip(result, truth, strict=True))
    return float(loss), float(grad)


def _is_outermost(event: Any) -> bool:
    if not OPERATOR.fullmatch(event.name):
        return False
    parent = event.cpu_parent
    while parent is not None:
        if OPERATOR.fullmatch(parent.name):
            return False
        parent = parent.cpu_parent
    return True
