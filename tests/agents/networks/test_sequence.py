"""A causal transformer: what comes later changes nothing before it."""

import pytest
import torch

from catzoo.agents.networks.attention import AttentionBlock
from catzoo.agents.networks.sequence import CausalTransformer


def test_a_token_sees_only_those_before_it():
    torch.manual_seed(0)
    decoder = CausalTransformer(9, 16, num_layers=2, num_heads=4)
    x = torch.randn(3, 9, 16)
    before = decoder(x)
    for place in range(9):
        changed = x.clone()
        changed[:, place] = torch.randn(3, 16)
        moved = (decoder(changed) - before).abs().amax((0, 2)) > 1e-5
        assert moved.tolist() == [n >= place for n in range(9)]


def test_a_shorter_sequence_is_the_beginning_of_a_longer_one():
    torch.manual_seed(0)
    decoder = CausalTransformer(9, 16)
    x = torch.randn(3, 9, 16)
    assert torch.allclose(decoder(x[:, :4]), decoder(x)[:, :4], atol=1e-5)


def test_heads_must_divide_the_size():
    with pytest.raises(ValueError, match=r"network\.num_heads=5 must divide network\.size=16"):
        CausalTransformer(9, 16, num_heads=5)


def test_a_bias_turns_attention_off():
    torch.manual_seed(0)
    block = AttentionBlock(8, 2)
    x = torch.randn(1, 3, 8)
    alone = torch.full((2, 3, 3), -torch.inf)
    alone[:, range(3), range(3)] = 0
    assert torch.allclose(block(x, alone)[:, :1], block(x[:, :1]), atol=1e-6)
