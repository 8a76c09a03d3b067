"""Global state of torch, NumPy, Python and the process: as a run wants it, and afterwards as it was.

A program that calls `train` has settings and random streams of its own. Deterministic algorithms are its
wish, and stay on. Another thread that draws from the global streams while a run trains makes it another run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager


@contextmanager
def own_torch() -> Iterator[None]:
    """Tensors are float32 on the CPU unless said, and keep gradients; also decorates a function.

    Afterwards the default dtype and device, gradient, inference and autocast modes, the number of threads,
    the random streams and the working directory are as before.
    """
    import numpy as np
    import torch

    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    streams = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with ExitStack() as stack:
        stack.enter_context(chdir("."))  # environments go where their files are
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        try:
            torch.set_default_dtype(torch.float32)
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_num_threads(threads)
            random.setstate(streams[0])
            np.random.set_state(streams[1])
