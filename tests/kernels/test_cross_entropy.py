"""Losses and gradients of every categorical cross-entropy: whole labels, windows, and Numba's."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from backends_for_tests import only
from catzoo import kernels
from catzoo.kernels import (
    Bins,
    GaussianLabel,
    NextDistribution,
    ProjectedLabel,
    TwoHotLabel,
    reference,
    torch_path,
)

GRID = [(1, 2), (5, 21), (64, 51), (33, 101), (7, 255)]
FOREVER = (-math.inf, math.inf)


def uneven(num_bins: int) -> Bins:
    """Narrow bins around 0, wide ones outside."""
    even = [2 * i / num_bins - 1 for i in range(num_bins + 1)]
    return Bins.uneven([math.copysign(10 * abs(x) ** 1.5, x) for x in even])


def hl_gauss(logits: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
    bins = Bins(-10.0, 10.0, logits.shape[-1])
    return kernels.hl_gauss_cross_entropy(logits, target, bins, sigma=0.75 * bins.width, **kwargs)


def unclamped(logits: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
    return hl_gauss(logits, target, clamp=FOREVER, **kwargs)


def gauss_on_uneven(logits: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
    bins = uneven(logits.shape[-1])
    return kernels.hl_gauss_cross_entropy(logits, target, bins, sigma=0.75 * bins.width, **kwargs)


def two_hot(logits: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
    return kernels.two_hot_cross_entropy(logits, target, Bins.centered(-10, 10, logits.shape[-1]), **kwargs)


def two_hot_on_uneven(logits: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
    return kernels.two_hot_cross_entropy(logits, target, uneven(logits.shape[-1]), **kwargs)


def c51(logits: Tensor, target: Tensor, bins: Bins | None = None, **kwargs: Any) -> Tensor:
    """The target as a reward, on top of a fixed next distribution."""
    next_logits = torch.linspace(-1, 1, logits.shape[-1], dtype=target.dtype).expand(logits.shape)
    bins, discount = bins or Bins.centered(-10, 10, logits.shape[-1]), torch.full_like(target, 0.9)
    return kernels.c51_cross_entropy(logits, next_logits, target, discount, bins, **kwargs)


def c51_on_uneven(logits: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
    return c51(logits, target, uneven(logits.shape[-1]), **kwargs)


def soft_label(logits: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
    label = torch.softmax(target[..., None] * torch.linspace(-1, 1, logits.shape[-1]), dim=-1)
    return kernels.soft_label_cross_entropy(logits, label, **kwargs)


def expected_label(name: str, target: Tensor, num_bins: int) -> Tensor:
    target = target.double()
    bins = uneven(num_bins) if "uneven" in name else Bins.centered(-10, 10, num_bins)
    if "gauss" in name or name == "unclamped":
        bins = bins if "uneven" in name else Bins(-10.0, 10.0, num_bins)
        target = target if name == "unclamped" else target.clamp(-10, 10)
        edges = bins.edge_tensor(torch.float64, target.device)
        return reference.hl_gauss_label(target, edges, 0.75 * 20 / num_bins)
    centers = bins.center_tensor(torch.float64, target.device)
    if "two_hot" in name:
        return reference.two_hot_label(target, centers)
    if "c51" in name:
        logits = torch.linspace(-1, 1, num_bins, dtype=torch.float64)
        probs = logits.softmax(-1).expand(*target.shape, num_bins)
        return reference.c51_projection(probs, target[..., None] + 0.9 * centers, centers)
    return torch.softmax(target[..., None] * torch.linspace(-1, 1, num_bins, dtype=torch.float64), dim=-1)


Loss = Callable[..., Tensor]
LOSSES: dict[str, Loss] = {
    "hl_gauss": hl_gauss,
    "unclamped": unclamped,
    "gauss_on_uneven": gauss_on_uneven,
    "two_hot": two_hot,
    "two_hot_on_uneven": two_hot_on_uneven,
    "c51": c51,
    "c51_on_uneven": c51_on_uneven,
    "soft_label": soft_label,
}


@pytest.fixture(params=["whole", "windowed", "numba"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both sides of PyTorch's threshold, whole labels and windows where a rule has one; and Numba."""
    monkeypatch.setattr(torch_path, "SMALL", -1 if request.param == "windowed" else 2**40)
    yield from only("numba" if request.param == "numba" else "torch", monkeypatch)


# What Numba leaves to PyTorch: float64, and graphs (`test_numba.py`).
of_pytorch = pytest.mark.parametrize("way", ["whole", "windowed"], indirect=True)


@pytest.fixture(params=LOSSES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def inputs(n: int, num_bins: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    logits = 3 * torch.randn(n, num_bins, generator=generator, dtype=dtype)
    return logits.requires_grad_(), 24 * torch.rand(n, generator=generator, dtype=dtype) - 12


def grad_of(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), logits)[0]


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
    with torch.inference_mode():
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


@of_pytorch
def test_float64_stays_float64(name: str) -> None:
    logits, target = inputs(9, 51, torch.float64)
    loss = LOSSES[name](logits, target)
    expected = reference.cross_entropy(logits, expected_label(name, target, 51))
    assert loss.dtype == torch.float64
    # The label of soft_label is made in float32 by this test.
    assert torch.allclose(loss, expected, rtol=1e-6 if name == "soft_label" else 1e-12)


@of_pytorch
def test_first_and_second_derivatives(name: str) -> None:
    logits, target = inputs(3, 5, torch.float64)
    weight = torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64)
    for kwargs in ({}, {"weight": weight}):
        assert torch.autograd.gradcheck(lambda x, k=kwargs: LOSSES[name](x, target, **k), logits)
        assert torch.autograd.gradgradcheck(lambda x, k=kwargs: LOSSES[name](x, target, **k), logits)


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
    assert not LOSSES[name](logits.detach(), target).requires_grad


def test_func_grad_and_vmap(name: str) -> None:
    logits, target = inputs(6, 21)
    loss = LOSSES[name](logits, target)
    grad = grad_of(loss, logits)
    rows = logits.detach()
    assert torch.allclose(torch.func.vmap(LOSSES[name])(rows, target), loss, atol=1e-6)
    by_row = torch.func.vmap(torch.func.grad(LOSSES[name]))(rows, target)
    assert torch.allclose(by_row, grad, atol=1e-6)
    assert torch.allclose(torch.func.grad(lambda x: LOSSES[name](x, target).sum())(rows), grad, atol=1e-6)
    jacobian = torch.func.jacrev(lambda x: LOSSES[name](x, target))(rows)
    assert torch.allclose(jacobian.sum(1), grad, atol=1e-6)


def test_func_second_derivative(name: str) -> None:
    logits, target = inputs(2, 5)
    hessian = torch.func.vmap(torch.func.jacrev(torch.func.grad(LOSSES[name])))(logits.detach(), target)
    probs = logits.detach().softmax(-1)
    assert torch.allclose(hessian, torch.diag_embed(probs) - probs[:, :, None] * probs[:, None], atol=1e-6)


def test_vmap_over_one_argument(name: str) -> None:
    logits, target = inputs(6, 21)
    rows = logits.detach()
    grad = torch.func.grad(LOSSES[name])
    by_target = torch.func.vmap(grad, in_dims=(None, 0))(rows[0], target)
    by_logits = torch.func.vmap(grad, in_dims=(1, None))(rows.T.contiguous(), target[0])
    for i in range(6):
        assert torch.allclose(by_target[i], grad(rows[0], target[i]), atol=1e-6)
        assert torch.allclose(by_logits[i], grad(rows[i], target[0]), atol=1e-6)


@of_pytorch
def test_compiles_without_a_break(name: str) -> None:
    logits, target = inputs(6, 21)
    weight = torch.linspace(0, 2, 6)
    torch.compiler.reset()
    compiled = torch.compile(LOSSES[name], fullgraph=True, backend="aot_eager")
    # A weight comes after the label, however that is made.
    weights = [{"weight": weight}] if torch_path.SMALL < 0 else [{}, {"weight": weight}]
    for kwargs in weights:
        loss, expected = compiled(logits, target, **kwargs), LOSSES[name](logits, target, **kwargs)
        assert torch.allclose(loss, expected, atol=1e-6)
        assert torch.allclose(grad_of(loss, logits), grad_of(expected, logits), atol=1e-6)
    assert compiled(logits, target * math.inf).isnan().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_bad_targets_and_logits_give_nan(name: str, bad: float) -> None:
    logits, target = inputs(4, 101)
    target = target.index_fill(0, torch.tensor(2), bad)
    loss = LOSSES[name](logits, target)
    if name != "soft_label":  # whose target is only this test's way to a label
        assert loss.isnan().tolist() == [False, False, True, False]
        assert grad_of(loss, logits).isfinite().all(-1).tolist() == [True, True, False, True]

    for spoilt_bin in (0, 50, 100):
        logits, target = inputs(4, 101)
        logits = logits.detach()
        logits[1, spoilt_bin] = bad
        logits.requires_grad_()
        loss = LOSSES[name](logits, target)
        assert loss.isnan().tolist() == [False, True, False, False]
        with torch.no_grad():
            assert LOSSES[name](logits, target).isnan().tolist() == [False, True, False, False]


def test_weights_multiply_the_loss_and_the_gradient(name: str) -> None:
    logits, target = inputs(6, 51)
    weight = torch.tensor([0.0, 0.5, 1.0, 2.0, 0.0, 3.0])
    loss, weighted = LOSSES[name](logits, target), LOSSES[name](logits, target, weight=weight)
    assert torch.equal(weighted, loss * weight)
    expected = grad_of(loss, logits) * weight[:, None]
    assert torch.allclose(grad_of(weighted, logits), expected, atol=1e-7)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["logits", "target"])
def test_a_row_of_weight_0_is_out_whatever_it_holds(name: str, bad: float, where: str) -> None:
    logits, target = inputs(5, 51)
    spoilt, weight = torch.tensor([1, 3]), torch.tensor([1.0, 0.0, 1.0, 0.0, 0.5])
    if where == "logits":
        logits = logits.detach().clone()
        logits[spoilt, 7] = bad
        logits.requires_grad_()
    else:
        target = target.index_fill(0, spoilt, bad)
    loss = LOSSES[name](logits, target, weight=weight)
    grad = grad_of(loss, logits)
    assert torch.equal(loss[spoilt], torch.zeros(2))
    assert torch.equal(grad[spoilt], torch.zeros(2, 51))
    assert loss.isfinite().all()
    assert grad.isfinite().all()


RULES: dict[str, Any] = {
    "hl_gauss": GaussianLabel(Bins(-10.0, 10.0, 51), 0.3),
    "two_hot": TwoHotLabel(Bins.centered(-10, 10, 51)),
    "c51": ProjectedLabel(Bins.centered(-10, 10, 51)),
    "given": kernels.GivenLabel(),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_grad_is_what_autograd_gives(kind: str, dtype: torch.dtype, weighted: bool) -> None:
    logits, value = inputs(6, 51)
    logits = logits.detach().to(dtype).view(2, 3, 51).requires_grad_()
    value = value.index_fill(0, torch.tensor(4), math.nan).view(2, 3)
    target: Any = value
    if kind == "c51":
        target = NextDistribution(logits.detach().flip(-1), value, torch.full_like(value, 0.9))
    elif kind == "given":
        target = torch.softmax(value[..., None] * torch.ones(51), dim=-1)
    weight = torch.linspace(0, 2, 6).view(2, 3) if weighted else None
    expected = kernels.cross_entropy(logits, target, RULES[kind], weight=weight)
    loss, grad = kernels.loss_and_grad(logits, target, RULES[kind], weight=weight)
    assert not loss.requires_grad
    assert not grad.requires_grad
    assert grad.dtype == dtype
    assert torch.equal(loss.nan_to_num(nan=-1), expected.nan_to_num(nan=-1))
    assert torch.equal(grad.nan_to_num(nan=-1), grad_of(expected, logits).nan_to_num(nan=-1))


@pytest.mark.parametrize("outside", [0.0, 1.0, 5.75, 6.0, 13.0, 40.0, 1e30])
def test_targets_outside_keep_a_finite_loss_and_the_right_gradient(outside: float) -> None:
    sigma = 0.75 * 20 / 51
    target = torch.tensor([10 + outside * sigma, -10 - outside * sigma])
    for name in ("hl_gauss", "unclamped", "gauss_on_uneven", "two_hot", "two_hot_on_uneven"):
        if name == "unclamped" and outside > 1e15:
            continue  # float64 cannot tell the edges apart from there
        logits = torch.randn(2, 51, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss = LOSSES[name](logits, target)
        label = expected_label(name, target, 51)
        assert loss.isfinite().all()
        expected = logits.double().softmax(-1) - label
        assert (grad_of(loss, logits).double() - expected).abs().max() < 1e-6


def test_large_logits_stay_finite(name: str) -> None:
    logits, target = inputs(4, 51)
    assert LOSSES[name](logits * 1e30, target).isfinite().all()


@pytest.mark.parametrize("shape", [(0,), (3, 0), (), (2, 3)])
def test_leading_dimensions(name: str, shape: tuple[int, ...]) -> None:
    logits = torch.randn(*shape, 21, requires_grad=True)
    target = torch.rand(shape)
    loss = LOSSES[name](logits, target)
    grad = grad_of(loss, logits)
    assert loss.shape == shape
    assert grad.shape == logits.shape
    flat = LOSSES[name](logits.reshape(-1, 21), target.reshape(-1))
    assert torch.allclose(loss.reshape(-1), flat, atol=1e-6)


def test_any_strides(name: str) -> None:
    logits, target = inputs(12, 21)
    expected = LOSSES[name](logits, target)
    expected_grad = grad_of(expected, logits)
    columns = logits.detach().t().contiguous().t().requires_grad_()  # [12, 21] in the order of [21, 12]
    every_other = target.repeat_interleave(2)[::2]
    loss = LOSSES[name](columns, every_other)
    assert torch.allclose(loss, expected, atol=1e-6)
    assert torch.allclose(grad_of(loss, columns), expected_grad, atol=1e-6)
    swapped = logits.detach().view(3, 4, 21).transpose(0, 1).requires_grad_()
    loss = LOSSES[name](swapped, target.view(3, 4).t())
    assert torch.allclose(loss.t().reshape(-1), expected, atol=1e-6)
    grad = grad_of(loss, swapped).transpose(0, 1).reshape(12, 21)
    assert torch.allclose(grad, expected_grad, atol=1e-6)
    one_target = LOSSES[name](logits, target[:1].expand(12))
    assert torch.allclose(one_target, LOSSES[name](logits, target[:1].repeat(12)), atol=1e-6)


def test_autocast_does_not_lower_the_precision(name: str) -> None:
    logits, target = inputs(8, 51)
    bins = Bins.centered(-10, 10, 51)
    expected = LOSSES[name](logits, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LOSSES[name](logits, target)
        value = kernels.categorical_value(logits, bins)
    assert torch.equal(loss, expected)
    assert torch.equal(grad_of(loss, logits), grad_of(expected, logits))
    exact = kernels.categorical_value(logits, bins)
    assert torch.allclose(value, exact, atol=1e-5)


def test_what_is_kept_serves_inference_and_training() -> None:
    logits, target = inputs(4, 51)
    rule = GaussianLabel(Bins(-10.0, 10.0, 51), 0.123)
    with torch.inference_mode():
        first = kernels.cross_entropy(logits, target, rule)
    loss = kernels.cross_entropy(logits, target, rule)
    assert torch.equal(loss, first)
    assert grad_of(loss, logits).isfinite().all()


def test_value() -> None:
    logits, _ = inputs(8, 21)
    bins = Bins.centered(-10, 10, 21)
    expected = reference.categorical_value(logits.double(), torch.linspace(-10, 10, 21, dtype=torch.float64))
    value = kernels.categorical_value(logits, bins)
    assert torch.allclose(value.double(), expected, atol=1e-5)
    assert torch.allclose(grad_of(value, logits).double(), grad_of(expected, logits).double(), atol=1e-5)
    assert kernels.categorical_value(logits.bfloat16(), bins).dtype == torch.float32
    spoilt = torch.zeros(3, 21)
    spoilt[:, 4] = torch.tensor([math.nan, math.inf, -math.inf])
    assert kernels.categorical_value(spoilt, bins).isnan().all()
