"""The transformer torso: how an observation is cut up, and that positions matter."""

import pytest
import torch

from catzoo.agents.networks import Transformer


@pytest.mark.parametrize(
    ("shape", "kernel", "padding", "num_tokens"),
    [
        ((4, 84, 84), (14, 14), (0, 0), 36),
        ((4, 10, 10), (2, 2), (0, 0), 25),
        ((3, 210, 160), (35, 32), (0, 0), 30),
        ((4, 64, 64), (8, 8), (0, 0), 64),
        ((1, 11, 37), (2, 7), (1, 3), 36),
    ],
)
def test_patches_follow_from_the_observation(shape, kernel, padding, num_tokens):
    torso = Transformer(shape)
    assert torso.patches.kernel_size == torso.patches.stride == kernel
    assert torso.patches.padding == padding
    assert torso.positions.embeddings.shape == (num_tokens, 128)


@pytest.mark.parametrize("side", range(10, 100))
def test_every_pixel_is_in_a_patch(side):
    torso = Transformer((1, side, side), 0.05, num_layers=0)
    assert 25 <= len(torso.positions.embeddings) <= 64
    image = torch.zeros(1, 1, side, side, requires_grad=True)
    (gradient,) = torch.autograd.grad(torso.patches(image).square().sum() + torso.patches(image).sum(), image)
    assert gradient.all()


def test_positions_matter():
    torch.manual_seed(0)
    torso = Transformer((1, 10, 10), 0.25)
    image = torch.rand(2, 1, 10, 10)
    swapped = torch.cat([image[..., 2:4], image[..., :2], image[..., 4:]], dim=-1)  # whole patches
    assert not torch.allclose(torso(image), torso(swapped), atol=1e-5)
    with torch.no_grad():
        torso.positions.embeddings.zero_()
    assert torch.allclose(torso(image), torso(swapped), atol=1e-5)


def test_blocks_are_torchs_pre_norm_encoder_layers():
    torch.manual_seed(0)
    block = Transformer((1, 10, 10), 0.25).blocks[0]
    theirs = torch.nn.TransformerEncoderLayer(
        32, 4, dim_feedforward=128, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    names = {
        "self_attn.in_proj_": "qkv.",
        "self_attn.out_proj.": "project.",
        "linear1.": "feed_forward.0.",
        "linear2.": "feed_forward.2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    state = block.state_dict()
    theirs.load_state_dict(
        {to + kind: state[name + kind] for to, name in names.items() for kind in ("weight", "bias")}
    )
    tokens = torch.randn(3, 25, 32)
    assert torch.allclose(block(tokens), theirs(tokens), atol=1e-5)


def test_width_goes_in_whole_heads():
    assert Transformer((1, 10, 10), 0.1).num_features == 12
    assert Transformer((1, 10, 10), 0.001).num_features == 4


def test_half_precision_agrees():
    torso = Transformer((4, 84, 84), 0.5)
    frames = torch.rand(2, 4, 84, 84)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = torso(frames)
    assert torch.allclose(half.float(), torso(frames), atol=0.1)
