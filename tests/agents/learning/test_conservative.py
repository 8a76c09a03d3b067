"""The conservative term: what it pushes, in which direction, and how hard."""

import pytest
import torch

from catzoo.agents.learning.conservative import held_back
from catzoo.hparams import CQLRecipe
from catzoo.losses import make_value_loss

LOSSES = {
    "mse": make_value_loss("mse"),
    "hl_gauss": make_value_loss("hl_gauss", v_min=-7.0, v_max=1.0, num_bins=31),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weight", [{"cql_weight": 0.3}, {"cql_strength": 0.3}])
def test_the_data_rises_and_what_else_is_allowed_falls(loss, weight):
    torch.manual_seed(0)
    value_loss = LOSSES[loss]
    outputs = torch.randn(6, 4, 5, value_loss.num_outputs, requires_grad=True)
    action, allowed = torch.randint(3, (6, 4)), torch.tensor([True, True, True, False, False])
    term = held_back(value_loss, outputs, action, CQLRecipe(**weight), allowed.expand(6, 4, 5))
    assert term.shape == (6, 4)
    assert (term > 0).all()
    (gradient,) = torch.autograd.grad(term.sum(), outputs)
    with torch.no_grad():
        moved = value_loss.decode(outputs - 1e-3 * gradient) - value_loss.decode(outputs)
    data = torch.nn.functional.one_hot(action, 5).bool()
    assert (moved[data] > 0).all()
    assert (moved[..., :3][~data[..., :3]] < 0).all()
    assert (gradient[..., 3:, :] == 0).all()


def test_it_is_log_sum_exp_less_the_datas():
    value = torch.tensor([[[1.0], [2.0], [3.0]]])
    term = held_back(LOSSES["mse"], value, torch.tensor([1]), CQLRecipe(cql_weight=2.0))
    assert term.item() == pytest.approx(2 * (value.flatten().logsumexp(0).item() - 2.0))
