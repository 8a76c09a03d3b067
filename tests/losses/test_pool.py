"""Several critics as one: the lowest one's outputs whole, or the mixture of all."""

import math
from typing import Any

import pytest
import torch

from catzoo.losses import LOSSES, CategoricalLoss, make_value_loss

E, B = 3, 64


@pytest.fixture(params=LOSSES)
def loss(request: pytest.FixtureRequest) -> Any:
    return make_value_loss(str(request.param))


def critics(loss: Any, *shape: int) -> torch.Tensor:
    return 3 * torch.randn(*shape, loss.num_outputs, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(E, B), (1, B), (2, 4, 5), (2, 0)])
def test_the_least_is_one_critics_own(loss: Any, shape: tuple[int, ...]) -> None:
    outputs = critics(loss, *shape).requires_grad_()
    pooled = loss.pool(outputs)
    assert pooled.shape == outputs.shape[1:]
    assert torch.equal(loss.decode(pooled), loss.decode(outputs).amin(0))
    of_one = (pooled[None] == outputs).all(-1)
    assert of_one.any(0).all()
    (gradient,) = torch.autograd.grad(pooled.sum(), outputs)
    assert torch.equal(gradient.amax(-1) == 1, of_one)


def test_the_mixture_has_the_mean_of_the_values(loss: Any) -> None:
    outputs = critics(loss, E, B)
    pooled = loss.pool(outputs, "mean")
    torch.testing.assert_close(loss.decode(pooled), loss.decode(outputs).mean(0), rtol=1e-5, atol=1e-4)
    if isinstance(loss, CategoricalLoss):
        mean = outputs.double().softmax(-1).mean(0)
        torch.testing.assert_close(pooled.double().exp(), mean, rtol=1e-5, atol=1e-7)


def test_a_nan_is_the_least(loss: Any) -> None:
    outputs = critics(loss, E, B)
    outputs[1, 5, 0] = math.nan
    values = loss.decode(loss.pool(outputs))
    assert values.isnan().nonzero().tolist() == [[5]]
    assert loss.decode(loss.pool(outputs, "mean")).isnan().nonzero().tolist() == [[5]]


def test_another_word(loss: Any) -> None:
    with pytest.raises(ValueError, match=r"^how must be 'min' or 'mean', got 'max'$"):
        loss.pool(critics(loss, E, B), "max")
    with pytest.raises(ValueError, match=r"^outputs must have shape"):
        loss.pool(torch.zeros(2, 3, loss.num_outputs + 1))
