"""Networks for continuous actions: a policy that chooses them, and an ensemble of critics of them.

Legend: B batch, E critics, D numbers of an observation, M numbers of an action, K outputs per value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catzoo.agents.networks.policies import Deterministic, SquashedGaussian
from catzoo.agents.networks.running_moments import ObservationNorm


def perceptron(num_inputs: int, hidden: Sequence[int], num_outputs: int) -> nn.Sequential:
    """Hidden layers with ReLU, and a linear one."""
    widths = [num_inputs, *hidden]
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], num_outputs))


class GaussianActor(nn.Module):
    """Observation [B, D] to a `SquashedGaussian`: a perceptron with two outputs a number of an action."""

    def __init__(self, num_inputs: int, num_actions: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.layers = perceptron(num_inputs, hidden, 2 * num_actions)

    def forward(self, observation: Tensor) -> SquashedGaussian:
        """Observation [B, D] to the policy there."""
        # A density in bf16 would be off by parts of a nat.
        mean, spread = self.layers(observation).float().chunk(2, -1)
        low, high = SquashedGaussian.LOG_STD
        return SquashedGaussian(mean, low + (high - low) / 2 * (spread.tanh() + 1))


class DeterministicActor(nn.Module):
    """Observation [B, D] to one action, `Deterministic`: a perceptron with a tanh at its end."""

    def __init__(self, num_inputs: int, num_actions: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.layers = perceptron(num_inputs, hidden, num_actions)

    def forward(self, observation: Tensor) -> Deterministic:
        """Observation [B, D] to the policy there."""
        return Deterministic(self.layers(observation).float().tanh())


class EnsembleLinear(nn.Module):
    """E linear layers side by side, each initialised as `nn.Linear`."""

    def __init__(self, ensemble: int, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(num_inputs)
        self.weight = nn.Parameter(torch.empty(ensemble, num_inputs, num_outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(ensemble, 1, num_outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """[E, B, inputs] to [E, B, outputs]."""
        return torch.baddbmm(self.bias, x, self.weight)


class EnsembleLayerNorm(nn.Module):
    """E layer normalisations side by side."""

    def __init__(self, ensemble: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(ensemble, 1, width))
        self.bias = nn.Parameter(torch.zeros(ensemble, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """[E, B, width] to the same shape."""
        return torch.addcmul(self.bias, F.layer_norm(x, x.shape[-1:]), self.weight)


class Critics(nn.Module):
    """E perceptrons, each of which values an action in an observation.

    Args:
        num_inputs: D + M.
        ensemble: E.
        num_outputs: K, from the value loss.
        hidden: widths of the hidden layers.
        layer_norm: normalise before every activation.
        initial_outputs: [K], where the outputs of every critic begin; None: wherever a fresh layer has them.
    """

    def __init__(
        self,
        num_inputs: int,
        ensemble: int,
        num_outputs: int,
        hidden: Sequence[int],
        *,
        layer_norm: bool = False,
        initial_outputs: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.ensemble, widths = ensemble, [num_inputs, *hidden]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            norm = [EnsembleLayerNorm(ensemble, b)] if layer_norm else []
            layers += [EnsembleLinear(ensemble, a, b), *norm, nn.ReLU()]
        head = EnsembleLinear(ensemble, widths[-1], num_outputs)
        if initial_outputs is not None:
            with torch.no_grad():
                head.bias.copy_(initial_outputs.to(head.bias).expand_as(head.bias))
        self.layers = nn.Sequential(*layers, head)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Observation [B, D] and action [B, M] to outputs [E, B, K], in float32 under autocast too."""
        x = torch.cat((observation, action), -1).expand(self.ensemble, -1, -1)
        outputs: Tensor = self.layers(x)
        return outputs.float()


class ActorCritic(nn.Module):
    """A stochastic policy and its critics, behind one normalisation of observations.

    Args:
        observation_shape: of one observation, which is flattened to D numbers.
        num_actions: M.
        num_outputs, num_critics, hidden, layer_norm, initial_outputs: of `Critics`; no layer norm for actors.
        normalize: whether observations are scaled by what was seen of them.
    """

    actor_class: ClassVar[type[nn.Module]] = GaussianActor

    def __init__(
        self,
        observation_shape: Sequence[int],
        num_actions: int,
        num_outputs: int,
        *,
        num_critics: int = 2,
        hidden: Sequence[int] = (256, 256),
        normalize: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.normalize = ObservationNorm(observation_shape) if normalize else None
        size = math.prod(observation_shape)
        self.actor = self.actor_class(size, num_actions, hidden)
        self.critic = Critics(size + num_actions, num_critics, num_outputs, hidden, **options)

    def seen(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] of any dtype to what actor and critic take, float32 [B, D]."""
        observation = observation.float() if self.normalize is None else self.normalize(observation)
        return observation.flatten(1)

    def forward(self, observation: Tensor) -> Any:
        """The policy at observations [B, ...]."""
        return self.actor(self.seen(observation))


class DeterministicActorCritic(ActorCritic):
    """The same with a deterministic policy; arguments as `ActorCritic`."""

    actor_class = DeterministicActor
