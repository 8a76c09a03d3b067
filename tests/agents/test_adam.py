"""The fused call is torch's Adam, bit for bit."""

import pytest
import torch

from catzoo.agents.adam import FusedAdam


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


def test_state_is_copied_not_shared():
    parameters = [torch.nn.Parameter(torch.ones(3))]
    one, two = (FusedAdam(parameters, lr=1e-2, eps=1e-4) for _ in range(2))
    one.step([torch.ones(3)])
    two.load_state_dict(one.state_dict())
    one.step([torch.ones(3)])
    assert two.steps[0].item() == 1
    assert one.steps[0].item() == 2
