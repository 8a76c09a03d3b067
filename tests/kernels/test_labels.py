"""Labels in float32: exactness, sums, clamping, limits; windows against whole labels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from catzoo import kernels
from catzoo.kernels import labels, reference


def gauss(value: Tensor, num_bins: int, ratio: float, **kwargs: object) -> Tensor:
    sigma = ratio * 20 / num_bins
    return kernels.hl_gauss_label(value, num_bins, edge_min=-10.0, edge_max=10.0, sigma=sigma, **kwargs)  # type: ignore[arg-type]


def windowed(value: Tensor, num_bins: int, ratio: float) -> Tensor:
    width = 20 / num_bins
    window = min(num_bins, labels.hl_gauss_window(width, ratio * width))
    label = labels.hl_gauss(
        value,
        num_bins,
        edge_min=-10.0,
        edge_max=10.0,
        sigma=ratio * width,
        clamp=(-10.0, 10.0),
        window=window,
        dtype=torch.float32,
    )
    assert label.probs.shape[-1] == window
    return labels.dense(label.probs, label.bins(), num_bins)


@pytest.mark.parametrize("make", [gauss, windowed])
@pytest.mark.parametrize("num_bins", [2, 3, 51, 101, 255])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 2.0])
def test_gaussian_label_within_1e_6_inside(make, num_bins: int, ratio: float) -> None:
    edges = torch.linspace(-10, 10, num_bins + 1, dtype=torch.float64)
    value = torch.cat((torch.linspace(-10, 10, 997), edges.float().clamp(-10, 10)))
    label = make(value, num_bins, ratio)
    expected = reference.hl_gauss_label(value.double(), edges, ratio * 20 / num_bins)
    assert label.dtype == torch.float32
    assert (label.double() - expected).abs().max() < 1e-6
    assert (label.sum(-1) - 1).abs().max() < 1e-6


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


@pytest.mark.parametrize("sigmas", [0, 1, 5.75, 6, 13, 40])
def test_targets_outside_count_as_the_end(sigmas: float) -> None:
    end = gauss(torch.tensor([10.0, -10.0]), 51, 0.75)
    beyond = 10 + sigmas * 0.75 * 20 / 51
    assert torch.equal(gauss(torch.tensor([beyond, -beyond]), 51, 0.75), end)
    assert torch.equal(gauss(torch.tensor([1e30, -1e30]), 51, 0.75), end)


@pytest.mark.parametrize("sigma", [1e-3, 1e-30, 5e-324])
def test_sigma_to_zero_is_one_hot(sigma: float) -> None:
    value = torch.tensor([-10.0, 0.5, 1.7, 4.0])
    label = kernels.hl_gauss_label(value, 4, edge_min=0.0, edge_max=4.0, sigma=sigma)
    assert torch.equal(label, torch.eye(4)[[0, 0, 1, 3]])
    on_an_edge = kernels.hl_gauss_label(torch.tensor(2.0), 4, edge_min=0.0, edge_max=4.0, sigma=sigma)
    assert torch.allclose(on_an_edge, torch.tensor([0, 0.5, 0.5, 0]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("make", [gauss, windowed])
def test_gaussian_label_of_a_bad_value_is_nan(bad: float, make) -> None:
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


@given(
    value=st.floats(-12, 12, width=32),
    num_bins=st.integers(2, 300),
    symlog=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_two_hot_keeps_the_mean(value: float, num_bins: int, symlog: bool) -> None:
    centers = torch.linspace(-10, 10, num_bins)
    if symlog:  # unequal spacing
        centers = centers.sign() * centers.abs().expm1() / 1000
    label = kernels.two_hot_label(torch.tensor([value]), centers)
    clipped = min(max(value, centers[0].item()), centers[-1].item())
    assert (label >= 0).all()
    assert (label > 0).sum() <= 2
    assert label.sum().item() == pytest.approx(1, abs=1e-6)
    assert (label.double() * centers.double()).sum().item() == pytest.approx(clipped, abs=3e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_bins", [2, 51, 255])
def test_two_hot_is_exact_on_atoms(num_bins: int, dtype: torch.dtype) -> None:
    centers = torch.linspace(-10, 10, num_bins, dtype=dtype)
    assert torch.equal(kernels.two_hot_label(centers, centers), torch.eye(num_bins, dtype=dtype))


def test_two_hot_agrees_with_the_reference() -> None:
    centers = torch.linspace(-10, 10, 51)
    value = torch.linspace(-15, 15, 1001)
    expected = reference.two_hot_label(value.double(), centers.double())
    assert (kernels.two_hot_label(value, centers).double() - expected).abs().max() < 2e-6


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_two_hot_label_of_a_bad_value_is_nan(bad: float) -> None:
    assert kernels.two_hot_label(torch.tensor(bad), torch.linspace(-1, 1, 5)).isnan().any()


@pytest.mark.parametrize("num_bins", [2, 51])
@pytest.mark.parametrize(
    ("reward", "discount"), [(0.3, 0.99), (0.0, 1.0), (1.0, 1.0), (100.0, 0.9), (0.4, 0.0)]
)
def test_c51_label_agrees_with_the_reference(num_bins: int, reward: float, discount: float) -> None:
    """Reward 0, discount 1 puts every atom on a bin; reward 100 clips every atom."""
    logits = torch.randn(64, num_bins, generator=torch.Generator().manual_seed(0))
    centers = torch.linspace(-10, 10, num_bins)
    label = kernels.c51_label(logits, torch.full((64,), reward), torch.full((64,), discount), centers)
    atoms = (torch.tensor(reward) + torch.tensor(discount) * centers).expand(64, num_bins)
    expected = reference.c51_projection(logits.double().softmax(-1), atoms.double(), centers.double())
    assert (label.double() - expected).abs().max() < 3e-6
    assert (label.sum(-1) - 1).abs().max() < 1e-6


def test_c51_label_of_the_same_atoms_is_the_distribution() -> None:
    logits, centers = torch.randn(8, 51), torch.linspace(-10, 10, 51)
    label = kernels.c51_label(logits, torch.zeros(8), torch.ones(8), centers)
    assert torch.equal(label, logits.softmax(-1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["logits", "reward", "discount"])
def test_c51_label_of_a_bad_input_is_nan(bad: float, where: str) -> None:
    inputs = {"logits": torch.zeros(2, 5), "reward": torch.zeros(2), "discount": torch.ones(2)}
    inputs[where][0, ...] = bad if where != "logits" else torch.tensor([0, bad, 0, 0, 0])
    label = kernels.c51_label(
        inputs["logits"], inputs["reward"], inputs["discount"], torch.linspace(-1, 1, 5)
    )
    assert label[0].isnan().any()
    assert label[1].isfinite().all()
