"""The fused call is torch's Adam, bit for bit."""

import pytest
import torch

from catzoo.agents import TORSOS, QNetwork
from catzoo.agents.learning.adam import FusedAdam


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_bit_for_bit_torchs_own(device):
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape, device=device)) for shape in ((5, 3), (7,), (1,))]
    theirs = [torch.nn.Parameter(parameter.detach().clone()) for parameter in ours]
    fused = FusedAdam(ours, lr=1e-2, eps=1e-4)
    reference = torch.optim.Adam(theirs, lr=1e-2, eps=1e-4, fused=True)
    for _ in range(50):
        gradients = [torch.randn_like(parameter) for parameter in ours]
        fused.step(gradients)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("torso", TORSOS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_gradients_in_another_memory_order_move_the_same_weights(torso, channels_last):
    shape = (5,) if not TORSOS[torso].image else (4, 40, 40)
    made = [
        QNetwork(shape, 2, 3, torso=torso, width=0.125, hidden=(16, 16), channels_last=channels_last).double()
        for _ in range(2)
    ]
    made[1].load_state_dict(made[0].state_dict())
    ours, theirs = (list(network.parameters()) for network in made)
    fused = FusedAdam(ours, lr=1e-2, eps=1e-4)
    reference = torch.optim.Adam(theirs, lr=1e-2, eps=1e-4)
    torch.manual_seed(0)
    inputs = torch.randn(2, *shape)
    for network, parameters, step in zip(
        made, (ours, theirs), (fused.step, lambda _: reference.step()), strict=True
    ):
        features = network.torso.double()(inputs.double())
        loss = network.head(features).square().sum()
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.contiguous().clone()
        step(gradients)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-9)


def test_state_is_copied_not_shared():
    parameters = [torch.nn.Parameter(torch.ones(3))]
    one, two = (FusedAdam(parameters, lr=1e-2, eps=1e-4) for _ in range(2))
    one.step([torch.ones(3)])
    two.load_state_dict(one.state_dict())
    one.step([torch.ones(3)])
    assert two.steps[0].item() == 1
    assert one.steps[0].item() == 2


def test_weight_decay_is_adamws():
    generator = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(7, generator=generator), torch.randn(5, 7, generator=generator)
    own, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    ours = FusedAdam([own], lr=0.1, eps=1e-8, weight_decay=0.3)
    reference = torch.optim.AdamW([theirs], lr=0.1, eps=1e-8, weight_decay=0.3)
    for gradient in gradients:
        ours.step([gradient])
        theirs.grad = gradient.clone()
        reference.step()
    torch.testing.assert_close(own, theirs)
