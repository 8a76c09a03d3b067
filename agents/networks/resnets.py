"""Residual torsos: IMPALA's, and ResNet-18 to 101 as in Scaled Q-learning.

Legend: B batch, C channels, H W height, width, E spatial embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catzoo.agents.networks.sizes import output_shape, scaled
from catzoo.agents.networks.torsos import ConvTorso, Linear


class _Residual(nn.Module):
    """IMPALA's block. Normalised is what goes into an activation inside it, never the sum."""

    def __init__(self, channels: int, layer_norm: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(1, channels) if layer_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.norm(self.conv1(F.relu(x)))))


class ImpalaResNet(ConvTorso):
    """Three stages of two residual blocks: the large network of IMPALA (Espeholt et al. 2018).

    With `layer_norm`, the convolution that opens a stage, the first of each block and the hidden layer
    are normalised.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: float = 1.0,
        *,
        linear: Linear = nn.Linear,
        layer_norm: bool = False,
        experts: int = 0,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels = shape[0]
        for base in (16, 32, 32):
            wider = scaled(base, width)
            stages += [
                nn.Conv2d(channels, wider, 3, padding=1),
                *([nn.GroupNorm(1, wider)] if layer_norm else []),
                nn.MaxPool2d(3, stride=2, padding=1),
                _Residual(wider, layer_norm),
                _Residual(wider, layer_norm),
            ]
            channels = wider
        self.stages = nn.Sequential(*stages, nn.ReLU())
        map_shape = output_shape(self.stages, shape)
        num_hidden = scaled(256, width)
        self.add_hidden(map_shape, num_hidden, linear=linear, layer_norm=layer_norm, experts=experts)

    def convolve(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to its feature map."""
        return self.stages(observation)


class SpatialEmbedding(nn.Module):
    """Sums over positions, weighted by E learned embeddings: a pooling that knows where.

    Feature map x [B, C, H, W] and embeddings k [E, C, H, W] give sum_hw x[b, c, h, w] k[e, c, h, w],
    flattened to [B, E C]. With E = 1 and k = 1/(H W) it is global average pooling.
    """

    def __init__(self, map_shape: Sequence[int], num_embeddings: int = 8) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.empty(num_embeddings, *map_shape))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Normal with variance 1/(H W), so that sums are as large as what they sum."""
        self.embeddings.normal_(std=1 / math.sqrt(self.embeddings[0, 0].numel()))

    def forward(self, map_BCHW: Tensor) -> Tensor:
        """Feature map [B, C, H, W] to pooled features [B, E C]."""
        return torch.einsum("bchw,echw->bec", map_BCHW, self.embeddings).flatten(1)


def _group_norm(channels: int) -> nn.GroupNorm:
    """32 groups (Wu & He 2018), or as many as divide a scaled number of channels."""
    return nn.GroupNorm(math.gcd(32, channels), channels)


class _Block(nn.Module):
    """Convolutions (kernel, channels out, stride), each normalised, and a shortcut around them."""

    def __init__(self, channels: int, layers: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        body: list[nn.Module] = []
        inner = channels
        for kernel, outer, step in layers:
            conv = nn.Conv2d(inner, outer, kernel, stride=step, padding=kernel // 2, bias=False)
            body += [conv, _group_norm(outer), nn.ReLU()]
            inner = outer
        self.body = nn.Sequential(*body[:-1])  # the last activation comes after the sum
        stride = math.prod(step for _, _, step in layers)
        self.shortcut = nn.Sequential()
        if stride > 1 or inner != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, inner, 1, stride=stride, bias=False), _group_norm(inner)
            )
        self.num_channels = inner

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.body(x))


BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Blocks in each of the four stages, by depth (He et al. 2016, table 1)."""


class ResNet(ConvTorso):
    """A ResNet for Q-learning on many games (Kumar et al. 2023, arXiv 2211.15144), as in arXiv 2403.03950.

    He et al.'s ResNet (2016; basic blocks at depths 18 and 34, bottlenecks at 50 and 101, the stride in
    the 3x3 convolution) with two changes of Kumar et al.: group normalisation instead of batch
    normalisation, and learned spatial embeddings instead of global average pooling.

    Interpretation, where the paper leaves room: it multiplies the last map point by point with a learned
    embedding on the way to a vector. Here there are E = 8 embeddings of the map's shape, and each
    product is summed over positions, as in the first author's later work (see `SpatialEmbedding`). One
    hidden layer of 512 with ReLU follows; the stem is that for ImageNet, 7x7 with stride 2 and max pooling.

    Deviation: the features are not divided by their norm.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: float = 1.0,
        *,
        depth: int = 18,
        linear: Linear = nn.Linear,
        experts: int = 0,
    ) -> None:
        super().__init__()
        channels = scaled(64, width)
        self.stem = nn.Sequential(
            nn.Conv2d(shape[0], channels, 7, stride=2, padding=3, bias=False),
            _group_norm(channels),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        for stage, num_blocks in enumerate(BLOCKS[depth]):
            inner = scaled(64 * 2**stage, width)
            for index in range(num_blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                layers = [(3, inner, stride), (3, inner, 1)]
                if depth >= 50:
                    layers = [(1, inner, 1), (3, inner, stride), (1, 4 * inner, 1)]
                block = _Block(channels, layers)
                blocks.append(block)
                channels = block.num_channels
        self.blocks = nn.Sequential(*blocks)
        map_shape = output_shape(nn.Sequential(self.stem, self.blocks), shape)
        pool = None if experts else SpatialEmbedding(map_shape)
        self.add_hidden(map_shape, scaled(512, width), pool=pool, linear=linear, experts=experts)

    def convolve(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to its feature map, 1/32 of the size."""
        return self.blocks(self.stem(observation))


RESNETS = {f"resnet{depth}": partial(ResNet, depth=depth) for depth in BLOCKS}
