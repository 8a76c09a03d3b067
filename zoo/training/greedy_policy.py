"""What a trained agent does at an observation, as one module without state: for other programs.

Legend: B batch, V values (of every action, or one), A actions, M numbers of an action, K outputs per value.
"""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor, nn

from catzoo.agents import Agent
from catzoo.hparams import Recipe
from catzoo.version import __version__
from catzoo.zoo.environments.protocols import Protocol
from catzoo.zoo.environments.unit_actions import UnitActions, in_words


class OwnActions(nn.Module):
    """`UnitActions.actions` for tensors: from within -1 and 1 to the environment's own, in its dtype."""

    def __init__(self, env: UnitActions) -> None:
        super().__init__()
        for name in ("center", "reach", "low", "high"):
            bound = env.half if name == "reach" else getattr(env, name)
            self.register_buffer(name, torch.as_tensor(bound))

    def forward(self, action: Tensor) -> Tensor:
        """Actions [B, M] to actions [B, M]."""
        return (self.center + self.reach * action).maximum(self.low).minimum(self.high)


class GreedyPolicy(nn.Module):
    """Observations [B, ...], as an environment of `make_env` gives them, to tensors by name: see `outputs`.

    What the agent's network does with observations (scale, normalise, turn) is inside, and so is what makes
    the environment's own numbers of actions within -1 and 1.

    Args:
        agent: on the CPU; it is copied, without what only learning needs.
        env: what it plays in, of `make_env`.
    """

    def __init__(self, agent: Agent, env: VectorEnv) -> None:
        super().__init__()
        self.agent = copy.deepcopy(agent).requires_grad_(False).eval()
        for follower in agent.followers:
            if hasattr(self.agent, follower.removesuffix(".")):
                delattr(self.agent, follower.removesuffix("."))
        self.unit = agent.unit
        self.observation, self.action = env.single_observation_space, env.single_action_space
        self.in_bins = hasattr(agent.value_loss, "support")
        self.own = OwnActions(env) if isinstance(env, UnitActions) else None

    def forward(self, observation: Tensor) -> dict[str, Tensor]:
        """Observations [B, ...] to what `outputs` says."""
        outputs_BVK, action = self.agent.appraise(observation)
        action = action if self.own is None else self.own(action)
        found = {"action": action, "values": self.agent.value_loss.decode(outputs_BVK) * self.unit}
        if self.in_bins:
            found["probabilities"] = outputs_BVK.float().softmax(-1)
        chances_BA = self.agent.chances(observation)
        return found if chances_BA is None else {**found, "action_probabilities": chances_BA}

    def outputs(self) -> dict[str, str]:
        """What `forward` gives, in its order: names, and what they mean."""
        agent, numbers = self.agent, isinstance(self.action, gym.spaces.Box)
        whose = "the state" if agent.values_states else "the action" if numbers else "every action"
        unit = "in units of the environment's rewards, discounted by the recipe's gamma"
        if agent.recipe.reward_clip:
            unit = f"in units of rewards clipped to ±{agent.recipe.reward_clip:g}, discounted by its gamma"
        if agent.from_a_list:
            whose = (
                "every action of the observation's list, by the network alone; what is beyond its end means "
                "nothing, and `action` counts a move that draws as half a win"
            )
        said = {"action": self._meaning_of_action(), "values": f"the value of {whose}, {unit}"}
        if self.in_bins:
            said["probabilities"] = f"the distribution over the support's bins that is the value of {whose}"
        if agent.values_states and not numbers:
            said["action_probabilities"] = "how likely the policy, not greedy, takes every action"
        return said

    def _meaning_of_action(self) -> str:
        if isinstance(self.action, gym.spaces.Discrete):
            return f"the greedy action, from 0 to {int(self.action.n) - 1}"
        if self.own is None:
            return "the greedy action, each number within -1 and 1: the ends of that game's own range"
        ends = f"{self.own.low.tolist()} to {self.own.high.tolist()}"
        return f"the greedy action, in the environment's own units: {ends}"


def policy_card(
    policy: GreedyPolicy, recipe: Recipe, protocol: Protocol, result: dict[str, Any] | None
) -> dict[str, Any]:
    """What a file says of the policy in it: whose it is, what goes in and what comes out. Plain data.

    Args:
        policy: what is in the file.
        recipe: of its run.
        protocol: that its observations are of.
        result: of its run, as in result.json; None: of other weights than these.
    """
    support = getattr(policy.agent.value_loss, "support", None)
    score = {key: result[key] for key in ("mean_return", "interval_95", "episodes")} if result else {}
    return {
        "catzoo": __version__,
        "agent": recipe.agent,
        "env": recipe.env,
        "protocol": protocol.to_dict(),
        "loss": recipe.value_loss.name,
        "seed": recipe.seed,
        "gamma": recipe.gamma,
        "steps": min(policy.agent.trained_steps or recipe.steps, recipe.steps),
        **score,
        "input": f"as the environment gives it under the protocol {protocol.name}, neither scaled nor "
        f"normalised: {in_words(policy.observation)}",
        "outputs": policy.outputs(),
        **({} if support is None else {"bin_centers": [c * policy.unit for c in support.centers.tolist()]}),
    }
