"""A soft mixture of experts in place of a torso's hidden layer (Obando-Ceron et al. 2024, arXiv 2402.08609).

Legend: B batch, M tokens, D token size, N experts, P slots per expert, S = N P slots, F hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SoftMoE(nn.Module):
    """Experts on soft mixtures of the positions of a feature map.

    Every position is a token ("PerConv"). A softmax over tokens mixes them into slots, every expert
    works on its own P = ceil(M / N) slots, and a softmax over slots mixes them back into tokens
    (Puigcerver et al. 2023, arXiv 2308.00951, section 2.1), which are flattened for the head. An expert
    is the hidden layer that it replaces, F units with ReLU, and a linear layer back to the token's
    size, as in the authors' code (Dopamine, labs/moes).

    Deviations from that code: tokens and slot parameters are divided by their L2 norm, the latter times a
    learned scale, as in Puigcerver et al. (section 2.3); layers start as torch's linear layers do.

    Args:
        map_shape: [C, H, W] of the feature map: M = H W tokens of size D = C.
        num_experts: N.
        num_hidden: F.
    """

    def __init__(self, map_shape: Sequence[int], num_experts: int, num_hidden: int) -> None:
        super().__init__()
        size, height, width = map_shape
        self.num_experts = num_experts
        self.num_slots = math.ceil(height * width / num_experts)
        self.num_features = size * height * width
        self.phi = nn.Parameter(torch.empty(size, num_experts * self.num_slots))
        self.scale = nn.Parameter(torch.empty(()))
        self.weight_in = nn.Parameter(torch.empty(num_experts, size, num_hidden))
        self.bias_in = nn.Parameter(torch.empty(num_experts, 1, num_hidden))
        self.weight_out = nn.Parameter(torch.empty(num_experts, num_hidden, size))
        self.bias_out = nn.Parameter(torch.empty(num_experts, 1, size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """phi normal with variance 1/D, the scale 1, experts uniform in ±1/sqrt(inputs)."""
        self.phi.normal_(std=1 / math.sqrt(self.phi.shape[0]))
        self.scale.fill_(1)
        for weight, bias in ((self.weight_in, self.bias_in), (self.weight_out, self.bias_out)):
            bound = 1 / math.sqrt(weight.shape[1])
            weight.uniform_(-bound, bound)
            bias.uniform_(-bound, bound)

    def forward(self, map_BCHW: Tensor) -> Tensor:
        """Feature map [B, C, H, W] to features [B, M D]."""
        tokens_BMD = map_BCHW.flatten(2).transpose(1, 2)
        phi_DS = self.scale * F.normalize(self.phi, dim=0)
        logits_BMS = F.normalize(tokens_BMD, dim=-1) @ phi_DS
        slots_BSD = logits_BMS.softmax(dim=1).transpose(1, 2) @ tokens_BMD
        mixed_BMD = logits_BMS.softmax(dim=2) @ self._experts(slots_BSD)
        return mixed_BMD.flatten(1)

    def _experts(self, slots_BSD: Tensor) -> Tensor:
        """Every expert on its own slots [B, S, D], all in one batched product a layer."""
        batch, _, size = slots_BSD.shape
        slots_BNPD = slots_BSD.unflatten(1, (self.num_experts, self.num_slots))
        slots_NXD = slots_BNPD.transpose(0, 1).reshape(self.num_experts, batch * self.num_slots, size)
        hidden_NXF = F.relu(torch.baddbmm(self.bias_in, slots_NXD, self.weight_in))
        outputs_NXD = torch.baddbmm(self.bias_out, hidden_NXF, self.weight_out)
        outputs_NBPD = outputs_NXD.unflatten(1, (batch, self.num_slots))
        return outputs_NBPD.transpose(0, 1).reshape(batch, -1, size)
