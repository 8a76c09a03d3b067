"""The choice of a backend, and the one-line errors of the public functions."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from catzoo import kernels
from catzoo.kernels import (
    Bins,
    GaussianLabel,
    ProjectedLabel,
    TwoHotLabel,
    backend,
    numba_path,
    torch_path,
    triton_path,
)

CPU, CUDA, BINS = torch.device("cpu"), torch.device("cuda", 0), Bins.centered(-1, 1, 5)
LOGITS, SCALAR = torch.randn(2, 5), torch.zeros(2)


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A backend ahead of PyTorch's that counts its calls, and breaks if told to."""

    def step(name: str) -> Any:
        def call(*arguments: Any) -> Any:
            fake.calls.append(name)
            if fake.error:
                raise fake.error
            return getattr(torch_path, name)(*arguments)

        return call

    names = ("loss_and_grad", "categorical_td", "categorical_value", "greedy_action")
    fake = SimpleNamespace(calls=[], error=None, **{name: step(name) for name in names})
    fake.refusal = lambda device, rule, num_bins, dtype: None if num_bins == 5 else "takes 5 bins"
    monkeypatch.setattr(backend, "IMPLEMENTATIONS", {"fused": fake, "torch": torch_path})
    monkeypatch.setattr(backend, "_broken", {})
    return fake


def test_auto_takes_the_first_that_does_not_refuse(fused: SimpleNamespace) -> None:
    assert backend.choose("auto", CPU, None, 5).name == "fused"
    assert backend.choose("auto", CPU, None, 6).name == "torch"
    assert backend.choose("torch", CPU, None, 5).name == "torch"
    with pytest.raises(ValueError, match=r"^backend='fused' takes 5 bins$"):
        backend.choose("fused", CPU, None, 6)


def test_numba_is_for_cpus_and_triton_for_gpus() -> None:
    assert kernels.resolve_backend("auto", CPU) == ("numba" if numba_path.INSTALLED else "torch")
    assert kernels.resolve_backend("auto", torch.device("meta")) == "torch"
    assert kernels.resolve_backend("auto", CUDA) == "triton"
    assert kernels.resolve_backend("torch", CUDA) == "torch"
    with pytest.raises(ValueError, match=r"^backend='triton' does not run on device 'cpu'$"):
        kernels.hl_gauss_cross_entropy(LOGITS, SCALAR, BINS, sigma=1.0, backend="triton")
    with pytest.raises(ValueError, match=r"^backend='numba' does not run on device 'cuda:0'$"):
        kernels.resolve_backend("numba", CUDA)


def every_call(name: str) -> list[Tensor]:
    """What each public function returns, differentiable ones with their gradient."""
    logits = LOGITS.clone().requires_grad_()
    outputs = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    action = torch.tensor([0, 2])
    losses = [
        kernels.hl_gauss_cross_entropy(logits, SCALAR, BINS, sigma=1, backend=name),
        kernels.two_hot_cross_entropy(logits, SCALAR, BINS, backend=name),
        kernels.soft_label_cross_entropy(logits, LOGITS.softmax(-1), backend=name),
        kernels.c51_cross_entropy(logits, LOGITS, SCALAR, SCALAR, BINS, backend=name),
        kernels.categorical_value(logits, BINS, backend=name),
    ]
    gradients = [torch.autograd.grad(loss.sum(), logits)[0] for loss in losses]
    step = kernels.categorical_td(
        outputs, action, outputs.detach(), SCALAR, SCALAR, TwoHotLabel(BINS), backend=name
    )
    (grad,) = torch.autograd.grad(step.loss.sum(), outputs)
    return [*losses, *gradients, *step, grad, kernels.greedy_action(outputs, BINS, backend=name)]


def test_every_function_runs_on_the_chosen_backend(fused: SimpleNamespace) -> None:
    results, expected = every_call("fused"), every_call("torch")
    assert set(fused.calls) == {"loss_and_grad", "categorical_td", "categorical_value", "greedy_action"}
    for ours, theirs in zip(results, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_broken_backend_costs_one_warning(fused: SimpleNamespace) -> None:
    fused.error = RuntimeError("ptxas died\nof something\nlong")
    with pytest.warns(RuntimeWarning) as warnings:
        results = every_call("auto")
    assert [str(warning.message) for warning in warnings] == [
        "the fused kernels do not work on cpu (RuntimeError: ptxas died); PyTorch's operations take over"
    ]
    assert len(fused.calls) == 1
    for ours, theirs in zip(results, every_call("torch"), strict=True):
        assert torch.equal(ours, theirs)


def test_what_was_asked_for_by_name_raises(fused: SimpleNamespace) -> None:
    fused.error = RuntimeError("ptxas died")
    with pytest.raises(RuntimeError, match="ptxas died"):
        every_call("fused")
    for error in (torch.OutOfMemoryError("no memory"), ValueError("your mistake")):
        fused.error = error
        with pytest.raises(type(error)):  # another backend would not help, and the kernels are not broken
            every_call("auto")
    assert not backend._broken


def test_a_missing_triton_is_a_broken_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'triton'")

    monkeypatch.setattr(triton_path, "_modules", missing)
    monkeypatch.setattr(triton_path, "refusal", lambda *_: None)
    monkeypatch.setattr(backend, "_broken", {})
    triton_path._constants.cache_clear()
    with pytest.warns(
        RuntimeWarning, match="the triton kernels do not work on cpu .*No module named 'triton'"
    ):
        loss = kernels.two_hot_cross_entropy(LOGITS, SCALAR, BINS)
    assert torch.equal(loss, kernels.two_hot_cross_entropy(LOGITS, SCALAR, BINS, backend="torch"))


def test_tensors_without_data_do_not_break_what_comes_after() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    bins = Bins(-3, 3, 7)
    with FakeTensorMode():
        kernels.hl_gauss_cross_entropy(torch.zeros(2, 7), torch.zeros(2), bins, sigma=1.0)
        kernels.categorical_value(torch.zeros(2, 7), bins)
    loss = kernels.hl_gauss_cross_entropy(torch.zeros(2, 7), torch.zeros(2), bins, sigma=1.0)
    assert loss.isfinite().all()
    assert kernels.categorical_value(torch.zeros(2, 7), bins).abs().max() < 1e-6


def gauss(logits: Any, target: Any, sigma: float = 0.1, **options: Any) -> Any:
    return kernels.hl_gauss_cross_entropy(logits, target, Bins(-1, 1, 5), sigma=sigma, **options)


def td(**change: Any) -> Any:
    outputs = torch.zeros(2, 3, 5)
    arguments = {
        "outputs": outputs, "action": Y.long(), "next_outputs": outputs, "reward": Y, "discount": Y
    } | change  # fmt: skip
    return kernels.categorical_td(**arguments, rule=TwoHotLabel(BINS))


UNEVEN = Bins.uneven([0, 1, 3, 7, 15, 31])
L, Y = torch.zeros(2, 5), torch.zeros(2)
META = torch.device("meta")
BAD_CALLS = {
    "backend must be one of 'auto', 'numba', 'torch', 'triton'; got 'cuda'": lambda: gauss(
        L, Y, backend="cuda"
    ),
    "logits must be a floating point tensor, got torch.int64": lambda: gauss(L.long(), Y),
    r"logits must have shape \[..., 5\], got \[2, 1\]": lambda: gauss(torch.zeros(2, 1), Y),
    r"target must have shape \[2\], got \[3\]": lambda: gauss(L, torch.zeros(3)),
    r"target must have shape \[2\], got \[2, 1\]": lambda: gauss(L, torch.zeros(2, 1)),
    r"target must be a floating point tensor of shape \[2\], got torch.int64": lambda: gauss(L, Y.long()),
    r"target must be a floating point tensor of shape \[2\], got 0.5": lambda: gauss(L, 0.5),
    "target must be on 'cpu' as the logits, got 'meta'": lambda: gauss(L, Y.to(META)),
    r"weight must have shape \[2\], got \[1\]": lambda: gauss(L, Y, weight=Y[:1]),
    "sigma must be positive and finite, got 0.0": lambda: gauss(L, Y, sigma=0.0),
    "sigma must be positive and finite, got inf": lambda: gauss(L, Y, sigma=float("inf")),
    r"clamp must be a lower and an upper end, got \(1, 0\)": lambda: gauss(L, Y, clamp=(1, 0)),
    r"clamp must be a lower and an upper end, got \(nan, 0\)": lambda: gauss(L, Y, clamp=(float("nan"), 0)),
    "method must be one of auto, polynomial, erfc; got 'table'": lambda: gauss(L, Y, method="table"),
    "method='polynomial' needs equal bins, got uneven ones": lambda: GaussianLabel(
        UNEVEN, 1.0, None, "polynomial"
    ),
    r"method='polynomial' needs a clamp inside the edges \[-1, 1\], got \(-2.0, 2.0\)": (
        lambda: gauss(L, Y, clamp=(-2, 2), method="polynomial")
    ),
    "num_bins must be an integer of at least 2, got 1": lambda: Bins(0, 1, 1),
    "num_bins must be an integer of at least 2, got 2.0": lambda: Bins.centered(0, 1, 2.0),  # type: ignore[arg-type]
    "edge_min must be below edge_max, both finite; got 1.0 and 1.0": lambda: Bins(1.0, 1.0, 5),
    "edge_min must be below edge_max, both finite; got -1.0 and nan": lambda: Bins(-1.0, float("nan"), 5),
    r"edges must increase strictly and be finite, got \[0, 2, 1\]": lambda: Bins.uneven([0, 2, 1]),
    r"edges must have K \+ 1 >= 3 and centers K numbers, got 3 and 1": lambda: Bins.uneven([0, 1, 2], [0.5]),
    r"logits must have shape \[..., 5\], got \[\]": lambda: kernels.categorical_value(Y.sum(), BINS),
    r"logits must have shape \[..., A, 5\], got \[5\]": lambda: kernels.greedy_action(L[0], BINS),
    r"label must have shape \[2, 5\], got \[2, 4\]": lambda: kernels.soft_label_cross_entropy(L, L[:, :4]),
    r"label must be a floating point tensor of shape \[2, 5\], got torch.bool": (
        lambda: kernels.soft_label_cross_entropy(L, L.bool())
    ),
    r"next_logits must have shape \[2, 5\], got \[1, 5\]": (
        lambda: kernels.c51_cross_entropy(L, L[:1], Y, Y, BINS)
    ),
    r"discount must have shape \[2\], got \[1\]": lambda: kernels.c51_cross_entropy(L, L, Y, Y[:1], BINS),
    "target must be a NextDistribution for ProjectedLabel, got torch.float32": (
        lambda: kernels.cross_entropy(L, Y, ProjectedLabel(BINS))
    ),
    r"outputs must have shape \[..., A, 5\], got \[5\]": lambda: td(outputs=L[0]),
    r"outputs must have shape \[..., A, 5\], got \[2, 0, 5\]": lambda: td(outputs=torch.zeros(2, 0, 5)),
    "action must be an int64 or int32 tensor, got torch.float32": lambda: td(action=Y),
    r"next_outputs must have shape \[2, 3, 5\], got \[2, 2, 5\]": (
        lambda: td(next_outputs=torch.zeros(2, 2, 5))
    ),
    r"reward must have shape \[2\], got \[\]": lambda: td(reward=Y[0]),
    "discount must be on 'cpu' as the logits, got 'meta'": lambda: td(discount=Y.to(META)),
}


@pytest.mark.parametrize("message", BAD_CALLS)
def test_bad_arguments_raise_one_line(message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as error:
        BAD_CALLS[message]()
    assert "\n" not in str(error.value)
