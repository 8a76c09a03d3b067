"""Torsos: an observation's features, by the networks that DQN's descendants share.

Legend: B batch, F features, C channels, H W height, width.

All take `linear`, the class of their fully connected layers, and `layer_norm`: layer normalisation after
every hidden layer and every convolution that an activation follows, as in PQN (Gallici et al. 2024,
arXiv 2407.04811). Over a feature map it is a group normalisation with one group: the statistics are those
of CleanRL's `LayerNorm([C, H, W])`, but scale and shift are per channel, as in the paper's own code,
since an element-wise scale has to copy maps that lie in memory channels last: 16.2 against 13.2 ms for
forward and backward of `NatureCNN`'s convolutions at batch 32 on one CPU thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from catzoo.agents.networks.sizes import output_shape, scaled
from catzoo.agents.networks.soft_moe import SoftMoE

Linear = Callable[[int, int], nn.Module]
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
"""Of an MLP, by name."""


def normalized(layer: nn.Module, num_channels: int, layer_norm: bool) -> list[nn.Module]:
    """A convolution, its normalisation where asked, and ReLU."""
    return [layer, *([nn.GroupNorm(1, num_channels)] if layer_norm else []), nn.ReLU()]


def perceptron(
    num_inputs: int,
    hidden: Sequence[int],
    linear: Linear = nn.Linear,
    norm: Callable[[int], nn.Module] | None = None,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Hidden layers, each with an activation behind it and, where asked, a normalisation between the two."""
    layers: list[nn.Module] = []
    for a, b in pairwise([num_inputs, *hidden]):
        layers += [linear(a, b), *([] if norm is None else [norm(b)]), activation()]
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """What it is given, and what some layers add to it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Anything to the same shape."""
        return x + self.layers(x)


def bronet(
    num_inputs: int,
    hidden: Sequence[int],
    linear: Linear = nn.Linear,
    norm: Callable[[int], nn.Module] | None = None,
) -> nn.Sequential:
    """BRO's network (Nauman et al. 2024, arXiv 2405.16158, figure 3): a layer, and a residual block for each
    of `hidden`, which is one width again and again. It is normalised by `norm`, or `nn.LayerNorm`.

    Raises:
        ValueError: several widths.
    """
    if len(set(hidden)) != 1:
        raise ValueError(f"widths {list(hidden)}: bronet has blocks of one width, such as [256, 256]")
    width, norm = hidden[0], norm or nn.LayerNorm
    layers: list[nn.Module] = [linear(num_inputs, width), norm(width), nn.ReLU()]
    for _ in hidden:
        inner = [linear(width, width), norm(width), nn.ReLU(), linear(width, width), norm(width)]
        layers.append(Residual(*inner))
    return nn.Sequential(*layers)


class BroNet(nn.Module):
    """`bronet` for vector observations."""

    def __init__(
        self, shape: Sequence[int], hidden: Sequence[int] = (256, 256), *, linear: Linear = nn.Linear
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), *bronet(math.prod(shape), hidden, linear))
        self.num_features = hidden[0]

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] to features [B, F]."""
        return self.layers(observation)


class MLP(nn.Module):
    """Fully connected layers, for vector observations."""

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int] = (120, 84),
        *,
        linear: Linear = nn.Linear,
        layer_norm: bool = False,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        norm = nn.LayerNorm if layer_norm else None
        layers = perceptron(math.prod(shape), hidden, linear, norm, activation)
        self.layers = nn.Sequential(nn.Flatten(), *layers)
        self.num_features = hidden[-1] if hidden else math.prod(shape)

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] to features [B, F]."""
        return self.layers(observation)


class MinAtarCNN(nn.Module):
    """One 3x3 convolution and one hidden layer: the network of the MinAtar paper (Young & Tian 2019).

    `experts` above 0: a mixture of so many stands in for the hidden layer, see `SoftMoE`.
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
        channels, height, width_ = shape
        filters, num_hidden = scaled(16, width), scaled(128, width)
        map_shape = (filters, height - 2, width_ - 2)
        convolution = normalized(nn.Conv2d(channels, filters, 3), filters, layer_norm)
        if experts:
            self.layers = nn.Sequential(*convolution, SoftMoE(map_shape, experts, num_hidden))
            self.num_features = math.prod(map_shape)
            return
        self.num_features = num_hidden
        self.layers = nn.Sequential(
            *convolution,
            nn.Flatten(),
            linear(math.prod(map_shape), num_hidden),
            *([nn.LayerNorm(num_hidden)] if layer_norm else []),
            nn.ReLU(),
        )

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to features [B, F]."""
        return self.layers(observation)


class ConvTorso(nn.Module):
    """A feature map, and what makes features of it: a hidden layer, or a soft mixture of experts.

    A subclass writes `convolve` and calls `add_hidden` when its convolutions are there.
    """

    def convolve(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to its feature map [B, C', H', W']."""
        raise NotImplementedError  # pragma: no cover

    def add_hidden(
        self,
        map_shape: Sequence[int],
        num_hidden: int,
        *,
        pool: nn.Module | None = None,
        linear: Linear = nn.Linear,
        layer_norm: bool = False,
        experts: int = 0,
    ) -> None:
        """The layers behind a feature map [C, H, W]; `pool` turns it into a vector, or it is flattened.

        `experts` above 0: a mixture of so many stands in for pool and hidden layer, and for their
        `linear` and `layer_norm`.
        """
        self.experts = SoftMoE(map_shape, experts, num_hidden) if experts else None
        if self.experts is not None:
            self.num_features = self.experts.num_features
            return
        self.pool = pool or nn.Flatten()
        self.hidden = linear(output_shape(self.pool, map_shape)[0], num_hidden)
        self.norm = nn.LayerNorm(num_hidden) if layer_norm else nn.Identity()
        self.num_features = num_hidden

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to features [B, F]."""
        map_BCHW = self.convolve(observation)
        if self.experts is not None:
            return self.experts(map_BCHW)
        return F.relu(self.norm(self.hidden(self.pool(map_BCHW))))


class NatureCNN(ConvTorso):
    """Three convolutions and 512 features: the network of DQN (Mnih et al. 2015)."""

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
        c1, c2, c3, num_hidden = (scaled(n, width) for n in (32, 64, 64, 512))
        self.convolutions = nn.Sequential(
            *normalized(nn.Conv2d(shape[0], c1, 8, stride=4), c1, layer_norm),
            *normalized(nn.Conv2d(c1, c2, 4, stride=2), c2, layer_norm),
            *normalized(nn.Conv2d(c2, c3, 3), c3, layer_norm),
        )
        map_shape = output_shape(self.convolutions, shape)
        self.add_hidden(map_shape, num_hidden, linear=linear, layer_norm=layer_norm, experts=experts)

    def convolve(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to its feature map."""
        return self.convolutions(observation)
