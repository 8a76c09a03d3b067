"""A Q-network over the dimensions of an action, one after the other (Q-Transformer, arXiv 2309.10150).

Legend: B batch, D dimensions of an action, P of them that are chosen already, N bins, K outputs per value,
F features, S model size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from catzoo.agents.networks.heads import LinearHead, in_float32
from catzoo.agents.networks.q_network import QNetwork
from catzoo.agents.networks.running_moments import ObservationNorm
from catzoo.agents.networks.sequence import CausalTransformer


class ActionTransformer(nn.Module):
    """Outputs for every bin of every dimension of an action, given the bins of the dimensions before it.

    The observation is one token, which a torso of the house makes; the chosen bins are the next ones. At each
    token a head says what the bins of the dimension that follows are worth.

    Args:
        observation_shape: of one observation, as the environment gives it.
        num_dimensions: D.
        num_bins: N.
        num_outputs: K, from the value loss.
        size: S.
        num_layers, num_heads: of the transformer.
        normalize: whether observations are scaled by what was seen of them; for vectors.
        initial_outputs: [K], where the outputs of every bin begin; None: wherever a fresh layer has them.
        torso: options of a `QNetwork`'s torso.

    Raises:
        ValueError: parts that do not fit together.
    """

    def __init__(
        self,
        observation_shape: Sequence[int],
        num_dimensions: int,
        num_bins: int,
        num_outputs: int,
        *,
        size: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        normalize: bool = False,
        initial_outputs: Tensor | None = None,
        **torso: Any,
    ) -> None:
        super().__init__()
        self.num_dimensions, self.num_bins = num_dimensions, num_bins
        # A Q-network of one action with S outputs is what turns any observation into a token.
        self.state = QNetwork(observation_shape, 1, size, **torso)
        if normalize and self.state.is_image:
            raise ValueError("normalize.observation=true does not go with images")
        self.normalize = ObservationNorm(observation_shape) if normalize else None
        self.chosen = nn.Embedding((num_dimensions - 1) * num_bins, size)
        self.transformer = CausalTransformer(num_dimensions, size, num_layers=num_layers, num_heads=num_heads)
        self.head = LinearHead(size, num_bins, num_outputs, initial_outputs=initial_outputs)

    def forward(self, observation: Tensor, prefix_BP: Tensor) -> Tensor:
        """Observation [B, ...] and the first P < D bins to outputs [B, P + 1, N, K] of the first P + 1."""
        return self.values(self.seen(observation), prefix_BP)

    def seen(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] of any dtype to its token [B, 1, S]."""
        return self.state(observation if self.normalize is None else self.normalize(observation))

    def values(self, state_B1S: Tensor, prefix_BP: Tensor) -> Tensor:
        """The same from the observation's token [B, 1, S], for one that is asked several times."""
        first_P = torch.arange(prefix_BP.shape[1], device=prefix_BP.device) * self.num_bins
        tokens_BPS = torch.cat((state_B1S, self.chosen(prefix_BP + first_P).to(state_B1S.dtype)), 1)
        return in_float32(self.head, self.transformer(tokens_BPS))
