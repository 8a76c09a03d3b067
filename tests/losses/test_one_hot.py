"""One-Hot's label: the nearest bin, the lower of two, the ends for what is outside."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catzoo.kernels import reference
from catzoo.losses import OneHot


@given(
    value=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9),
    num_bins=st.integers(2, 60),
    align=st.sampled_from(["edges", "centers"]),
)
def test_the_label_is_the_references(value: list[float], num_bins: int, align: str) -> None:
    loss = OneHot(-3.0, 5.0, num_bins, align)  # type: ignore[arg-type]
    values = torch.tensor(value, dtype=torch.float64)
    centers = loss.support.grid(torch.float64)[1]
    ours, theirs = (
        ((values[:, None] - centers).abs() * label).sum(-1)
        for label in (loss.encode(values), reference.one_hot_label(values, centers))
    )
    assert torch.allclose(ours, theirs, rtol=1e-9)  # as near: rounding may decide between two


def test_between_two_bins_it_is_the_lower_and_outside_the_end() -> None:
    loss = OneHot(0.0, 3.0, 4)
    values = torch.tensor([-9.0, -0.5, 0.5, 0.51, 1.5, 2.5, 3.5, 99.0])
    assert loss.nearest_center(values).tolist() == [0, 0, 0, 1, 1, 2, 3, 3]
    assert torch.equal(loss.encode(values), torch.eye(4)[[0, 0, 0, 1, 1, 2, 3, 3]])
    assert torch.equal(reference.one_hot_label(values, loss.support.centers), loss.encode(values))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64])
def test_targets_of_few_digits_have_whole_labels(dtype: torch.dtype) -> None:
    loss, values = OneHot(-10.0, 10.0, 51), torch.tensor([9.6, 3.3, -7.1]).to(dtype)
    assert loss.encode(values).dtype == torch.float32
    assert torch.allclose(loss.encode(values), loss.encode(values.double()).float(), atol=1e-5)
    assert torch.allclose(loss.encode(values).amax(-1), torch.ones(3))


def test_the_loss_is_that_of_a_classifier() -> None:
    loss = OneHot(-1.0, 1.0, 5)
    logits, value = torch.randn(7, 5), torch.linspace(-1.2, 1.2, 7)
    expected = torch.nn.functional.cross_entropy(logits, loss.encode(value).argmax(-1), reduction="none")
    assert torch.allclose(loss(logits, value), expected, atol=1e-5)


def test_the_bias_is_up_to_half_a_bin() -> None:
    loss = OneHot(0.0, 10.0, 11)
    values = torch.linspace(0, 10, 1001)
    assert (loss.nearest_center(values) - values).abs().max().item() == pytest.approx(0.5, abs=0.01)
