"""Shared by all tests.

A machine with a GPU and little else must still run the tests of `kernels` and `losses`, so nothing but
torch is imported at the top, and the rooms above and the TorchRL adapters are left out where their packages
are missing.
"""

import gc
import os
import signal
from importlib.util import find_spec

import catzoo  # noqa: F401 — before torch, whose threads wait as it says

# isort: split
import pytest
import torch

COMPLETE = find_spec("torchrl") and find_spec("gymnasium")
collect_ignore = [] if COMPLETE else ["agents", "zoo", "losses/torchrl", "faults", "hparams"]
if os.environ.get("TRITON_INTERPRET") != "1" and not torch.cuda.is_available():
    collect_ignore.append("kernels/device")  # `kernels/test_triton.py` runs it in Triton's interpreter


def pytest_collection_modifyitems(items):
    """Long files begin first; a plain `pytest` run leaves out what this machine cannot do."""
    items.sort(key=lambda item: "early" not in item.keywords)
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_works():
    """Shells start what runs in the background with SIGINT ignored; commands under test inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def at_the_bottom():
    """For texts that nest until recursion ends: what a collection finalizes down there fails."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def corridor():
    """Makes a vector of corridors: one length for each environment."""

    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    from environments_for_tests import Corridor

    def make(lengths=(5, 7), limit=None, mode=AutoresetMode.SAME_STEP):
        makers = [lambda n=n: Corridor(n, limit) for n in lengths]
        return SyncVectorEnv(makers, autoreset_mode=mode)

    return make
