"""The Numba kernels against float64, and what they leave to PyTorch; other tests of a CPU try them too."""

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from catzoo import kernels
from catzoo.kernels import (
    Bins,
    GaussianLabel,
    NextDistribution,
    ProjectedLabel,
    TwoHotLabel,
    backend,
    numba_path,
    reference,
    torch_path,
)
from kernel_cases_for_tests import (
    LAYOUTS,
    RULES,
    TD_RULES,
    UNEVEN,
    case,
    gaussian,
    in_float64,
    laid_out,
    td_inputs,
)

pytestmark = pytest.mark.skipif(not numba_path.INSTALLED, reason="needs Numba")
CPU = torch.device("cpu")
CLAMPED = {name: rule for name, rule in RULES.items() if name != "unclamped"}
TD = TD_RULES | {"uneven c51": ProjectedLabel(UNEVEN)}
NAMED = {"backend": "numba"}


def check(rule: Any, num_bins: int, n: int) -> None:
    logits, target, label = case(rule, num_bins, n)
    loss, grad = kernels.loss_and_grad(logits, target, rule, **NAMED)
    expected = reference.cross_entropy(logits.double(), label)
    assert torch.allclose(loss.double(), expected, rtol=1e-5, atol=1e-5)
    assert (grad.double() - (logits.double().softmax(-1) - label)).abs().max() < 2e-6
    assert torch.equal(kernels.cross_entropy(logits, target, rule, **NAMED), loss)


@pytest.mark.parametrize("num_bins", [2, 3, 8, 9, 31, 32, 33, 51, 64, 65, 101, 128, 255, 257, 1024])
@pytest.mark.parametrize("name", CLAMPED)
def test_every_label_and_width(name: str, num_bins: int) -> None:
    check(RULES[name](num_bins), num_bins, 19)


@pytest.mark.parametrize("rule", [GaussianLabel(UNEVEN, 0.3), TwoHotLabel(UNEVEN), ProjectedLabel(UNEVEN)])
def test_uneven_bins(rule: Any) -> None:
    check(rule, UNEVEN.num_bins, 33)


@pytest.mark.parametrize("method", ["auto", "erfc"])
@pytest.mark.parametrize("low", [-1000.0, 0.0, 123.456, 5e4])
def test_a_support_far_from_zero(low: float, method: Any) -> None:
    bins = Bins(low, low + 20, 101)
    generator = torch.Generator().manual_seed(0)
    value = (low + 20 * torch.rand(32, generator=generator)).float()
    logits = torch.randn(32, 101, generator=generator)
    rule = GaussianLabel(bins, 0.15, None, method)
    _, grad = kernels.loss_and_grad(logits, value, rule, **NAMED)
    edges = bins.edge_tensor(torch.float64, CPU)
    label = reference.hl_gauss_label(value.double().clamp(low, low + 20), edges, 0.15)
    assert (grad.double() - (logits.double().softmax(-1) - label)).abs().max() < 1e-6


@pytest.mark.parametrize("num_bins", [3, 51, 255])
@pytest.mark.parametrize("low", [-10.0, 2e5])
def test_targets_on_centers_and_a_hair_beside(low: float, num_bins: int) -> None:
    bins = Bins.centered(low, low + 20, num_bins)
    on = bins.center_tensor(torch.float32, CPU)
    for y in (on, on.nextafter(on + 1), on.nextafter(on - 1)):
        _, grad = kernels.loss_and_grad(torch.zeros(num_bins, num_bins), y, TwoHotLabel(bins), **NAMED)
        label = reference.two_hot_label(y.double(), bins.center_tensor(torch.float64, CPU))
        assert (1 / num_bins - grad.double() - label).abs().max() < 1e-6


@pytest.mark.parametrize("bins", [Bins(0.0, 4.0, 4), Bins.uneven([0.0, 1.0, 2.0, 3.0, 4.0])])
@pytest.mark.parametrize("sigma", [1e-3, 1e-30, 5e-324])
def test_sigma_to_zero_is_one_hot_and_half_on_an_edge(sigma: float, bins: Bins) -> None:
    y = torch.tensor([-10.0, 0.5, 1.7, 4.0, 2.0])
    _, grad = kernels.loss_and_grad(torch.zeros(5, 4), y, GaussianLabel(bins, sigma), **NAMED)
    expected = torch.eye(4)[[0, 0, 1, 3, 1]]
    expected[4, 1:3] = 0.5
    assert torch.allclose(0.25 - grad, expected)


@given(
    value=st.floats(-(2.0**100), 2.0**100, width=32),
    num_bins=st.integers(2, 300),
    ratio=st.floats(1e-3, 10),
)
@settings(max_examples=100, deadline=None)
def test_the_gradient_sums_to_zero_and_is_that_of_the_clamped_target(
    value: float, num_bins: int, ratio: float
) -> None:
    rule, y = gaussian(num_bins, ratio), torch.tensor([value])
    _, grad = kernels.loss_and_grad(torch.zeros(1, num_bins), y, rule, **NAMED)
    _, same = kernels.loss_and_grad(torch.zeros(1, num_bins), y.clamp(-10, 10), rule, **NAMED)
    assert abs(grad.double().sum().item()) < 2e-6
    assert torch.equal(grad, same)
    assert (1 / num_bins - grad.double()).min() > -1e-6


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", CLAMPED)
def test_a_bad_number_spoils_its_row_and_no_other(name: str, bad: float) -> None:
    rule = RULES[name](101)
    logits, target, _ = case(rule, 101, 11)
    parts = target if isinstance(target, NextDistribution) else (target,)
    for part in (logits, *parts):
        for spoilt_bin in (0, 50, 100):
            kept, at = part[3].clone(), ((3, spoilt_bin) if part.ndim == 2 else (3,))
            part[at] = bad
            loss, grad = kernels.loss_and_grad(logits, target, rule, **NAMED)
            assert loss.isnan().nonzero().flatten().tolist() == [3]
            assert grad.isnan().any(-1).nonzero().flatten().tolist() == [3]
            part[3] = kept


def test_the_largest_logits_that_there_are() -> None:
    """What masks a bin or an action; the filling of a row must not count beside it."""
    least = torch.finfo(torch.float32).min
    logits = torch.full((3, 51), least)
    logits[1, 7] = 0.0
    logits[2, 7] = -least / 2
    loss, grad = kernels.loss_and_grad(
        logits, torch.zeros(3), TwoHotLabel(Bins.centered(-7, 43, 51)), **NAMED
    )
    assert loss[:2].tolist() == pytest.approx([math.log(51), 0.0], rel=1e-6)
    assert grad[0, 0].item() == pytest.approx(1 / 51)
    assert kernels.categorical_value(logits, Bins(0, 51, 51), **NAMED).tolist() == [25.5, 7.5, 7.5]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["hl_gauss", "c51", "given"])
def test_strides_and_leading_dimensions(name: str, layout: str) -> None:
    rule = RULES[name](51)
    logits, target, _ = case(rule, 51, 12)
    view, is_next = laid_out(logits, layout), isinstance(target, NextDistribution)
    goal = NextDistribution(*(laid_out(x, layout) for x in target)) if is_next else laid_out(target, layout)
    loss, grad = kernels.loss_and_grad(view, goal, rule, **NAMED)
    expected, expected_grad = kernels.loss_and_grad(view, goal, rule, backend="torch")
    assert loss.shape == view.shape[:-1]
    assert torch.allclose(loss, expected, rtol=1e-5, atol=1e-5)
    assert torch.allclose(grad, expected_grad, atol=1e-6)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("actions", [1, 2, 6, 18, 33])
@pytest.mark.parametrize("name", TD)
def test_bellman_step(name: str, actions: int, double: bool) -> None:
    inputs = td_inputs(TD[name], actions)
    if double:
        inputs["next_online_outputs"] = inputs["next_outputs"].flip(0)
    inputs["weight"] = torch.linspace(0, 1, 9)
    step, grad = kernels.categorical_td_and_grad(**inputs, **NAMED)
    expected, expected_grad = kernels.categorical_td_and_grad(**in_float64(inputs), backend="torch")
    assert torch.allclose(step.loss.double(), expected.loss, rtol=1e-5, atol=1e-5)
    assert torch.allclose(step.td_error.double(), expected.td_error, atol=1e-5)
    assert torch.equal(step.clipped, expected.clipped)
    assert step.clipped.any()
    assert (grad.double() - expected_grad).abs().max() < 5e-6
    outputs = inputs["outputs"].requires_grad_()
    upstream = torch.linspace(-2, 3, 9)
    loss = kernels.categorical_td(**inputs, **NAMED).loss
    (scaled,) = torch.autograd.grad(loss, outputs, upstream)
    assert torch.allclose(scaled, grad * upstream[:, None, None], atol=1e-7)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", TD)
@pytest.mark.parametrize("where", ["outputs", "next_outputs", "next_online_outputs", "reward", "discount"])
def test_bad_numbers_in_a_bellman_step(name: str, where: str, bad: float) -> None:
    inputs = td_inputs(TD[name], 3)
    inputs["next_online_outputs"] = inputs["next_outputs"].flip(0)
    index = (5, inputs["action"][5], 7) if where == "outputs" else (5, 1, 7)[: inputs[where].ndim]
    if where == "next_outputs":
        inputs[where][5, :, 7] = bad
    else:
        inputs[where][index] = bad
    step, grad = kernels.categorical_td_and_grad(**inputs, **NAMED)
    assert step.loss.isnan().nonzero().flatten().tolist() == [5]
    assert grad.isnan().flatten(1).any(1).nonzero().flatten().tolist() == [5]


def test_actions_from_the_end_and_none_that_do_not_exist() -> None:
    inputs = td_inputs(gaussian(51), 3)
    expected, expected_grad = kernels.categorical_td_and_grad(**inputs, **NAMED)
    outputs = inputs["outputs"].clone().requires_grad_()
    loss = kernels.categorical_td(
        **inputs | {"action": inputs["action"] - 3, "outputs": outputs}, **NAMED
    ).loss
    assert torch.equal(loss, expected.loss)
    assert torch.equal(torch.autograd.grad(loss.sum(), outputs)[0], expected_grad)
    for wrong in (3, -4):
        inputs["action"][4] = wrong
        for name in ("numba", "auto"):
            with pytest.raises(IndexError, match=f"^action must be from 0 to 2, got {wrong}$"):
                kernels.categorical_td(**inputs, backend=name)
    assert ("numba", CPU) not in backend._broken


def test_value_and_greedy_action() -> None:
    generator = torch.Generator().manual_seed(0)
    for bins in (Bins(-10, 10, 51), Bins(5, 6, 255), Bins(2e5, 2e5 + 1, 64), UNEVEN):
        logits = 3 * torch.randn(7, 5, bins.num_bins, generator=generator)
        value = kernels.categorical_value(logits, bins, **NAMED)
        exact = reference.categorical_value(logits.double(), bins.center_tensor(torch.float64, CPU))
        assert (value.double() - exact).abs().max() < 1e-5 + 2.0**-24 * exact.abs().max()
        assert torch.equal(kernels.greedy_action(logits, bins, **NAMED), value.argmax(-1))
    logits = torch.zeros(3, 40, 51)
    logits[0, 37, 3] = math.nan
    logits[1, [5, 35], 50] = 9.0
    assert kernels.greedy_action(logits, Bins(-10, 10, 51), **NAMED).tolist() == [37, 5, 0]


def everything(name: str) -> list[Tensor]:
    """What each function gives, with gradients, on a batch of 300."""
    inputs = td_inputs(TD["c51"], 3, 300)
    outputs, rule = inputs["outputs"].requires_grad_(), gaussian(51)
    step = kernels.categorical_td(**inputs, backend=name)
    loss = kernels.cross_entropy(outputs[:, 0], inputs["reward"], rule, backend=name)
    (grad,) = torch.autograd.grad((step.loss + loss).mean(), outputs)
    value = kernels.categorical_value(outputs.detach(), rule.bins, backend=name)
    return [*step, loss, grad, value, kernels.greedy_action(outputs, rule.bins, backend=name)]


def same(ours: list[Tensor], theirs: list[Tensor], **tolerance: float) -> bool:
    return all(torch.allclose(x, y, **tolerance) for x, y in zip(ours, theirs, strict=True))


def test_the_same_bits_every_time_and_in_every_thread() -> None:
    expected = everything("numba")
    assert same(expected, everything("torch"), rtol=1e-5, atol=1e-5)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: everything("numba"), range(40)):
            assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_process_computes_too() -> None:
    expected = everything("numba")
    if not (child := os.fork()):
        found = everything("numba")
        os._exit(0 if all(torch.equal(x, y) for x, y in zip(found, expected, strict=True)) else 1)
    assert os.waitpid(child, 0)[1] == 0


PROGRAM = """
import sys
from catzoo import kernels
assert "numba" not in sys.modules
import torch
for name in ("torch", "auto"):
    kernels.two_hot_cross_entropy(torch.zeros(2, 5), torch.zeros(2), kernels.Bins(-1, 1, 5), backend=name)
    print("numba" in sys.modules)
"""


def test_numba_is_imported_at_the_first_call() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


BITS = """
import hashlib, torch
from catzoo import kernels
from catzoo.kernels.rules import GaussianLabel, TwoHotLabel
generator = torch.Generator().manual_seed(0)
def normal(*shape):
    return torch.randn(shape, generator=generator)
bins, found = kernels.Bins(-10, 10, 51), hashlib.sha256()
for rule in (GaussianLabel(bins, 0.3), TwoHotLabel(bins)):
    outputs, action = normal(128, 2, 51).requires_grad_(), torch.arange(128) % 2
    step = kernels.categorical_td(outputs, action, normal(128, 2, 51), normal(128), normal(128), rule)
    (grad,) = torch.autograd.grad(step.loss.sum(), outputs)
    for result in (step.loss, step.td_error, grad):
        found.update(result.detach().numpy().tobytes())
print(found.hexdigest())
"""


def test_the_process_that_compiles_computes_the_same_bits_as_those_after_it(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    run = [sys.executable, "-c", BITS]
    bits = [subprocess.check_output(run, env=environment, text=True) for _ in range(2)]
    assert list(tmp_path.rglob("*.nbc"))
    assert bits[0] == bits[1]


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_path, "INSTALLED", False)
    assert kernels.resolve_backend("auto", CPU) == "torch"
    with pytest.raises(ValueError, match=r"^backend='numba' needs Numba: pip install numba$"):
        everything("numba")


def test_a_numba_that_cannot_be_imported_costs_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "catzoo.kernels.numba_kernels", None)
    monkeypatch.delattr("catzoo.kernels.numba_kernels", raising=False)
    monkeypatch.setattr(numba_path, "_kept", {})
    monkeypatch.setattr(backend, "_broken", {})
    numba_path._kernels.cache_clear()
    with pytest.warns(RuntimeWarning) as warnings:
        found = everything("auto")
    assert len(warnings) == 1
    assert str(warnings[0].message).startswith("the numba kernels do not work on cpu (ModuleNotFoundError: ")
    assert all(torch.equal(x, y) for x, y in zip(found, everything("torch"), strict=True))


def test_kernels_compile_without_a_folder_to_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from catzoo.kernels import numba_kernels

    def njit(cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: (function, options)

    monkeypatch.setattr(numba_kernels, "njit", njit)
    assert numba_kernels.kernel(len) == (len, numba_kernels.KERNEL)


@pytest.mark.parametrize(
    ("rule", "dtype", "message"),
    [
        (gaussian(21), torch.float64, r"takes logits of .*, got torch\.float64"),
        (gaussian(21, clamp=(-99.0, 10.0)), torch.float32, r"takes a clamp inside the edges only, got .*"),
    ],
)
def test_what_is_left_to_pytorch(rule: Any, dtype: torch.dtype, message: str) -> None:
    logits, target = torch.zeros(2, 21, dtype=dtype), torch.zeros(2)
    with pytest.raises(ValueError, match=f"^backend='numba' {message}$"):
        kernels.cross_entropy(logits, target, rule, **NAMED)
    assert backend.choose("auto", CPU, rule, 21, dtype).name == "torch"


MIXED = [(key, dtype) for key in ("reward", "discount", "weight") for dtype in (torch.float64, torch.float16)]
MIXED += [("outputs", torch.float16), ("next_outputs", torch.bfloat16)]


@pytest.mark.parametrize(
    ("key", "dtype"), [*MIXED, ("outputs", torch.float16), ("next_outputs", torch.bfloat16)]
)
def test_mixed_dtypes_are_computed_as_pytorch_does(key: str, dtype: torch.dtype) -> None:
    inputs = td_inputs(gaussian(51), 3) | {"weight": torch.linspace(0, 1, 9)}
    inputs[key] = inputs[key].to(dtype)
    (step, grad), (expected, expected_grad) = (
        kernels.categorical_td_and_grad(**inputs, backend=name) for name in ("numba", "torch")
    )
    for ours, theirs in zip((*step, grad), (*expected, expected_grad), strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.allclose(
            ours.double(), theirs.double(), rtol=1e-4, atol=1e-2 if key == "outputs" else 1e-5
        )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that PyTorch's operations were asked for."""
    names: list[str] = []

    def counted(name: str, own: Any) -> Any:
        def step(*arguments: Any) -> Any:
            names.append(name)
            return own(*arguments)

        return step

    for name in ("loss_and_grad", "categorical_td", "chosen_td", "categorical_value", "greedy_action"):
        monkeypatch.setattr(torch_path, name, counted(name, getattr(torch_path, name)))
    return names


def test_tensors_without_memory_or_with_a_sign_apart(asked: list[str]) -> None:
    logits, target, rule = torch.randn(2, 51), torch.ones(2), gaussian(51)
    expected = kernels.cross_entropy(logits, torch.zeros(2), rule, **NAMED)
    assert not asked
    zeros = torch._efficientzerotensor(2)
    assert torch.allclose(kernels.cross_entropy(logits, zeros, rule, **NAMED), expected, atol=1e-5)
    assert asked == ["loss_and_grad"]
    turned = torch._neg_view(target)
    assert torch.equal(
        kernels.cross_entropy(logits, turned, rule, **NAMED),
        kernels.cross_entropy(logits, -target, rule, **NAMED),
    )


def test_inside_of_modes_and_of_torch_func(asked: list[str]) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    logits, target, rule = torch.randn(6, 3, 51), torch.randn(6, 3), gaussian(51)
    expected, grad = kernels.loss_and_grad(logits, target, rule, **NAMED)
    action = kernels.greedy_action(logits, rule.bins, **NAMED)
    assert not asked
    for name in ("numba", "auto"):

        def score(x: Tensor, y: Tensor, name: str) -> tuple[Tensor, Tensor]:
            return kernels.loss_and_grad(x, y, rule, backend=name)

        def best(x: Tensor, name: str) -> Tensor:
            return kernels.greedy_action(x, rule.bins, backend=name)

        named = partial(score, name=name)
        assert torch.allclose(make_fx(named)(logits, target)(logits, target)[1], grad, atol=1e-6)
        assert torch.allclose(torch.func.vmap(named)(logits, target)[0], expected, atol=1e-5)
        assert torch.equal(torch.func.vmap(partial(best, name=name))(logits), action)
        with FakeTensorMode():
            assert named(torch.ones(2, 51), torch.ones(2))[0].shape == (2,)
    assert len(asked) == 8
    asked.clear()
    loss_of = torch.func.grad(lambda x, y: kernels.cross_entropy(x, y, rule))
    torch.func.vmap(loss_of)(logits[:, 0], target[:, 0])
    assert not asked  # a function of one's own gets whole tensors


@pytest.mark.filterwarnings("ignore")  # tracing is deprecated, and says that it does not follow the checks
def test_a_graph_holds_the_plain_formula() -> None:
    rule = gaussian(51)
    inputs = td_inputs(rule, 3)

    def step(outputs: Tensor) -> list[Tensor]:
        given = inputs | {"outputs": outputs}
        both = kernels.categorical_td_and_grad(**given, **NAMED)
        value = kernels.categorical_value(outputs, rule.bins, **NAMED)
        loss, grad = kernels.loss_and_grad(outputs[:, 0], inputs["reward"], rule, **NAMED)
        first = kernels.cross_entropy(outputs[:, 0], inputs["reward"], rule, **NAMED)
        best = kernels.greedy_action(outputs, rule.bins, **NAMED)
        return [*both[0], both[1], *kernels.categorical_td(**given, **NAMED), value, loss, grad, first, best]

    torch.compiler.reset()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    assert same(compiled(inputs["outputs"]), step(inputs["outputs"]), rtol=1e-5, atol=1e-5)
    traced = torch.jit.trace(step, (inputs["outputs"],), check_trace=False)
    assert same(traced(inputs["outputs"].flip(0)), step(inputs["outputs"].flip(0)), rtol=1e-5, atol=1e-5)


def test_large_batches_go_to_several_threads(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_path, "LARGE", 50)
    for threads, name, steps in ((1, "auto", 0), (4, "numba", 0), (4, "auto", 4)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        everything(name)
        assert len(asked) == steps
