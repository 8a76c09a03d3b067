"""Augmentation of image batches (DrQ: Kostrikov et al. 2021, arXiv 2004.13649).

Legend: B batch, C channels, H W height, width.
"""

from __future__ import annotations

import torch
from torch import Tensor


def random_shift(images: Tensor, pad: int = 4, generator: torch.Generator | None = None) -> Tensor:
    """Each image moved by up to `pad` pixels along both axes, its edge repeated (DrQ, section 3.1).

    images [B, C, H, W] of any dtype and on any device, to the same; the images of one row's C channels
    move together. `generator` must live on the images' device; None is torch's global stream.
    """
    batch, channels, height, width = images.shape
    shift_2B1 = torch.randint(2 * pad + 1, (2, batch, 1), device=images.device, generator=generator) - pad
    # A crop of a replicated border is a gather at clamped positions: the border is never made.
    rows_BH = (torch.arange(height, device=images.device) + shift_2B1[0]).clamp_(0, height - 1)
    columns_BW = (torch.arange(width, device=images.device) + shift_2B1[1]).clamp_(0, width - 1)
    index_BX = (rows_BH[:, :, None] * width + columns_BW[:, None, :]).flatten(1)
    shifted_BCX = images.flatten(2).gather(2, index_BX[:, None].expand(batch, channels, height * width))
    return shifted_BCX.unflatten(2, (height, width))
