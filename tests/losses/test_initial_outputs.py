"""Where values begin: outputs that decode to a given value, with no bin that could not be learned."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catzoo.losses import C51, LOSSES, CategoricalLoss, HLGauss, ValueLoss, make_value_loss
from catzoo.losses.initial_logits import FLOOR

CATEGORICAL = [name for name, cls in LOSSES.items() if issubclass(cls, CategoricalLoss)]
WITHOUT_SUPPORT = [name for name in LOSSES if name not in CATEGORICAL]


@pytest.mark.parametrize("name", WITHOUT_SUPPORT)
@pytest.mark.parametrize("value", [0.0, -3.25, 1e6])
def test_without_a_support_every_output_is_the_value(name: str, value: float) -> None:
    loss = make_value_loss(name)
    assert loss.initial_outputs(value).tolist() == [value] * loss.num_outputs
    assert loss.decode(loss.initial_outputs(value)).item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", CATEGORICAL)
@given(
    v_min=st.floats(-1e6, 1e6),
    log_range=st.floats(-3, 6),
    num_bins=st.integers(2, 300),
    align=st.sampled_from(["edges", "centers"]),
    place=st.floats(0, 1),
)
@settings(deadline=None)  # the first call may load Numba
def test_logits_decode_to_the_value_and_no_bin_is_dead(
    name: str, v_min: float, log_range: float, num_bins: int, align: str, place: float
) -> None:
    value_range = 10**log_range + abs(v_min) * 0.01  # float32 has seven digits
    loss = make_value_loss(name, v_min=v_min, v_max=v_min + value_range, num_bins=num_bins, align=align)
    assert isinstance(loss, CategoricalLoss)
    value = min(v_min + place * value_range, loss.support.v_max)
    outputs = loss.initial_outputs(value)
    assert outputs.shape == (num_bins,)
    assert outputs.dtype == torch.float32
    # With align="edges" half a bin is beyond the outermost centers, and no distribution's mean.
    _, centers = loss.support.grid(torch.float64)
    reachable = min(max(value, centers[0].item()), centers[-1].item())
    assert abs(loss.decode(outputs).item() - reachable) <= 1e-3 * value_range
    assert outputs.softmax(-1).min() > 0.9 * FLOOR / num_bins


@pytest.mark.parametrize("name", CATEGORICAL)
def test_the_distribution_is_broad_where_there_is_room(name: str) -> None:
    loss = make_value_loss(name, v_min=-10.0, v_max=10.0, num_bins=51)
    assert isinstance(loss, CategoricalLoss)
    p, centers = loss.initial_outputs(2.0).softmax(-1), loss.support.centers
    deviation = ((p * (centers - 2.0) ** 2).sum()).sqrt().item()
    assert 0.15 < deviation / 20 < 0.25


@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("value", [-10.0, 0.0, 10.0])
def test_every_target_has_a_gradient(name: str, value: float) -> None:
    loss = make_value_loss(name, v_min=-10.0, v_max=10.0, num_bins=51)
    outputs = loss.initial_outputs(value).expand(41, 51).clone().requires_grad_()
    targets = torch.linspace(-10, 10, 41)
    (grad,) = torch.autograd.grad(loss(outputs, targets).sum(), outputs)
    step = loss.decode(outputs.detach() - 0.1 * grad) - loss.decode(outputs.detach())
    towards = (targets - loss.decode(outputs.detach())).sign()
    far = (targets - value).abs() > 1.0
    assert (step * towards)[far].min() > 0


@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("value", [-10.1, 10.1, math.nan, math.inf])
def test_outside_the_support_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match="must be within the support, from -10 to 10"):
        make_value_loss(name, v_min=-10.0, v_max=10.0).initial_outputs(value)


def test_it_is_made_on_the_cpu_whatever_the_default_device() -> None:
    with torch.device("meta"):
        found = HLGauss(-1, 1, 11).initial_outputs(0.5), C51(-1, 1, 11).initial_outputs(0.5)
    assert all(outputs.device.type == "cpu" for outputs in found)


def test_a_loss_of_ones_own_need_not_say() -> None:
    class Own(ValueLoss):
        def decode(self, outputs: torch.Tensor) -> torch.Tensor:
            return outputs[..., 0]

        def forward(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return (outputs[..., 0] - target).abs()

    with pytest.raises(NotImplementedError):
        Own().initial_outputs()
