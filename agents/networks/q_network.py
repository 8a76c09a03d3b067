"""The Q-network: preprocessing, a torso that turns an observation into features, and a head.

Legend: B batch, A actions, K numbers per value (bins, or 1), F features, C channels, H W height, width.

Observations come as the environment gives them: pixels are scaled to [0, 1], other numbers cast, and channels
moved to the front inside the network, so that replay keeps the small dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from catzoo.agents.networks.heads import DuelingHead, LinearHead, in_float32
from catzoo.agents.networks.noisy import NoisyLinear
from catzoo.agents.networks.resnets import RESNETS, ImpalaResNet
from catzoo.agents.networks.torsos import ACTIVATIONS, MLP, BroNet, MinAtarCNN, NatureCNN
from catzoo.agents.networks.transformer import Transformer


class Torso(NamedTuple):
    """What turns observations into features, and what goes with it."""

    build: Callable[..., nn.Module]
    """Takes the shape, `linear`, and `hidden` (vectors) or `width` (images); has `num_features`."""
    image: bool = True
    """Whether observations are images; else they are vectors."""
    smallest: int = 1
    """Shortest side of an image."""
    layer_norm: bool = False
    """Whether it takes `layer_norm`."""
    experts: bool = False
    """Whether it takes `experts`."""


TORSOS = {
    "mlp": Torso(MLP, image=False, layer_norm=True),
    "bronet": Torso(BroNet, image=False),
    "minatar_cnn": Torso(MinAtarCNN, smallest=3, layer_norm=True, experts=True),
    "nature_cnn": Torso(NatureCNN, smallest=36, layer_norm=True, experts=True),
    "impala": Torso(ImpalaResNet, smallest=36, layer_norm=True, experts=True),
    **{name: Torso(resnet, smallest=36, experts=True) for name, resnet in RESNETS.items()},
    "transformer": Torso(Transformer),
}
"""By name; the names are those of `NetworkConfig` too."""


class QNetwork(nn.Module):
    """Outputs for every action: preprocessing, torso, head.

    Args:
        observation_shape: shape of one observation, as the environment gives it.
        num_actions: A.
        num_outputs: K, from the value loss.
        torso: a key of `TORSOS`, or `auto` to go by the observation's shape.
        dueling: whether the head has separate value and advantage streams.
        noisy: the head and the torso's fully connected layers are `NoisyLinear` (Hessel et al. 2018);
            experts are not.
        layer_norm: normalise inside the torso, see `torsos`; not for those that do so anyway.
        experts: number of experts in place of the hidden layer, see `SoftMoE`; 0: none.
        hidden, width: sizes, see `TORSOS`.
        activation: of an MLP, `relu` or `tanh`; those for images have ReLU.
        channels_last: run convolutions in NHWC memory.
        initial_outputs: [K], where the outputs of every action begin, see `ValueLoss.initial_outputs`; None:
            wherever a fresh layer has them.
        pixels: whether uint8 observations are pixels, from 0 to 255, see `are_pixels`.

    Raises:
        ValueError: a torso that does not fit the observation, or an option that does not fit the torso.
    """

    def __init__(
        self,
        observation_shape: Sequence[int],
        num_actions: int,
        num_outputs: int,
        *,
        torso: str = "auto",
        dueling: bool = False,
        noisy: bool = False,
        layer_norm: bool = False,
        experts: int = 0,
        hidden: Sequence[int] = (120, 84),
        activation: str = "relu",
        width: float = 1.0,
        channels_last: bool = False,
        pixels: bool = True,
        initial_outputs: Tensor | None = None,
    ) -> None:
        super().__init__()
        shape = tuple(observation_shape)
        if torso == "auto":
            torso = auto_torso(shape)
        self.is_image, self.pixels = TORSOS[torso].image, pixels
        _check(torso, shape, layer_norm=layer_norm, experts=experts, activation=activation)
        # Frame stacks come channels first (4, 84, 84), grids channels last (10, 10, 4).
        # Grids with as many channels as rows (MinAtar/Seaquest) are grids too.
        self.move_channels = self.is_image and is_channels_last(shape)
        if self.move_channels:
            shape = (shape[-1], *shape[:-1])
        linear = NoisyLinear if noisy else nn.Linear
        options: dict[str, Any] = {"width": width} if self.is_image else {"hidden": hidden}
        if layer_norm:
            options["layer_norm"] = True
        if activation != "relu":
            options["activation"] = ACTIVATIONS[activation]
        if experts:
            options["experts"] = experts
        self.torso = TORSOS[torso].build(shape, linear=linear, **options)
        head = DuelingHead if dueling else LinearHead
        features = int(self.torso.num_features)
        self.head = head(features, num_actions, num_outputs, linear=linear, initial_outputs=initial_outputs)
        self.channels_last = channels_last and self.is_image
        if self.channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] of any dtype to outputs [B, A, K], in float32 under autocast too."""
        return in_float32(self.head, self.features(observation))

    def features(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] to what the head sees, [B, F]."""
        if self.move_channels:
            observation = observation.movedim(-1, -3).contiguous()  # while it is still small
        if self.pixels and observation.dtype == torch.uint8:
            observation = observation.float() / 255
        elif observation.dtype != torch.float32:
            observation = observation.float()
        if self.channels_last:
            observation = observation.contiguous(memory_format=torch.channels_last)
        return self.torso(observation)


def are_pixels(space: gym.spaces.Box) -> bool:
    """Whether observations are images of uint8: two dimensions or more, and bounds of 0 and 255.

    Symbols and grids are bytes too, and vanish when they are divided by 255.
    """
    is_bytes = space.dtype == np.uint8 and len(space.shape) >= 2
    return bool(is_bytes and (space.low == 0).all() and (space.high == 255).all())


def auto_torso(shape: Sequence[int]) -> str:
    """The torso that suits an observation's shape."""
    if len(shape) != 3:
        return "mlp"
    return "nature_cnn" if min(sorted(shape)[1:]) >= 36 else "minatar_cnn"


def is_channels_last(shape: Sequence[int]) -> bool:
    """Whether an image's shape ends with its channels, as that of a grid or of a picture in colour."""
    return shape[-1] <= shape[0]


def _check(torso: str, shape: Sequence[int], *, layer_norm: bool, experts: int, activation: str) -> None:
    """Refuses what does not fit together, in the recipe's words."""
    kind = TORSOS[torso]
    if kind.image:
        if len(shape) != 3:
            raise ValueError(f"network.name={torso} needs images, but observations have shape {list(shape)}")
        if min(shape[:-1] if is_channels_last(shape) else shape[1:]) < kind.smallest:
            least = f"{kind.smallest}x{kind.smallest}"
            raise ValueError(f"network.name={torso} needs frames of at least {least}, got {list(shape)}")
    if activation != "relu" and torso != "mlp":
        raise ValueError(f"network.activation={activation} does not fit network.name={torso}, only mlp")
    if experts < 0:
        raise ValueError(f"network.experts={experts}: must be 0 or more")
    if experts and not kind.experts:
        known = ", ".join(name for name, other in TORSOS.items() if other.experts)
        raise ValueError(f"network.experts={experts} does not fit network.name={torso}, only {known}")
    if layer_norm and not kind.layer_norm:
        raise ValueError(
            f"network.layer_norm=true does not fit network.name={torso}, which has a normalisation of its own"
        )
