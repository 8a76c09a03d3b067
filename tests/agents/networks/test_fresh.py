"""A fresh copy: everything random is drawn anew, everything else as at the start, the original as it was."""

import copy

import pytest
import torch
from torch import nn

from catzoo.agents.networks import TORSOS, QNetwork, fresh_copy

GRIDS = ("minatar_cnn", "transformer")
CASES = [
    *((torso, {}) for torso in TORSOS),
    *((torso, {"noisy": True}) for torso in TORSOS),
    *((torso, {"layer_norm": True}) for torso in TORSOS if TORSOS[torso].layer_norm),
    *((torso, {"experts": 4}) for torso in ("nature_cnn", "impala", "resnet18")),
]


@pytest.mark.parametrize(("torso", "options"), CASES)
def test_everything_random_is_drawn_anew(torso, options):
    shape = (4,) if not TORSOS[torso].image else (10, 10, 4) if torso in GRIDS else (4, 84, 84)
    torch.manual_seed(1)
    network = QNetwork(shape, 5, 7, torso=torso, dueling=True, width=0.25, hidden=(64, 64), **options)
    torch.manual_seed(2)
    start = QNetwork(
        shape, 5, 7, torso=torso, dueling=True, width=0.25, hidden=(64, 64), **options
    ).state_dict()
    random = {name for name, values in network.state_dict().items() if not torch.equal(values, start[name])}
    constant = set(start) - random
    assert all(
        name.rsplit(".", 1)[1] in ("weight", "bias") or "sigma" in name or "scale" in name
        for name in constant
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    before = copy.deepcopy(network.state_dict())
    fresh = fresh_copy(network).state_dict()
    for name, values in fresh.items():
        assert not torch.equal(values, before[name]), name
        if name in constant:
            assert torch.equal(values, start[name]), name
        else:
            # Drawn anew is more than moved back: the values without the shift differ as well.
            assert not torch.allclose(values, before[name] - 1, atol=1e-5), name
            if values.numel() > 500:
                assert torch.allclose(values.std(), start[name].std(), rtol=0.2), name
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def test_attention_of_torchs_own_is_drawn_anew():
    attention = nn.MultiheadAttention(8, 2)
    fresh = fresh_copy(attention)
    assert not torch.equal(attention.in_proj_weight, fresh.in_proj_weight)
    assert not torch.equal(attention.out_proj.weight, fresh.out_proj.weight)
    assert not fresh.out_proj.bias.any()  # what the whole says about its part comes after the part's own


def test_a_seed_decides_it():
    network = QNetwork((4,), 2, 3, noisy=True)
    torch.manual_seed(4)
    first = fresh_copy(network).state_dict()
    torch.manual_seed(4)
    second = fresh_copy(network).state_dict()
    assert all(torch.equal(values, second[name]) for name, values in first.items())
