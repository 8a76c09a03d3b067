"""The Triton path inside PyTorch: compile, torch.func, second derivatives, autocast, DDP, modules."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from catzoo import kernels
from catzoo.kernels import (
    Bins,
    GaussianLabel,
    GivenLabel,
    NextDistribution,
    ProjectedLabel,
    TwoHotLabel,
    backend,
    compiled,
    numba_path,
    plain,
)
from catzoo.losses import HLGauss

DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
BINS = Bins(-10, 10, 21)
UNEVEN = Bins.uneven([-10, -3, -1, 0, 1, 3, 10])
RULES: dict[str, Any] = {
    "hl_gauss": GaussianLabel(BINS, 0.7),
    "erfc": GaussianLabel(BINS, 0.7, (-99.0, float("inf")), "erfc"),
    "uneven": GaussianLabel(UNEVEN, 0.7),
    "two_hot": TwoHotLabel(Bins.centered(-10, 10, 21)),
    "c51": ProjectedLabel(Bins.centered(-10, 10, 21)),
    "given": GivenLabel(),
}


@pytest.fixture(params=RULES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def inputs(name: str, n: int = 6) -> tuple[Tensor, Any]:
    generator = torch.Generator(DEVICE).manual_seed(0)
    num_bins = 21 if name == "given" else RULES[name].bins.num_bins
    logits = torch.randn(n, num_bins, generator=generator, requires_grad=True)
    value = 24 * torch.rand(n, generator=generator) - 12
    if name == "given":
        return logits, torch.randn(n, num_bins, generator=generator).softmax(-1)
    if name == "c51":
        return logits, NextDistribution(logits.detach().flip(0), value, torch.full((n,), 0.9))
    return logits, value


def loss_of(name: str, logits: Tensor, target: Any) -> Tensor:
    return kernels.cross_entropy(logits, target, RULES[name], backend="triton")


def exact(name: str, logits: Tensor, target: Any) -> Tensor:
    return plain.cross_entropy(logits, plain.label(target, RULES[name], torch.float32), None)


def test_gradient_through_autograd(name: str) -> None:
    logits, target = inputs(name)
    upstream = torch.linspace(-2, 3, 6)
    (grad,) = torch.autograd.grad(loss_of(name, logits, target), logits, upstream)
    (expected,) = torch.autograd.grad(exact(name, logits, target), logits, upstream)
    assert torch.allclose(grad, expected, atol=1e-5)


def test_second_derivative(name: str) -> None:
    logits, target = inputs(name)
    seconds = []
    for loss in (loss_of, exact):
        (grad,) = torch.autograd.grad(loss(name, logits, target).sum(), logits, create_graph=True)
        seconds.append(torch.autograd.grad((grad**2).sum(), logits)[0])
    assert torch.allclose(*seconds, atol=1e-5)


def test_torch_func(name: str) -> None:
    logits, target = inputs(name)
    rows = logits.detach()
    (expected,) = torch.autograd.grad(exact(name, logits, target).sum(), logits)
    by_row = torch.func.vmap(torch.func.grad(lambda x, y: loss_of(name, x, y)))(rows, target)
    assert torch.allclose(by_row, expected, atol=1e-5)
    assert torch.allclose(
        torch.func.vmap(lambda x, y: loss_of(name, x, y))(rows, target), exact(name, rows, target), atol=1e-5
    )
    first = type(target)(*(x[0] for x in target)) if isinstance(target, tuple) else target[0]
    one_target = torch.func.vmap(torch.func.grad(lambda x: loss_of(name, x, first)))(rows)
    assert torch.allclose(one_target[0], expected[0], atol=1e-5)
    jacobian = torch.func.jacrev(lambda x: loss_of(name, x, target))(rows)
    assert torch.allclose(jacobian.sum(1), expected, atol=1e-5)
    hessian = torch.func.hessian(lambda x: exact(name, x, target).sum())(rows)
    ours = torch.func.jacrev(torch.func.jacrev(lambda x: loss_of(name, x, target).sum()))(rows)
    assert torch.allclose(ours, hessian, atol=1e-5)


def test_functional_call_over_an_ensemble() -> None:
    """One loss, three sets of weights: what a vectorised study does."""
    torch.manual_seed(0)
    network, loss = nn.Linear(4, 51), HLGauss(backend="triton")
    stacked = {key: torch.stack([x.detach() + i for i in range(3)]) for key, x in network.named_parameters()}
    observation, target = torch.randn(5, 4), torch.randn(5)

    def total(parameters: dict[str, Tensor]) -> Tensor:
        return loss(torch.func.functional_call(network, parameters, (observation,)), target).mean()

    gradients = torch.func.vmap(torch.func.grad(total))(stacked)
    for i in range(3):
        alone = torch.func.grad(total)({key: x[i] for key, x in stacked.items()})
        assert torch.allclose(gradients["weight"][i], alone["weight"], atol=1e-6)


def test_compiles_without_a_break(name: str) -> None:
    logits, target = inputs(name)
    weight = torch.linspace(0, 1, 6)
    torch.compiler.reset()

    @torch.compile(fullgraph=True, backend="aot_eager")
    def step(logits: Tensor, target: Any) -> Tensor:
        return kernels.cross_entropy(logits, target, RULES[name], weight=weight, backend="triton") * 2

    loss = step(logits, target)
    assert torch.allclose(loss, 2 * weight * exact(name, logits, target), atol=1e-5)
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    (expected,) = torch.autograd.grad((2 * weight * exact(name, logits, target)).sum(), logits)
    assert torch.allclose(grad, expected, atol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_a_bellman_step_compiles(double: bool) -> None:
    torch.compiler.reset()
    outputs, following, online = torch.randn(3, 8, 4, 21).unbind()
    outputs.requires_grad_()
    action, reward = torch.arange(8) % 4, torch.randn(8)

    def step(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        options = {"next_online_outputs": online} if double else {}
        result = kernels.categorical_td(
            outputs,
            action,
            following,
            reward,
            reward.sigmoid(),
            RULES["hl_gauss"],
            backend="triton",
            **options,
        )
        value = kernels.categorical_value(outputs, BINS, backend="triton")
        return result.loss + value.sum(-1), result.td_error, result.clipped

    results = torch.compile(step, fullgraph=True, backend="aot_eager")(outputs)
    expected = step(outputs)
    for ours, theirs in zip(results, expected, strict=True):
        assert torch.equal(ours, theirs)
    (grad,) = torch.autograd.grad(results[0].sum(), outputs)
    (expected_grad,) = torch.autograd.grad(expected[0].sum(), outputs)
    assert torch.allclose(grad, expected_grad, atol=1e-6)


def test_operators_pass_pytorch_s_own_check(name: str) -> None:
    logits, target = inputs(name)
    kind, numbers = compiled.encode(RULES[name])
    tensors = tuple(target) if isinstance(target, tuple) else (target, None, None)
    torch.library.opcheck(compiled._loss_and_grad, (logits, *tensors, None, kind, numbers, "triton", False))


def test_rules_survive_the_way_into_an_operator(name: str) -> None:
    kind, numbers = compiled.encode(RULES[name])
    rule = compiled.decode(kind, tuple(numbers))
    if name == "erfc":
        assert rule.value_range == (-99.0, compiled.LARGEST)  # type: ignore[union-attr]
    elif isinstance(rule, GaussianLabel):
        assert (rule.bins, rule.sigma, rule.value_range) == (
            RULES[name].bins, RULES[name].sigma, RULES[name].value_range
        )  # fmt: skip
    else:
        assert rule == RULES[name]


def test_a_bellman_step_under_torch_func() -> None:
    rule = RULES["hl_gauss"]
    outputs, following = torch.randn(2, 5, 8, 3, 21).unbind()
    action, reward = torch.arange(40).reshape(5, 8) % 3, torch.randn(5, 8)

    def total(name: str, outputs: Tensor, following: Tensor, action: Tensor, reward: Tensor) -> Tensor:
        step = kernels.categorical_td(
            outputs, action, following, reward, reward.sigmoid(), rule, backend=name
        )
        return step.loss.sum()

    gradients = [
        torch.func.vmap(torch.func.grad(total, argnums=1), in_dims=(None, 0, 0, 0, 0))(
            name, outputs, following, action, reward
        )
        for name in ("triton", "torch")
    ]
    assert torch.allclose(*gradients, atol=1e-5)


def test_autocast_changes_nothing() -> None:
    loss = HLGauss(backend="triton")
    outputs, target = torch.randn(8, 51), torch.randn(8)
    expected = loss(outputs, target)
    with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        assert torch.equal(loss(outputs, target), expected)
        assert torch.allclose(loss.decode(outputs), HLGauss(backend="torch").decode(outputs), atol=1e-5)


def test_value_has_a_gradient() -> None:
    logits = torch.randn(4, 21, dtype=torch.float32, requires_grad=True)
    (grad,) = torch.autograd.grad(kernels.categorical_value(logits, BINS, backend="triton").sum(), logits)
    (expected,) = torch.autograd.grad(plain.categorical_value(logits, BINS).sum(), logits)
    assert torch.allclose(grad, expected, atol=1e-5)


def test_distributed_data_parallel(tmp_path: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        network = nn.Linear(4, 51)
        parallel = nn.parallel.DistributedDataParallel(network)
        loss = HLGauss(backend="triton")
        loss(parallel(torch.randn(8, 4)), torch.randn(8)).mean().backward()
        assert network.weight.grad is not None
        assert network.weight.grad.abs().sum() > 0
    finally:
        torch.distributed.destroy_process_group()


def test_auto_takes_triton_where_it_runs() -> None:
    assert backend.choose("auto", DEVICE, RULES["hl_gauss"], 21).name == "triton"
    assert backend.choose("auto", DEVICE, RULES["hl_gauss"], 21, torch.float64).name == "torch"
    second = "numba" if DEVICE.type == "cpu" and numba_path.INSTALLED else "torch"
    assert backend.choose("auto", DEVICE, RULES["hl_gauss"], 1025).name == second
    assert backend.choose("auto", DEVICE, ProjectedLabel(UNEVEN), 6).name == second


@pytest.mark.parametrize(
    ("rule", "num_bins", "dtype", "message"),
    [
        (RULES["hl_gauss"], 21, torch.float64, "backend='triton' takes logits of .*, got torch.float64"),
        (GaussianLabel(Bins(0, 1, 1025), 0.1), 1025, torch.float32, "takes at most 1024 bins, got 1025"),
        (ProjectedLabel(UNEVEN), 6, torch.float32, "projects onto equal bins only, got uneven ones"),
    ],
)
def test_what_the_kernels_do_not_take(rule: Any, num_bins: int, dtype: torch.dtype, message: str) -> None:
    logits, scalar = torch.zeros(2, num_bins, dtype=dtype), torch.zeros(2)
    target = NextDistribution(logits, scalar, scalar) if isinstance(rule, ProjectedLabel) else scalar
    with pytest.raises(ValueError, match=message) as error:
        kernels.cross_entropy(logits, target, rule, backend="triton")
    assert "\n" not in str(error.value)
