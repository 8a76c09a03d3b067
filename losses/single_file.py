"""The losses once more, in as few lines as they can be read in, for `catzoo export losses`.

Each class stands on torch alone and can be copied out; a test holds it equal to the loss of its name. What
they leave out: kernels, uneven bins, initial outputs, pooling, and most checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catzoo.losses import LOSSES

HEAD = '''"""{title}, from Catzoo (MIT licence): value losses that classify (arXiv 2403.03950).

Shapes: B batch, A actions, K outputs per value; ... any leading dimensions. Losses are one number per sample.
Equal to Catzoo's own, which have more: fused kernels, uneven bins, initial outputs, pooling of ensembles.
Bins are float32 here: narrow ones far from zero (1,000 to 1,001) lose digits that Catzoo's keep.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
'''


class ValueLoss(nn.Module):
    """How K numbers represent a value, and how they are scored against a target."""

    num_outputs = 1

    @staticmethod
    def wide(outputs: Tensor) -> Tensor:
        """In float32 at least."""
        return outputs.to(torch.promote_types(outputs.dtype, torch.float32))

    @staticmethod
    def finite(target: Tensor) -> Tensor:
        """NaN in place of what is not finite."""
        return target + 0 * target

    def decode(self, outputs: Tensor) -> Tensor:
        """Outputs [..., K] to values [...]."""
        return self.wide(outputs).squeeze(-1)

    def score(self, outputs: Tensor, target: Tensor) -> Tensor:
        """What `forward` gives, of shapes that fit."""
        raise NotImplementedError

    def step(
        self, outputs: Tensor, next_outputs: Tensor, reward: Tensor, discount: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What `backup` gives, of shapes that fit."""
        with torch.no_grad():
            target = reward + discount * self.decode(next_outputs)
            error = target - self.decode(outputs)
        return self.score(outputs, target), error

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss [...] of outputs [..., K] against targets [...]."""
        self.check(outputs, target)
        return self.score(outputs, target)

    def backup(
        self,
        outputs: Tensor,
        next_outputs: Tensor,
        reward: Tensor,
        discount: Tensor,
        *,
        weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """A Bellman step between outputs [..., K] that are chosen already: loss [...] and TD error [...].

        reward, and discount = gamma^n (1 - terminated), [...]. weight [...] multiplies the loss.
        """
        self.check(outputs, next_outputs[..., 0], reward, discount, *([] if weight is None else [weight]))
        loss, error = self.step(outputs, next_outputs.detach(), reward, discount)
        return (loss if weight is None else loss * weight), error

    def td(
        self,
        outputs: Tensor,
        action: Tensor,
        next_outputs: Tensor,
        reward: Tensor,
        discount: Tensor,
        *,
        next_online_outputs: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The Bellman step of Q-learning: outputs [B, A, K], the rest [B]; loss and TD error [B].

        With next_online_outputs [B, A, K] those choose the next action: double Q-learning.
        """
        self.check(outputs[:, 0], action)
        rows = torch.arange(len(action), device=action.device)
        best = self.decode(next_outputs if next_online_outputs is None else next_online_outputs).argmax(-1)
        return self.backup(outputs[rows, action], next_outputs[rows, best], reward, discount, weight=weight)

    def check(self, outputs: Tensor, *others: Tensor) -> None:
        """Refuses outputs [..., K] and others [...] that do not fit: they would be broadcast."""
        for other in others:
            if outputs.shape != (*other.shape, self.num_outputs):
                raise ValueError(f"outputs {list(outputs.shape)} are not {[*other.shape, self.num_outputs]}")


class MSE(ValueLoss):
    """Squared error."""

    def score(self, outputs: Tensor, target: Tensor) -> Tensor:
        """See `ValueLoss`."""
        return (self.decode(outputs) - self.finite(target)) ** 2


class Huber(ValueLoss):
    """Squared near zero, linear beyond `delta`."""

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = delta

    def score(self, outputs: Tensor, target: Tensor) -> Tensor:
        """See `ValueLoss`."""
        error = self.decode(outputs) - self.finite(target)
        return F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=self.delta)


class Categorical(ValueLoss):
    """Logits over bins of equal width; a value is their mean, the loss cross-entropy to a label."""

    edges: Tensor
    centers: Tensor

    def __init__(
        self, v_min: float, v_max: float, num_bins: int, *, centers_on_ends: bool, padding: float = 0.0
    ) -> None:
        super().__init__()
        if not (v_min < v_max and num_bins >= 2):
            raise ValueError(f"v_min={v_min} must be below v_max={v_max}, and num_bins={num_bins} at least 2")
        self.num_outputs, self.v_min, self.v_max = num_bins, v_min, v_max
        self.width = (v_max - v_min + 2 * padding) / (num_bins - 1 if centers_on_ends else num_bins)
        first = v_min - padding - (self.width / 2 if centers_on_ends else 0)
        edges = first + self.width * torch.arange(num_bins + 1, dtype=torch.float64)
        self.register_buffer("edges", edges.float(), persistent=False)
        self.register_buffer("centers", (edges[1:] - self.width / 2).float(), persistent=False)

    def decode(self, outputs: Tensor) -> Tensor:
        """See `ValueLoss`; in float32."""
        return (outputs.float().softmax(-1) * self.centers).sum(-1)

    def encode(self, value: Tensor) -> Tensor:
        """The label [..., K] of values [...]."""
        raise NotImplementedError

    def inside(self, value: Tensor) -> Tensor:
        """Values [...] as [..., 1] within the range, NaN where they are not finite."""
        return self.finite(value).clamp(self.v_min, self.v_max).unsqueeze(-1)

    def score(self, outputs: Tensor, target: Tensor) -> Tensor:
        """See `ValueLoss`; in float32."""
        return -(self.encode(target.float()) * outputs.float().log_softmax(-1)).sum(-1)

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        # To another device, but not to bfloat16, which has steps of 1/32 at 10.
        exact = self.edges, self.centers
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.edges, self.centers = (one.to(self.edges.device) for one in exact)
        return self


class HLGauss(Categorical):
    """A Gaussian around the target, its mass in each bin (Imani & White 2018; arXiv 2403.03950, eq. 3.1).

    sigma is in units of value, sigma_ratio in bin widths. pad_sigmas=3 widens the range, so that values at
    its ends decode to themselves.
    """

    def __init__(
        self,
        v_min: float = -10.0,
        v_max: float = 10.0,
        num_bins: int = 51,
        *,
        sigma: float | None = None,
        sigma_ratio: float = 0.75,
        pad_sigmas: float = 0.0,
    ) -> None:
        if sigma is None:
            left = num_bins - 2 * pad_sigmas * sigma_ratio  # bins for the range itself
            if left <= 0:
                raise ValueError("num_bins must be at least 2, and padding leave the range a bin")
            sigma = sigma_ratio * (v_max - v_min) / left
        super().__init__(v_min, v_max, num_bins, centers_on_ends=False, padding=pad_sigmas * sigma)
        if sigma <= 0:
            raise ValueError(f"sigma={sigma} must be above 0")
        self.sigma = sigma

    def encode(self, value: Tensor) -> Tensor:
        """See `Categorical`."""
        value = self.inside(value)
        below: Tensor = torch.special.ndtr((self.edges - value) / self.sigma)
        return (below[..., 1:] - below[..., :-1]) / (below[..., -1:] - below[..., :1])


class TwoHot(Categorical):
    """The two nearest bins, so that their mean is the target."""

    def __init__(self, v_min: float = -10.0, v_max: float = 10.0, num_bins: int = 51) -> None:
        super().__init__(v_min, v_max, num_bins, centers_on_ends=True)

    def encode(self, value: Tensor) -> Tensor:
        """See `Categorical`."""
        value = self.inside(value)
        return (1 - (value - self.centers).abs() / self.width).clamp(min=0)


class C51(TwoHot):
    """The next distribution, moved and projected (Bellemare et al. 2017)."""

    def step(
        self, outputs: Tensor, next_outputs: Tensor, reward: Tensor, discount: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `ValueLoss`."""
        with torch.no_grad():
            moved = reward.unsqueeze(-1) + discount.unsqueeze(-1) * self.centers
            label = (next_outputs.float().softmax(-1).unsqueeze(-1) * self.encode(moved)).sum(-2)
            error = reward + discount * self.decode(next_outputs) - self.decode(outputs)
        return -(label * outputs.float().log_softmax(-1)).sum(-1), error


class OneHot(Categorical):
    """The nearest bin, between two the lower: the plainest label, biased by up to half a bin."""

    def __init__(self, v_min: float = -10.0, v_max: float = 10.0, num_bins: int = 51) -> None:
        super().__init__(v_min, v_max, num_bins, centers_on_ends=True)

    def encode(self, value: Tensor) -> Tensor:
        """See `Categorical`."""
        exact = value if value.device.type == "mps" else value.double()
        place = ((exact - self.v_min) / self.width - 0.5).ceil().clamp(0, self.num_outputs - 1)
        label = F.one_hot(place.nan_to_num().long(), self.num_outputs)
        return label + 0 * value.unsqueeze(-1)  # NaN where a value is not finite


class SoftmaxMSE(Categorical):
    """Squared error of the mean of a softmax: the paper's ablation."""

    def __init__(self, v_min: float = -10.0, v_max: float = 10.0, num_bins: int = 51) -> None:
        super().__init__(v_min, v_max, num_bins, centers_on_ends=True)

    def score(self, outputs: Tensor, target: Tensor) -> Tensor:
        """See `ValueLoss`."""
        return (self.decode(outputs) - self.finite(target)) ** 2


class QuantileRegression(ValueLoss):
    """Quantiles of the return by their Huber loss (Dabney et al. 2018)."""

    levels: Tensor

    def __init__(self, num_quantiles: int = 51, kappa: float = 1.0) -> None:
        super().__init__()
        if num_quantiles < 2:
            raise ValueError(f"num_quantiles={num_quantiles} must be at least 2")
        self.num_outputs, self.kappa = num_quantiles, kappa
        self.register_buffer("levels", (torch.arange(num_quantiles) + 0.5) / num_quantiles, persistent=False)

    def decode(self, outputs: Tensor) -> Tensor:
        """See `ValueLoss`."""
        return self.wide(outputs).mean(-1)

    def score(self, outputs: Tensor, target: Tensor) -> Tensor:
        """See `ValueLoss`."""
        return self._huber(outputs, target.unsqueeze(-1))

    def step(
        self, outputs: Tensor, next_outputs: Tensor, reward: Tensor, discount: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `ValueLoss`."""
        with torch.no_grad():
            points = reward.unsqueeze(-1) + discount.unsqueeze(-1) * next_outputs
            error = points.mean(-1) - self.decode(outputs)
        return self._huber(outputs, points), error

    def _huber(self, outputs: Tensor, points: Tensor) -> Tensor:
        outputs = self.wide(outputs)
        error = self.finite(points).to(outputs.dtype).unsqueeze(-2) - outputs.unsqueeze(-1)  # [..., K, J]
        huber = error.abs()
        if self.kappa > 0:
            huber = (
                F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=self.kappa) / self.kappa
            )
        return ((self.levels.unsqueeze(-1) - (error < 0).float()).abs() * huber).mean(-1).sum(-1)


SINGLE: dict[str, type[ValueLoss]] = {
    name: globals()[kind.__name__] for name, kind in LOSSES.items() if kind.__name__ in globals()
}
"""By the names of `catzoo.losses.LOSSES`: the class here that is called as the one there."""


def source_of(names: Sequence[str]) -> str:
    """The text of a file with these losses, which needs nothing but torch.

    Args:
        names: of `SINGLE`.
    """
    wanted = [kind for name in names for kind in SINGLE[name].__mro__ if kind.__module__ == __name__]
    ordered = sorted(set(wanted), key=lambda kind: inspect.getsourcelines(kind)[1])
    title = ", ".join(SINGLE[name].__name__ for name in names)
    return "\n\n".join([HEAD.format(title=title), *(inspect.getsource(kind) for kind in ordered)])
