"""Where a categorical head begins: a broad distribution over the bins whose mean is a given value.

A fresh head's logits are about equal, so that it says the middle of its support, wherever that is; a fresh
scalar head says 0.
"""

import torch
from torch import Tensor

SPREAD = 0.2
"""Standard deviation of the distribution in shares of all bins, where there is room for it."""
FLOOR = 1e-3
"""Probability that all bins share evenly: none is so unlikely that it could not be learned to be right."""


def initial_logits(centers: Tensor, value: float, spread: float = SPREAD) -> Tensor:
    """Logits [K], of mean 0, over bin centers [K] in ascending order; their softmax has the mean `value`.

    The distribution is a Gaussian over the bins as they follow each other, however wide they are, moved
    until its mean is right, with a floor under it. A value that no distribution with that floor has, within a
    bin of the ends, is met as closely as it can be: 0.0005 of the range from the outermost center.
    """
    centers = centers.double().cpu()
    share = (centers - value) / (centers[-1] - centers[0])
    place = _place(centers, value)
    wanted = -FLOOR * share.mean() / (1 - FLOOR)  # of the Gaussian, so that with the floor it is 0

    def gaussian(tilt: float) -> Tensor:
        return torch.softmax(tilt * place - 0.5 * (place / spread) ** 2, -1)

    low, high = -1e6, 1e6
    for _ in range(100):  # the mean grows with the tilt
        tilt = (low + high) / 2
        below = bool((gaussian(tilt) * share).sum() < wanted)
        low, high = (tilt, high) if below else (low, tilt)
    logits = ((1 - FLOOR) * gaussian(high) + FLOOR / len(centers)).log()
    return (logits - logits.mean()).float()


def _place(centers: Tensor, value: float) -> Tensor:
    """How far [K] each bin is from the value, in shares of all bins; beyond the ends as the last two are."""
    bins = torch.arange(len(centers), dtype=torch.float64, device="cpu")
    below = int(torch.searchsorted(centers[1:-1], centers.new_tensor(value), right=True))
    low, high = float(centers[below]), float(centers[below + 1])
    return (bins - below - (value - low) / (high - low)) / (len(centers) - 1)
