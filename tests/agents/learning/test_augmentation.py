"""Random shifts, against padding and cropping one image at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catzoo.agents.learning.augmentation import random_shift

DTYPES = [torch.uint8, torch.bool, torch.float32, torch.float16, torch.int64]


def crops(image, pad):
    """Every crop of an image with a replicated border, by its corner."""
    padded = np.pad(image.numpy(), ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    _, height, width = image.shape
    corners = [(y, x) for y in range(2 * pad + 1) for x in range(2 * pad + 1)]
    return {(y, x): padded[:, y : y + height, x : x + width] for y, x in corners}


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*(st.integers(1, most) for most in (4, 3, 7, 7))),
    pad=st.integers(0, 5),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**31),
)
def test_shifts_are_crops_of_the_padded_image(shape, pad, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    high = 2 if dtype == torch.bool else 256
    images = torch.randint(0, high, shape, generator=generator).to(dtype)
    before = images.clone()
    shifted = random_shift(images, pad, torch.Generator().manual_seed(seed))
    again = random_shift(images, pad, torch.Generator().manual_seed(seed))
    assert shifted.shape == images.shape
    assert shifted.dtype == dtype
    assert torch.equal(images, before)
    assert torch.equal(shifted, again)
    offsets = torch.randint(2 * pad + 1, (2, shape[0], 1), generator=torch.Generator().manual_seed(seed))
    for row in range(shape[0]):
        corner = tuple(offsets[:, row, 0].tolist())
        assert np.array_equal(shifted[row].numpy(), crops(images[row], pad)[corner])


def test_every_shift_comes_about_as_often_for_every_image():
    pad, batch = 2, 5_000
    marked = torch.arange(81, dtype=torch.uint8).view(1, 1, 9, 9).expand(batch, 1, 9, 9)
    torch.manual_seed(0)
    middles = random_shift(marked, pad)[:, 0, 4, 4].long()
    counts = torch.bincount(middles, minlength=81).view(9, 9)
    assert counts.sum() == counts[2:7, 2:7].sum()
    assert counts[2:7, 2:7].min() > 0.7 * batch / 25
    assert counts[2:7, 2:7].max() < 1.3 * batch / 25


def test_channels_move_together():
    frame = torch.rand(8, 1, 20, 20)
    shifted = random_shift(frame.expand(8, 4, 20, 20))
    assert torch.equal(shifted, shifted[:, :1].expand(8, 4, 20, 20))


def test_no_pad_is_no_shift():
    images = torch.randint(0, 256, (3, 4, 84, 84), dtype=torch.uint8)
    assert torch.equal(random_shift(images, 0), images)


def test_gradients_come_back_through_a_shift():
    images = torch.rand(2, 1, 5, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(random_shift(images, 1).sum(), images)
    assert gradient.sum(dim=(1, 2, 3)).tolist() == pytest.approx([25, 25])
