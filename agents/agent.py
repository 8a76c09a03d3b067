"""The base of all agents: networks, a value loss and a recipe; how to act, and the steps that learn.

An agent is a page that inherits from `Agent` and nothing else. It says which feed brings its batches, and
writes the losses of its `steps`; what trains it is in `at_work.py`.

Legend: B batch, A actions, K outputs per value.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import torch
from torch import Tensor, nn

from catzoo.agents.collecting.exploration import EpsilonGreedy, Exploration
from catzoo.agents.learning.adaptive_support import adaptive_support
from catzoo.agents.learning.batches import Transitions
from catzoo.agents.learning.data_parallel import ALONE, Ranks
from catzoo.agents.learning.learner import Step
from catzoo.agents.learning.return_scale import ReturnScale
from catzoo.agents.networks import QNetwork
from catzoo.losses import ValueLoss, take_action


class Agent(nn.Module):
    """Learns action values with any value loss; a network and a value loss are enough to act.

    Args:
        network: observation [B, ...] to outputs [B, A, K].
        value_loss: what K = `num_outputs` outputs mean and how they are scored.
        recipe: of the agent's class in `catzoo.hparams.agents`: how to learn.
    """

    feed: ClassVar[type[Any]]
    """Where batches come from: one of `catzoo.agents.feeds`."""
    replay: ClassVar[type[Any]]
    """What samples the dataset of one that learns from it: a `catzoo.agents.replay.DatasetReplay`."""
    actions: ClassVar[type[gym.Space]] = gym.spaces.Discrete
    """The kind of action space that it plays in."""
    values_states: ClassVar[bool] = False
    """Whether a value is of a state, whatever the action."""
    from_a_list: ClassVar[bool] = False
    """Whether actions are places in a list that is another one at each step, as legal moves are."""
    family: ClassVar[type[Any]] = Transitions
    """Of its batches."""
    followers: ClassVar[dict[str, str]] = {"target.": "network."}
    """By their names' beginnings, parameters that acting does without, and those that stand in for them."""
    network_class: ClassVar[type[nn.Module]] = QNetwork
    """What `from_recipe` builds for it."""
    ranks: Ranks = ALONE
    """The learners of the run that it learns in."""

    def __init__(self, network: nn.Module, value_loss: ValueLoss, recipe: Any) -> None:
        super().__init__()
        self.network, self.value_loss, self.recipe = network, value_loss, recipe
        scaled = hasattr(recipe, "normalize") and recipe.normalize.reward
        self.return_scale = ReturnScale() if scaled else None
        """What rewards are divided by before they are learned from; None: nothing."""
        self.adaptive = adaptive_support(value_loss, recipe)
        """The ends of its support, where they follow the targets; None: they stay."""
        if self.adaptive is not None:
            _settle(self)
            self.register_load_state_dict_post_hook(_settle)
        self.trained_steps = 0
        """Agent steps behind its weights, where they were loaded."""

    def critic_loss(self, batch: Any) -> tuple[Tensor, Tensor]:
        """A batch of the feed's family to (loss [B], TD error [B]).

        Pure: tensors in, tensors out, nothing read back, as it may be compiled and graphed. The TD error is
        target minus value, detached. Where the batch has weights, the loss is multiplied by them here.
        """
        raise NotImplementedError  # pragma: no cover

    def joined(self, batches: Any) -> Any:
        """Batches [K, B, ...] with what depends on the other ranks' rows; asked for where there are many."""
        return batches

    def steps(self) -> tuple[Step, ...]:
        """The gradient steps of an update, in order; what is frozen stays as it is."""
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return (Step("critic", self.critic_loss, parameters, self.recipe.optimizer.lr),)

    def update_target(self) -> None:
        """Called every `target_update_every` updates and after a reset; nothing to do without a target."""

    def follow(self) -> None:
        """Called after every update; nothing to do without a target that follows step by step."""

    def row(self, batch: Any) -> dict[str, float]:
        """What a row of metrics says of the agent itself, and of its newest batch, if there is one."""
        return {}

    def policy(self, space: gym.Space, *, seed: int = 0, network: nn.Module | None = None) -> Exploration:
        """What plays, in an action space: `network`, or the agent's own, with a share of random actions."""
        network = self.network if network is None else network
        return EpsilonGreedy(network, self.value_loss.decode, int(space.n), seed=seed)

    def act(self, observation: Tensor) -> Tensor:
        """Greedy actions [B, ...] for observations [B, ...]; continuous ones in ±1, as networks have them."""
        return self.appraise(observation)[1]

    @torch.no_grad()
    def appraise(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs [B, A, K] of what it chooses from, and greedy actions [B, ...]."""
        outputs_BAK = self.network(observation)
        return outputs_BAK, self.value_loss.decode(outputs_BAK).argmax(dim=-1)

    def chances(self, observation: Tensor) -> Tensor | None:
        """How likely its policy makes each action [B, A] of a discrete space; None where values choose."""
        return None

    def chosen_and_targets(self, batch: Any) -> tuple[Tensor, Tensor]:
        """The outputs [B, K] of the actions of a batch [B, ...], and the values [B] that they learn."""
        chosen_BK = self.outputs_of(batch.observation, batch.action)
        return chosen_BK, self.value_loss.decode(chosen_BK) + self.critic_loss(batch)[1]

    def outputs_of(self, observation: Tensor, action: Tensor) -> Tensor:
        """The outputs [B, K] for actions [B, ...] taken at observations [B, ...]."""
        return take_action(self.network(observation), action)

    @property
    def unit(self) -> float:
        """One of the agent's values, in units of the environment's rewards."""
        return 1.0 if self.return_scale is None else self.return_scale().item()

    def weights(self) -> dict[str, Tensor]:
        """A copy of the parameters and buffers, on the CPU."""
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.state_dict().items()}


def _settle(agent: Agent, *_: Any) -> None:
    """Weights that were loaded bring the ends of their support along."""
    agent.adaptive.settle(agent.value_loss, agent.network)
