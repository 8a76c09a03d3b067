"""Rules, targets and batches that every fused backend is tried with, on the default device."""

from typing import Any

import torch
from torch import Tensor

from catzoo.kernels import (
    Bins,
    GaussianLabel,
    GivenLabel,
    NextDistribution,
    ProjectedLabel,
    TwoHotLabel,
    reference,
)

UNEVEN = Bins.uneven([x * abs(x) / 260.1 for x in range(-51, 52, 2)])
EDGE_CASES = [-10.0, 10.0, 0.0, -9.999999, 9.999999, 10.5, -1e30, 1e30, 3e38]


def gaussian(num_bins: int, ratio: float = 0.75, **options: Any) -> GaussianLabel:
    return GaussianLabel(Bins(-10, 10, num_bins), ratio * 20 / num_bins, **options)


RULES = {
    "hl_gauss": gaussian,
    "narrow": lambda k: gaussian(k, 0.3),
    "spike": lambda k: gaussian(k, 0.05),
    "window of 32": lambda k: gaussian(k, 2.0),
    "all bins": lambda k: gaussian(k, 6.0),
    "erfc": lambda k: gaussian(k, method="erfc"),
    "unclamped": lambda k: gaussian(k, clamp=(-100.0, 13.0)),
    "clamped inside": lambda k: gaussian(k, clamp=(-7.0, 6.5)),
    "two_hot": lambda k: TwoHotLabel(Bins.centered(-10, 10, k)),
    "c51": lambda k: ProjectedLabel(Bins.centered(-10, 10, k)),
    "given": lambda k: GivenLabel(),
}
TD_RULES = {
    "hl_gauss": gaussian(51),
    "narrow": gaussian(33, 0.3),
    "all bins": gaussian(51, 6.0),
    "two_hot": TwoHotLabel(Bins.centered(-10, 10, 51)),
    "c51": ProjectedLabel(Bins.centered(-10, 10, 51)),
    "uneven": GaussianLabel(UNEVEN, 0.3),
    "uneven two_hot": TwoHotLabel(UNEVEN),
}


def targets(n: int, generator: torch.Generator) -> Tensor:
    """Inside, outside, on both ends, on edges."""
    values = 24 * torch.rand(n, generator=generator) - 12
    some = min(n, len(EDGE_CASES))
    values[:some] = torch.tensor(EDGE_CASES[:some])
    return values


def case(rule: Any, num_bins: int, n: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Any, Tensor]:
    """Logits [n, K], a target, and its exact label [n, K] in float64."""
    device = torch.get_default_device()
    generator = torch.Generator(device).manual_seed(n)
    logits = (3 * torch.randn(n, num_bins, generator=generator)).to(dtype)
    value = targets(n, generator)
    if isinstance(rule, GivenLabel):
        label = torch.randn(n, num_bins, generator=generator).softmax(-1)
        return logits, label, label.double()
    edges, centers = (
        make(torch.float64, device) for make in (rule.bins.edge_tensor, rule.bins.center_tensor)
    )
    if isinstance(rule, GaussianLabel):
        clamped = value.double().clamp(*rule.value_range)
        return logits, value, reference.hl_gauss_label(clamped, edges, rule.sigma)
    if isinstance(rule, TwoHotLabel):
        return logits, value, reference.two_hot_label(value.double(), centers)
    next_logits = (3 * torch.randn(n, num_bins, generator=generator)).to(dtype)
    discount = torch.tensor([0.99, 0.0, 1.0, 0.5, 0.05, 1e-4, -0.9])[torch.arange(n) % 7]
    value[0] = 0.0
    atoms = value.double()[:, None] + discount.double()[:, None] * centers
    label = reference.c51_projection(next_logits.double().softmax(-1), atoms, centers)
    return logits, NextDistribution(next_logits, value, discount), label


def laid_out(x: Tensor, layout: str) -> Tensor:
    """The same numbers [12, ...], or some of them, in another layout."""
    make = {
        "transposed": lambda x: x.T.contiguous().T if x.ndim == 2 else x,
        "every second": lambda x: (
            x.repeat_interleave(2, 0).repeat_interleave(2, -1)[::2, ::2] if x.ndim == 2 else x
        ),
        "expanded": lambda x: x[:1].expand_as(x),
        "leading": lambda x: x.reshape(3, 4, *x.shape[1:]),
        "swapped": lambda x: x.reshape(3, 4, *x.shape[1:]).transpose(0, 1),
        "empty": lambda x: x[:0],
    }[layout]
    return make(x)


LAYOUTS = ["transposed", "every second", "expanded", "leading", "swapped", "empty"]


def td_inputs(rule: Any, actions: int, batch: int = 9) -> dict[str, Any]:
    generator = torch.Generator(torch.get_default_device()).manual_seed(actions)
    shape = (batch, actions, rule.bins.num_bins)
    return {
        "outputs": 3 * torch.randn(shape, generator=generator),
        "action": torch.randint(actions, (batch,), generator=generator),
        "next_outputs": 3 * torch.randn(shape, generator=generator),
        "reward": 12 * torch.randn(batch, generator=generator),
        "discount": 0.99 * (torch.arange(batch) % 4 != 0).float(),
        "rule": rule,
    }


def in_float64(inputs: dict[str, Any]) -> dict[str, Any]:
    """The same in float64."""
    return {
        key: x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for key, x in inputs.items()
    }
