"""Every Triton kernel against float64: odd shapes, dtypes, edge targets, NaN."""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catzoo import kernels
from catzoo.kernels import (
    Bins,
    GaussianLabel,
    NextDistribution,
    ProjectedLabel,
    TwoHotLabel,
    reference,
    triton_path,
)
from kernel_cases_for_tests import (
    LAYOUTS,
    RULES,
    TD_RULES,
    UNEVEN,
    case,
    gaussian,
    in_float64,
    laid_out,
    td_inputs,
)

INTERPRETED = not torch.cuda.is_available()
DEVICE = torch.device("cpu") if INTERPRETED else torch.device("cuda", 0)
BAD = (math.nan, math.inf, -math.inf)


def check(rule: Any, num_bins: int, n: int, dtype: torch.dtype = torch.float32) -> None:
    logits, target, label = case(rule, num_bins, n, dtype)
    loss, grad = kernels.loss_and_grad(logits, target, rule, backend="triton")
    expected = reference.cross_entropy(logits.double(), label)
    expected_grad = logits.double().softmax(-1) - label
    assert loss.dtype == torch.float32
    assert grad.dtype == dtype
    assert torch.allclose(loss.double(), expected, rtol=1e-5, atol=1e-5)
    # The interpreter truncates to half precision where a GPU rounds: one unit in the last place.
    unit = {torch.float32: 0.0, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}[dtype]
    error = (grad.double() - expected_grad).abs()
    assert (error <= 1e-5 + unit * expected_grad.abs()).all(), error.max()


@pytest.mark.parametrize("num_bins", [2, 3, 8, 9, 51, 64, 65, 101, 128, 255, 257, 1024])
@pytest.mark.parametrize("name", RULES)
def test_every_label_and_width(name: str, num_bins: int) -> None:
    check(RULES[name](num_bins), num_bins, 11)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", RULES)
def test_half_precision_logits(name: str, dtype: torch.dtype) -> None:
    check(RULES[name](101), 101, 9, dtype)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 33])
def test_rows_that_fill_no_tile(n: int) -> None:
    check(gaussian(51), 51, n)
    check(ProjectedLabel(Bins.centered(-10, 10, 51)), 51, n)


@pytest.mark.parametrize(
    "rule", [GaussianLabel(UNEVEN, 0.3), GaussianLabel(UNEVEN, 0.3, (-99, 99)), TwoHotLabel(UNEVEN)]
)
def test_uneven_bins(rule: Any) -> None:
    check(rule, UNEVEN.num_bins, 33)


@pytest.mark.parametrize("low", [-1000.0, 0.0, 123.456, 5e4])
def test_a_support_far_from_zero(low: float) -> None:
    bins = Bins(low, low + 20, 101)
    value = (low + 20 * torch.rand(32)).float()
    logits = torch.randn(32, 101)
    rule = GaussianLabel(bins, 0.15)
    _, grad = kernels.loss_and_grad(logits, value, rule, backend="triton")
    edges = bins.edge_tensor(torch.float64, DEVICE)
    label = reference.hl_gauss_label(value.double().clamp(low, low + 20), edges, 0.15)
    assert (grad.double() - (logits.double().softmax(-1) - label)).abs().max() < 1e-5


@pytest.mark.parametrize("num_bins", [3, 51, 255, 1024])
@pytest.mark.parametrize("low", [-10.0, 2e5])
def test_targets_on_centers_and_a_hair_beside(low: float, num_bins: int) -> None:
    """Where rounding decides in which bin a target is; a two-hot label has the steepest sides."""
    bins = Bins.centered(low, low + 20, num_bins)
    on = bins.center_tensor(torch.float32, DEVICE)
    if INTERPRETED:  # a row at a time
        on = on[torch.linspace(0, num_bins - 1, min(num_bins, 48)).round().long()]
    for y in (on, on.nextafter(on + 1), on.nextafter(on - 1)):
        _, grad = kernels.loss_and_grad(torch.zeros(len(y), num_bins), y, TwoHotLabel(bins), backend="triton")
        label = 1 / num_bins - grad.double()
        exact = reference.two_hot_label(y.double(), bins.center_tensor(torch.float64, DEVICE))
        assert (label - exact).abs().max() < 1e-5
        assert label.min() > -1e-6


def test_an_action_that_does_not_exist_is_nan() -> None:
    inputs: dict[str, Any] = td_inputs(gaussian(51), 3)
    inputs["action"] = torch.tensor([0, 3, -1, 2, 1, 0, 0, 0, 0])
    step = kernels.categorical_td(**inputs, backend="triton")
    assert step.loss.isnan().nonzero().flatten().tolist() == [1, 2]


@given(
    values=st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=16),
    num_bins=st.integers(2, 300),
    ratio=st.floats(1e-3, 10),
)
@settings(max_examples=20, deadline=None)
def test_the_gradient_sums_to_zero_and_is_that_of_the_clamped_target(
    values: list[float], num_bins: int, ratio: float
) -> None:
    rule, y, logits = gaussian(num_bins, ratio), torch.tensor(values), torch.zeros(len(values), num_bins)
    _, grad = kernels.loss_and_grad(logits, y, rule, backend="triton")
    _, same = kernels.loss_and_grad(logits, y.clamp(-10, 10), rule, backend="triton")
    assert grad.double().sum(-1).abs().max() < 3e-6
    assert torch.equal(grad, same)
    label = 1 / num_bins - grad.double()
    assert label.min() > -1e-6


@pytest.mark.parametrize("sigmas", [6, 13, 40, 1000])
def test_unclamped_targets_far_outside(sigmas: int) -> None:
    sigma = 0.75 * 20 / 51
    rule = GaussianLabel(Bins(-10, 10, 51), sigma, (-math.inf, math.inf))
    y = torch.tensor([10 + sigmas * sigma, -10 - sigmas * sigma])
    loss, grad = kernels.loss_and_grad(torch.zeros(2, 51), y, rule, backend="triton")
    label = reference.hl_gauss_label(y.double(), rule.bins.edge_tensor(torch.float64, DEVICE), sigma)
    assert loss.isfinite().all()
    assert (grad.double() - (1 / 51 - label)).abs().max() < 1e-5


@pytest.mark.parametrize("name", RULES)
def test_a_bad_number_spoils_its_row_and_no_other(name: str) -> None:
    """Every second row has one, in a bin or in a part of the target."""
    rule = RULES[name](101)
    logits, target, _ = case(rule, 101, 19)
    spoilt = list(range(1, 18, 2))
    for row, (bad, spoilt_bin) in zip(spoilt, itertools.product(BAD, (0, 50, 100)), strict=True):
        logits[row, spoilt_bin] = bad
    loss, grad = kernels.loss_and_grad(logits, target, rule, backend="triton")
    assert loss.isnan().nonzero().flatten().tolist() == spoilt
    assert grad.isnan().any(-1).nonzero().flatten().tolist() == spoilt
    if name == "given":
        return
    logits, target, _ = case(rule, 101, 19)
    parts = target if isinstance(target, NextDistribution) else (target,)
    spoilt = list(range(1, 6 * len(parts), 2))
    for row, (part, bad) in zip(spoilt, itertools.product(parts, BAD), strict=True):
        part[row, ...] = bad
    loss, grad = kernels.loss_and_grad(logits, target, rule, backend="triton")
    assert loss.isnan().nonzero().flatten().tolist() == spoilt
    assert grad.isnan().any(-1).nonzero().flatten().tolist() == spoilt


@pytest.mark.parametrize("name", RULES)
def test_weights(name: str) -> None:
    rule = RULES[name](51)
    logits, target, _ = case(rule, 51, 9)
    loss, grad = kernels.loss_and_grad(logits, target, rule, backend="triton")
    logits[2] = math.nan
    weight = torch.linspace(-1, 2, 9)
    weight[2] = 0
    weighted, weighted_grad = kernels.loss_and_grad(logits, target, rule, weight=weight, backend="triton")
    rows = torch.arange(9) != 2
    assert torch.allclose(weighted[rows], (loss * weight)[rows], rtol=1e-5)
    assert torch.allclose(weighted_grad[rows], (grad * weight[:, None])[rows], atol=1e-6)
    assert weighted[2] == 0
    assert torch.equal(weighted_grad[2], torch.zeros(51))


@pytest.mark.parametrize("size", [1e3, 1e6, 1e8, 1e9, 3e9, 1e12, 1e30, 1e37])
def test_large_logits_stay_right(size: float) -> None:
    """Also those so far apart that an exponential of the distance is none."""
    logits, target, label = case(gaussian(101), 101, 9)
    logits = (logits - logits.mean()) * size
    logits[1] = logits[1].abs()
    logits[2] = -logits[1]
    loss, grad = kernels.loss_and_grad(logits, target, gaussian(101), backend="triton")
    expected = reference.cross_entropy(logits.double(), label)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grad.double(), logits.double().softmax(-1) - label, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [-1e30, torch.finfo(torch.float32).min, torch.finfo(torch.bfloat16).min])
def test_bins_that_are_masked_by_a_large_number(masked: float) -> None:
    rule = gaussian(51)
    logits, target, label = case(rule, 51, 9)
    logits[:, ::7] = masked
    loss, grad = kernels.loss_and_grad(logits, target, rule, backend="triton")
    expected = reference.cross_entropy(logits.double(), label)  # enormous where the label has a masked bin
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grad.double(), logits.double().softmax(-1) - label, rtol=1e-5, atol=1e-5)
    value = kernels.categorical_value(logits, rule.bins, backend="triton")
    centers = rule.bins.center_tensor(torch.float64, DEVICE)
    torch.testing.assert_close(value.double(), logits.double().softmax(-1) @ centers, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["hl_gauss", "c51", "given"])
def test_strides_and_leading_dimensions(name: str, layout: str) -> None:
    rule = RULES[name](51)
    logits, target, _ = case(rule, 51, 12)
    view, is_next = laid_out(logits, layout), isinstance(target, NextDistribution)
    goal = NextDistribution(*(laid_out(x, layout) for x in target)) if is_next else laid_out(target, layout)
    loss, grad = kernels.loss_and_grad(view, goal, rule, backend="triton")
    plain = (
        NextDistribution(*(x.contiguous() for x in goal)) if isinstance(goal, tuple) else goal.contiguous()
    )
    expected, expected_grad = kernels.loss_and_grad(view.contiguous(), plain, rule, backend="torch")
    assert loss.shape == view.shape[:-1]
    assert torch.allclose(loss, expected, rtol=1e-5, atol=1e-5)
    assert torch.allclose(grad, expected_grad, atol=1e-5)


# Every rule with every number of actions, and both ways of choosing the next one with each of these.
STEPS = [
    (name, actions, bool((i + j) % 2))
    for i, name in enumerate(TD_RULES)
    for j, actions in enumerate([1, 2, 6, 18, 33])
]


@pytest.mark.parametrize(("name", "actions", "double"), STEPS)
def test_bellman_step(name: str, actions: int, double: bool) -> None:
    inputs: dict[str, Any] = td_inputs(TD_RULES[name], actions, 6)
    if double:
        inputs["next_online_outputs"] = inputs["next_outputs"].flip(0)
    inputs["weight"] = torch.linspace(0, 1, 6)
    inputs["reward"][2] = 30.0  # above every support
    step, grad = kernels.categorical_td_and_grad(**inputs, backend="triton")
    expected, expected_grad = kernels.categorical_td_and_grad(**in_float64(inputs), backend="torch")
    assert torch.allclose(step.loss.double(), expected.loss, rtol=1e-5, atol=1e-5)
    assert torch.allclose(step.td_error.double(), expected.td_error, atol=1e-5)
    assert torch.equal(step.clipped, expected.clipped)
    assert step.clipped.any()
    assert (grad.double() - expected_grad).abs().max() < 1e-5


@pytest.mark.parametrize("name", TD_RULES)
def test_bad_numbers_in_a_bellman_step(name: str) -> None:
    """Three of four rows have one: spoilt are the loss and the gradient of these rows, and no other's."""
    inputs: dict[str, Any] = td_inputs(TD_RULES[name], 3, 21)
    inputs["next_online_outputs"] = inputs["next_outputs"].flip(0)
    places = ["outputs", "next_outputs", "next_online_outputs", "reward", "discount"]
    spoilt = [row for row in range(21) if row % 4]
    for row, (where, bad) in zip(spoilt, itertools.product(places, BAD), strict=True):
        if where == "outputs":
            inputs[where][row, inputs["action"][row], 7] = bad
        elif where == "next_outputs":
            inputs[where][row, :, 7] = bad
        elif where == "next_online_outputs":
            inputs[where][row, 1, 7] = bad
        else:
            inputs[where][row] = bad
    step, grad = kernels.categorical_td_and_grad(**inputs, backend="triton")
    assert step.loss.isnan().nonzero().flatten().tolist() == spoilt
    assert grad.isnan().flatten(1).any(1).nonzero().flatten().tolist() == spoilt


def test_bellman_step_in_torchrl_layout() -> None:
    """[B, atoms, actions], handed over as a transposed view; the gradient comes in the same layout."""
    inputs: dict[str, Any] = td_inputs(gaussian(51), 4)
    _, expected = kernels.categorical_td_and_grad(**inputs, backend="triton")
    for key in ("outputs", "next_outputs"):
        inputs[key] = inputs[key].transpose(1, 2).contiguous().transpose(1, 2)
    _, grad = kernels.categorical_td_and_grad(**inputs, backend="triton")
    assert grad.stride() == inputs["outputs"].stride()
    assert torch.equal(grad, expected)


def test_value_and_greedy_action() -> None:
    for bins in (Bins(-10, 10, 51), Bins(5, 6, 255), UNEVEN):
        logits = 3 * torch.randn(7, 5, bins.num_bins)
        value = kernels.categorical_value(logits, bins, backend="triton")
        exact = reference.categorical_value(logits.double(), bins.center_tensor(torch.float64, DEVICE))
        assert (value.double() - exact).abs().max() < 1e-5
        assert torch.equal(kernels.greedy_action(logits, bins, backend="triton"), exact.argmax(-1))
    spoilt = torch.zeros(3, 51)
    spoilt[:, 4] = torch.tensor([math.nan, math.inf, -math.inf])
    assert kernels.categorical_value(spoilt, Bins(-10, 10, 51), backend="triton").isnan().all()


def test_huge_centers_of_both_signs_cancel() -> None:
    edges = torch.linspace(-20, 20, 256, dtype=torch.float64)
    bins = Bins.uneven((edges.sign() * edges.abs().expm1()).tolist())
    logits = torch.zeros(2, 255)
    logits[1, 127:140] = 3.0
    exact = reference.categorical_value(logits.double(), bins.center_tensor(torch.float64, DEVICE))
    value = kernels.categorical_value(logits, bins, backend="triton")
    assert (value.double() - exact).abs().max() < 1e-3
    assert abs(float(value[0])) < 1e-3


def test_greedy_action_takes_the_first_of_equals_and_a_nan_before_all() -> None:
    logits = torch.zeros(2, 40, 51)
    assert kernels.greedy_action(logits, Bins(-10, 10, 51), backend="triton").tolist() == [0, 0]
    logits[0, 37, 3] = math.nan
    logits[1, [5, 35], 50] = 9.0
    assert kernels.greedy_action(logits, Bins(-10, 10, 51), backend="triton").tolist() == [37, 5]


def test_hard_label() -> None:
    logits, label = torch.randn(9, 101), torch.randint(101, (9,))
    loss, grad = triton_path.hard_label_loss_and_grad(logits, label)
    assert torch.allclose(loss, torch.nn.functional.cross_entropy(logits, label, reduction="none"), atol=1e-5)
    assert torch.allclose(grad, logits.softmax(-1) - torch.eye(101)[label], atol=1e-6)
