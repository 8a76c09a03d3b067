"""symlog and its inverse, symexp: a logarithm for numbers of both signs (Hafner et al. 2023, DreamerV3).

Near zero they change nothing; a value of 1,000 is 6.9 in symlog, and -1,000 is -6.9.
"""

import torch
from torch import Tensor


def symlog(value: Tensor) -> Tensor:
    """sign(value) log(1 + |value|) [...] of values [...]."""
    return torch.sign(value) * torch.log1p(value.abs())


def symexp(place: Tensor) -> Tensor:
    """sign(place) (exp(|place|) - 1) [...] of places [...] on symlog's axis."""
    return torch.sign(place) * torch.expm1(place.abs())
