"""Periodic resets, which let a small amount of data be replayed many times.

Nikishin et al. 2022 (the primacy bias) and SR-SPR (D'Oro et al. 2023): the last layers begin anew, the
convolutions move part of the way to a fresh initialisation, and replay teaches both again.
"""

from __future__ import annotations

import torch
from torch import nn

from catzoo.agents.networks import fresh_copy


@torch.no_grad()
def reset_last_layers(network: nn.Module, keep: float) -> None:
    """Re-initialises a network in place.

    Args:
        network: its convolutions keep a share of their values, and take the rest from a fresh
            initialisation; everything else is replaced.
        keep: that share, in [0, 1].
    """
    fresh = fresh_copy(network)
    for own, new in zip(network.modules(), fresh.modules(), strict=True):
        share = keep if isinstance(own, nn.Conv2d) else 0.0
        new_parameters = dict(new.named_parameters(recurse=False))
        for name, parameter in own.named_parameters(recurse=False):
            parameter.lerp_(new_parameters[name], 1.0 - share)
