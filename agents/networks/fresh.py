"""A network like another, at a new random start."""

from __future__ import annotations

import copy

from torch import nn


def fresh_copy(network: nn.Module) -> nn.Module:
    """A copy of a network with every layer initialised anew, from torch's global random stream.

    Layers are asked by `reset_parameters`, or `_reset_parameters`, as `nn.MultiheadAttention` calls it;
    parameters of a module that has neither keep their values.
    """
    fresh = copy.deepcopy(network)
    for parameter in fresh.parameters():  # the stream is dealt out in the order of memory
        parameter.data = parameter.data.contiguous()
    for module in reversed(list(fresh.modules())):  # parts before the whole, as they were built
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if reset is not None:
            reset()
    return fresh
