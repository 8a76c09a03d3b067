"""The last linear layer of a network, with what goes into it."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional


class LastLayer(NamedTuple):
    """features [..., D], and an `nn.Linear`'s weight [K, D] and bias [K] or None."""

    features: Tensor
    weight: Tensor
    bias: Tensor | None

    def logits(self) -> Tensor:
        """The logits [..., K], whole."""
        return functional.linear(*self)
