"""What a program may have set in torch before it calls us, and a picture of all such state."""

import logging
import os
import random
import signal
import warnings
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def _default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def _deterministic_in_half():
    torch.use_deterministic_algorithms(True)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            yield
    finally:
        torch.use_deterministic_algorithms(False)


SETTINGS = {
    "float64": lambda: _default_dtype(torch.float64),
    "another default device": lambda: _default_device("meta"),
    "a device around": lambda: torch.device("meta"),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "deterministic, autocast": _deterministic_in_half,
}
"""By name, a context manager each."""


def state():
    """Global state that a library leaves alone; equal if it did."""
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "modes": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
        ),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "streams": (torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()),
        "warnings": list(warnings.filters),
        "levels": {name: logging.getLogger(name).level for name in ("", "lightning.pytorch", "torchrl")},
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
        "environment": dict(os.environ),
    }
