"""The clock. Sides take turns, block by block, so that whatever disturbs the machine disturbs all alike.

On a GPU each block starts with a cold L2 cache and is timed by events. `throughput` asks for device time:
the queue is kept busy until the host has enqueued the call, so that what is timed is the GPU and not Python.
`td` asks for latency: calls one after the other, host included.

On a CPU a block begins with a call that is not timed, or each side would find in the caches what its
neighbour left there; and the allocator keeps what is freed (`keep_memory`).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch

_cuda: Any = torch.cuda  # it is typed in part
FLUSHED = 256 * 2**20
"""Bytes written before a block: more than any L2 cache holds."""
CLOCK_RATE = 2e9
"""Cycles a second of a GPU, about; only for how long the queue is kept busy."""
BLOCK = 3e-3
"""Seconds of a block; short calls are repeated within one."""
LONG = 20e-3
"""Seconds of a call beyond which its tensors are larger than any cache."""
MOST_CALLS = 1000
LEAST_ROUNDS, MOST_ROUNDS = 7, 300


class Times(NamedTuple):
    """Percentiles over blocks of the time of one call, in microseconds; blocks, and calls in each."""

    p20_us: float
    p50_us: float
    p80_us: float
    blocks: int
    calls: int


class Clock(Protocol):
    """What times a block."""

    repeats: bool
    """Whether short calls are repeated within a block."""

    def block(self, call: Callable[[], Any], calls: int) -> float:
        """Seconds of one of `calls` calls in a row."""


class CPUClock:
    """Wall-clock time, with caches as the call itself leaves them."""

    repeats = True

    def block(self, call: Callable[[], Any], calls: int) -> float:
        """Seconds of one of `calls` calls in a row; where caches matter, after one that is not timed."""
        begin = time.perf_counter()
        call()
        once = time.perf_counter() - begin
        if calls == 1 and once > LONG:
            return once
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - begin) / calls


class GPUClock:
    """Event time on a device with a cold L2 cache; `device_time` hides the host."""

    def __init__(self, device: torch.device, device_time: bool) -> None:
        self.device = device
        self.repeats = not device_time
        self.junk = torch.empty(FLUSHED, dtype=torch.int8, device=device)
        self.host_seconds: dict[int, float] = {}

    def block(self, call: Callable[[], Any], calls: int) -> float:
        """Seconds of one of `calls` calls in a row."""
        torch.cuda.synchronize(self.device)
        self.junk.zero_()
        if self.repeats:
            torch.cuda.synchronize(self.device)  # or the host would get ahead of the first calls
        else:
            # A call that was slow to enqueue gets a longer start next time.
            ahead = min(1.5 * self.host_seconds.get(id(call), 1e-3), 0.02)
            _cuda._sleep(int(ahead * CLOCK_RATE))
        start, end = (_cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        self.host_seconds[id(call)] = time.perf_counter() - begin
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e-3 / calls


def take_turns(
    calls: Mapping[Any, Callable[[], Any]], clock: Clock, budget: float, least: int = LEAST_ROUNDS
) -> dict[Any, Times]:
    """Times of every call: rounds of one block each for `budget` seconds, but at least `least` rounds."""
    seconds: dict[Any, list[float]] = {key: [] for key in calls}
    with _no_garbage_collection():
        repeats = {key: _repeats(call, clock) for key, call in calls.items()}
        end = time.perf_counter() + budget
        for turn in itertools.count():
            if turn >= MOST_ROUNDS or (turn >= least and time.perf_counter() > end):
                break
            for key in rotated(list(calls), turn):
                seconds[key].append(clock.block(calls[key], repeats[key]))
    return {key: percentiles(values, repeats[key]) for key, values in seconds.items()}


def keep_memory() -> None:
    """Keeps glibc from handing freed memory back to the system until the process ends; else does nothing.

    Otherwise what one side frees decides whether the next one's tensors are mapped anew, page by page: a loss
    of 4096 x 101 took 0.7 or 1.7 ms depending on its neighbours. Above 32 MiB they are mapped anew anyway.
    """
    trim_threshold, mmap_threshold = -1, -3
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 32 * 2**20)
        libc.mallopt(trim_threshold, 2**30)


def percentiles(seconds: Sequence[float], calls: int = 1) -> Times:
    """From seconds of a call, block by block, to microseconds."""
    deciles = statistics.quantiles(seconds, n=10, method="inclusive")
    p20, p50, p80 = (1e6 * value for value in (deciles[1], statistics.median(seconds), deciles[7]))
    return Times(p20, p50, p80, len(seconds), calls)


def rotated(keys: list[Any], turn: int) -> list[Any]:
    """The order of a round: everybody comes first in turn, and after everybody."""
    start = turn % len(keys) if keys else 0
    return keys[start:] + keys[:start]


def _repeats(call: Callable[[], Any], clock: Clock) -> int:
    clock.block(call, 1)
    once = clock.block(call, 1)
    return min(max(round(BLOCK / max(once, 1e-9)), 1), MOST_CALLS) if clock.repeats else 1


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
