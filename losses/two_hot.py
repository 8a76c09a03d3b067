"""Two-Hot: a target shared between the two nearest bins so that its mean is exact.

The weights of the paper's eq. 3.2 are printed swapped; here the lower bin gets (z[i+1] - y) / (z[i+1] -
z[i]).
"""

from catzoo.kernels import Backend, TwoHotLabel
from catzoo.losses.base import LabelLoss
from catzoo.losses.support import Align, Spacing, Support


class TwoHot(LabelLoss):
    """Cross-entropy to the two-hot label of the target, clipped to the centers (arXiv 2403.03950, eq. 3.2).

    v_min and v_max are in units of value. Raises ValueError for a bad support or backend.
    """

    def __init__(
        self,
        v_min: float = -10.0,
        v_max: float = 10.0,
        num_bins: int = 51,
        align: Align = "centers",
        backend: Backend = "auto",
        spacing: Spacing = "uniform",
    ) -> None:
        support = Support(v_min, v_max, num_bins, align, spacing=spacing)
        super().__init__(support, TwoHotLabel(support.bins), backend=backend)
