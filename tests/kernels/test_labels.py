"""Labels in float32: exactness, sums, clamping, limits; windows against whole labels."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from catzoo import kernels
from catzoo.kernels import (
    Bins,
    GaussianLabel,
    NextDistribution,
    ProjectedLabel,
    TwoHotLabel,
    labels,
    reference,
)

CPU = torch.device("cpu")
Make = Callable[[Tensor, int, float], Tensor]


def gauss_rule(num_bins: int, ratio: float, clamp: tuple[float, float] | None = None) -> GaussianLabel:
    return GaussianLabel(Bins(-10.0, 10.0, num_bins), ratio * 20 / num_bins, clamp)


def gauss(value: Tensor, num_bins: int, ratio: float) -> Tensor:
    return kernels.label(value, gauss_rule(num_bins, ratio))


def windowed(value: Tensor, num_bins: int, ratio: float) -> Tensor:
    """By a window wherever that saves time, which few bins or a wide Gaussian do not."""
    rule = gauss_rule(num_bins, ratio)
    probs_W, bins_W = labels.label_function(rule, torch.float32, CPU, windowed=True)(value)
    size = 2 * math.ceil(labels.WINDOW_SIGMAS * rule.sigma / rule.bins.width) + 1
    assert (bins_W is not None) == (labels.WORTH_A_WINDOW * size <= num_bins)
    assert probs_W.shape[-1] == (num_bins if bins_W is None else size)
    return labels.dense((probs_W, bins_W), num_bins)


@pytest.mark.parametrize("make", [gauss, windowed])
@pytest.mark.parametrize("num_bins", [2, 3, 51, 101, 255])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 2.0])
def test_gaussian_label_within_1e_6_inside(make: Make, num_bins: int, ratio: float) -> None:
    edges = torch.linspace(-10, 10, num_bins + 1, dtype=torch.float64)
    value = torch.cat((torch.linspace(-10, 10, 997), edges.float().clamp(-10, 10)))
    label = make(value, num_bins, ratio)
    expected = reference.hl_gauss_label(value.double(), edges, ratio * 20 / num_bins)
    assert label.dtype == torch.float32
    assert (label.double() - expected).abs().max() < 1e-6
    assert (label.sum(-1) - 1).abs().max() < 1e-6


def test_windows_are_used() -> None:
    for num_bins in (51, 101, 255):
        rule = gauss_rule(num_bins, 0.75)
        probs_W, bins_W = labels.label_function(rule, torch.float32, CPU, windowed=True)(torch.zeros(3))
        assert bins_W is not None
        assert probs_W.shape == bins_W.shape == (3, 9)


@given(
    value=st.floats(-(2.0**100), 2.0**100, width=32),
    num_bins=st.integers(2, 300),
    ratio=st.floats(1e-3, 10),
)
@settings(max_examples=150, deadline=None)
def test_gaussian_label_is_a_distribution_of_the_clamped_value(
    value: float, num_bins: int, ratio: float
) -> None:
    y = torch.tensor([value])
    whole, window = gauss(y, num_bins, ratio), windowed(y, num_bins, ratio)
    assert (whole >= 0).all()
    assert whole.sum().item() == pytest.approx(1, abs=2e-6)
    assert torch.equal(whole, gauss(y.clamp(-10, 10), num_bins, ratio))
    assert torch.allclose(whole, window, atol=1e-6)


@given(
    low=st.floats(-1000, 1000, width=32),
    width=st.floats(0.125, 1000, width=32),
    num_bins=st.integers(2, 255),
    share=st.floats(0, 1),
)
@settings(max_examples=150, deadline=None)
def test_gaussian_label_on_any_support(low: float, width: float, num_bins: int, share: float) -> None:
    """Against float64, with what float32 leaves of the target and of the ends of the clamp."""
    rule = GaussianLabel(Bins(low, low + width, num_bins), 0.75 * width / num_bins)
    y = torch.tensor([low + share * width])
    edges = rule.bins.edge_tensor(torch.float64, CPU)
    expected = reference.hl_gauss_label(y.clamp(low, low + width).double(), edges, rule.sigma)
    for windowed in (True, False):
        label = labels.label_function(rule, torch.float32, CPU, windowed=windowed)(y)
        assert (labels.dense(label, num_bins).double() - expected).abs().max() < 1e-6


@pytest.mark.parametrize("windowed", [False, True])
def test_a_float64_target_is_not_rounded(windowed: bool) -> None:
    """Near 10000 a float32 has steps of 1e-3, here a 20th of a bin."""
    rule = GaussianLabel(Bins(9999.0, 10001.0, 101), 0.75 * 2 / 101)
    value = torch.linspace(9999, 10001, 997, dtype=torch.float64)
    label = labels.label_function(rule, torch.float32, CPU, windowed=windowed)(value)
    expected = reference.hl_gauss_label(value, rule.bins.edge_tensor(torch.float64, CPU), rule.sigma)
    assert label[0].dtype == torch.float32
    assert (labels.dense(label, 101) - expected).abs().max() < 1e-6


@pytest.mark.parametrize("sigmas", [0, 1, 5.75, 6, 13, 40])
def test_targets_outside_count_as_the_end(sigmas: float) -> None:
    end = gauss(torch.tensor([10.0, -10.0]), 51, 0.75)
    beyond = 10 + sigmas * 0.75 * 20 / 51
    assert torch.equal(gauss(torch.tensor([beyond, -beyond]), 51, 0.75), end)
    assert torch.equal(gauss(torch.tensor([1e30, -1e30]), 51, 0.75), end)


@pytest.mark.parametrize("sigmas", [0, 1, 5.75, 6, 13, 40])
def test_unclamped_targets_outside_are_truncated(sigmas: float) -> None:
    beyond = 10 + sigmas * 0.75 * 20 / 51
    value = torch.tensor([beyond, -beyond])
    label = kernels.label(value, gauss_rule(51, 0.75, (-math.inf, math.inf)))
    edges = torch.linspace(-10, 10, 52, dtype=torch.float64)
    expected = reference.hl_gauss_label(value.double(), edges, 0.75 * 20 / 51)
    assert (label.double() - expected).abs().max() < 1e-7


@pytest.mark.parametrize("clamp", [None, (-2.0, 3.0), (-math.inf, math.inf)])
def test_gaussian_label_on_uneven_bins(clamp: tuple[float, float] | None) -> None:
    bins = Bins.uneven([-3.0, -1.0, -0.9, 0.0, 0.5, 5.0])
    value = torch.linspace(-4, 6, 101)
    label = kernels.label(value, GaussianLabel(bins, 0.4, clamp))
    edges = torch.tensor(bins.edges, dtype=torch.float64)
    expected = reference.hl_gauss_label(value.double().clamp(*(clamp or (-3.0, 5.0))), edges, 0.4)
    assert (label.double() - expected).abs().max() < 1e-6


def test_the_polynomial_refuses_what_it_cannot_do() -> None:
    bins = Bins.uneven([0.0, 1.0, 3.0])
    with pytest.raises(ValueError, match=r"^method='polynomial' needs equal bins, got uneven ones"):
        GaussianLabel(bins, 0.5, method="polynomial")
    with pytest.raises(ValueError, match=r"^method='polynomial' needs equal bins"):
        kernels.hl_gauss_cross_entropy(
            torch.zeros(1, 2), torch.zeros(1), bins, sigma=0.5, method="polynomial"
        )
    with pytest.raises(ValueError, match=r"^method='polynomial' needs a clamp inside the edges \[0, 3\]"):
        GaussianLabel(Bins(0.0, 3.0, 3), 0.5, (-math.inf, math.inf), "polynomial")


@pytest.mark.parametrize("sigma", [1e-3, 1e-30, 5e-324])
def test_sigma_to_zero_is_one_hot(sigma: float) -> None:
    rule = GaussianLabel(Bins(0.0, 4.0, 4), sigma)
    label = kernels.label(torch.tensor([-10.0, 0.5, 1.7, 4.0]), rule)
    assert torch.equal(label, torch.eye(4)[[0, 0, 1, 3]])
    on_an_edge = kernels.label(torch.tensor(2.0), rule)
    assert torch.allclose(on_an_edge, torch.tensor([0, 0.5, 0.5, 0]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("make", [gauss, windowed])
def test_gaussian_label_of_a_bad_value_is_nan(bad: float, make: Make) -> None:
    label = make(torch.tensor([bad, 0.0]), 51, 0.75)
    assert label[0].isnan().any()
    assert label[1].isfinite().all()


@pytest.mark.parametrize(
    ("ratio", "bias"), [(0.25, 9.3e-2), (0.5, 2.3e-3), (0.75, 4.8e-6), (1.0, 8.5e-10), (2.0, 1e-15)]
)
def test_decode_bias_inside(ratio: float, bias: float) -> None:
    """The largest |decoded - value| over one bin in the middle, in bin widths."""
    num_bins, width = 101, 20 / 101
    value = torch.linspace(-width / 2, width / 2, 2001, dtype=torch.float64)
    centers = torch.linspace(-10 + width / 2, 10 - width / 2, num_bins, dtype=torch.float64)
    decoded = (gauss(value, num_bins, ratio) * centers).sum(-1)
    worst = ((decoded - value).abs().max() / width).item()
    if bias < 1e-12:
        assert worst < 1e-13  # the sum's own rounding
    else:
        assert worst == pytest.approx(bias, rel=0.05)


@pytest.mark.parametrize(("sigmas_inside", "bias"), [(0, -0.69), (1, -0.25), (2, -0.05), (3, -0.004)])
def test_decode_bias_at_the_end(sigmas_inside: float, bias: float) -> None:
    num_bins, width = 51, 20 / 51
    value = torch.tensor(10 - sigmas_inside * 0.75 * width, dtype=torch.float64)
    centers = torch.linspace(-10 + width / 2, 10 - width / 2, num_bins, dtype=torch.float64)
    decoded = (gauss(value, num_bins, 0.75) * centers).sum(-1)
    assert ((decoded - value) / width).item() == pytest.approx(bias, rel=0.2)


def symlog_bins(num_bins: int) -> Bins:
    """Unequal spacing: a factor of 20000 between the widest and the narrowest."""
    even = [20 * i / (num_bins - 1) - 10 for i in range(num_bins)]
    centers = [math.copysign(math.expm1(abs(x)) / 1000, x) for x in even]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(centers)]
    return Bins.uneven([2 * centers[0] - middles[0], *middles, 2 * centers[-1] - middles[-1]], centers)


@given(
    value=st.floats(-12, 12, width=32),
    num_bins=st.integers(2, 300),
    symlog=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_two_hot_keeps_the_mean(value: float, num_bins: int, symlog: bool) -> None:
    bins = symlog_bins(num_bins) if symlog else Bins.centered(-10, 10, num_bins)
    label = kernels.label(torch.tensor([value]), TwoHotLabel(bins))
    centers = bins.center_tensor(torch.float64, CPU)
    clipped = min(max(value, centers[0].item()), centers[-1].item())
    assert (label >= 0).all()
    assert (label > 0).sum() <= 2
    assert label.sum().item() == pytest.approx(1, abs=1e-6)
    assert (label.double() * centers).sum().item() == pytest.approx(clipped, abs=3e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_bins", [2, 3, 51, 255])
def test_two_hot_is_exact_on_atoms(num_bins: int, dtype: torch.dtype) -> None:
    bins = Bins.centered(-10, 10, num_bins)
    label = kernels.label(bins.center_tensor(dtype, CPU), TwoHotLabel(bins))
    assert torch.equal(label, torch.eye(num_bins, dtype=dtype))


def test_two_hot_agrees_with_the_reference() -> None:
    for bins in (Bins.centered(-10, 10, 51), Bins.uneven([-12.0, -1.0, -0.9, 0.0, 0.5, 11.0])):
        value = torch.linspace(-15, 15, 1001)
        expected = reference.two_hot_label(value.double(), bins.center_tensor(torch.float64, CPU))
        assert (kernels.label(value, TwoHotLabel(bins)).double() - expected).abs().max() < 2e-6


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_two_hot_label_of_a_bad_value_is_nan(bad: float) -> None:
    assert kernels.label(torch.tensor(bad), TwoHotLabel(Bins.centered(-1, 1, 5))).isnan().any()


MOVES = [
    (0.3, 0.99),
    (0.0, 1.0),
    (1.0, 1.0),
    (100.0, 0.9),
    (-1e30, 0.9),
    (0.4, 0.0),
    (0.2, -0.7),
    (1.0, 30.0),
]


@pytest.mark.parametrize("num_bins", [2, 51, 255])
@pytest.mark.parametrize(("reward", "discount"), MOVES)
@pytest.mark.parametrize("uneven", [False, True])
def test_c51_label_agrees_with_the_reference(
    num_bins: int, reward: float, discount: float, uneven: bool
) -> None:
    """Reward 0, discount 1 puts every atom on a bin; reward 100 clips every atom."""
    logits = torch.randn(64, num_bins, generator=torch.Generator().manual_seed(0))
    bins = Bins.centered(-10, 10, num_bins)
    if uneven:
        edges = bins.edge_tensor(torch.float64, CPU)
        bins = Bins.uneven((edges * edges.abs().sqrt()).tolist())
    target = NextDistribution(logits, torch.full((64,), reward), torch.full((64,), discount))
    label = kernels.label(target, ProjectedLabel(bins))
    centers = bins.center_tensor(torch.float64, CPU)
    atoms = (torch.tensor(reward).double() + torch.tensor(discount).double() * centers).expand(64, num_bins)
    expected = reference.c51_projection(logits.double().softmax(-1), atoms, centers)
    assert (label.double() - expected).abs().max() < 3e-6
    assert (label.sum(-1) - 1).abs().max() < 1e-6


def test_c51_label_of_the_same_atoms_is_the_distribution() -> None:
    logits, rule = torch.randn(8, 51), ProjectedLabel(Bins.centered(-10, 10, 51))
    label = kernels.label(NextDistribution(logits, torch.zeros(8), torch.ones(8)), rule)
    assert torch.equal(label, logits.softmax(-1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["logits", "reward", "discount"])
@pytest.mark.parametrize("bins", [Bins.centered(-1, 1, 5), Bins.uneven([-1.0, -0.5, 0.0, 2.0, 3.0, 7.0])])
def test_c51_label_of_a_bad_input_is_nan(bad: float, where: str, bins: Bins) -> None:
    inputs = {"logits": torch.zeros(2, 5), "reward": torch.zeros(2), "discount": torch.ones(2)}
    inputs[where][0, ...] = bad if where != "logits" else torch.tensor([0, bad, 0, 0, 0])
    label = kernels.label(NextDistribution(**inputs), ProjectedLabel(bins))
    assert label[0].isnan().any()
    assert label[1].isfinite().all()
