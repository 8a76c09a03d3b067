"""C51: learn the return's distribution; the target is the next one, shifted, shrunk, clipped and projected.

The weights of the paper's eq. 3.4 are printed swapped; here they are those of C51 itself (arXiv 1707.06887,
eq. 7).
"""

from torch import Tensor

from catzoo.kernels import c51_cross_entropy
from catzoo.losses.two_hot import TwoHot


class C51(TwoHot):
    """Categorical distributional RL (arXiv 1707.06887; 2403.03950, section 3.1).

    A scalar target is a distribution of one point, so `forward` and `encode` are Two-Hot's. `td` projects
    the next distribution; the greedy action and the TD error are taken on means. Arguments and errors as
    TwoHot's.
    """

    def _bellman_loss(
        self, chosen_BK: Tensor, next_BK: Tensor, reward_B: Tensor, discount_B: Tensor, target_B: Tensor
    ) -> Tensor:
        centers_K = self.support.centers_as(chosen_BK.dtype)
        return c51_cross_entropy(chosen_BK, next_BK, reward_B, discount_B, centers_K, backend=self.backend)
