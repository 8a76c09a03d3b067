"""What pushes every loss's value alike: the curvature by its definition, and the push of quantiles."""

import pytest
import torch

from catzoo.losses import LOSSES, CategoricalLoss, QuantileRegression, make_value_loss


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "quantile"])
def test_it_is_that_of_the_best_outputs_for_each_value(name: str) -> None:
    loss = make_value_loss(name, **({"num_bins": 7} if issubclass(LOSSES[name], CategoricalLoss) else {}))
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(5, loss.num_outputs, generator=generator, dtype=torch.float64)
    for output, found in zip(outputs, loss.curvature(outputs), strict=True):
        target = loss.decode(output)
        gradient = torch.autograd.functional.jacobian(loss.decode, output)
        hessian = torch.autograd.functional.hessian(lambda x, y=target: loss(x, y), output)
        response = gradient @ torch.linalg.pinv(hessian, rtol=1e-9) @ gradient
        assert torch.isclose(1 / found, response)


@pytest.mark.parametrize("name", LOSSES)
def test_the_value_is_decodes(name: str) -> None:
    loss = make_value_loss(name)
    outputs = torch.randn(3, 2, loss.num_outputs, requires_grad=True)
    pushed = loss.unit_push(outputs)
    assert torch.allclose(pushed, loss.decode(outputs), atol=1e-6)
    (gradient,) = torch.autograd.grad(pushed.sum(), outputs)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", ["one_hot", "two_hot", "hl_gauss", "c51"])
def test_a_distribution_of_one_bin_is_pushed_by_a_finite_gradient(name: str) -> None:
    loss = make_value_loss(name, v_min=0.0, v_max=4.0, num_bins=5, align="centers")
    outputs = torch.zeros(5)
    outputs[2] = 200.0
    outputs.requires_grad_()
    (gradient,) = torch.autograd.grad(loss.unit_push(outputs), outputs)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_quantiles_that_are_all_one_are_pushed_by_a_finite_gradient(kappa: float) -> None:
    outputs = torch.ones(5, requires_grad=True)
    (gradient,) = torch.autograd.grad(QuantileRegression(5, kappa).unit_push(outputs), outputs)
    assert gradient.isfinite().all()
    assert (gradient > 0).all()


@pytest.mark.parametrize("kappa", [0.5, 3.0])
def test_quantiles_move_alike_where_the_target_is_distributed_as_they_are(kappa: float) -> None:
    """The push is what the loss has against the same quantiles a little lower."""
    loss, move = QuantileRegression(9, kappa), 1e-4
    outputs = torch.linspace(-1, 1, 9, dtype=torch.float64).pow(3)[None].requires_grad_()
    (pushed,) = torch.autograd.grad(loss.unit_push(outputs), outputs)
    above, below = (
        torch.autograd.grad(loss._loss(outputs, outputs.detach() + by).sum(), outputs)[0]
        for by in (-move, move)
    )
    assert torch.allclose((above - below) / (2 * move), pushed, rtol=1e-3)
