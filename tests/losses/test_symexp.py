"""Supports on symlog's axis: bins from hundredths to millions, means in units of value."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catzoo.losses import LOSSES, HLGauss, TwoHot, make_value_loss
from catzoo.losses.support import Support
from catzoo.losses.symlog import symexp, symlog

CATEGORICAL = ["hl_gauss", "two_hot", "c51", "one_hot", "softmax_mse"]
RANGES = [(-1e6, 1e6, 101), (-10.0, 10.0, 51), (0.0, 5_000.0, 64)]


def loss_of(name, low=-1e4, high=1e4, num_bins=101):
    return make_value_loss(name, v_min=low, v_max=high, num_bins=num_bins, spacing="symexp")


def logs(label):
    return label.clamp(min=1e-300).log()


@given(st.floats(-1e6, 1e6))
def test_symexp_undoes_symlog(value):
    there = symlog(torch.tensor(value, dtype=torch.float64))
    assert float(symexp(there)) == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert float(there) == pytest.approx(math.copysign(math.log1p(abs(value)), value))


@pytest.mark.parametrize("align", ["edges", "centers"])
@pytest.mark.parametrize(("low", "high", "num_bins"), RANGES)
def test_bins_are_equal_in_symlog(low, high, num_bins, align):
    support = Support(low, high, num_bins, align, spacing="symexp")
    edges, centers = support.grid(torch.float64, torch.device("cpu"))
    for points in (edges, centers):
        steps = symlog(points).diff()
        assert torch.allclose(steps, torch.full_like(steps, support.bin_width), rtol=1e-9)
    ends = centers if align == "centers" else edges
    assert ends[[0, -1]].tolist() == pytest.approx([low, high])
    value = torch.tensor([0.0, 40.0], dtype=torch.float64)
    assert support.width_at(value).tolist() == pytest.approx([support.bin_width, 41 * support.bin_width])


@pytest.mark.parametrize(("low", "high", "num_bins"), RANGES)
def test_two_hot_keeps_a_value_and_hl_gauss_nearly(low, high, num_bins):
    for name, most in (("two_hot", 1e-6), ("hl_gauss", 0.006)):
        loss = loss_of(name, low, high, num_bins)
        inside = symexp(torch.linspace(0.0, 0.8, 400, dtype=torch.float64) * math.log1p(high))
        value = torch.cat([inside, -inside]) if low < 0 else inside[40:]
        mean = loss.decode(logs(loss.encode(value)))
        assert ((mean - value).abs() / (1 + value.abs())).max() < most


def test_the_correction_of_hl_gauss_is_needed():
    loss = loss_of("hl_gauss")
    value = torch.tensor([1_000.0], dtype=torch.float64)
    plain = (
        loss.encode(value) * symexp(loss.support.places.center_tensor(torch.float64, value.device))
    ).sum()
    assert abs(float(plain) - 1_000) > 8
    assert float(loss.decode(logs(loss.encode(value)))) == pytest.approx(1_000, abs=0.1)


@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("value", [0.0, -3.0, 250.0])
def test_values_begin_where_they_are_wanted(name, value):
    loss = loss_of(name)
    assert float(loss.decode(loss.initial_outputs(value))) == pytest.approx(
        value, abs=1e-3 * (1 + abs(value))
    )


def test_huge_values_of_both_signs_cancel():
    loss = TwoHot(-4.85e8, 4.85e8, 255, spacing="symexp")  # DreamerV3's
    assert float(loss.decode(torch.zeros(255))) == pytest.approx(0.0, abs=1e-6)
    assert float(loss.decode(loss.initial_outputs(0.0))) == pytest.approx(0.0, abs=1e-6)


def test_as_torchrls_head():
    pytest.importorskip("torchrl")
    from torchrl.modules.models.model_based import SymExpTwoHot

    theirs, end = SymExpTwoHot(), math.expm1(20.0)
    ours = TwoHot(-end, end, 255, spacing="symexp")
    assert torch.allclose(ours.support.centers, theirs.bins, rtol=1e-5)
    value = torch.tensor([-3e5, -300.0, -0.4, 0.0, 0.01, 17.0, 2_500.0])
    assert torch.allclose(ours.encode(value), theirs.encode(value), atol=1e-3)
    logits = theirs.encode(value) * 8
    assert torch.allclose(ours.decode(logits), theirs.decode(logits), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("name", CATEGORICAL)
def test_a_bellman_step_is_the_loss_of_its_target(name):
    torch.manual_seed(0)
    loss = loss_of(name, num_bins=41)
    outputs, following = torch.randn(2, 16, 3, 41)
    outputs.requires_grad_()
    action, reward = torch.randint(0, 3, (16,)), torch.randn(16) * 50
    discount = torch.full((16,), 0.9)
    rows, error = loss.td(outputs, action, following, reward, discount)
    target = reward + discount * loss.decode(following).amax(-1)
    chosen = outputs[torch.arange(16), action]
    assert torch.allclose(error, target - loss.decode(chosen), rtol=1e-4, atol=1e-3)
    if name != "c51":
        assert torch.allclose(rows, loss(chosen, target), rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(rows.sum(), outputs)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", ["hl_gauss", "two_hot", "one_hot"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_gives_nan(name, bad):
    loss = loss_of(name)
    assert loss(torch.zeros(1, 101), torch.tensor([bad])).isnan().all()


@pytest.mark.parametrize("name", ["hl_gauss", "two_hot"])
def test_labels_are_learned_to_the_value(name):
    loss = loss_of(name)
    outputs = loss.initial_outputs(0.0).clone().requires_grad_()
    optimizer = torch.optim.Adam([outputs], lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        loss(outputs, torch.tensor(731.0)).backward()
        optimizer.step()
    assert float(loss.decode(outputs)) == pytest.approx(731, rel=0.01)


def test_too_wide_a_sigma_is_refused():
    with pytest.raises(ValueError, match=r"spacing='symexp': take more bins, or a smaller sigma$"):
        HLGauss(-1e6, 1e6, 21, sigma_ratio=2.0, spacing="symexp")
    with pytest.raises(ValueError, match=r"^spacing must be 'uniform' or 'symexp', got 'log'"):
        LOSSES["c51"](spacing="log")
