"""Networks: shapes, dtypes, layouts, and what does not fit."""

import pytest
import torch

from catzoo.agents import TORSOS, QNetwork
from catzoo.agents.networks import DuelingHead, auto_torso

CASES = [
    ("mlp", (4,), torch.float32),
    ("mlp", (3, 2), torch.float64),
    ("minatar_cnn", (10, 10, 4), torch.bool),
    ("nature_cnn", (4, 84, 84), torch.uint8),
    ("impala", (4, 84, 84), torch.uint8),
]


def observations(shape, dtype, batch=3):
    return torch.randint(0, 2 if dtype == torch.bool else 200, (batch, *shape)).to(dtype)


@pytest.mark.parametrize(("torso", "shape", "dtype"), CASES)
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("num_outputs", [1, 7])
def test_outputs_per_action(torso, shape, dtype, dueling, num_outputs):
    network = QNetwork(shape, 5, num_outputs, torso=torso, dueling=dueling, width=0.25)
    outputs = network(observations(shape, dtype))
    assert outputs.shape == (3, 5, num_outputs)
    outputs.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_every_torso_is_covered():
    assert {torso for torso, _, _ in CASES} == set(TORSOS)


@pytest.mark.parametrize(
    ("shape", "torso"),
    [((4,), "mlp"), ((10, 10, 4), "minatar_cnn"), ((10, 10, 10), "minatar_cnn"), ((4, 84, 84), "nature_cnn")],
)
def test_auto_goes_by_shape(shape, torso):
    assert auto_torso(shape) == torso
    assert isinstance(QNetwork(shape, 2, 1).torso, TORSOS[torso])


def test_frames_are_scaled_and_grids_moved():
    frames = QNetwork((4, 84, 84), 2, 1, width=0.1)
    observation = observations((4, 84, 84), torch.uint8)
    assert torch.allclose(frames(observation), frames(observation.float() / 255))
    grids = QNetwork((10, 10, 4), 2, 1)
    grid = observations((10, 10, 4), torch.bool)
    direct = grids.head(grids.torso(grid.permute(0, 3, 1, 2).float()))
    assert torch.allclose(grids(grid), direct)


@pytest.mark.parametrize("torso", ["nature_cnn", "impala", "minatar_cnn"])
def test_channels_last_computes_the_same(torso):
    shape = (10, 10, 4) if torso == "minatar_cnn" else (4, 84, 84)
    plain = QNetwork(shape, 3, 5, torso=torso, width=0.25)
    last = QNetwork(shape, 3, 5, torso=torso, width=0.25, channels_last=True)
    last.load_state_dict(plain.state_dict())
    observation = observations(shape, torch.uint8)
    assert torch.allclose(plain(observation), last(observation), atol=1e-5)


def test_seaquests_ten_channels_are_still_last():
    assert QNetwork((10, 10, 10), 2, 1).move_channels
    assert not QNetwork((4, 84, 84), 2, 1).move_channels


def test_width_scales_the_features():
    assert QNetwork((4, 84, 84), 2, 1, width=2.0).torso.num_features == 1024


def test_dueling_advantages_are_centred():
    head = DuelingHead(6, 4, 3)
    features = torch.randn(2, 6)
    assert torch.allclose(head(features).mean(-2), head.value(features).squeeze(-2), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "torso", "words"),
    [((4,), "nature_cnn", "needs images"), ((10, 10, 4), "nature_cnn", "at least 36x36")],
)
def test_refused(shape, torso, words):
    with pytest.raises(ValueError, match=words):
        QNetwork(shape, 2, 1, torso=torso)
