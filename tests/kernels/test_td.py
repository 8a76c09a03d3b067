"""One Bellman step: loss, TD error, clipped flag and gradient of every rule, and greedy actions."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from backends_for_tests import only
from catzoo import kernels
from catzoo.kernels import (
    Bins,
    GaussianLabel,
    ProjectedLabel,
    TDResult,
    TwoHotLabel,
    ValueRule,
    reference,
    torch_path,
)

B, A, K = 16, 3, 21
Batch = dict[str, Tensor]
UNEVEN = Bins.uneven([math.copysign(10 * abs(i / 10.5 - 1) ** 1.5, i - 10.5) for i in range(K + 1)])
RULES: dict[str, ValueRule] = {
    "hl_gauss": GaussianLabel(Bins(-10.0, 10.0, K), 0.75 * 20 / K),
    "unclamped": GaussianLabel(Bins(-10.0, 10.0, K), 0.75 * 20 / K, (-math.inf, math.inf)),
    "gauss_on_uneven": GaussianLabel(UNEVEN, 0.7),
    "two_hot": TwoHotLabel(Bins.centered(-10, 10, K)),
    "two_hot_on_uneven": TwoHotLabel(UNEVEN),
    "c51": ProjectedLabel(Bins.centered(-10, 10, K)),
    "c51_on_uneven": ProjectedLabel(UNEVEN),
}


@pytest.fixture(params=["torch", "numba"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every implementation for a CPU."""
    yield from only(request.param, monkeypatch)


# What Numba leaves to PyTorch: float64, graphs (`test_numba.py`), and what is no tensor.
of_pytorch = pytest.mark.parametrize("way", ["torch"], indirect=True)


@pytest.fixture(params=RULES)
def rule(request: pytest.FixtureRequest) -> ValueRule:
    return RULES[request.param]


def batch(dtype: torch.dtype = torch.float32, shape: tuple[int, ...] = (B,)) -> Batch:
    """Rewards large enough to leave the support; every fourth row terminated."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    row = torch.arange(math.prod(shape)).view(shape)
    return {
        "outputs": (2 * normal(*shape, A, K)).requires_grad_(),
        "action": torch.randint(A, shape, generator=generator),
        "next_outputs": 2 * normal(*shape, A, K),
        "online": 2 * normal(*shape, A, K),
        "reward": 8 * normal(*shape),
        "discount": 0.99 * (row % 4 != 0).to(dtype),
        "weight": torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype) * (row % 5 != 0),
    }


def arguments(b: Batch, double: bool = False, weighted: bool = False) -> tuple[list[Tensor], dict[str, Any]]:
    names = ("outputs", "action", "next_outputs", "reward", "discount")
    online, weight = b["online"] if double else None, b["weight"] if weighted else None
    return [b[name] for name in names], {"next_online_outputs": online, "weight": weight}


def td(rule: ValueRule, b: Batch, double: bool = False, weighted: bool = False) -> TDResult:
    positional, named = arguments(b, double, weighted)
    return kernels.categorical_td(*positional, rule, **named)


def expected_td(rule: ValueRule, b: Batch, double: bool = False, weighted: bool = False) -> TDResult:
    """In float64, differentiable in the outputs."""
    b = {key: x.double() if x.is_floating_point() else x for key, x in b.items()}
    centers = rule.bins.center_tensor(torch.float64, torch.device("cpu"))
    chosen = torch.stack([row[action] for row, action in zip(b["outputs"], b["action"], strict=True)])
    next_values = reference.categorical_value(b["online" if double else "next_outputs"], centers)
    next_chosen = reference.greedy(b["next_outputs"], next_values)
    next_value = reference.categorical_value(next_chosen, centers)
    target = reference.scalar_target(next_value, b["reward"], b["discount"])
    low, high = rule.value_range
    if isinstance(rule, GaussianLabel):
        edges = rule.bins.edge_tensor(torch.float64, torch.device("cpu"))
        loss = reference.hl_gauss_td(chosen, target, edges, rule.sigma, low, high)
    elif isinstance(rule, TwoHotLabel):
        loss = reference.two_hot_td(chosen, target, centers)
    else:
        loss = reference.c51_td(chosen, next_chosen, b["reward"], b["discount"], centers)
    error = (target - reference.categorical_value(chosen, centers)).detach()
    return TDResult(loss * b["weight"] if weighted else loss, error, (target < low) | (target > high))


def grad_of(loss: Tensor, outputs: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), outputs)[0]


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_the_reference(rule: ValueRule, double: bool, weighted: bool, dtype: torch.dtype) -> None:
    b = batch(dtype)
    got, want = td(rule, b, double, weighted), expected_td(rule, b, double, weighted)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    assert got.loss.dtype == got.td_error.dtype == dtype
    assert torch.allclose(got.loss.double(), want.loss, rtol=tolerance, atol=tolerance)
    assert torch.allclose(got.td_error.double(), want.td_error, rtol=tolerance, atol=tolerance)
    assert not got.td_error.requires_grad
    assert got.clipped.dtype == torch.bool
    assert torch.equal(got.clipped, want.clipped)
    assert got.clipped.any() == (rule.value_range[1] < math.inf)
    grad, expected = grad_of(got.loss, b["outputs"]), grad_of(want.loss, b["outputs"])
    assert grad.dtype == dtype
    assert torch.allclose(grad, expected, atol=tolerance / 10)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_td_and_grad_is_what_autograd_gives(
    rule: ValueRule, double: bool, weighted: bool, dtype: torch.dtype
) -> None:
    b = batch(dtype)
    b["reward"][1] = math.nan
    positional, named = arguments(b, double, weighted)
    result, grad = kernels.categorical_td_and_grad(*positional, rule, **named)
    expected = td(rule, b, double, weighted)
    assert not result.loss.requires_grad
    assert not grad.requires_grad
    assert (grad.shape, grad.dtype) == ((B, A, K), dtype)
    for got, want in zip(result, expected, strict=True):
        assert torch.equal(got.nan_to_num(nan=-1), want.nan_to_num(nan=-1))
    assert torch.equal(grad.nan_to_num(nan=-1), grad_of(expected.loss, b["outputs"]).nan_to_num(nan=-1))


def test_only_the_chosen_action_gets_a_gradient(rule: ValueRule) -> None:
    b = batch()
    for key in ("next_outputs", "online", "reward", "discount", "weight"):
        b[key].requires_grad_()
    td(rule, b, double=True, weighted=True).loss.sum().backward()
    assert all(b[key].grad is None for key in ("next_outputs", "online", "reward", "discount", "weight"))
    assert b["outputs"].grad is not None
    touched = b["outputs"].grad.abs().sum(-1) > 0
    chosen = torch.nn.functional.one_hot(b["action"], A).bool() & (b["weight"] > 0)[:, None]
    assert torch.equal(touched, chosen)
    with torch.no_grad():
        assert not td(rule, b).loss.requires_grad


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["outputs", "next_outputs", "online", "reward", "discount"])
def test_nan_and_infinity_in_nan_out(rule: ValueRule, bad: float, where: str) -> None:
    b = {key: x.detach().clone() for key, x in batch().items()}
    if b[where].ndim == 1:
        b[where][6] = bad
    else:
        b[where][6, :, 0] = bad
    b["outputs"].requires_grad_()
    result = td(rule, b, double=True)
    assert result.loss.isnan().nonzero().flatten().tolist() == [6]
    assert not result.td_error[6].isfinite()
    if (where, bad) != ("outputs", -math.inf):  # softmax forgets it
        assert not grad_of(result.loss, b["outputs"])[6].isfinite().all()
    b["weight"] = torch.ones(B).index_fill(0, torch.tensor(6), 0)
    result = td(rule, b, double=True, weighted=True)
    assert result.loss[6] == 0
    assert result.loss.isfinite().all()
    assert torch.equal(grad_of(result.loss, b["outputs"])[6], torch.zeros(A, K))


@pytest.mark.parametrize("masked", [1, 5])
@pytest.mark.parametrize("small", [0, 30_000])
def test_bins_masked_by_the_lowest_number_are_out(
    rule: ValueRule, small: int, masked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_path, "SMALL", small)
    b = {**batch(), "reward": torch.zeros(B), "discount": torch.zeros(B)}
    results = []
    for mask in (torch.finfo(torch.float32).min, -1e4):
        for key in ("outputs", "next_outputs", "online"):
            b[key] = b[key].detach().clone()
            b[key][..., :masked] = mask
        results.append((td(rule, b, double=True), kernels.categorical_value(b["outputs"], rule.bins)))
    (result, value), (expected, expected_value) = results
    torch.testing.assert_close(value, expected_value)
    torch.testing.assert_close(result.td_error, expected.td_error)
    assert not result.loss.isnan().any()


def test_a_nan_target_is_not_outside() -> None:
    b = batch()
    b["reward"] = torch.full((B,), math.nan)
    assert not td(RULES["hl_gauss"], b).clipped.any()


@pytest.mark.parametrize("end", [10.0, 0.1])
def test_the_ends_themselves_are_not_outside(end: float) -> None:
    """Whatever the float32 next to 0.1 is."""
    b = batch(shape=(4,)) | {"discount": torch.zeros(4)}
    low, high = torch.tensor([-end, end])
    b["reward"] = torch.stack((low, high, low.nextafter(2 * low), high.nextafter(2 * high)))
    rule = GaussianLabel(Bins(-end, end, K), end / K)
    assert td(rule, b).clipped.tolist() == [False, False, True, True]


def test_weights_do_not_touch_the_error(rule: ValueRule) -> None:
    b = batch()
    plain, weighted = td(rule, b), td(rule, b, weighted=True)
    assert torch.equal(weighted.loss, plain.loss * b["weight"])
    assert torch.equal(weighted.td_error, plain.td_error)
    assert torch.equal(weighted.clipped, plain.clipped)


@pytest.mark.parametrize("shape", [(), (0,), (4, 0), (2, 8), (2, 2, 4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_leading_dimensions(rule: ValueRule, shape: tuple[int, ...], weighted: bool) -> None:
    b = batch(shape=shape)
    flat = {key: x.detach().reshape(-1, *x.shape[len(shape) :]) for key, x in b.items()}
    flat["outputs"].requires_grad_()
    result, expected = td(rule, b, True, weighted), td(rule, flat, True, weighted)
    for got, want in zip(result, expected, strict=True):
        assert got.shape == shape
        assert torch.equal(got.reshape(-1), want)
    grad = grad_of(result.loss, b["outputs"])
    assert torch.equal(grad.reshape(-1, A, K), grad_of(expected.loss, flat["outputs"]))
    positional, named = arguments(b, True, weighted)
    _, once_more = kernels.categorical_td_and_grad(*positional, rule, **named)
    assert torch.equal(once_more, grad)


def test_any_strides_and_int32_actions(rule: ValueRule) -> None:
    b = batch()
    expected = td(rule, b)
    other = {key: x.detach() for key, x in b.items()}
    for key in ("outputs", "next_outputs"):
        other[key] = other[key].permute(2, 0, 1).contiguous().permute(1, 2, 0)
    other["outputs"].requires_grad_()
    other["action"] = other["action"].int()
    other["reward"] = other["reward"].repeat_interleave(2)[::2]
    result = td(rule, other)
    assert torch.allclose(result.loss, expected.loss, atol=1e-6)
    assert torch.allclose(result.td_error, expected.td_error, atol=1e-5)
    grad = grad_of(result.loss, other["outputs"])
    assert torch.allclose(grad, grad_of(expected.loss, b["outputs"]), atol=1e-6)


def test_an_action_out_of_range_is_an_error(rule: ValueRule) -> None:
    b = batch()
    b["action"][3] = A
    with pytest.raises(IndexError):
        td(rule, b)


@pytest.mark.parametrize("double", [False, True])
def test_func_grad_and_vmap(rule: ValueRule, double: bool) -> None:
    b = batch()
    expected = td(rule, b, double, weighted=True)
    grad = grad_of(expected.loss, b["outputs"])
    rows = {key: x.detach() for key, x in b.items()}

    def loss_of(outputs: Tensor, rows: Batch) -> Tensor:
        return td(rule, rows | {"outputs": outputs}, double, weighted=True).loss

    by_row = torch.func.vmap(lambda rows: td(rule, rows, double, weighted=True))(rows)
    for got, want in zip(by_row, expected, strict=True):
        assert torch.allclose(got.float(), want.float(), atol=1e-5)
    at_once = torch.func.grad(lambda x: loss_of(x, rows).sum())(rows["outputs"])
    assert torch.allclose(at_once, grad, atol=1e-6)
    mapped = torch.func.vmap(torch.func.grad(loss_of))(rows["outputs"], rows)
    assert torch.allclose(mapped, grad, atol=1e-6)


def test_func_second_derivative(rule: ValueRule) -> None:
    b = {key: x.detach() for key, x in batch().items()}

    def loss_of(outputs: Tensor, rows: Batch) -> Tensor:
        return td(rule, rows | {"outputs": outputs}).loss

    hessian = torch.func.vmap(torch.func.jacrev(torch.func.grad(loss_of)))(b["outputs"], b)
    probs = torch.stack([row[action] for row, action in zip(b["outputs"], b["action"], strict=True)]).softmax(
        -1
    )
    expected = torch.diag_embed(probs) - probs[:, :, None] * probs[:, None]
    for row in range(B):
        action = b["action"][row]
        assert torch.allclose(hessian[row, action, :, action], expected[row], atol=1e-6)
        assert hessian[row].count_nonzero() <= K * K


@pytest.mark.parametrize("weighted", [False, True])
@of_pytorch
def test_first_and_second_derivatives(rule: ValueRule, weighted: bool) -> None:
    b = {key: x.detach()[:3] for key, x in batch(torch.float64).items()}
    outputs = b["outputs"].clone().requires_grad_()

    def loss_of(outputs: Tensor) -> Tensor:
        return td(rule, b | {"outputs": outputs}, double=True, weighted=weighted).loss

    assert torch.autograd.gradcheck(loss_of, outputs)
    assert torch.autograd.gradgradcheck(loss_of, outputs)


def test_backward_twice_through_a_kept_graph(rule: ValueRule) -> None:
    b = batch()
    loss = td(rule, b).loss.sum()
    (first,) = torch.autograd.grad(loss, b["outputs"], retain_graph=True)
    (second,) = torch.autograd.grad(loss, b["outputs"])
    assert torch.equal(first, second)


# One rule with both ways of choosing the next action: which one does not change a label's graph.
@pytest.mark.parametrize(
    ("rule", "double"),
    [("hl_gauss", False), *((name, i % 2 == 0) for i, name in enumerate(RULES))],
    indirect=["rule"],
)
@of_pytorch
def test_compiles_without_a_break(rule: ValueRule, double: bool) -> None:
    b = batch()
    torch.compiler.reset()
    compiled = torch.compile(td, fullgraph=True, backend="aot_eager")
    got, expected = compiled(rule, b, double, True), td(rule, b, double, True)
    assert torch.allclose(got.loss, expected.loss, atol=1e-5)
    assert torch.allclose(got.td_error, expected.td_error, atol=1e-5)
    assert torch.equal(got.clipped, expected.clipped)
    grad = grad_of(got.loss, b["outputs"])
    assert torch.allclose(grad, grad_of(expected.loss, b["outputs"]), atol=1e-5)
    positional, named = arguments({key: x.detach() for key, x in b.items()}, double, True)
    both = torch.compile(kernels.categorical_td_and_grad, fullgraph=True, backend="aot_eager")
    assert torch.allclose(both(*positional, rule, **named)[1], grad, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_networks(rule: ValueRule, dtype: torch.dtype) -> None:
    b = batch()
    half = {key: x.detach().to(dtype) if x.ndim == 3 else x for key, x in b.items()}
    half["outputs"].requires_grad_()
    whole = {key: x.detach().float() if x.ndim == 3 else x for key, x in half.items()}
    whole["outputs"].requires_grad_()
    result, expected = td(rule, half, double=True), td(rule, whole, double=True)
    assert result.loss.dtype == result.td_error.dtype == torch.float32
    assert torch.equal(result.loss, expected.loss)
    grad = grad_of(result.loss, half["outputs"])
    assert torch.equal(grad, grad_of(expected.loss, whole["outputs"]).to(dtype))


def test_autocast_does_not_lower_the_precision(rule: ValueRule) -> None:
    b = batch()
    expected = td(rule, b, double=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = td(rule, b, double=True)
    assert torch.allclose(result.loss, expected.loss, atol=1e-5)
    assert torch.allclose(result.td_error, expected.td_error, atol=1e-5)


@pytest.mark.parametrize("shape", [(), (7,), (0,), (2, 3)])
def test_greedy_action(shape: tuple[int, ...]) -> None:
    bins = Bins.centered(-10, 10, K)
    logits = torch.randn(*shape, 5, K, generator=torch.Generator().manual_seed(0))
    expected = reference.categorical_value(logits, torch.linspace(-10, 10, K)).argmax(-1)
    action = kernels.greedy_action(logits.requires_grad_(), bins)
    assert action.dtype == torch.int64
    assert torch.equal(action, expected)


def test_greedy_action_ties_and_nan() -> None:
    """The first of several; a NaN before all."""
    bins = Bins.centered(-10, 10, K)
    logits = torch.zeros(4, 5, K)
    logits[1, 2:4, -1] = 3
    logits[2, 4, 7] = -math.inf
    logits[3, 3:, 0] = math.nan
    assert kernels.greedy_action(logits, bins).tolist() == [0, 2, 4, 3]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("outputs", torch.zeros(B, A, K).long(), "outputs must be a floating point tensor, got torch.int64"),
        ("outputs", torch.zeros(B, A, 5), r"outputs must have shape \[..., A, 21\], got \[16, 3, 5\]"),
        ("outputs", torch.zeros(K), r"outputs must have shape \[..., A, 21\], got \[21\]"),
        ("outputs", torch.zeros(B, 0, K), r"outputs must have shape \[..., A, 21\], got \[16, 0, 21\]"),
        ("action", torch.zeros(B), "action must be an int64 or int32 tensor, got torch.float32"),
        ("action", torch.zeros(B, 1).long(), r"action must have shape \[16\], got \[16, 1\]"),
        (
            "next_outputs",
            torch.zeros(B, 2, K),
            r"next_outputs must have shape \[16, 3, 21\], got \[16, 2, 21\]",
        ),
        ("online", torch.zeros(B, A), r"next_online_outputs must have shape \[16, 3, 21\], got \[16, 3\]"),
        ("reward", torch.zeros(B, 1), r"reward must have shape \[16\], got \[16, 1\]"),
        ("discount", 0.99, r"discount must be a floating point tensor of shape \[16\], got 0.99"),
        ("weight", torch.zeros(A), r"weight must have shape \[16\], got \[3\]"),
        ("reward", torch.zeros(B, device="meta"), "reward must be on 'cpu' as the logits, got 'meta'"),
    ],
)
@of_pytorch
def test_bad_arguments_raise_one_line(key: str, value: Any, message: str) -> None:
    b = batch() | {key: value}
    with pytest.raises(ValueError, match=f"^{message}$"):
        td(RULES["c51"], b, double=True, weighted=True)
