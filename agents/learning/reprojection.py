"""Re-projection: when a support moves, the heads' layers change so that decoded values stay where they were.

A new bin's logits are those of the old bins beside it: a linear map of the layer (`Moved.logits`), and of
Adam's moments. It is good for smooth distributions, and not for narrow ones, so that the layer is then
fitted to what the old distributions are over the new bins (`Moved.probs`), for some steps on states at hand.
Both are deterministic. On replayed states of trained agents that were not among those fitted to (HL-Gauss,
Two-Hot, C51 on CartPole; HL-Gauss, Rainbow + C51 on Breakout) a fourfold range moves decoded values by 0.03
to 0.08 of a new bin on average; the map alone by 0.12 to 1.2 (`zoo/results/README.md`).

PopArt (van Hasselt et al. 2016, arXiv 1602.07714) does this for one output, where the map alone is exact.

Legend: N states, F features, A actions, K bins before and K after.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from catzoo.agents.learning.adam import FusedAdam
from catzoo.agents.networks.heads import DuelingHead, LinearHead
from catzoo.losses import Support

DROP = 8.0
"""Nats by which a bin beyond the old support is less likely than its end: nobody has learned of it."""
STEPS = 200
"""Of the fit, with Adam, each on all states."""
LR = 1e-2
"""Of the fit, in nats a step where a feature is 1."""
FLOOR = 1e-6
"""Share of a fitted distribution that all bins divide evenly: no logit is fitted to minus infinity."""


class Moved:
    """From the bins of one support to as many of another."""

    def __init__(self, before: Support, after: Support) -> None:
        old_K, new_K = (support.grid(torch.float64, torch.device("cpu"))[1] for support in (before, after))
        old, new = before.bin_width, after.bin_width
        # In bins of the old support: 0 is its first center.
        place_K = ((new_K - old_K[0]) / old).clamp(0, len(old_K) - 1)
        self.logits = _hats(place_K[:, None] - torch.arange(len(old_K)))
        """[K, K]: a new bin's logits from the two old bins beside it, those of an end beyond it."""
        beyond_K = (new_K < old_K[0] - old / 2) | (new_K > old_K[-1] + old / 2)
        self.drop = DROP * beyond_K
        """[K], what is taken off them."""
        wide = max(old, new)
        hats_KK = _hats((new_K[:, None] - old_K.clamp(new_K[0], new_K[-1])) / wide)
        self.probs = hats_KK / hats_KK.sum(0)
        """[K, K]: an old bin's probability goes to the new bins around it, so that the mean stays."""

    def of_logits(self, tensor: Tensor, num_bins: int) -> Tensor:
        """A layer's weight [A x K, F], bias [A x K] or moment of Adam's, over the new bins."""
        map_KK = self.logits.to(tensor)
        return (map_KK @ tensor.view(-1, num_bins, tensor[0].numel())).view_as(tensor)

    def of_distribution(self, logits: Tensor) -> Tensor:
        """Probabilities [..., K] over the new bins, of logits [..., K] over the old ones."""
        return torch.softmax(logits.float(), -1) @ self.probs.T.to(logits.device, torch.float32)


def _hats(distance: Tensor) -> Tensor:
    """A triangle of height 1 over ±1."""
    return (1 - distance.abs()).clamp(min=0).double()


@torch.no_grad()
def reproject(
    head: LinearHead | DuelingHead, moved: Moved, features: Tensor, optimizers: Sequence[FusedAdam] = ()
) -> None:
    """Changes a head in place, so that features [N, F] decode as before; and its moments in `optimizers`."""
    wanted_NAK = moved.of_distribution(head(features))
    for part in head.parts:
        for name, parameter in part.linear.named_parameters():
            moments = [moment for adam in optimizers for moment in adam.moments(parameter)]
            for tensor in (parameter, *moments):
                tensor.copy_(moved.of_logits(tensor, part.shape[1]))
            if name == "bias" and part is head.parts[0]:  # an advantage's would cancel
                parameter -= moved.drop.to(parameter).repeat(part.shape[0])
    _fit(head, features, (1 - FLOOR) * wanted_NAK + FLOOR / wanted_NAK.shape[-1])


@torch.enable_grad()
def _fit(head: nn.Module, features: Tensor, wanted_NAK: Tensor) -> None:
    """Fits a head in evaluation mode to distributions, by their cross-entropy, which is convex."""
    means = [parameter for name, parameter in head.named_parameters() if not name.endswith("_sigma")]
    frozen = [parameter.requires_grad for parameter in means]
    for parameter in means:
        parameter.requires_grad_(True)
    adam = FusedAdam(means, lr=LR, eps=1e-8)
    for step in range(STEPS):
        adam.set_lr(LR * (1 - step / STEPS))
        loss = -(wanted_NAK * head(features).log_softmax(-1)).sum(-1).mean()
        adam.step(torch.autograd.grad(loss, means))
    for parameter, before in zip(means, frozen, strict=True):
        parameter.requires_grad_(before)
