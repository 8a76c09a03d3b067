"""Supports: both conventions, padding, and tensors that follow the module without losing precision."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from catzoo.losses import HLGauss, Support, TwoHot


def test_edges_and_centers() -> None:
    edges = Support(-1, 1, 4, "edges")
    assert edges.edges.tolist() == [-1, -0.5, 0, 0.5, 1]
    assert edges.centers.tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert edges.bin_width == 0.5
    centers = Support(-1, 1, 5, "centers")
    assert centers.centers.tolist() == [-1, -0.5, 0, 0.5, 1]
    assert centers.edges.tolist() == [-1.25, -0.75, -0.25, 0.25, 0.75, 1.25]
    assert centers.bin_width == 0.5
    assert Support(0, 1, 2, "centers").centers.tolist() == [0, 1]


@given(
    ratio=st.floats(0.05, 3),
    pad=st.floats(0, 4),
    num_bins=st.integers(40, 300),
    align=st.sampled_from(["edges", "centers"]),
    by_ratio=st.booleans(),
)
def test_padding_is_that_many_sigmas_at_both_ends(ratio, pad, num_bins, align, by_ratio) -> None:
    how = {"sigma_ratio": ratio} if by_ratio else {"sigma": ratio}
    loss = HLGauss(-3.0, 5.0, num_bins, align=align, pad_sigmas=pad, **how)
    support = loss.support
    grid = support.grid(torch.float64)[0 if align == "edges" else 1]
    assert grid[0].item() == pytest.approx(-3 - pad * loss.sigma)
    assert grid[-1].item() == pytest.approx(5 + pad * loss.sigma)
    assert grid.diff().tolist() == pytest.approx([support.bin_width] * (len(grid) - 1))
    assert support.edges.shape == (num_bins + 1,)
    assert (support.v_min, support.v_max) == (-3, 5)
    assert loss.sigma_ratio * support.bin_width == pytest.approx(loss.sigma)
    assert (loss.sigma_ratio if by_ratio else loss.sigma) == pytest.approx(ratio)


def test_padding_removes_the_bias_at_the_end() -> None:
    def bias(pad: float) -> float:
        loss = HLGauss(pad_sigmas=pad)
        value = torch.tensor(10.0, dtype=torch.float64)
        decoded = (loss.encode(value) * loss.support.grid(torch.float64)[1]).sum()
        return float((decoded - value) / loss.support.bin_width)

    assert bias(0) == pytest.approx(-0.69, rel=0.02)
    assert bias(3) == pytest.approx(-0.004, rel=0.2)


def test_tensors_are_constants_outside_the_state_dict() -> None:
    loss = TwoHot()
    assert not loss.state_dict()
    assert not list(loss.parameters())
    assert {name for name, _ in loss.named_buffers()} == {"support.edges", "support.centers"}
    assert torch.equal(copy.deepcopy(loss).support.centers, loss.support.centers)


@pytest.mark.parametrize("convert", ["half", "bfloat16", "double"])
def test_a_change_of_dtype_leaves_the_support_alone(convert: str) -> None:
    loss, plain = TwoHot(), TwoHot()
    network = torch.nn.Sequential(torch.nn.Linear(2, 51), loss)
    getattr(network, convert)()
    assert network[0].weight.dtype != torch.float32
    assert loss.support.centers.dtype == torch.float32
    assert torch.equal(loss.support.edges, plain.support.edges)
    assert torch.equal(loss.support.centers, plain.support.centers)


def test_the_support_follows_a_change_of_device() -> None:
    loss = HLGauss().to("meta")
    assert loss.support.edges.device.type == "meta"
    assert loss.support.centers.device.type == "meta"


def test_float64_centers_are_not_rounded() -> None:
    exact = Support(-10, 10, 51, "centers").grid(torch.float64)[1]
    assert torch.allclose(exact, torch.linspace(-10, 10, 51, dtype=torch.float64), rtol=0, atol=1e-14)


@pytest.mark.parametrize("built_on", ["cpu", "meta"])
@pytest.mark.parametrize("align", ["edges", "centers"])
def test_to_empty_leaves_no_support_empty(built_on, align):
    whole = Support(-3, 7, 11, align, padding=0.5)
    with torch.device(built_on):
        loss = nn.Sequential(Support(-3, 7, 11, align, padding=0.5))
    found = loss.to_empty(device="cpu")[0]
    assert torch.equal(found.edges, whole.edges)
    assert torch.equal(found.centers, whole.centers)
