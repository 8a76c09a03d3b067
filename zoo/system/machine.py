"""What of this machine a run may use, when it is not alone on it."""

from __future__ import annotations

import math
import os

PROCESS = 10**9
"""Bytes that a process needs beside its replay."""
WORKERS = "CATZOO_WORKERS"
"""Environment variable: runs that share the machine. Set for the processes of `train_many`."""


def cores() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> int:
    """Processor cores for this process: those it may run on, at most `OMP_NUM_THREADS` if that is set."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), int(threads)) if threads.isdigit() and int(threads) else cores()


def has_bf16() -> bool:
    """Whether the processor has bf16 arithmetic (AVX-512 BF16, AMX, or Arm's)."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            flags = {word for line in file if line.startswith(("flags", "Features")) for word in line.split()}
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def usable_memory() -> int:
    """Bytes of main memory that this process may fill.

    Replays fill slowly: of several runs each may count on its share of the whole only, however much is free
    when it begins.
    """
    import psutil  # takes longer than the rest of this file

    memory, limit = psutil.virtual_memory(), _container_limit()
    share = min(memory.total, limit) // workers()
    return max(int(min(memory.available, limit, share)) - PROCESS, 0)


def workers() -> int:
    """How many runs share this machine, this process one of them."""
    number = os.environ.get(WORKERS, "")
    return int(number) if number.isdigit() and int(number) else 1


def _container_limit() -> float:
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):  # none, or `max`
        return math.inf
