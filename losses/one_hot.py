"""One-Hot: a target's nearest bin takes all, the plainest way to classify values.

The label's mean is the center of that bin, up to half a bin from the target: a bias that no amount of data
takes away, and that bootstrapping adds to itself. Two-Hot is the same without it.
"""

import torch
from torch import Tensor

from catzoo.kernels.check import check_tensor
from catzoo.kernels.numerics import nan_unless_finite, position_dtype
from catzoo.losses.two_hot import TwoHot


class OneHot(TwoHot):
    """Cross-entropy to the bin whose center is nearest to the target; between two it is the lower.

    Targets outside the support count as its end. Its loss is the kernels' two-hot one of a target at a
    center; its `td` decodes and scores in steps of their own. Arguments and errors as TwoHot's.
    """

    def encode(self, value: Tensor) -> Tensor:
        """The label [..., K] of a value [...]: 1 in the nearest bin."""
        return super().encode(self.nearest_center(value))

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The cross-entropy [...] of logits [..., K] against a target [...], in nats."""
        return super().forward(outputs, self.nearest_center(target))

    @torch.no_grad()
    def nearest_center(self, value: Tensor) -> Tensor:
        """The center [...] nearest to a value [...], NaN where that is not finite."""
        check_tensor("target", value)
        bins, exact = self.support.bins, position_dtype(value.device)
        dtype = torch.promote_types(value.dtype, torch.float32)  # in bfloat16 no number may be at the center
        if not bins.is_uniform:
            centers_K = bins.center_tensor(exact, value.device)
            middles = (centers_K[:-1] + centers_K[1:]) / 2
            nearest = centers_K[torch.searchsorted(middles, value.to(exact).contiguous())]
            return nan_unless_finite(nearest, value).to(dtype)
        position = (value.to(exact) - bins.edge_min) / bins.width
        center = bins.edge_min + bins.width * (position.ceil().clamp(1, bins.num_bins) - 0.5)
        return nan_unless_finite(center, value).to(dtype)
