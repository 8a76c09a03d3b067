"""What is measured: random inputs, and in float64 what must come out of them.

Targets lie inside the support, so that every side computes the same.

Shapes: N rows, B batch, A actions, K bins, I rows looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from catzoo.kernels import Bins, functional, reference
from catzoo.kernels.bench.settings import DTYPES, Cell
from catzoo.kernels.rules import (
    GaussianLabel,
    GivenLabel,
    Method,
    NextDistribution,
    ProjectedLabel,
    Rule,
    Target,
    TwoHotLabel,
    ValueRule,
)

Pair = tuple[Tensor, Tensor]
"""Losses [N] and their summed gradient with respect to the logits."""

V_MIN, V_MAX = -10.0, 10.0
SIGMA_RATIO = 0.75
"""sigma / bin width, as in the paper (arXiv 2403.03950)."""
CHECKED = 4096
"""Rows whose loss and gradient are compared with float64; half at either end."""
DISCOUNT = 0.99
FEATURES = 256
"""What the layer of `linear` takes."""


class Inputs(NamedTuple):
    """logits [N, K], a leaf; values [N] in the support; ones [N], what backward is called with."""

    logits: Tensor
    value: Tensor
    ones: Tensor


@dataclass(frozen=True)
class LossTask:
    """The cross-entropy of logits [N, K] to the label of a target, and its gradient.

    rule is None for integer labels. passes: tensors of the logits' size that the job must read or write.
    """

    logits: Tensor
    ones: Tensor
    target: Target
    rule: Rule | None
    probs64: Callable[[Tensor], Tensor]
    """The label in float64 of the rows [I]."""
    passes: int = 2

    @property
    def needed_bytes(self) -> int:
        """What must be moved between memory and processor, at least."""
        return self.passes * self.logits.numel() * self.logits.element_size()

    def truth(self, rows: Tensor) -> Pair:
        """Loss [I] and gradient [I, K] of some rows, in float64 by the reference."""
        logits = self.logits.detach()[rows].double().requires_grad_()
        loss = reference.cross_entropy(logits, self.probs64(rows))
        return loss.detach(), torch.autograd.grad(loss.sum(), logits)[0]


@dataclass(frozen=True)
class TDTask:
    """The Bellman step on outputs [B, A, K], its TD error, and the gradient of its loss."""

    outputs: Tensor
    ones: Tensor
    action: Tensor
    next_outputs: Tensor
    reward: Tensor
    discount: Tensor
    rule: ValueRule

    needed_bytes = 0
    """Not asked: at these sizes launches decide."""

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As every Bellman step takes them."""
        return self.outputs, self.action, self.next_outputs, self.reward, self.discount

    def truth(self, rows: Tensor) -> Pair:
        """Loss [I] and gradient [I, A, K] of some rows, in float64 by the reference."""
        outputs = self.outputs.detach()[rows].double().requires_grad_()
        following, reward, discount = (
            x[rows].double() for x in (self.next_outputs, self.reward, self.discount)
        )
        chosen = outputs[torch.arange(len(rows), device=rows.device), self.action[rows]]
        centers = self.rule.bins.center_tensor(torch.float64, outputs.device)
        next_values = reference.categorical_value(following, centers)
        target = reference.scalar_target(next_values.amax(-1), reward, discount)
        if isinstance(self.rule, GaussianLabel):
            edges = self.rule.bins.edge_tensor(torch.float64, outputs.device)
            loss = reference.hl_gauss_td(chosen, target, edges, self.rule.sigma, V_MIN, V_MAX)
        elif isinstance(self.rule, TwoHotLabel):
            loss = reference.two_hot_td(chosen, target, centers)
        else:
            best = reference.greedy(following, next_values)
            loss = reference.c51_td(chosen, best, reward, discount, centers)
        return loss.detach(), torch.autograd.grad(loss.sum(), outputs)[0]


@dataclass(frozen=True)
class LinearTask:
    """The HL-Gauss loss of the logits that a layer makes of features [N, D], and its gradient by these.

    The gradients by the layer are made as well, and are not looked at.
    """

    features: Tensor
    ones: Tensor
    layer: torch.nn.Linear
    value: Tensor
    rule: GaussianLabel

    needed_bytes = 0
    """Not asked: the products decide."""

    def truth(self, rows: Tensor) -> Pair:
        """Loss [I] and gradient [I, D] of some rows, in float64 by the reference."""
        features = self.features.detach()[rows].double().requires_grad_()
        bias = None if self.layer.bias is None else self.layer.bias.double()
        logits = F.linear(features, self.layer.weight.double(), bias)
        edges = self.rule.bins.edge_tensor(torch.float64, features.device)
        label = reference.hl_gauss_label(self.value[rows].double(), edges, self.rule.sigma)
        loss = reference.cross_entropy(logits, label)
        return loss.detach(), torch.autograd.grad(loss.sum(), features)[0]


Task = LossTask | TDTask | LinearTask


def checked_rows(count: int, device: torch.device) -> Tensor:
    """Which of `count` rows are compared with float64: [I], all of them if they are few."""
    if count <= CHECKED:
        return torch.arange(count, device=device)
    half = torch.arange(CHECKED // 2, device=device)
    return torch.cat([half, half + count - CHECKED // 2])


def make_inputs(cell: Cell, device: torch.device) -> Inputs:
    """Random logits and values; the same ones every time."""
    generator = torch.Generator(device).manual_seed(0)
    shape, dtype = (cell.rows, cell.bins), DTYPES[cell.dtype]
    logits = torch.randn(shape, generator=generator, device=device, dtype=dtype).requires_grad_()
    value = torch.empty(cell.rows, device=device).uniform_(V_MIN, V_MAX, generator=generator)
    return Inputs(logits, value, torch.ones(cell.rows, device=device))


def make_linear_task(cell: Cell, device: torch.device) -> LinearTask:
    """Random features, and a fresh layer."""
    inputs = make_inputs(Cell(cell.part, cell.label, cell.rows, FEATURES, cell.dtype), device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        layer = torch.nn.Linear(FEATURES, cell.bins, device=device, dtype=inputs.logits.dtype)
    return LinearTask(inputs.logits, inputs.ones, layer, inputs.value, gaussian(cell.bins))


def make_td_task(cell: Cell, device: torch.device) -> TDTask:
    """A random batch; one sample in ten is terminal."""
    generator = torch.Generator(device).manual_seed(0)
    shape = (cell.rows, cell.actions, cell.bins)
    outputs, following = (torch.randn(shape, generator=generator, device=device) for _ in range(2))
    action = torch.randint(cell.actions, (cell.rows,), generator=generator, device=device)
    reward = torch.randn(cell.rows, generator=generator, device=device)
    alive = torch.rand(cell.rows, generator=generator, device=device) > 0.1
    ones = torch.ones(cell.rows, device=device)
    rule = td_rule(cell.label, cell.bins)
    return TDTask(outputs.requires_grad_(), ones, action, following, reward, DISCOUNT * alive, rule)


def td_rule(label: str, bins: int) -> ValueRule:
    """The rule of a Bellman step: HL-Gauss on edges, Two-Hot and C51 on centers, as the losses have it."""
    if label == "hl_gauss":
        return gaussian(bins)
    centered = Bins.centered(V_MIN, V_MAX, bins)
    return TwoHotLabel(centered) if label == "two_hot" else ProjectedLabel(centered)


def gaussian(bins: int | Bins, ratio: float = SIGMA_RATIO, method: Method = "auto") -> GaussianLabel:
    """The HL-Gauss rule with sigma so many (mean) bin widths."""
    bins = Bins(V_MIN, V_MAX, bins) if isinstance(bins, int) else bins
    return GaussianLabel(bins, ratio * bins.width, method=method)


def uneven_bins(bins: int) -> Bins:
    """Bins that widen away from 0 as symexp's do, over the same range."""
    steps = [math.log1p(V_MAX) * (2 * i / bins - 1) for i in range(bins + 1)]
    return Bins.uneven([math.copysign(math.expm1(abs(step)), step) for step in steps])


def hl_gauss_task(inputs: Inputs, rule: GaussianLabel) -> LossTask:
    """HL-Gauss with that rule."""
    edges = rule.bins.edge_tensor(torch.float64, inputs.value.device)
    return LossTask(
        inputs.logits, inputs.ones, inputs.value, rule,
        lambda rows: reference.hl_gauss_label(inputs.value[rows].double(), edges, rule.sigma),
    )  # fmt: skip


def hard_task(inputs: Inputs) -> LossTask:
    """An integer label a row: the bin that holds the value."""
    bins = inputs.logits.shape[-1]
    label = ((inputs.value - V_MIN) * (bins / (V_MAX - V_MIN))).long().clamp_(0, bins - 1)
    return LossTask(
        inputs.logits, inputs.ones, label, None, lambda rows: F.one_hot(label[rows], bins).double()
    )


def two_hot_task(inputs: Inputs) -> LossTask:
    """Two-Hot on centers."""
    bins = Bins.centered(V_MIN, V_MAX, inputs.logits.shape[-1])
    centers = bins.center_tensor(torch.float64, inputs.value.device)
    return LossTask(
        inputs.logits, inputs.ones, inputs.value, TwoHotLabel(bins),
        lambda rows: reference.two_hot_label(inputs.value[rows].double(), centers),
    )  # fmt: skip


def c51_task(inputs: Inputs) -> LossTask:
    """C51's projection of another distribution, which must be read as well."""
    bins = Bins.centered(V_MIN, V_MAX, inputs.logits.shape[-1])
    centers = bins.center_tensor(torch.float64, inputs.value.device)
    following = inputs.logits.detach().roll(1, 0)
    reward, discount = inputs.value / 10, DISCOUNT * inputs.ones

    def project(rows: Tensor) -> Tensor:
        probs = torch.softmax(following[rows].double(), dim=-1)
        atoms = reward[rows, None].double() + discount[rows, None].double() * centers
        return reference.c51_projection(probs, atoms, centers)

    return LossTask(
        inputs.logits, inputs.ones, NextDistribution(following, reward, discount), ProjectedLabel(bins),
        # Its terms are [I, K, K].
        lambda rows: torch.cat([project(some) for some in torch.split(rows, 256)]),
        passes=3,
    )  # fmt: skip


def given_task(inputs: Inputs) -> LossTask:
    """A label that is there already, in float32, and must be read as well."""
    label = functional.label(inputs.value, gaussian(inputs.logits.shape[-1]))
    return LossTask(
        inputs.logits, inputs.ones, label, GivenLabel(), lambda rows: label[rows].double(), passes=3
    )


def loss_task(label: str, inputs: Inputs) -> LossTask:
    """The task of one of `LOSS_LABELS`."""
    return LOSS_LABELS[label](inputs)


def _bins(inputs: Inputs) -> int:
    return inputs.logits.shape[-1]


LOSS_LABELS: dict[str, Callable[[Inputs], LossTask]] = {
    "hl_gauss": lambda inputs: hl_gauss_task(inputs, gaussian(_bins(inputs))),
    "hard": hard_task,
    "hl_gauss 0.25": lambda inputs: hl_gauss_task(inputs, gaussian(_bins(inputs), 0.25)),
    "hl_gauss 0.5": lambda inputs: hl_gauss_task(inputs, gaussian(_bins(inputs), 0.5)),
    "hl_gauss 1": lambda inputs: hl_gauss_task(inputs, gaussian(_bins(inputs), 1.0)),
    "hl_gauss 2": lambda inputs: hl_gauss_task(inputs, gaussian(_bins(inputs), 2.0)),
    "hl_gauss erfc": lambda inputs: hl_gauss_task(inputs, gaussian(_bins(inputs), method="erfc")),
    "hl_gauss uneven": lambda inputs: hl_gauss_task(inputs, gaussian(uneven_bins(_bins(inputs)))),
    "two_hot": two_hot_task,
    "c51": c51_task,
    "given": given_task,
}
"""`hl_gauss` has sigma 0.75 bin widths; a number is another ratio; `uneven` bins widen away from 0."""
