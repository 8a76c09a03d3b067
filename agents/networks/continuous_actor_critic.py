"""Networks for continuous actions: a policy that chooses them, and an ensemble of critics of them.

Legend: B batch, E critics, D numbers of an observation, M numbers of an action, K outputs per value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catzoo.agents.networks.heads import in_float32
from catzoo.agents.networks.policies import Deterministic, SquashedGaussian
from catzoo.agents.networks.running_moments import ObservationNorm
from catzoo.agents.networks.torsos import bronet, perceptron

BODIES: dict[str, Callable[..., nn.Sequential]] = {"mlp": perceptron, "bronet": bronet}
"""Hidden layers, by the names of `NetworkConfig`."""


class Actor(nn.Module):
    """Observation [B, D] to a policy: hidden layers, and outputs for each number of an action."""

    outputs_each: ClassVar[int]

    def __init__(self, num_inputs: int, num_actions: int, hidden: Sequence[int], body: str = "mlp") -> None:
        super().__init__()
        layers = BODIES[body](num_inputs, hidden)
        self.layers = layers.append(nn.Linear([num_inputs, *hidden][-1], self.outputs_each * num_actions))


class GaussianActor(Actor):
    """Its policy is a `SquashedGaussian`."""

    outputs_each = 2

    def forward(self, observation: Tensor) -> SquashedGaussian:
        """Observation [B, D] to the policy there."""
        # A density in bf16 would be off by parts of a nat.
        mean, spread = self.layers(observation).float().chunk(2, -1)
        low, high = SquashedGaussian.LOG_STD
        return SquashedGaussian(mean, low + (high - low) / 2 * (spread.tanh() + 1))


class DeterministicActor(Actor):
    """Its policy is one action, `Deterministic`."""

    outputs_each = 1

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
    """E networks, each of which values an action in an observation.

    Args:
        num_inputs: D + M.
        ensemble: E.
        num_outputs: K, from the value loss.
        hidden: widths of the hidden layers, or of the blocks.
        body: of `BODIES`.
        layer_norm: normalise before every activation, as bronet always does.
        initial_outputs: [K], where the outputs of every critic begin; None: wherever a fresh layer has them.
    """

    def __init__(
        self,
        num_inputs: int,
        ensemble: int,
        num_outputs: int,
        hidden: Sequence[int],
        *,
        body: str = "mlp",
        layer_norm: bool = False,
        initial_outputs: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.ensemble = ensemble
        norm = partial(EnsembleLayerNorm, ensemble) if layer_norm or body == "bronet" else None
        layers = BODIES[body](num_inputs, hidden, partial(EnsembleLinear, ensemble), norm)
        head = EnsembleLinear(ensemble, [num_inputs, *hidden][-1], num_outputs)
        if initial_outputs is not None:
            with torch.no_grad():
                head.bias.copy_(initial_outputs.to(head.bias).expand_as(head.bias))
        self.layers = layers.append(head)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Observation [B, D] and action [B, M] to outputs [E, B, K], in float32 under autocast too."""
        x = torch.cat((observation, action), -1).expand(self.ensemble, -1, -1)
        *body, head = self.layers
        for layer in body:
            x = layer(x)
        return in_float32(head, x)


class ActorCritic(nn.Module):
    """A stochastic policy and its critics, behind one normalisation of observations.

    Args:
        observation_shape: of one observation, which is flattened to D numbers.
        num_actions: M.
        num_outputs, num_critics, hidden, body, layer_norm, initial_outputs: of `Critics`.
        actor_hidden: widths of the actor, whose body is the critics', without layer norm; None: theirs.
        normalize: whether observations are scaled by what was seen of them.
    """

    actor_class: ClassVar[type[Actor]] = GaussianActor

    def __init__(
        self,
        observation_shape: Sequence[int],
        num_actions: int,
        num_outputs: int,
        *,
        num_critics: int = 2,
        hidden: Sequence[int] = (256, 256),
        actor_hidden: Sequence[int] | None = None,
        body: str = "mlp",
        normalize: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.normalize = ObservationNorm(observation_shape) if normalize else None
        size = math.prod(observation_shape)
        actor_hidden = hidden if actor_hidden is None else actor_hidden
        self.actor = self.actor_class(size, num_actions, actor_hidden, body)
        self.critic = Critics(size + num_actions, num_critics, num_outputs, hidden, body=body, **options)

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
