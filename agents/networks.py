"""Networks: a torso that turns an observation into features, and a head that emits K numbers per action.

Legend: B batch, A actions, K numbers per value (bins, or 1), F features, C channels, H W height, width.

Observations come as the environment gives them: uint8 frames are scaled to [0, 1], booleans cast,
and channels moved to the front inside the network, so that replay keeps the small dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers with ReLU, for vector observations."""

    def __init__(self, shape: Sequence[int], hidden: Sequence[int] = (120, 84)) -> None:
        super().__init__()
        widths = [math.prod(shape), *hidden]
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.layers = nn.Sequential(nn.Flatten(), *layers)
        self.num_features = widths[-1]

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] to features [B, F]."""
        return self.layers(observation)


class MinAtarCNN(nn.Module):
    """One 3x3 convolution and one hidden layer: the network of the MinAtar paper (Young & Tian 2019)."""

    def __init__(self, shape: Sequence[int], width: float = 1.0) -> None:
        super().__init__()
        channels, height, width_ = shape
        filters, self.num_features = _scaled(16, width), _scaled(128, width)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, filters, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(filters * (height - 2) * (width_ - 2), self.num_features),
            nn.ReLU(),
        )

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to features [B, F]."""
        return self.layers(observation)


class NatureCNN(nn.Module):
    """Three convolutions and 512 features: the network of DQN (Mnih et al. 2015)."""

    def __init__(self, shape: Sequence[int], width: float = 1.0) -> None:
        super().__init__()
        c1, c2, c3, self.num_features = (_scaled(n, width) for n in (32, 64, 64, 512))
        self.convolutions = nn.Sequential(
            nn.Conv2d(shape[0], c1, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(c1, c2, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(c2, c3, 3),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.hidden = nn.Linear(_num_outputs(self.convolutions, shape), self.num_features)

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to features [B, F]."""
        return F.relu(self.hidden(self.convolutions(observation)))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class ImpalaResNet(nn.Module):
    """Three stages of two residual blocks: the large network of IMPALA (Espeholt et al. 2018)."""

    def __init__(self, shape: Sequence[int], width: float = 1.0) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels = shape[0]
        for base in (16, 32, 32):
            wider = _scaled(base, width)
            stages += [
                nn.Conv2d(channels, wider, 3, padding=1),
                nn.MaxPool2d(3, stride=2, padding=1),
                _Residual(wider),
                _Residual(wider),
            ]
            channels = wider
        self.stages = nn.Sequential(*stages, nn.ReLU(), nn.Flatten())
        self.num_features = _scaled(256, width)
        self.hidden = nn.Linear(_num_outputs(self.stages, shape), self.num_features)

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to features [B, F]."""
        return F.relu(self.hidden(self.stages(observation)))


class LinearHead(nn.Module):
    """One linear layer: features to A x K outputs."""

    def __init__(self, num_features: int, num_actions: int, num_outputs: int) -> None:
        super().__init__()
        self.shape = (num_actions, num_outputs)
        self.linear = nn.Linear(num_features, num_actions * num_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F] to outputs [B, A, K]."""
        return self.linear(features).unflatten(-1, self.shape)


class DuelingHead(nn.Module):
    """Value plus centred advantage, per output (Wang et al. 2016; over logits as in Rainbow)."""

    def __init__(self, num_features: int, num_actions: int, num_outputs: int) -> None:
        super().__init__()
        self.value = LinearHead(num_features, 1, num_outputs)
        self.advantage = LinearHead(num_features, num_actions, num_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F] to outputs [B, A, K]."""
        advantage_BAK = self.advantage(features)
        return self.value(features) + advantage_BAK - advantage_BAK.mean(dim=-2, keepdim=True)


TORSOS: dict[str, Callable[..., nn.Module]] = {
    "mlp": MLP,
    "minatar_cnn": MinAtarCNN,
    "nature_cnn": NatureCNN,
    "impala": ImpalaResNet,
}


class QNetwork(nn.Module):
    """Outputs for every action: preprocessing, torso, head.

    Args:
        observation_shape: shape of one observation, as the environment gives it.
        num_actions: A.
        num_outputs: K, from the value loss.
        torso: a key of `TORSOS`, or `auto` to go by the observation's shape.
        dueling: whether the head has separate value and advantage streams.
        hidden, width: sizes, see `TORSOS`.
        channels_last: run convolutions in NHWC memory.

    Raises:
        ValueError: a torso that does not fit the observation.
    """

    def __init__(
        self,
        observation_shape: Sequence[int],
        num_actions: int,
        num_outputs: int,
        *,
        torso: str = "auto",
        dueling: bool = False,
        hidden: Sequence[int] = (120, 84),
        width: float = 1.0,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        shape = tuple(observation_shape)
        if torso == "auto":
            torso = auto_torso(shape)
        self.is_image = torso != "mlp"
        if self.is_image and len(shape) != 3:
            raise ValueError(f"network.name={torso} needs images, but observations have shape {list(shape)}")
        # Frame stacks come channels first (4, 84, 84), grids channels last (10, 10, 4).
        # Grids with as many channels as rows (MinAtar/Seaquest) are grids too.
        self.move_channels = self.is_image and shape[-1] <= shape[0]
        if self.move_channels:
            shape = (shape[-1], *shape[:-1])
        if torso in ("nature_cnn", "impala") and min(shape[1:]) < 36:
            raise ValueError(
                f"network.name={torso} needs frames of at least 36x36, got {list(observation_shape)}"
            )
        options: dict[str, Any] = {"width": width} if self.is_image else {"hidden": hidden}
        self.torso = TORSOS[torso](shape, **options)
        head = DuelingHead if dueling else LinearHead
        self.head = head(int(self.torso.num_features), num_actions, num_outputs)
        self.channels_last = channels_last and self.is_image
        if self.channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] of any dtype to outputs [B, A, K]."""
        return self.head(self.features(observation))

    def features(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] to what the head sees, [B, F]."""
        if self.move_channels:
            observation = observation.movedim(-1, -3).contiguous()  # while it is still small
        if observation.dtype == torch.uint8:
            observation = observation.float() / 255
        elif observation.dtype != torch.float32:
            observation = observation.float()
        if self.channels_last:
            observation = observation.contiguous(memory_format=torch.channels_last)
        return self.torso(observation)


def auto_torso(shape: Sequence[int]) -> str:
    """The torso that suits an observation's shape."""
    if len(shape) != 3:
        return "mlp"
    return "nature_cnn" if min(sorted(shape)[1:]) >= 36 else "minatar_cnn"


def _scaled(size: int, width: float) -> int:
    return max(round(size * width), 1)


def _num_outputs(layers: nn.Module, shape: Sequence[int]) -> int:
    with torch.no_grad():
        return int(layers(torch.zeros(1, *shape)).shape[-1])
