"""Losses and gradients of every categorical cross-entropy, on both ways through the code."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from catzoo import kernels
from catzoo.kernels import cross_entropy, reference

CENTERS = torch.linspace(-10, 10, 21)
GRID = [(1, 2), (5, 21), (64, 51), (33, 101), (7, 255)]


def hl_gauss(logits: Tensor, target: Tensor) -> Tensor:
    sigma = 0.75 * 20 / logits.shape[-1]
    return kernels.hl_gauss_cross_entropy(logits, target, edge_min=-10.0, edge_max=10.0, sigma=sigma)


def two_hot(logits: Tensor, target: Tensor) -> Tensor:
    return kernels.two_hot_cross_entropy(logits, target, torch.linspace(-10, 10, logits.shape[-1]))


def c51(logits: Tensor, target: Tensor) -> Tensor:
    """The target as a reward, on top of a fixed next distribution."""
    next_logits = torch.linspace(-1, 1, logits.shape[-1], dtype=target.dtype).expand(logits.shape)
    centers = torch.linspace(-10, 10, logits.shape[-1])
    return kernels.c51_cross_entropy(logits, next_logits, target, torch.full_like(target, 0.9), centers)


def soft_label(logits: Tensor, target: Tensor) -> Tensor:
    label = torch.softmax(target[..., None] * torch.linspace(-1, 1, logits.shape[-1]), dim=-1)
    return kernels.soft_label_cross_entropy(logits, label)


def expected_label(name: str, target: Tensor, num_bins: int) -> Tensor:
    target = target.double()
    centers = torch.linspace(-10, 10, num_bins, dtype=torch.float64)
    if name == "hl_gauss":
        edges = torch.linspace(-10, 10, num_bins + 1, dtype=torch.float64)
        return reference.hl_gauss_label(target.clamp(-10, 10), edges, 0.75 * 20 / num_bins)
    if name == "two_hot":
        return reference.two_hot_label(target, centers)
    if name == "c51":
        probs = (
            torch.linspace(-1, 1, num_bins, dtype=torch.float64).softmax(-1).expand(*target.shape, num_bins)
        )
        return reference.c51_projection(probs, target[..., None] + 0.9 * centers, centers)
    return torch.softmax(target[..., None] * torch.linspace(-1, 1, num_bins, dtype=torch.float64), dim=-1)


Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {"hl_gauss": hl_gauss, "two_hot": two_hot, "c51": c51, "soft_label": soft_label}


@pytest.fixture(params=["small", "large"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides of the threshold: the plain formula, and windows with a written-down gradient."""
    monkeypatch.setattr(cross_entropy, "SMALL", 2**40 if request.param == "small" else -1)


@pytest.fixture(params=LOSSES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def inputs(n: int, num_bins: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    logits = 3 * torch.randn(n, num_bins, generator=generator, dtype=dtype)
    return logits.requires_grad_(), 24 * torch.rand(n, generator=generator, dtype=dtype) - 12


@pytest.mark.parametrize(("n", "num_bins"), GRID)
def test_loss_and_gradient_match_the_reference(name: str, n: int, num_bins: int) -> None:
    logits, target = inputs(n, num_bins)
    upstream = torch.linspace(-2, 3, n)
    loss = LOSSES[name](logits, target)
    (grad,) = torch.autograd.grad(loss, logits, upstream)

    exact = logits.detach().double().requires_grad_()
    expected = reference.cross_entropy(exact, expected_label(name, target, num_bins))
    (expected_grad,) = torch.autograd.grad(expected, exact, upstream.double())
    assert torch.allclose(loss.double(), expected, rtol=1e-5, atol=1e-5)
    assert (grad.double() - expected_grad).abs().max() < 1e-5
    with torch.no_grad():
        assert torch.allclose(LOSSES[name](logits, target), loss)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    logits, target = inputs(16, 51)
    half = logits.detach().to(dtype).requires_grad_()
    whole = half.detach().float().requires_grad_()
    loss, expected = LOSSES[name](half, target), LOSSES[name](whole, target)
    loss.sum().backward()
    expected.sum().backward()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    assert half.grad is not None
    assert whole.grad is not None
    assert half.grad.dtype == dtype
    assert torch.equal(half.grad, whole.grad.to(dtype))


def test_float64_stays_float64(name: str) -> None:
    logits, target = inputs(9, 51, torch.float64)
    loss = LOSSES[name](logits, target)
    expected = reference.cross_entropy(logits, expected_label(name, target, 51))
    assert loss.dtype == torch.float64
    assert torch.allclose(loss, expected, rtol=1e-6 if name != "hl_gauss" else 1e-12)


def test_first_and_second_derivatives(name: str) -> None:
    logits, target = inputs(3, 5, torch.float64)
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, target), logits)
    assert torch.autograd.gradgradcheck(lambda x: LOSSES[name](x, target), logits)


def test_backward_twice_through_a_kept_graph(name: str) -> None:
    logits, target = inputs(4, 21)
    loss = LOSSES[name](logits, target).sum()
    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (second,) = torch.autograd.grad(loss, logits)
    assert torch.equal(first, second)


def test_no_gradient_flows_to_the_target(name: str) -> None:
    logits, target = inputs(4, 21)
    target.requires_grad_()
    LOSSES[name](logits, target).sum().backward()
    assert target.grad is None


def test_func_grad_and_vmap(name: str) -> None:
    logits, target = inputs(6, 21)
    loss = LOSSES[name](logits, target)
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    rows = logits.detach()
    assert torch.allclose(torch.func.vmap(LOSSES[name])(rows, target), loss)
    by_row = torch.func.vmap(torch.func.grad(LOSSES[name]))(rows, target)
    assert torch.allclose(by_row, grad, atol=1e-6)
    assert torch.allclose(torch.func.grad(lambda x: LOSSES[name](x, target).sum())(rows), grad, atol=1e-6)
    jacobian = torch.func.jacrev(lambda x: LOSSES[name](x, target))(rows)
    assert torch.allclose(jacobian.sum(1), grad, atol=1e-6)


def test_vmap_over_one_argument(name: str) -> None:
    logits, target = inputs(6, 21)
    rows = logits.detach()
    grad = torch.func.grad(LOSSES[name])
    by_target = torch.func.vmap(grad, in_dims=(None, 0))(rows[0], target)
    by_logits = torch.func.vmap(grad, in_dims=(1, None))(rows.T.contiguous(), target[0])
    for i in range(6):
        assert torch.allclose(by_target[i], grad(rows[0], target[i]), atol=1e-6)
        assert torch.allclose(by_logits[i], grad(rows[i], target[0]), atol=1e-6)


def test_compiles_without_a_break(name: str) -> None:
    logits, target = inputs(6, 21)
    torch.compiler.reset()
    compiled = torch.compile(LOSSES[name], fullgraph=True, backend="aot_eager")
    loss, expected = compiled(logits, target), LOSSES[name](logits, target)
    assert torch.allclose(loss, expected, atol=1e-6)
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    (expected_grad,) = torch.autograd.grad(expected.sum(), logits)
    assert torch.allclose(grad, expected_grad, atol=1e-6)
    assert compiled(logits, target * math.inf).isnan().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_bad_targets_and_logits_give_nan(name: str, bad: float) -> None:
    logits, target = inputs(4, 101)
    target = target.index_fill(0, torch.tensor(2), bad)
    loss = LOSSES[name](logits, target)
    if name != "soft_label":  # whose target is only this test's way to a label
        assert loss.isnan().tolist() == [False, False, True, False]

    for spoilt_bin in (0, 50, 100):
        logits, target = inputs(4, 101)
        logits = logits.detach()
        logits[1, spoilt_bin] = bad
        logits.requires_grad_()
        loss = LOSSES[name](logits, target)
        assert loss.isnan().tolist() == [False, True, False, False]
        with torch.no_grad():
            assert LOSSES[name](logits, target).isnan().tolist() == [False, True, False, False]


@pytest.mark.parametrize("outside", [0.0, 1.0, 5.75, 6.0, 13.0, 40.0, 1e30])
def test_targets_outside_keep_a_finite_loss_and_the_right_gradient(outside: float) -> None:
    sigma = 0.75 * 20 / 51
    target = torch.tensor([10 + outside * sigma, -10 - outside * sigma])
    for name in ("hl_gauss", "two_hot"):
        logits = torch.randn(2, 51, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss = LOSSES[name](logits, target)
        (grad,) = torch.autograd.grad(loss.sum(), logits)
        label = expected_label(name, target.clamp(-10, 10), 51)
        assert loss.isfinite().all()
        assert (grad.double() - (logits.double().softmax(-1) - label)).abs().max() < 1e-6


def test_large_logits_stay_finite(name: str) -> None:
    logits, target = inputs(4, 51)
    assert LOSSES[name](logits * 1e30, target).isfinite().all()


@pytest.mark.parametrize("shape", [(0,), (3, 0), (), (2, 3)])
def test_leading_dimensions(name: str, shape: tuple[int, ...]) -> None:
    logits = torch.randn(*shape, 21, requires_grad=True)
    target = torch.rand(shape)
    loss = LOSSES[name](logits, target)
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.shape == shape
    assert grad.shape == logits.shape
    flat = LOSSES[name](logits.reshape(-1, 21), target.reshape(-1))
    assert torch.allclose(loss.reshape(-1), flat)


def test_autocast_does_not_lower_the_precision(name: str) -> None:
    logits, target = inputs(8, 51)
    expected = LOSSES[name](logits, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LOSSES[name](logits, target)
        value = kernels.categorical_value(logits, torch.linspace(-10, 10, 51))
    assert torch.equal(loss, expected)
    exact = kernels.categorical_value(logits, torch.linspace(-10, 10, 51))
    assert torch.allclose(value, exact, atol=1e-5)


def test_value() -> None:
    logits, _ = inputs(8, 21)
    expected = reference.categorical_value(logits.double(), CENTERS.double())
    assert torch.allclose(kernels.categorical_value(logits, CENTERS).double(), expected, atol=1e-5)
    assert kernels.categorical_value(logits.bfloat16(), CENTERS).dtype == torch.float32
    spoilt = torch.zeros(3, 21)
    spoilt[:, 4] = torch.tensor([math.nan, math.inf, -math.inf])
    assert kernels.categorical_value(spoilt, CENTERS).isnan().all()
