"""What every value loss promises, and each one's formula."""

import copy
import io
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from catzoo.kernels import reference
from catzoo.losses import (
    C51,
    LOSSES,
    MSE,
    CategoricalLoss,
    HLGauss,
    Huber,
    OneHot,
    QuantileRegression,
    SoftmaxMSE,
    TwoHot,
    make_value_loss,
)
from torch_settings_for_tests import SETTINGS, state

CATEGORICAL = [name for name, cls in LOSSES.items() if issubclass(cls, CategoricalLoss)]


@pytest.fixture(params=LOSSES)
def loss(request: pytest.FixtureRequest) -> Any:
    return make_value_loss(request.param)


def test_names() -> None:
    assert CATEGORICAL == ["one_hot", "two_hot", "hl_gauss", "c51", "softmax_mse"]
    assert list(LOSSES) == ["mse", "huber", *CATEGORICAL, "quantile"]
    made = make_value_loss("hl_gauss", num_bins=11, sigma_ratio=1.0)
    assert isinstance(made, HLGauss)
    assert (made.num_outputs, made.sigma_ratio) == (11, 1.0)
    with pytest.raises(
        ValueError, match=r"^value loss must be one of mse, .*; got 'hlgauss' .*: hl_gauss\)$"
    ):
        make_value_loss("hlgauss")


def test_defaults_are_the_designs() -> None:
    gauss = HLGauss()
    assert gauss.sigma == pytest.approx(0.75 * 20 / 51)
    assert gauss.sigma_ratio == pytest.approx(0.75)
    assert (gauss.support.align, gauss.num_outputs) == ("edges", 51)
    for cls in (OneHot, TwoHot, C51, SoftmaxMSE):
        support = cls().support
        assert (support.align, support.num_bins, support.v_min, support.v_max) == ("centers", 51, -10, 10)
    assert MSE().num_outputs == Huber().num_outputs == 1
    assert QuantileRegression().num_outputs == gauss.num_outputs


def test_repr_names_the_numbers() -> None:
    assert "sigma=0.294118" in repr(HLGauss())
    assert "[-10, 10], num_bins=51, align='edges'" in repr(HLGauss())
    assert repr(Huber(2)) == "Huber(delta=2)"
    assert repr(QuantileRegression(9, 0.5)) == "QuantileRegression(num_quantiles=9, kappa=0.5)"


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3)])
def test_shapes(loss: Any, shape: tuple[int, ...]) -> None:
    outputs = torch.randn(*shape, loss.num_outputs, requires_grad=True)
    target = torch.randn(shape)
    scores = loss(outputs, target)
    assert scores.shape == loss.decode(outputs).shape == shape
    (grad,) = torch.autograd.grad(scores.sum(), outputs)
    assert grad.shape == outputs.shape
    if isinstance(loss, CategoricalLoss):
        assert loss.encode(target).shape == (*shape, loss.num_outputs)


def test_gradients_flow_to_outputs_only(loss: Any) -> None:
    outputs = torch.randn(4, loss.num_outputs, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([-12.0, -0.3, 2.22, 30.0], dtype=torch.float64, requires_grad=True)
    loss(outputs, target).sum().backward()
    assert target.grad is None
    few = make_value_loss(next(n for n, c in LOSSES.items() if type(loss) is c))
    if isinstance(few, CategoricalLoss):
        few = type(few)(num_bins=5)
    elif isinstance(few, QuantileRegression):
        few = QuantileRegression(5)
    outputs = torch.randn(4, few.num_outputs, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: few(x, target.detach()), outputs)
    assert torch.autograd.gradgradcheck(lambda x: few(x, target.detach()), outputs)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_in_nan_out(loss: Any, bad: float) -> None:
    outputs, target = torch.randn(3, loss.num_outputs), torch.zeros(3)
    assert loss(outputs, torch.tensor([0.0, bad, 0.0])).isnan().tolist() == [False, True, False]
    outputs[2, -1] = bad
    assert loss(outputs, target).isnan().tolist() == [False, False, True]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_precision(loss: Any, dtype: torch.dtype) -> None:
    outputs, target = torch.randn(6, loss.num_outputs).to(dtype), torch.linspace(-3, 3, 6)
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert loss(outputs, target).dtype == loss.decode(outputs).dtype == expected
    assert torch.allclose(loss(outputs, target).float(), loss(outputs.float(), target), rtol=1e-4)


def test_func_and_compile(loss: Any) -> None:
    outputs, target = torch.randn(4, loss.num_outputs), torch.linspace(-2, 2, 4)
    leaf = outputs.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf, target).sum(), leaf)
    by_row = torch.func.vmap(torch.func.grad(loss))(outputs, target)
    assert torch.allclose(by_row, expected, atol=1e-5)
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    (grad,) = torch.autograd.grad(compiled(leaf, target).sum(), leaf)
    assert torch.allclose(grad, expected, atol=1e-5)


def test_inductor_keeps_the_numbers_and_the_nan() -> None:
    loss = HLGauss(num_bins=21)
    outputs, target = torch.randn(8, 21), torch.tensor([-30.0, -10, -1, 0, 1, 10, math.nan, math.inf])
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True)(outputs, target)
    assert torch.allclose(compiled, loss(outputs, target), atol=1e-5, equal_nan=True)
    assert compiled.isnan().tolist() == [False] * 6 + [True] * 2


def test_squared_error_has_no_half() -> None:
    assert MSE()(torch.tensor([[3.0]]), torch.tensor([1.0])).item() == 4.0


@pytest.mark.parametrize("delta", [0.5, 1.0, 3.0])
def test_huber_is_torchs(delta: float) -> None:
    outputs, target = torch.linspace(-5, 5, 41)[:, None], torch.zeros(41)
    expected = F.huber_loss(outputs[:, 0], target, reduction="none", delta=delta)
    assert torch.equal(Huber(delta)(outputs, target), expected)
    assert torch.allclose(reference.huber_td(outputs[:, 0], target, delta), expected)


def test_softmax_mse_is_the_squared_error_of_the_mean_and_does_not_clamp() -> None:
    loss = SoftmaxMSE(-1, 1, 3)
    outputs = torch.tensor([[0.0, 0.0, 50.0]])
    assert loss(outputs, torch.tensor([4.0])).item() == pytest.approx(9.0)


@pytest.mark.parametrize("name", ["two_hot", "c51"])
@pytest.mark.parametrize("align", ["edges", "centers"])
def test_two_hot_and_c51_against_the_reference(name: str, align: str) -> None:
    loss: Any = make_value_loss(name, num_bins=21, align=align)
    outputs, target = torch.randn(9, 21), torch.linspace(-12, 12, 9)
    label = reference.two_hot_label(target.double(), loss.support.grid(torch.float64)[1])
    expected = reference.cross_entropy(outputs.double(), label)
    assert torch.allclose(loss(outputs, target).double(), expected, atol=1e-5)
    assert (loss.encode(target).double() - label).abs().max() < 2e-6


@pytest.mark.parametrize("align", ["edges", "centers"])
@pytest.mark.parametrize("sigma", [{"sigma": 0.4}, {"sigma_ratio": 2.0}, {}])
@pytest.mark.parametrize("pad", [0.0, 3.0])
def test_hl_gauss_against_the_reference(align: Any, sigma: dict[str, float], pad: float) -> None:
    loss = HLGauss(-5, 7, 41, align=align, pad_sigmas=pad, **sigma)
    outputs, target = torch.randn(9, 41), torch.linspace(-8, 9, 9)
    edges = loss.support.grid(torch.float64)[0]
    label = reference.hl_gauss_label(target.double().clamp(-5, 7), edges, loss.sigma)
    expected = reference.cross_entropy(outputs.double(), label)
    assert torch.allclose(loss(outputs, target).double(), expected, atol=1e-5)
    assert (loss.encode(target).double() - label).abs().max() < 1e-6


@pytest.mark.parametrize("name", CATEGORICAL)
def test_encode_then_decode(name: str) -> None:
    """The logarithm of a label decodes to its value, but for HL-Gauss's discretisation and One-Hot's bin."""
    loss: Any = make_value_loss(name)
    value = torch.linspace(-8, 8, 33)
    if name == "one_hot":
        value = loss.nearest_center(value)
    assert torch.allclose(loss.decode(loss.encode(value).clamp(min=1e-30).log()), value, atol=1e-4)


BAD = {
    "v_min must be below v_max, both finite; got v_min=1 and v_max=1": ("hl_gauss", {"v_min": 1, "v_max": 1}),
    "v_min must be below v_max, both finite; got v_min=-inf": ("two_hot", {"v_min": -math.inf}),
    "v_min must be below v_max, both finite; got v_min=-10.0 and v_max=nan": ("c51", {"v_max": math.nan}),
    "num_bins must be an integer of at least 2, got 1": ("softmax_mse", {"num_bins": 1}),
    "num_bins must be an integer of at least 2, got 51.0": ("hl_gauss", {"num_bins": 51.0}),
    "align must be 'edges' or 'centers', got 'left'": ("hl_gauss", {"align": "left"}),
    "sigma and sigma_ratio exclude each other, got 1 and 2": ("hl_gauss", {"sigma": 1, "sigma_ratio": 2}),
    "sigma must be positive and finite, got 0": ("hl_gauss", {"sigma": 0}),
    "sigma must be positive and finite, got nan": ("hl_gauss", {"sigma": math.nan}),
    "sigma_ratio must be positive and finite, got -1": ("hl_gauss", {"sigma_ratio": -1}),
    "pad_sigmas must be finite and not negative, got -1": ("hl_gauss", {"pad_sigmas": -1}),
    "pad_sigmas must be below 34 .*, got 34": ("hl_gauss", {"pad_sigmas": 34}),
    "pad_sigmas must be below 2.5 .*, got 3": (
        "hl_gauss",
        {"pad_sigmas": 3, "sigma_ratio": 10, "align": "centers"},
    ),
    "backend must be one of 'auto', 'numba', 'torch', 'triton'; got 'cuda'": ("c51", {"backend": "cuda"}),
    "delta must be positive and finite, got 0": ("huber", {"delta": 0}),
    "num_quantiles must be an integer of at least 2, got 1": ("quantile", {"num_quantiles": 1}),
    "num_quantiles must be an integer of at least 2, got 9.0": ("quantile", {"num_quantiles": 9.0}),
    "kappa must be finite and not negative, got -1": ("quantile", {"kappa": -1}),
    "kappa must be finite and not negative, got nan": ("quantile", {"kappa": math.nan}),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_raise_one_line(message: str) -> None:
    name, kwargs = BAD[message]
    with pytest.raises(ValueError, match=f"^{message}") as error:
        make_value_loss(name, **kwargs)
    assert "\n" not in str(error.value)


def test_bad_tensors_raise_one_line(loss: Any) -> None:
    k = loss.num_outputs
    with pytest.raises(
        ValueError, match=rf"^(outputs|logits) must have shape \[..., {k}\], got \[4, {k + 1}\]$"
    ):
        loss(torch.zeros(4, k + 1), torch.zeros(4))
    with pytest.raises(ValueError, match=rf"^(outputs|logits) must have shape \[..., {k}\], got \[\]$"):
        loss.decode(torch.tensor(1.0))
    with pytest.raises(
        ValueError, match=r"^(outputs|logits) must be (a )?floating point( tensor)?, got torch.int64$"
    ):
        loss(torch.zeros(4, k).long(), torch.zeros(4))
    with pytest.raises(ValueError, match=r"^target must have shape \[4\], got \[4, 1\]$"):
        loss(torch.zeros(4, k), torch.zeros(4, 1))


@pytest.mark.parametrize("shape", [(), (4,), (4096,)])
def test_nothing_is_read_back_from_the_device(loss: Any, shape: tuple[int, ...]) -> None:
    """Tensors without data: a read, as by .item() or a branch on a value, raises."""
    loss = loss.to("meta")
    outputs = torch.empty(*shape, 2, loss.num_outputs, device="meta", requires_grad=True)
    scalar = torch.empty(shape, device="meta")
    scores = loss(outputs[..., 0, :], scalar)
    more, _ = loss.td(outputs, scalar.long(), outputs, scalar, scalar, next_online_outputs=outputs)
    (grad,) = torch.autograd.grad((scores + more).sum(), outputs)
    assert grad.shape == outputs.shape


class Whole(torch.nn.Module):
    """All that a loss computes, as one module to trace."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, outputs: torch.Tensor, action: torch.Tensor, reward: torch.Tensor) -> Any:
        chosen = outputs[:, 0]
        return self.loss(chosen, reward), *self.loss.td(outputs, action, outputs, reward, reward.abs())


@pytest.mark.filterwarnings("ignore")  # tracing is deprecated, and says that it does not follow the checks
@pytest.mark.parametrize("rows", [6, 2_000])
@pytest.mark.parametrize("grad", [False, True])
def test_a_trace_computes_the_same(loss: Any, rows: int, grad: bool) -> None:
    def inputs(seed: int) -> tuple[torch.Tensor, ...]:
        random = torch.Generator().manual_seed(seed)
        outputs = torch.randn(rows, 2, loss.num_outputs, generator=random).requires_grad_(grad)
        return outputs, torch.randint(2, (rows,), generator=random), torch.randn(rows, generator=random)

    module = Whole(loss)
    traced = torch.jit.trace(module, inputs(0))
    given = inputs(1)
    expected, found = module(*given), traced(*given)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    if grad:
        one, other = (torch.autograd.grad((out[0] + out[1]).sum(), given[0])[0] for out in (found, expected))
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_loss_is_the_same_after_any_move(loss: Any) -> None:
    outputs, target = torch.randn(5, loss.num_outputs), torch.linspace(-1, 1, 5)
    stored = io.BytesIO()
    torch.save(loss, stored)
    stored.seek(0)
    moved = [torch.load(stored, weights_only=False), copy.deepcopy(loss).double(), copy.deepcopy(loss).half()]
    moved.append(copy.deepcopy(loss).to("meta").to_empty(device="cpu"))
    for other in moved:
        assert torch.equal(other(outputs, target), loss(outputs, target))
        for one, own in zip(other.buffers(), loss.buffers(), strict=True):
            assert one.dtype == own.dtype
            assert torch.equal(one, own)
    assert torch.equal(torch.func.functional_call(loss, {}, (outputs, target)), loss(outputs, target))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_programs_own_settings_change_nothing_and_stay(loss: Any, setting: str) -> None:
    outputs, target = (
        torch.linspace(-1, 1, 4 * loss.num_outputs).view(4, -1),
        torch.tensor([-9.0, 0, 0.3, 12]),
    )
    action, reward = torch.tensor([0, 1, 1, 0]), torch.ones(4)

    def numbers() -> list[torch.Tensor]:
        leaf = outputs.clone().requires_grad_()
        losses = loss(leaf, target)
        both = torch.stack((leaf, -leaf), 1)
        td = loss.td(both, action, both, reward, reward * 0.9)
        if losses.requires_grad:
            losses.sum().backward()
        return [losses, *td, loss.decode(leaf), *([leaf.grad] if losses.requires_grad else [])]

    expected = numbers()
    with SETTINGS[setting]():
        before = state()
        found = numbers()
        assert state() == before
    for one, other in zip(found, expected, strict=False):
        assert one.dtype == other.dtype
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("name", CATEGORICAL)
def test_a_loss_takes_over_anothers_support_and_stays_the_same_object(name: str) -> None:
    own, other = (
        make_value_loss(name, v_min=low, v_max=high, num_bins=9) for low, high in ((-1, 1), (-3, 5))
    )
    decode, outputs, target = own.decode, torch.randn(6, 2, 9), torch.linspace(-4, 6, 6)
    own.become(make_value_loss(name, v_min=-3, v_max=5, num_bins=9))
    assert torch.equal(decode(outputs), other.decode(outputs))
    assert torch.equal(own(outputs[:, 0], target), other(outputs[:, 0], target))
    step = (outputs, torch.zeros(6, dtype=torch.int64), outputs.flip(0), target, torch.full((6,), 0.9))
    assert all(torch.equal(one, two) for one, two in zip(own.td(*step), other.td(*step), strict=True))
    assert torch.equal(own.support.edges, other.support.edges)
    assert str(own) == str(other)
