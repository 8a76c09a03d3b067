"""What one would write in plain PyTorch: the sides that ours are compared with.

The eager HL-Gauss is the paper's listing, `reference.hl_gauss_cross_entropy_as_printed`, in float32: on
half-precision logits it would place the bins' edges in half precision too.

Each Bellman step decodes, takes the best next action and forms the target, as everybody does. The C51
projection is not the reference's, whose terms are [B, K, K], but the usual one that adds into two neighbours.

Shapes: N rows, B batch, A actions, K bins.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from catzoo.kernels import reference
from catzoo.kernels.bench.tasks import V_MAX, V_MIN
from catzoo.kernels.rules import GaussianLabel, ProjectedLabel, ValueRule

Step = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(outputs [B, A, K], action [B], next outputs [B, A, K], reward [B], discount [B]) → loss, TD error [B]."""


def hl_gauss(logits: Tensor, value: Tensor, edges: Tensor, sigma: float) -> Tensor:
    """The paper's listing on logits [N, K], values [N] and edges [K+1] → losses [N]."""
    return reference.hl_gauss_cross_entropy_as_printed(logits.float(), value, edges, sigma)


def td_step(rule: ValueRule, device: torch.device) -> Step:
    """The eager Bellman step of a rule; its edges and centers are made once, as a module would keep them."""
    centers = rule.bins.center_tensor(torch.float32, device)
    edges = rule.bins.edge_tensor(torch.float32, device)

    def step(
        outputs: Tensor, action: Tensor, next_outputs: Tensor, reward: Tensor, discount: Tensor
    ) -> tuple[Tensor, Tensor]:
        chosen = _take(outputs, action)
        with torch.no_grad():
            best = reference.categorical_value(next_outputs, centers).max(dim=-1)
            target = reference.scalar_target(best.values, reward, discount)
            td_error = target - reference.categorical_value(chosen, centers)
        if isinstance(rule, GaussianLabel):
            loss = hl_gauss(chosen, target.clamp(V_MIN, V_MAX), edges, rule.sigma)
        elif isinstance(rule, ProjectedLabel):
            with torch.no_grad():
                probs = torch.softmax(_take(next_outputs, best.indices), dim=-1)
                label = project(probs, reward, discount, centers, rule.bins.width)
            loss = reference.cross_entropy(chosen, label)
        else:
            loss = reference.two_hot_td(chosen, target, centers)
        return loss, td_error

    return step


def project(probs: Tensor, reward: Tensor, discount: Tensor, centers: Tensor, width: float) -> Tensor:
    """The distribution probs [B, K] of reward + discount * centers, clipped, added to the nearest centers."""
    atoms = (reward[:, None] + discount[:, None] * centers).clamp(V_MIN, V_MAX)
    position = (atoms - V_MIN) / width
    low = position.floor().clamp(0, probs.shape[-1] - 2)
    share, low = position - low, low.long()
    label = torch.zeros_like(probs).scatter_add_(1, low, probs * (1 - share))
    return label.scatter_add_(1, low + 1, probs * share)


def _take(outputs_BAK: Tensor, action: Tensor) -> Tensor:
    return outputs_BAK[torch.arange(len(action), device=action.device), action]
