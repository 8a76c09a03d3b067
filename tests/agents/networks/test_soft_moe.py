"""Soft mixtures of experts, against loops over slots and experts."""

import math

import pytest
import torch

from catzoo.agents.networks import SoftMoE


def softmax(values):
    weights = [math.exp(value - max(values)) for value in values]
    return [weight / sum(weights) for weight in weights]


def by_loops(moe, map_CHW):
    """Puigcerver et al. 2023, algorithm 1 with the normalisation of section 2.3, one number at a time."""
    tokens = list(map_CHW.flatten(1).T)
    directions = list(moe.phi.T)
    logits = [
        [
            (moe.scale * (token / token.norm()) @ (direction / direction.norm())).item()
            for direction in directions
        ]
        for token in tokens
    ]
    outputs = []
    for slot in range(len(directions)):
        dispatch = softmax([row[slot] for row in logits])
        mixed = sum(weight * token for weight, token in zip(dispatch, tokens, strict=True))
        expert = slot // moe.num_slots
        hidden = (mixed @ moe.weight_in[expert] + moe.bias_in[expert, 0]).relu()
        outputs.append(hidden @ moe.weight_out[expert] + moe.bias_out[expert, 0])
    combined = [
        sum(weight * output for weight, output in zip(softmax(row), outputs, strict=True)) for row in logits
    ]
    return torch.cat(combined)


@pytest.mark.parametrize("num_experts", [1, 2, 4, 8])
@pytest.mark.parametrize("map_shape", [(5, 3, 4), (6, 2, 2)])
def test_it_is_the_paper_by_loops(map_shape, num_experts):
    torch.manual_seed(0)
    moe = SoftMoE(map_shape, num_experts, 7).double()
    with torch.no_grad():
        moe.scale.fill_(1.7)
    maps = torch.randn(3, *map_shape, dtype=torch.float64)
    expected = torch.stack([by_loops(moe, one) for one in maps])
    assert expected.shape == (3, moe.num_features)
    torch.testing.assert_close(moe(maps), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("num_experts", "num_slots"), [(1, 49), (2, 25), (4, 13), (8, 7), (64, 1)])
def test_slots_share_out_the_tokens(num_experts, num_slots):
    moe = SoftMoE((8, 7, 7), num_experts, 16)
    assert moe.num_slots == num_slots
    assert moe.phi.shape == (8, num_experts * num_slots)
    assert moe(torch.randn(2, 8, 7, 7)).shape == (2, 8 * 49)


def test_a_dead_position_is_still_a_number():
    """ReLU maps have positions where every channel is 0, and a norm of 0."""
    maps = torch.randn(2, 5, 3, 3)
    maps[:, :, 1, 1] = 0
    maps.requires_grad_()
    outputs = SoftMoE((5, 3, 3), 2, 7)(maps)
    (gradient,) = torch.autograd.grad(outputs.square().sum(), maps)
    assert outputs.isfinite().all()
    assert gradient.isfinite().all()


def test_layouts_and_half_precision_agree():
    moe = SoftMoE((8, 7, 7), 4, 16)
    maps = torch.randn(2, 8, 7, 7)
    plain = moe(maps)
    assert torch.allclose(moe(maps.contiguous(memory_format=torch.channels_last)), plain, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(moe(maps).float(), plain, atol=0.05)
