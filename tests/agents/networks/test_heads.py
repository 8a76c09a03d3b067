"""Heads: where their outputs begin, and begin again."""

import pytest
import torch

from catzoo.agents import QNetwork
from catzoo.agents.networks.fresh import fresh_copy
from catzoo.losses import LOSSES, CategoricalLoss, make_value_loss


def network(loss, **options):
    return QNetwork((6,), 3, loss.num_outputs, initial_outputs=loss.initial_outputs(-2.0), **options).eval()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "options", [{}, {"dueling": True}, {"noisy": True}, {"dueling": True, "noisy": True}]
)
def test_every_action_of_every_loss_begins_at_the_value(name, options):
    loss = make_value_loss(name)
    made = network(loss, **options)
    for begun in (made, fresh_copy(made)):
        values = loss.decode(begun(torch.randn(500, 6)))
        scale = 20.0 if isinstance(loss, CategoricalLoss) else 5.0
        assert abs(values.mean() - -2.0) < 0.05 * scale
        assert values.std() > 0  # the layer's own weights are as they were


def test_a_reset_begins_anew_and_a_plain_head_as_its_layer_does():
    loss = make_value_loss("hl_gauss")
    made = network(loss)
    with torch.no_grad():
        made.head.linear.bias.add_(1.0)
    assert torch.equal(fresh_copy(made).head.linear.bias, loss.initial_outputs(-2.0).repeat(3))
    torch.manual_seed(0)
    plain = QNetwork((6,), 3, 51)
    torch.manual_seed(0)
    begun = network(loss)
    assert torch.equal(plain.head.linear.weight, begun.head.linear.weight)
    assert not torch.equal(plain.head.linear.bias, begun.head.linear.bias)
    assert plain.state_dict().keys() == begun.state_dict().keys()
