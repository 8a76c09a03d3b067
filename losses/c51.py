"""C51: learn the return's distribution; the target is the next one, shifted, shrunk, clipped and projected.

The weights of the paper's eq. 3.4 are printed swapped; here they are those of C51 itself (arXiv 1707.06887,
eq. 7).
"""

from catzoo.kernels import Backend, ProjectedLabel, TwoHotLabel
from catzoo.losses.base import LabelLoss
from catzoo.losses.support import Align, Spacing, Support


class C51(LabelLoss):
    """Categorical distributional RL (arXiv 1707.06887; 2403.03950, section 3.1).

    A scalar target is a distribution of one point, so `forward` and `encode` are Two-Hot's. `td` projects
    the next distribution; the greedy action and the TD error are taken on means. Arguments and errors as
    TwoHot's.
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
        super().__init__(support, TwoHotLabel(support.bins), ProjectedLabel(support.bins), backend)
