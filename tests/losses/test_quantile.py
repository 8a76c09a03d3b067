"""Quantile regression: its loss against the formula, where it is least, and its Bellman step."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catzoo.kernels import reference
from catzoo.losses import QuantileRegression

KAPPAS = [0.0, 0.3, 1.0]


def batch(loss: QuantileRegression, rows: int = 6, actions: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs, following = (
        torch.randn(rows, actions, loss.num_outputs, generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    return {
        "outputs": outputs.requires_grad_(),
        "action": torch.arange(rows) % actions,
        "next_outputs": following,
        "reward": torch.randn(rows, generator=generator, dtype=torch.float64),
        "discount": torch.full((rows,), 0.9, dtype=torch.float64),
    }


@given(
    count=st.integers(2, 9),
    points=st.integers(1, 9),
    kappa=st.sampled_from(KAPPAS),
    seed=st.integers(0, 1_000),
)
def test_against_the_reference(count: int, points: int, kappa: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    quantiles, targets = (
        2 * torch.randn(4, size, generator=generator, dtype=torch.float64) for size in (count, points)
    )
    loss = QuantileRegression(count, kappa)
    expected = reference.quantile_td(quantiles, targets, kappa)
    assert torch.allclose(loss._loss(quantiles, targets), expected, atol=1e-12)
    one = reference.quantile_td(quantiles, targets[:, :1], kappa)
    assert torch.allclose(loss(quantiles, targets[:, 0]), one, atol=1e-12)


def test_the_reference_by_hand() -> None:
    quantiles, targets = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 3.0]])
    # tau is 1/4 and 3/4; u is 0.5 and 3 from the first quantile, -0.5 and 2 from the second.
    plain = (0.25 * 0.5 + 0.25 * 3) / 2 + (0.25 * 0.5 + 0.75 * 2) / 2
    round_at_1 = (0.25 * 0.125 + 0.25 * 2.5) / 2 + (0.25 * 0.125 + 0.75 * 1.5) / 2
    assert reference.quantile_td(quantiles, targets, 0.0).item() == pytest.approx(plain)
    assert reference.quantile_td(quantiles, targets, 1.0).item() == pytest.approx(round_at_1)


@pytest.mark.parametrize("kappa", KAPPAS)
def test_gradients_of_the_step(kappa: float) -> None:
    loss = QuantileRegression(4, kappa)
    b = batch(loss)
    others = {key: x for key, x in b.items() if key != "outputs"}
    assert torch.autograd.gradcheck(lambda x: loss.td(x, **others)[0], b["outputs"])


@given(order=st.permutations(range(5)), kappa=st.sampled_from(KAPPAS))
def test_the_order_of_the_next_quantiles_is_nothing(order: list[int], kappa: float) -> None:
    loss = QuantileRegression(5, kappa)
    b = batch(loss)
    shuffled = b | {"next_outputs": b["next_outputs"][..., order]}
    for one, other in zip(loss.td(**b), loss.td(**shuffled), strict=True):
        assert torch.allclose(one, other, atol=1e-12)


@given(
    samples=st.lists(st.floats(-100, 100), min_size=5, max_size=30),
    move=st.lists(st.floats(-10, 10), min_size=5, max_size=5),
)
def test_it_is_least_at_the_quantiles_of_the_samples(samples: list[float], move: list[float]) -> None:
    loss = QuantileRegression(5, kappa=0.0)
    points, moved = torch.tensor([samples], dtype=torch.float64), torch.tensor(move, dtype=torch.float64)
    levels = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)
    best = points[0].sort().values[(levels * len(samples)).ceil().long() - 1][None]
    assert loss._loss(best, points) <= loss._loss(best + moved, points) + 1e-9


def test_an_online_network_picks_the_action_by_its_mean() -> None:
    loss = QuantileRegression(3)
    following, online = torch.zeros(1, 2, 3), torch.full((1, 2, 3), 0.5)
    following[0, 0], following[0, 1] = torch.tensor([5.0, 5.0, 5.0]), torch.tensor([1.0, 2.0, 3.0])
    online[0, 1] = torch.tensor([-3.0, 0.0, 6.0])  # of the larger mean, and not of the larger median
    one = torch.ones(1)
    arguments = torch.zeros(1, 2, 3), torch.zeros(1, dtype=torch.long), following, one, one
    assert loss.td(*arguments, next_online_outputs=online)[1].item() == 3.0
    assert loss.td(*arguments)[1].item() == 6.0


def test_without_a_discount_the_step_is_against_the_reward() -> None:
    loss = QuantileRegression(7)
    b = batch(loss)
    b["discount"] = torch.zeros(6, dtype=torch.float64)
    chosen = b["outputs"][torch.arange(6), b["action"]]
    assert torch.allclose(loss.td(**b)[0], loss(chosen, b["reward"]), atol=1e-12)


def test_the_next_distribution_is_the_target_and_not_its_mean() -> None:
    loss = QuantileRegression(2, kappa=0.0)
    outputs, following = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]])
    loss_, td_error = loss.backup(outputs, following, torch.ones(1), torch.ones(1))
    assert td_error.item() == 0.0
    # Each is 1 away from one of the points 1 and 2, on its flat side: (0 + 1/4) / 2, twice.
    assert loss_.item() == pytest.approx(0.25)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", range(4))
def test_any_quantile_that_is_not_finite_makes_the_loss_nan(bad: float, where: int) -> None:
    loss = QuantileRegression(4)
    outputs = torch.zeros(2, 4)
    spoilt = outputs.clone()
    spoilt[1, where] = bad
    zero = torch.zeros(2)
    for now, following in ((spoilt, outputs), (outputs, spoilt)):
        loss_, _ = loss.backup(now, following, zero, zero + 1)
        assert loss_.isnan().tolist() == [False, True]
