"""S networks of one architecture as one, which computes for all of them together.

Legend: S networks, B batch, A actions, K numbers per value, I inputs, O outputs, C channels, H W height,
width.

Fully connected layers become one batched product. What else has parameters goes through `torch.func.vmap`,
but for convolutions on a CPU, which are computed network by network: vmap makes a grouped convolution of
them, which is no faster there and moves its maps about. The layers' own classes below take a tenth off a DQN
update of ten members over vmap alone.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from catzoo.agents.networks.heads import DuelingHead, LinearHead
from catzoo.agents.networks.noisy import is_noisy
from catzoo.agents.networks.q_network import QNetwork
from catzoo.agents.networks.torsos import MLP, MinAtarCNN, NatureCNN

FRAMES = (nn.Sequential, QNetwork, MLP, MinAtarCNN, NatureCNN, LinearHead, DuelingHead)
"""Modules that hand tensors to their parts, and do not mind a dimension more in front."""


class StackedNetwork(nn.Module):
    """S Q-networks as one whose batch is theirs, one after the other.

    Its parameters are [S, ...] and in the networks' order. Those of the networks become views of them: what
    one changes, the other sees.

    Args:
        networks: of one architecture, on one device.

    Raises:
        ValueError: networks with noise or buffers of their own.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        if is_noisy(networks[0]) or any(True for _ in networks[0].buffers()):
            raise ValueError("noisy networks, and those with buffers, cannot be stacked")
        self.size = len(networks)
        self.networks = _stacked(networks)
        parameters = (network.parameters() for network in networks)
        for whole, *own in zip(self.parameters(), *parameters, strict=True):
            for index, parameter in enumerate(own):
                parameter.data = whole.detach()[index]

    def forward(self, observation: Tensor) -> Tensor:
        """Observations [S·B, ...] to outputs [S·B, A, K]."""
        outputs_SBAK: Tensor = self.networks(observation.reshape(self.size, -1, *observation.shape[1:]))
        return outputs_SBAK.flatten(0, 1)


def _stacked(modules: Sequence[Any]) -> nn.Module:
    """One module for S, which takes [S, B, ...] where they take [B, ...]."""
    first = modules[0]
    if type(first) is nn.Linear and first.bias is not None:
        return _Linear(modules)
    if type(first) is nn.Conv2d and first.padding_mode == "zeros" and first.bias is not None:
        return _Conv2d(modules)
    if type(first) is nn.Flatten and first.start_dim == 1:
        return nn.Flatten(2, first.end_dim)
    if type(first) is nn.ReLU:
        return nn.ReLU(inplace=True)  # no layer here needs its own output again
    if not isinstance(first, FRAMES):
        return _Mapped(modules) if any(True for _ in first.parameters()) else first
    frame = copy.deepcopy(first)
    if isinstance(frame, QNetwork):
        frame.channels_last = False  # a way of lying in memory that images [B, C, H, W] have
    for name, _ in first.named_children():
        setattr(frame, name, _stacked([module.get_submodule(name) for module in modules]))
    return frame


class _Linear(nn.Module):
    """S fully connected layers."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        # [S, I, O] in memory: the batched product's gradient lies like that, and Adam wants both alike.
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().mT for layer in layers]).mT)
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, inputs_SBI: Tensor) -> Tensor:
        """Inputs [S, B, I] to outputs [S, B, O]."""
        return torch.baddbmm(self.bias[:, None], inputs_SBI, self.weight.mT)


class _Conv2d(nn.Module):
    """S convolutions."""

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))  # type: ignore[union-attr]
        first = layers[0]
        self.how: tuple[Any, ...] = (first.stride, first.padding, first.dilation, first.groups)

    def forward(self, maps_SBCHW: Tensor) -> Tensor:
        """Feature maps [S, B, C, H, W] to feature maps."""
        if maps_SBCHW.is_cuda:
            return vmap(self._convolve)(maps_SBCHW, self.weight, self.bias)
        columns = (maps_SBCHW.unbind(), self.weight.unbind(), self.bias.unbind())
        return torch.stack([self._convolve(*each) for each in zip(*columns, strict=True)])

    def _convolve(self, maps_BCHW: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(maps_BCHW, weight, bias, *self.how)


class _Mapped(nn.Module):
    """S modules of any kind, by `torch.func.vmap`."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        parameters, _ = stack_module_state(list(modules))
        self.each = copy.deepcopy(modules[0])
        for name, stacked in parameters.items():
            owner, _, leaf = name.rpartition(".")
            setattr(self.each.get_submodule(owner), leaf, nn.Parameter(stacked.detach()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs [S, B, ...] to outputs [S, B, ...]."""
        return vmap(self._call)(dict(self.each.named_parameters()), inputs)

    def _call(self, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(self.each, parameters, (inputs,))  # type: ignore[no-any-return]
