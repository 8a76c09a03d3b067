"""On a GPU as they are; elsewhere in the interpreter, in the process that `kernels/test_triton.py` starts.

Triton reads TRITON_INTERPRET when it is imported. Tensors are made on the device under test by default.
"""

import numpy as np
import pytest
import torch

INTERPRETED = not torch.cuda.is_available()
DEVICE = torch.device("cpu") if INTERPRETED else torch.device("cuda", 0)


def pytest_collection_modifyitems(items):
    if not INTERPRETED:
        for item in items:
            if "kernels/device" in str(item.path):
                item.add_marker(pytest.mark.gpu)


@pytest.fixture
def device():
    return DEVICE


@pytest.fixture(autouse=True)
def _default_device():
    with DEVICE:
        yield


@pytest.fixture(autouse=True, scope="session")
def _fused_multiply_add():
    """The interpreter rounds a fused multiply-add twice, a GPU once: float64 holds the product exactly."""
    if not INTERPRETED:
        return
    from triton.runtime import interpreter

    def fma(self, x, y, z):
        wide = x.data.astype(np.float64) * y.data.astype(np.float64) + z.data.astype(np.float64)
        return interpreter.TensorHandle(wide.astype(z.data.dtype), z.dtype.scalar)

    interpreter.InterpreterBuilder.create_fma = fma
