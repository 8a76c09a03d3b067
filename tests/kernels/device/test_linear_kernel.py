"""A layer and its loss in one kernel, and the gradient of a large batch that the backward pass makes."""

import itertools
import math

import pytest
import torch
from torch import nn

from catzoo import kernels
from catzoo.kernels import NextDistribution, autograd, triton_path
from catzoo.kernels import linear as pieces
from kernel_cases_for_tests import RULES, case, gaussian

SOME = ("hl_gauss", "all bins", "unclamped", "two_hot", "c51", "given")


def layer_and_case(rule, num_bins, inputs, rows, dtype=torch.float32):
    """A layer with logits of about 2, features, a target, and its label in float64."""
    torch.manual_seed(inputs)
    layer = nn.Linear(inputs, num_bins)
    with torch.no_grad():
        layer.weight.normal_(std=2 / math.sqrt(inputs))
    _, target, label = case(rule, num_bins, rows)
    return layer.to(dtype), torch.randn(rows, inputs).to(dtype), target, label


@pytest.mark.parametrize(
    ("name", "num_bins", "inputs"),
    [
        *itertools.product(SOME, (51,), (40,)),
        *itertools.product(("hl_gauss",), (2, 101, 255, 1024), (3, 128)),
    ],
)
def test_against_float64(name, num_bins, inputs):
    rule = RULES[name](num_bins)
    layer, features, target, label = layer_and_case(rule, num_bins, inputs, rows=21)
    weight = torch.linspace(0, 2, 21)
    given = layer.weight, layer.bias, target, rule
    loss, made = kernels.linear_loss_and_grad(features, *given, weight=weight, backend="triton")
    exact = features.double().requires_grad_()
    layer.double()
    expected = weight.double() * -(label * layer(exact).log_softmax(-1)).sum(-1)
    expected.sum().backward()
    torch.testing.assert_close(loss.double(), expected.detach(), rtol=1e-5, atol=2e-5)
    for one, other in zip(made, (exact.grad, layer.weight.grad, layer.bias.grad), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    rule = gaussian(101)
    layer, features, target, label = layer_and_case(rule, 101, 64, rows=9, dtype=dtype)
    loss = kernels.linear_cross_entropy(features, layer.weight, None, target, rule, backend="triton")
    expected = -(label * (features.double() @ layer.weight.double().t()).log_softmax(-1)).sum(-1)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-4)
    loss.sum().backward()
    assert layer.weight.grad.dtype == dtype
    assert layer.weight.grad.isfinite().all()


def test_strided_features_and_several_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "ROWS" if features_elsewhere() else "ROWS_ON_A_CPU", 8)
    rule = gaussian(51)
    layer, features, target, _ = layer_and_case(rule, 51, 12, rows=20)
    wide = torch.randn(20, 24)
    wide[:, ::2] = features
    given = target, rule
    with_strides = kernels.linear_cross_entropy(
        wide[:, ::2], layer.weight.t().contiguous().t(), layer.bias, *given, backend="triton"
    )
    dense = kernels.linear_cross_entropy(features, layer.weight, layer.bias, *given, backend="triton")
    torch.testing.assert_close(with_strides, dense)


def features_elsewhere():
    return torch.get_default_device().type != "cpu"


@pytest.mark.parametrize("name", ["hl_gauss", "two_hot"])
@pytest.mark.parametrize("with_weight", [False, True])
def test_a_large_batch_makes_its_gradient_in_the_backward_pass(name, with_weight, monkeypatch):
    rule = RULES[name](33)
    logits, target, _ = case(rule, 33, 12)
    weight = torch.linspace(0.0, 2.0, 12) if with_weight else None
    upstream = torch.linspace(1.0, 3.0, 12)
    made, calls = {}, []
    kept = triton_path.loss_and_grad
    monkeypatch.setattr(
        triton_path, "loss_and_grad", lambda *given: [calls.append(given[-1]), kept(*given)][1]
    )
    for large in (False, True):
        monkeypatch.setattr(autograd, "LARGE", 0 if large else 1 << 40)
        x = logits.detach().requires_grad_()
        loss = kernels.cross_entropy(x, target, rule, weight=weight, backend="triton")
        (first,) = torch.autograd.grad(loss, x, upstream, retain_graph=True)
        (twice,) = torch.autograd.grad(loss, x, upstream, create_graph=True)
        (second,) = torch.autograd.grad(twice.square().sum(), x)
        made[large] = loss.detach(), first, second
    assert calls == [True, False, True, True]  # whether a gradient was made
    for one, other in zip(*made.values(), strict=True):
        torch.testing.assert_close(one, other)


def test_many_gradients_of_a_large_batch_at_once(monkeypatch):
    monkeypatch.setattr(autograd, "LARGE", 0)
    logits, target, _ = case(gaussian(33), 33, 6)
    logits.requires_grad_()
    loss = kernels.cross_entropy(logits, target, gaussian(33), backend="triton")
    target.zero_()  # its memory is used again
    many = torch.autograd.grad(loss, logits, torch.eye(6), is_grads_batched=True, retain_graph=True)[0]
    torch.testing.assert_close(many.sum(0), torch.autograd.grad(loss.sum(), logits)[0])


def test_a_label_of_all_bins_is_not_read_twice(monkeypatch):
    monkeypatch.setattr(autograd, "LARGE", 0)
    choice = kernels.backend.Choice("triton")
    logits = torch.zeros(4, 33)
    assert autograd._is_made_again(choice, logits, torch.zeros(4))
    assert not autograd._is_made_again(choice, logits, torch.zeros(4, 33))
    assert not autograd._is_made_again(choice, logits, NextDistribution(logits, logits[:, 0], logits[:, 0]))
    assert not autograd._is_made_again(kernels.backend.Choice("torch"), logits, torch.zeros(4))
