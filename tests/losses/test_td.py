"""The Bellman step of every loss against the reference, in float64 and row by row."""

import math
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor

from catzoo.kernels import reference
from catzoo.losses import LOSSES, CategoricalLoss, HLGauss, make_value_loss

B, A = 8, 3
Batch = dict[str, Tensor]


@pytest.fixture(params=LOSSES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def batch(loss: Any, dtype: torch.dtype = torch.float32) -> Batch:
    """Rewards large enough to leave the support; every fourth row terminated."""
    generator = torch.Generator().manual_seed(0)
    shape = (B, A, loss.num_outputs)
    return {
        "outputs": (2 * torch.randn(shape, generator=generator, dtype=dtype)).requires_grad_(),
        "action": torch.randint(A, (B,), generator=generator),
        "next_outputs": 2 * torch.randn(shape, generator=generator, dtype=dtype),
        "online": 2 * torch.randn(shape, generator=generator, dtype=dtype),
        "reward": 8 * torch.randn(B, generator=generator, dtype=dtype),
        "discount": 0.99 * (torch.arange(B) % 4 != 0).to(dtype),
        "weight": torch.rand(B, generator=generator, dtype=dtype),
    }


def td(loss: Any, b: Batch, double: bool = False, weighted: bool = False) -> tuple[Tensor, Tensor]:
    result: tuple[Tensor, Tensor] = loss.td(
        b["outputs"],
        b["action"],
        b["next_outputs"],
        b["reward"],
        b["discount"],
        next_online_outputs=b["online"] if double else None,
        weight=b["weight"] if weighted else None,
    )
    return result


def expected_td(name: str, loss: Any, b: Batch, double: bool) -> tuple[Tensor, Tensor]:
    b = {key: x.detach().double() if x.is_floating_point() else x for key, x in b.items()}
    chosen = torch.stack([row[action] for row, action in zip(b["outputs"], b["action"], strict=True)])
    if isinstance(loss, CategoricalLoss):
        edges, centers = loss.support.grid(torch.float64)

        def decode(outputs: Tensor) -> Tensor:
            return reference.categorical_value(outputs, centers)
    else:

        def decode(outputs: Tensor) -> Tensor:
            return outputs.mean(-1)

    next_chosen = reference.greedy(b["next_outputs"], decode(b["online" if double else "next_outputs"]))
    target = reference.scalar_target(decode(next_chosen), b["reward"], b["discount"])
    error = target - decode(chosen)
    formulas = {  # a loss adds its own, from `kernels/reference.py`
        "mse": lambda: reference.mse_td(decode(chosen), target),
        "huber": lambda: reference.huber_td(decode(chosen), target, 1.0),
        "one_hot": lambda: reference.one_hot_td(chosen, target, centers),
        "two_hot": lambda: reference.two_hot_td(chosen, target, centers),
        "hl_gauss": lambda: reference.hl_gauss_td(chosen, target, edges, loss.sigma, -10, 10),
        "c51": lambda: reference.c51_td(chosen, next_chosen, b["reward"], b["discount"], centers),
        "softmax_mse": lambda: reference.softmax_mse_td(chosen, target, centers),
        "quantile": lambda: reference.quantile_td(
            chosen, b["reward"][:, None] + b["discount"][:, None] * next_chosen, 1.0
        ),
    }
    return formulas[name](), error


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_the_reference(name: str, double: bool, dtype: torch.dtype) -> None:
    loss = make_value_loss(name)
    b = batch(loss, dtype)
    got_loss, got_error = td(loss, b, double)
    want_loss, want_error = expected_td(name, loss, b, double)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    assert torch.allclose(got_loss.double(), want_loss, rtol=tolerance, atol=tolerance)
    assert torch.allclose(got_error.double(), want_error, rtol=tolerance, atol=tolerance)


def test_only_the_chosen_action_gets_a_gradient(name: str) -> None:
    loss = make_value_loss(name)
    b = batch(loss)
    for key in ("next_outputs", "online", "reward"):
        b[key].requires_grad_()
    scores, error = td(loss, b, double=True)
    assert not error.requires_grad
    scores.sum().backward()
    assert all(b[key].grad is None for key in ("next_outputs", "online", "reward"))
    touched = b["outputs"].grad.abs().sum(-1) > 0  # type: ignore[union-attr]
    assert torch.equal(touched, torch.nn.functional.one_hot(b["action"], A).bool())


def test_weight_multiplies_the_loss_and_not_the_error(name: str) -> None:
    loss = make_value_loss(name)
    b = batch(loss)
    plain, weighted = td(loss, b), td(loss, b, weighted=True)
    assert torch.equal(weighted[0], plain[0] * b["weight"])
    assert torch.equal(weighted[1], plain[1])


def test_terminal_rows_ignore_the_next_state(name: str) -> None:
    loss = make_value_loss(name)
    b = batch(loss)
    other = b | {"next_outputs": b["next_outputs"].flip(0)}
    terminated = b["discount"] == 0
    for got, changed in zip(td(loss, b), td(loss, other), strict=True):
        assert torch.allclose(got[terminated], changed[terminated], atol=1e-5)
        assert not torch.allclose(got[~terminated], changed[~terminated], atol=1e-5)


@pytest.mark.parametrize("where", ["outputs", "next_outputs", "online", "reward", "discount"])
def test_nan_and_infinity_in_nan_out(name: str, where: str) -> None:
    loss = make_value_loss(name)
    b = {key: x.detach().clone() for key, x in batch(loss).items()}
    spoilt = [1, 3, 6]
    for row, bad in zip(spoilt, (math.nan, math.inf, -math.inf), strict=True):
        if b[where].ndim == 1:
            b[where][row] = bad
        else:
            b[where][row, :, 0] = bad
    scores, error = td(loss, b, double=True)
    assert scores.isnan().nonzero().flatten().tolist() == spoilt
    assert not error[spoilt].isfinite().any()


def test_empty_batch(name: str) -> None:
    loss = make_value_loss(name)
    b = {key: x[:0] for key, x in batch(loss).items()}
    scores, error = td(loss, b, double=True, weighted=True)
    assert scores.shape == error.shape == (0,)
    scores.sum().backward()


def test_compiles_without_a_break(name: str) -> None:
    loss = make_value_loss(name)
    b = batch(loss)
    torch.compiler.reset()
    compiled = torch.compile(td, fullgraph=True, backend="aot_eager")
    expected, got = td(loss, b, True, True), compiled(loss, b, True, True)
    for e, g in zip(expected, got, strict=True):
        assert torch.allclose(e, g, atol=1e-5)
    (grad,) = torch.autograd.grad(got[0].sum(), b["outputs"])
    (expected_grad,) = torch.autograd.grad(expected[0].sum(), b["outputs"])
    assert torch.allclose(grad, expected_grad, atol=1e-5)


def test_half_precision_networks(name: str) -> None:
    loss = make_value_loss(name)
    b = batch(loss)
    half = {key: x.detach().bfloat16() if x.ndim == 3 else x for key, x in b.items()}
    half["outputs"].requires_grad_()
    scores, error = td(loss, half, double=True)
    assert scores.dtype == error.dtype == torch.float32
    (grad,) = torch.autograd.grad(scores.sum(), half["outputs"])
    assert grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("key", "shape", "message"),
    [
        ("next_outputs", (B, A - 1, 1), r"next_outputs must have shape \[8, 3, 1\], got \[8, 2, 1\]"),
        ("online", (B, A), r"next_online_outputs must have shape \[8, 3, 1\], got \[8, 3\]"),
        ("reward", (B, 1), r"reward must have shape \[8\], got \[8, 1\]"),
        ("discount", (), r"discount must have shape \[8\], got \[\]"),
        ("weight", (A,), r"weight must have shape \[8\], got \[3\]"),
        ("action", (B, A), r"action must be int64 or int32, got torch.float32"),
        ("outputs", (1,), r"outputs must have shape \[B, A, 1\], got \[1\]"),
        ("outputs", (B, A, 2), r"outputs must have shape \[..., 1\], got \[8, 3, 2\]"),
    ],
)
def test_bad_shapes_raise_one_line(key: str, shape: tuple[int, ...], message: str) -> None:
    loss = make_value_loss("mse")
    b = batch(loss) | {key: torch.zeros(shape)}
    with pytest.raises(ValueError, match=f"^{message}$"):
        td(loss, b, double=True, weighted=True)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 1, 3), (1,), (0,)])
def test_a_backup_is_the_step_with_one_action(name, shape):
    support = {"v_min": -2.0, "v_max": 3.0, "num_bins": 11}
    loss = make_value_loss(name, **(support if issubclass(LOSSES[name], CategoricalLoss) else {}))
    generator = torch.Generator().manual_seed(3)
    outputs, following = (torch.randn(*shape, loss.num_outputs, generator=generator) for _ in range(2))
    reward, discount, weight = (torch.rand(*shape, generator=generator) for _ in range(3))
    outputs.requires_grad_()
    loss_, td_error = loss.backup(outputs, following, reward, discount, weight=weight)
    assert loss_.shape == td_error.shape == shape
    # By the definition: its own decoding, and the loss against a scalar target.
    target = reward + discount * loss.decode(following)
    assert torch.allclose(td_error, (target - loss.decode(outputs)).detach(), atol=1e-5)
    if name not in ("c51", "quantile"):  # which take the whole distribution instead
        expected = weight * loss(outputs, target.detach())
        assert torch.allclose(loss_, expected, atol=1e-5)
        ours, theirs = (
            torch.autograd.grad(one.sum(), outputs, retain_graph=True)[0] for one in (loss_, expected)
        )
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_c51s_backup_projects_the_distribution():
    loss = make_value_loss("c51", v_min=0.0, v_max=4.0, num_bins=5)
    following = torch.full((1, 5), -30.0)
    following[0, [0, 2]] = 0.0  # half of 0 and half of 2
    outputs = torch.zeros(1, 5, requires_grad=True)
    loss_, _ = loss.backup(outputs, following, torch.tensor([1.0]), torch.tensor([1.0]))
    gradient = torch.autograd.grad(loss_.sum(), outputs)[0]
    label = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]])  # half of 1 and half of 3
    assert torch.allclose(gradient, torch.full((1, 5), 0.2) - label, atol=1e-5)


@pytest.mark.parametrize("name", ["mse", "hl_gauss"])
@pytest.mark.parametrize("wrong", ["next_outputs", "reward", "discount", "weight"])
def test_a_backup_of_other_shapes_is_refused(name, wrong):
    loss = make_value_loss(name)
    given = {
        "next_outputs": torch.zeros(4, loss.num_outputs),
        "reward": torch.zeros(4),
        "discount": torch.zeros(4),
        "weight": torch.ones(4),
    }
    given[wrong] = given[wrong][:3]
    with pytest.raises(ValueError, match=f"{wrong} must have shape"):
        loss.backup(torch.zeros(4, loss.num_outputs), **given)


def test_a_number_in_the_place_of_a_tensor_is_refused(name):
    loss = make_value_loss(name)
    outputs, ones = torch.zeros(3, loss.num_outputs), torch.ones(3)
    with pytest.raises(ValueError, match=r"^discount must be a tensor of shape \[3\], got 0.9$"):
        loss.backup(outputs, outputs, ones, 0.9)
    with pytest.raises(ValueError, match=r"^target must be a .*tensor.*, got 0.5$"):
        loss(outputs, 0.5)
    if isinstance(loss, CategoricalLoss):
        with pytest.raises(ValueError, match=r"^target must be a tensor, got 0.5$"):
            loss.encode(0.5)


@pytest.mark.parametrize("backend", ["torch", *(["numba"] if find_spec("numba") else [])])
def test_many_gradients_at_once(backend: str) -> None:
    loss = HLGauss(backend=backend)
    outputs, following = torch.randn(2, 4, 3, 51).unbind()
    outputs.requires_grad_()
    rest = torch.tensor([0, 2, 1, 1]), following, torch.randn(4), torch.full((4,), 0.9)
    losses, _ = loss.td(outputs, *rest)
    many = torch.autograd.grad(losses, outputs, torch.eye(4), is_grads_batched=True, retain_graph=True)[0]
    (whole,) = torch.autograd.grad(losses.sum(), outputs)
    torch.testing.assert_close(many.sum(0), whole)
    assert not many[0, 1:].any()
