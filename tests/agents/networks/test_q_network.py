"""Q-networks: shapes, dtypes, layouts, options, what does not fit, and that old weights still load."""

from typing import get_args

import pytest
import torch
from torch import nn

from catzoo.agents import TORSOS, QNetwork
from catzoo.agents.networks import DuelingHead, NoisyLinear, SoftMoE, auto_torso
from catzoo.hparams import NetworkConfig
from catzoo.hparams.schema import types_of

FRAMES, GRID = (4, 84, 84), (10, 10, 4)
CASES = [
    ("mlp", (4,), torch.float32),
    ("mlp", (3, 2), torch.float64),
    ("bronet", (4,), torch.float32),
    ("minatar_cnn", GRID, torch.bool),
    ("nature_cnn", FRAMES, torch.uint8),
    ("impala", FRAMES, torch.uint8),
    ("resnet18", FRAMES, torch.uint8),
    ("resnet34", FRAMES, torch.uint8),
    ("resnet50", FRAMES, torch.uint8),
    ("resnet101", FRAMES, torch.uint8),
    ("transformer", FRAMES, torch.uint8),
    ("transformer", GRID, torch.bool),
]
EXPERTS = ("nature_cnn", "impala", "resnet18", "resnet50")
OPTIONS = [
    *((case, {"noisy": True}) for case in CASES),
    *((case, {"layer_norm": True, "noisy": True}) for case in CASES if TORSOS[case[0]].layer_norm),
    *((case, {"layer_norm": True}) for case in CASES if TORSOS[case[0]].layer_norm),
    *((case, {"experts": 4}) for case in CASES if case[0] in EXPERTS),
    (("nature_cnn", FRAMES, torch.uint8), {"experts": 2, "noisy": True, "layer_norm": True}),
]


def observations(shape, dtype, batch=3):
    return torch.randint(0, 2 if dtype == torch.bool else 200, (batch, *shape)).to(dtype)


def check_outputs(network, observation, num_outputs):
    outputs = network(observation)
    assert outputs.shape == (3, 5, num_outputs)
    outputs.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(("torso", "shape", "dtype"), CASES)
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("num_outputs", [1, 7])
def test_outputs_per_action(torso, shape, dtype, dueling, num_outputs):
    torch.manual_seed(0)
    network = QNetwork(shape, 5, num_outputs, torso=torso, dueling=dueling, width=0.25, hidden=(64, 64))
    check_outputs(network, observations(shape, dtype), num_outputs)


@pytest.mark.parametrize(("case", "options"), OPTIONS)
def test_options_keep_shapes_and_gradients(case, options):
    torch.manual_seed(0)
    torso, shape, dtype = case
    network = QNetwork(shape, 5, 7, torso=torso, dueling=True, width=0.25, hidden=(64, 64), **options)
    check_outputs(network, observations(shape, dtype), 7)


def test_every_torso_is_covered():
    assert {torso for torso, _, _ in CASES} == set(TORSOS)


@pytest.mark.parametrize(
    ("shape", "torso"),
    [((4,), "mlp"), (GRID, "minatar_cnn"), ((10, 10, 10), "minatar_cnn"), (FRAMES, "nature_cnn")],
)
def test_auto_goes_by_shape(shape, torso):
    assert auto_torso(shape) == torso
    assert isinstance(QNetwork(shape, 2, 1).torso, TORSOS[torso])


def test_frames_are_scaled_and_grids_moved():
    frames = QNetwork(FRAMES, 2, 1, width=0.1)
    observation = observations(FRAMES, torch.uint8)
    assert torch.allclose(frames(observation), frames(observation.float() / 255))
    grids = QNetwork(GRID, 2, 1)
    grid = observations(GRID, torch.bool)
    direct = grids.head(grids.torso(grid.permute(0, 3, 1, 2).float()))
    assert torch.allclose(grids(grid), direct)


@pytest.mark.parametrize(
    ("torso", "options"),
    [
        *((torso, {}) for torso in ("nature_cnn", "impala", "minatar_cnn", "resnet18", "transformer")),
        *((torso, {"layer_norm": True}) for torso in ("nature_cnn", "impala", "minatar_cnn")),
        *((torso, {"experts": 2}) for torso in ("nature_cnn", "resnet18")),
    ],
)
def test_channels_last_computes_the_same(torso, options):
    shape = GRID if torso == "minatar_cnn" else FRAMES
    plain = QNetwork(shape, 3, 5, torso=torso, width=0.25, **options)
    last = QNetwork(shape, 3, 5, torso=torso, width=0.25, channels_last=True, **options)
    last.load_state_dict(plain.state_dict())
    kernels = [module.weight for module in last.modules() if isinstance(module, nn.Conv2d)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    observation = observations(shape, torch.uint8)
    assert torch.allclose(plain(observation), last(observation), atol=1e-5)


def test_seaquests_ten_channels_are_still_last():
    assert QNetwork((10, 10, 10), 2, 1).move_channels
    assert not QNetwork(FRAMES, 2, 1).move_channels


@pytest.mark.parametrize(
    ("torso", "features"),
    [("nature_cnn", 1024), ("impala", 512), ("resnet18", 1024), ("transformer", 256)],
)
def test_width_scales_the_features(torso, features):
    network = QNetwork(FRAMES, 2, 1, torso=torso, width=2.0)
    assert network.torso.num_features == features
    assert network.features(observations(FRAMES, torch.uint8)).shape == (3, features)


def test_dueling_advantages_are_centred():
    head = DuelingHead(6, 4, 3)
    features = torch.randn(2, 6)
    assert torch.allclose(head(features).mean(-2), head.value(features).squeeze(-2), atol=1e-6)


@pytest.mark.parametrize(("torso", "shape", "dtype"), CASES)
def test_noisy_covers_the_fully_connected_layers(torso, shape, dtype):
    network = QNetwork(shape, 5, 7, torso=torso, dueling=True, noisy=True, width=0.25, hidden=(64, 64))
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    assert all("qkv" in name or "project" in name for name in linear)
    noisy = [name for name, module in network.named_modules() if isinstance(module, NoisyLinear)]
    assert {name.split(".")[0] for name in noisy} == {"torso", "head"}
    observation = observations(shape, dtype)
    assert not torch.equal(network(observation), network(observation))
    network.eval()
    assert torch.equal(network(observation), network(observation))


@pytest.mark.parametrize(
    ("torso", "shape", "count"),
    [("mlp", (4,), 2), ("minatar_cnn", GRID, 2), ("nature_cnn", FRAMES, 4), ("impala", FRAMES, 10)],
)
def test_layer_norm_comes_before_each_activation(torso, shape, count):
    network = QNetwork(shape, 5, 7, torso=torso, layer_norm=True)
    norms = [module for module in network.modules() if isinstance(module, nn.GroupNorm | nn.LayerNorm)]
    assert len(norms) == count
    assert all(norm.num_groups == 1 for norm in norms if isinstance(norm, nn.GroupNorm))
    outputs = []
    for norm in norms:
        norm.register_forward_hook(lambda module, args, output: outputs.append(output))
    features = network.features(observations(shape, torch.uint8))
    assert len(outputs) == count
    for output in outputs:
        assert torch.allclose(output.flatten(1).mean(1), torch.zeros(3), atol=1e-4)
    assert torch.equal(features, outputs[-1].relu())


@pytest.mark.parametrize("torso", EXPERTS)
def test_experts_stand_in_for_the_hidden_layer(torso):
    network = QNetwork(FRAMES, 5, 7, torso=torso, experts=4, width=0.25)
    assert isinstance(network.torso.experts, SoftMoE)
    assert [name for name, module in network.named_modules() if isinstance(module, nn.Linear)] == [
        "head.linear"
    ]
    size, height, width = network.torso.convolve(torch.zeros(1, *FRAMES)).shape[1:]
    assert network.head.linear.in_features == size * height * width


CONVOLUTIONS = [f"torso.convolutions.{index}" for index in (0, 2, 4)]
STAGES = [
    f"torso.stages.{index}{convolution}"
    for index in (0, 2, 3, 4, 6, 7, 8, 10, 11)
    for convolution in (("",) if index % 4 == 0 else (".conv1", ".conv2"))
]
NAMES = {
    "mlp": ((4,), ["torso.layers.1", "torso.layers.3"]),
    "minatar_cnn": (GRID, ["torso.layers.0", "torso.layers.3"]),
    "nature_cnn": (FRAMES, [*CONVOLUTIONS, "torso.hidden"]),
    "impala": (FRAMES, [*STAGES, "torso.hidden"]),
}


def build_again(module):
    """A layer of the same sizes, from the same random stream."""
    if isinstance(module, nn.Linear):
        return nn.Linear(module.in_features, module.out_features)
    return nn.Conv2d(module.in_channels, module.out_channels, module.kernel_size)


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("torso", NAMES)
def test_published_weights_load_and_seeds_give_the_same_start(torso, dueling):
    """The names in weight files, and torch's own initialisation of those layers in that order."""
    shape, names = NAMES[torso]
    names = names + (["head.value.linear", "head.advantage.linear"] if dueling else ["head.linear"])
    torch.manual_seed(5)
    network = QNetwork(shape, 5, 7, torso=torso, dueling=dueling, width=0.5)
    state = network.state_dict()
    assert list(state) == [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    torch.manual_seed(5)
    for name in names:
        again = build_again(network.get_submodule(name))
        assert torch.equal(state[f"{name}.weight"], again.weight), name
        assert torch.equal(state[f"{name}.bias"], again.bias), name


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((4,), {"torso": "nature_cnn"}, "network.name=nature_cnn needs images"),
        (GRID, {"torso": "nature_cnn"}, "network.name=nature_cnn needs frames of at least 36x36"),
        ((4, 35, 84), {"torso": "impala"}, "network.name=impala needs frames of at least 36x36"),
        (GRID, {"torso": "resnet18"}, "network.name=resnet18 needs frames of at least 36x36"),
        ((2, 2, 1), {"torso": "minatar_cnn"}, "network.name=minatar_cnn needs frames of at least 3x3"),
        ((4,), {"torso": "transformer"}, "network.name=transformer needs images"),
        ((4,), {"experts": 2}, "network.experts=2 does not fit network.name=mlp"),
        (GRID, {"torso": "transformer", "experts": 2}, "network.experts=2 does not fit network.name=transf"),
        (FRAMES, {"experts": -1}, "network.experts=-1: must be 0 or more"),
        (FRAMES, {"torso": "resnet50", "layer_norm": True}, "layer_norm=true does not fit network.name=resn"),
        (GRID, {"torso": "transformer", "layer_norm": True}, "layer_norm=true does not fit network.name=tra"),
    ],
)
def test_refused(shape, options, words):
    with pytest.raises(ValueError, match=words) as raised:
        QNetwork(shape, 2, 1, **options)
    assert "\n" not in str(raised.value)


def test_recipes_know_the_networks_that_exist():
    named = get_args(types_of(NetworkConfig)["name"])
    assert set(named) == {"auto", *TORSOS}
