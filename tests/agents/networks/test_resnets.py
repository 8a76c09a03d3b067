"""ResNets for many games: their sizes, group normalisation, and the pooling that knows where."""

import pytest
import torch
from torch import nn

from catzoo.agents.networks import QNetwork, ResNet, SpatialEmbedding

IMAGENET = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160}
"""Parameters of torchvision's ResNets, with 3 input channels and 1000 classes."""


@pytest.mark.parametrize("depth", IMAGENET)
def test_the_trunk_has_the_usual_number_of_parameters(depth):
    torso = ResNet((4, 84, 84), depth=depth)
    trunk = sum(parameter.numel() for part in (torso.stem, torso.blocks) for parameter in part.parameters())
    channels = 512 if depth < 50 else 2048
    fourth_input_channel, classifier = 64 * 7 * 7, 1000 * (channels + 1)
    assert trunk == IMAGENET[depth] - classifier + fourth_input_channel
    assert torso.pool.embeddings.shape == (8, channels, 3, 3)
    assert torso.hidden.in_features == 8 * channels


@pytest.mark.parametrize("width", [0.1, 0.25, 1.0, 1.5])
def test_normalisation_is_by_groups_never_by_batch(width):
    network = QNetwork((4, 84, 84), 3, 5, torso="resnet18", width=width).eval()
    modules = list(network.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in modules)
    assert sum(isinstance(module, nn.GroupNorm) for module in modules) == 20
    frames = torch.rand(3, 4, 84, 84)
    assert torch.allclose(network(frames)[:1], network(frames[:1]), atol=1e-4)


def test_the_standard_width_has_32_groups():
    norms = [module for module in ResNet((4, 84, 84), depth=18).modules() if isinstance(module, nn.GroupNorm)]
    assert {norm.num_groups for norm in norms} == {32}


def test_embeddings_sum_over_space():
    pool = SpatialEmbedding((3, 2, 4), num_embeddings=5).double()
    maps = torch.randn(2, 3, 2, 4, dtype=torch.float64)
    pooled = pool(maps).unflatten(1, (5, 3))
    for row in range(2):
        for embedding in range(5):
            expected = (maps[row] * pool.embeddings[embedding]).sum((1, 2))
            assert torch.allclose(pooled[row, embedding], expected)
    with torch.no_grad():
        pool.embeddings.fill_(1 / 8)
    assert torch.allclose(pool(maps).unflatten(1, (5, 3))[:, 0], maps.mean((2, 3)))


def test_embeddings_see_where_something_is():
    torso = ResNet((4, 84, 84), 0.25, depth=18)
    maps = torch.randn(1, 128, 3, 3)
    assert not torch.allclose(torso.pool(maps), torso.pool(maps.flip(-1)))
