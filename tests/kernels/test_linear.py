"""The last layer with its loss, beside the layer and the loss apart: on a CPU, in pieces."""

import copy
import itertools
import math

import pytest
import torch
import torch.utils.checkpoint
from torch import nn

from catzoo import kernels
from catzoo.kernels import Bins, GaussianLabel, GivenLabel, NextDistribution, ProjectedLabel, TwoHotLabel
from catzoo.kernels import linear as pieces
from catzoo.kernels.numba_path import INSTALLED

K, D = 21, 7
BINS = Bins.centered(-3, 3, K)
RULES = {
    "hl_gauss": GaussianLabel(Bins(-3, 3, K), 0.4),
    "unclamped": GaussianLabel(Bins(-3, 3, K), 0.4, (-math.inf, math.inf)),
    "two_hot": TwoHotLabel(BINS),
    "c51": ProjectedLabel(BINS),
    "given": GivenLabel(),
}
BACKENDS = ["torch", pytest.param("numba", marks=pytest.mark.skipif(not INSTALLED, reason="no Numba"))]


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """Of three rows, the last of them not whole."""
    monkeypatch.setattr(pieces, "ROWS_ON_A_CPU", 3)


def example(rule, shape=(2, 4), dtype=torch.float32):
    random = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64).to(dtype)

    layer, features, weight = nn.Linear(D, K).to(dtype), normal(*shape, D), normal(*shape).abs()
    weight.view(-1)[:1] = 0
    target = 2 * normal(*shape)
    if isinstance(rule, GivenLabel):
        target = normal(*shape, K).softmax(-1)
    if isinstance(rule, ProjectedLabel):
        target = NextDistribution(normal(*shape, K), target, torch.full_like(target, 0.9))
    return layer, features.requires_grad_(), target, weight


def apart(layer, features, target, rule, weight, upstream):
    """Losses and gradients of a layer and `cross_entropy`."""
    layer, features = copy.deepcopy(layer), features.detach().requires_grad_()
    loss = kernels.cross_entropy(layer(features), target, rule, weight=weight, backend="torch")
    loss.backward(upstream)
    bias = None if layer.bias is None else layer.bias.grad
    return loss.detach(), (features.grad, layer.weight.grad, bias)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "with_weight", "bias"), itertools.product(RULES, (False, True), (False, True))
)
def test_it_is_the_layer_and_the_loss(name, with_weight, bias, backend):
    rule = RULES[name]
    if backend == "numba" and name == "unclamped":
        pytest.skip("Numba takes clamped targets")
    layer, features, target, weight = example(rule)
    if not bias:
        layer.bias = None
    weight = weight if with_weight else None
    upstream = torch.linspace(0.5, 2, 8).view(2, 4)
    expected, gradients = apart(layer, features, target, rule, weight, upstream)
    given = layer.weight, layer.bias, target, rule
    loss = kernels.linear_cross_entropy(features, *given, weight=weight, backend=backend)
    torch.testing.assert_close(loss, expected)
    loss.backward(upstream)
    made = features.grad, layer.weight.grad, None if layer.bias is None else layer.bias.grad
    for one, other in zip(made, gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)

    ones = torch.ones(2, 4)
    _, gradients = apart(layer, features, target, rule, weight, ones)
    loss, in_one = kernels.linear_loss_and_grad(features, *given, weight=weight, backend=backend)
    torch.testing.assert_close(loss, expected)
    assert not loss.requires_grad
    for one, other in zip(in_one, gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_gradients_in_float64():
    layer, features, target, weight = example(RULES["hl_gauss"], (5,), torch.float64)

    def loss(features, head, bias):
        return kernels.linear_cross_entropy(features, head, bias, target, RULES["hl_gauss"], weight=weight)

    assert torch.autograd.gradcheck(loss, (features, layer.weight, layer.bias))


@pytest.mark.parametrize("rows", [3, 2048])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_sums_in_float32(dtype, rows, monkeypatch):
    """Of 4096 equal rows, whose sum in half precision would stop at 256 of them."""
    monkeypatch.setattr(pieces, "ROWS_ON_A_CPU", rows)
    layer = nn.Linear(D, K).to(dtype)
    features, target = torch.ones(4096, D, dtype=dtype), torch.zeros(4096)
    _, one = kernels.linear_loss_and_grad(
        features[:1], layer.weight, layer.bias, target[:1], RULES["hl_gauss"]
    )
    _, many = kernels.linear_loss_and_grad(features, layer.weight, layer.bias, target, RULES["hl_gauss"])
    assert many.weight.dtype == many.features.dtype == dtype
    for a_row, rows in ((one.weight, many.weight), (one.bias, many.bias)):
        torch.testing.assert_close(rows.float(), 4096 * a_row.float(), rtol=0.02, atol=0.5)
    wide = 600 * torch.cat((features, -features))  # a piece's sum is beyond float16, that of all is not
    flat = torch.zeros_like(layer.weight)
    _, made = kernels.linear_loss_and_grad(wide, flat, None, target.repeat(2), RULES["hl_gauss"])
    assert made.weight.isfinite().all()


def test_the_logits_are_never_whole():
    """No tensor of N K numbers is made, forward or backward."""
    layer, features, target, _ = example(RULES["hl_gauss"], (300,))
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for x in out if isinstance(out, tuple) else (out,):
                if isinstance(x, torch.Tensor) and "expand" not in str(func):
                    largest = max(largest, x.numel())
            return out

    given = layer.weight, layer.bias, target, RULES["hl_gauss"]
    with Watch():
        kernels.linear_cross_entropy(features, *given).sum().backward()
    assert largest == 300 * D
    with Watch():
        kernels.cross_entropy(layer(features), target, RULES["hl_gauss"]).sum().backward()
    assert largest >= 300 * K


def test_one_bad_row_spoils_its_own_loss():
    layer, features, target, _ = example(RULES["hl_gauss"], (7,))
    target[3] = math.nan
    loss = kernels.linear_cross_entropy(features, layer.weight, layer.bias, target, RULES["hl_gauss"])
    assert loss.isnan().tolist() == [row == 3 for row in range(7)]
    weight = torch.ones(7)
    weight[3] = 0
    loss, gradients = kernels.linear_loss_and_grad(
        features, layer.weight, layer.bias, target, RULES["hl_gauss"], weight=weight
    )
    assert loss[3] == 0
    assert all(x.isfinite().all() for x in gradients)


def test_a_row_of_weight_0_is_out_whatever_its_features():
    rule = RULES["hl_gauss"]
    layer, features, target, _ = example(rule, (7,))
    weight = torch.arange(7.0)
    expected = kernels.linear_loss_and_grad(features[1:], layer.weight, layer.bias, target[1:], rule,
                                            weight=weight[1:])[1]  # fmt: skip
    features = features.detach().clone()
    features[0] = math.nan
    _, made = kernels.linear_loss_and_grad(features, layer.weight, layer.bias, target, rule, weight=weight)
    torch.testing.assert_close(made.weight, expected.weight)
    torch.testing.assert_close(made.bias, expected.bias)
    assert not made.features[0].any()


def test_no_rows():
    layer, features, target, _ = example(RULES["hl_gauss"], (0,))
    loss = kernels.linear_cross_entropy(features, layer.weight, layer.bias, target, RULES["hl_gauss"])
    loss.sum().backward()
    assert loss.shape == (0,)
    assert not layer.weight.grad.any()


def test_under_autocast_functorch_and_the_compiler():
    rule = RULES["hl_gauss"]
    layer, features, target, _ = example(rule, (6,))
    expected, gradients = apart(layer, features, target, rule, None, torch.ones(6))
    with torch.autocast("cpu", torch.bfloat16):
        loss = kernels.linear_cross_entropy(features, layer.weight, layer.bias, target, rule)
    loss.sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0.02)

    def summed(features):
        return kernels.linear_cross_entropy(features, layer.weight, layer.bias, target, rule).sum()

    torch.testing.assert_close(torch.func.grad(summed)(features), gradients[0])
    compiled = torch.compile(summed, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(features), expected.sum())


def test_second_derivatives():
    rule = RULES["hl_gauss"]
    layer, features, target, weight = example(rule, (5,), torch.float64)

    def loss(features, head, bias):
        return kernels.linear_cross_entropy(features, head, bias, target, rule, weight=weight)

    assert torch.autograd.gradgradcheck(loss, (features, layer.weight, layer.bias))
    layer.requires_grad_(False)
    (grad,) = torch.autograd.grad(loss(features, layer.weight, None).sum(), features, create_graph=True)
    grad.square().sum().backward()
    assert features.grad.isfinite().all()
    assert features.grad.any()


def test_frozen_parts_cost_and_get_nothing():
    rule = RULES["hl_gauss"]
    layer, features, target, weight = example(rule)
    layer.weight.requires_grad_(False)
    weight.requires_grad_()
    loss = kernels.linear_cross_entropy(
        features.detach(), layer.weight, layer.bias, target, rule, weight=weight
    )
    loss.sum().backward()
    assert layer.weight.grad is None
    assert weight.grad is None, "a constant"
    assert layer.bias.grad.any()
    layer.bias.requires_grad_(False)
    given = features.detach(), layer.weight, layer.bias, target, rule
    assert not kernels.linear_cross_entropy(*given, weight=weight).requires_grad


def test_features_that_come_from_the_head():
    """As with tied embeddings: the second derivative's graph must not count them twice."""
    rule = RULES["hl_gauss"]
    layer, _, target, _ = example(rule, (5,), torch.float64)
    place = torch.arange(5)
    made = []
    for create_graph, apart in ((False, True), (False, False), (True, False)):
        features = layer.weight[place].tanh()
        if apart:
            loss = kernels.cross_entropy(layer(features), target, rule)
        else:
            loss = kernels.linear_cross_entropy(features, layer.weight, layer.bias, target, rule)
        made.append(torch.autograd.grad(loss.sum(), layer.weight, create_graph=create_graph)[0].detach())
    torch.testing.assert_close(made[1], made[0])
    torch.testing.assert_close(made[2], made[0])


def test_checkpoints_and_batches_of_gradients():
    rule = RULES["hl_gauss"]
    layer, features, target, _ = example(rule, (6,))

    def losses(features):
        return kernels.linear_cross_entropy(features, layer.weight, layer.bias, target, rule)

    expected = torch.autograd.grad(losses(features).sum(), features)[0]
    again = torch.utils.checkpoint.checkpoint(losses, features, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(again.sum(), features)[0], expected)
    many = torch.autograd.grad(losses(features), features, torch.eye(6), is_grads_batched=True)[0]
    torch.testing.assert_close(many.sum(0), expected)
    torch.testing.assert_close(torch.autograd.functional.jacobian(losses, features, vectorize=True), many)


def test_a_backward_pass_inside_of_autocast():
    rule = RULES["hl_gauss"]
    layer, features, target, _ = example(rule, (6,))
    loss = kernels.linear_cross_entropy(features, layer.weight, layer.bias, target, rule).sum()
    with torch.autocast("cpu", torch.bfloat16):
        loss.backward()
        _, made = kernels.linear_loss_and_grad(features, layer.weight, layer.bias, target, rule)
    assert made.weight.dtype == torch.float32
    torch.testing.assert_close(made.weight, layer.weight.grad, rtol=0.05, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        wide = kernels.linear_cross_entropy(
            *(x.double() for x in (features, *layer.parameters())), target, rule
        )
    assert wide.dtype == torch.float64, "as autocast leaves it"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": torch.zeros(4, D + 1)}, r"features must be \[..., D\].*\[4, 8\] and \[21, 7\]"),
        ({"head_bias": torch.zeros(K + 1)}, r"bias must be \[21\], got \[22\]"),
        ({"head_weight": torch.zeros(K, D).double()}, "one dtype and device.*float32.*float64"),
        ({"head_weight": torch.zeros(K + 1, D), "head_bias": None}, r"must have shape \[..., 21\]"),
        ({"target": torch.zeros(5)}, r"target must have shape \[4\], got \[5\]"),
        ({"backend": "cuda"}, "backend must be one of"),
    ],
)
def test_bad_input(change, words):
    given = {
        "features": torch.zeros(4, D),
        "head_weight": torch.zeros(K, D),
        "head_bias": torch.zeros(K),
        "target": torch.zeros(4),
        "rule": RULES["hl_gauss"],
    }
    with pytest.raises(ValueError, match=words):
        kernels.linear_cross_entropy(**(given | change))
