"""Stacked networks: outputs, gradients and parameters are those of the networks one by one."""

import pytest
import torch

from catzoo.agents import QNetwork
from catzoo.agents.networks import StackedNetwork

GRID, FRAMES = (10, 10, 4), (4, 36, 36)
CASES = [
    ((4,), {"hidden": (16, 8)}),
    ((3, 2), {"hidden": (), "dueling": True}),
    ((4,), {"hidden": (16, 8), "layer_norm": True, "dueling": True}),
    (GRID, {}),
    (GRID, {"layer_norm": True, "dueling": True}),
    (GRID, {"experts": 2}),
    (FRAMES, {"torso": "nature_cnn", "layer_norm": True, "width": 0.25, "channels_last": True}),
    (FRAMES, {"torso": "impala", "width": 0.25}),
]


def networks(shape, options, size=3):
    made = []
    for seed in range(size):
        torch.manual_seed(seed)
        made.append(QNetwork(shape, 5, 7, **options))
    return made


def observations(shape, rows):
    torch.manual_seed(9)
    if shape is FRAMES:
        return torch.randint(0, 200, (rows, *shape), dtype=torch.uint8)
    return torch.rand(rows, *shape) < 0.3 if shape is GRID else torch.randn(rows, *shape)


@pytest.mark.parametrize(("shape", "options"), CASES)
def test_it_computes_what_its_networks_compute(shape, options):
    each = networks(shape, options)
    seen = observations(shape, 3 * 4)
    alone, alone_gradients = [], []
    for network, own in zip(each, seen.split(4), strict=True):
        outputs = network(own)
        alone.append(outputs.detach())
        alone_gradients.append(torch.autograd.grad(outputs.square().sum(), list(network.parameters())))
    stacked = StackedNetwork(each)
    outputs = stacked(seen)
    assert outputs.shape == (12, 5, 7)
    assert torch.allclose(outputs, torch.cat(alone), atol=1e-5)
    gradients = torch.autograd.grad(outputs.square().sum(), list(stacked.parameters()))
    for together, *apart in zip(gradients, *alone_gradients, strict=True):
        assert torch.allclose(together, torch.stack(apart), rtol=1e-3, atol=1e-4 * together.abs().max())


def test_the_networks_parameters_are_views_of_its_own():
    each = networks((4,), {"hidden": (16,)})
    before = [parameter.clone() for parameter in each[1].parameters()]
    stacked = StackedNetwork(each)
    for old, now, whole in zip(before, each[1].parameters(), stacked.parameters(), strict=True):
        assert torch.equal(old, now)
        assert now.data_ptr() == whole[1].data_ptr()
        with torch.no_grad():
            whole[1] += 1.0
        assert torch.equal(old + 1.0, now)


def test_gradients_lie_in_memory_as_their_parameters():
    stacked = StackedNetwork(networks((4,), {"hidden": (16, 8)}))
    loss = stacked(observations((4,), 6)).sum()
    for parameter, gradient in zip(
        stacked.parameters(), torch.autograd.grad(loss, list(stacked.parameters())), strict=True
    ):
        assert parameter.stride() == gradient.stride()


def test_noisy_networks_are_refused():
    with pytest.raises(ValueError, match="noisy"):
        StackedNetwork(networks((4,), {"noisy": True}))
