"""The network and the value loss that a recipe names."""

from __future__ import annotations

import math

import gymnasium as gym
from gymnasium.vector import VectorEnv
from torch import Tensor

from catzoo.agents import ActorCritic, QNetwork
from catzoo.agents.networks.q_network import are_pixels
from catzoo.hparams import Recipe, RecipeError
from catzoo.losses import ValueLoss, make_value_loss
from catzoo.losses.base import says


def build_value_loss(recipe: Recipe) -> ValueLoss:
    """The recipe's value loss.

    Raises:
        RecipeError: values that the loss refuses, such as a default v_min above the v_max given.
    """
    try:
        return make_value_loss(recipe.value_loss.name, **recipe.value_loss.arguments())
    except ValueError as error:
        raise RecipeError(f"value_loss: {error}") from None


def build_network(recipe: Recipe, env: VectorEnv, value_loss: ValueLoss) -> QNetwork | ActorCritic:
    """The recipe's network, with new weights, on torch's default device.

    Raises:
        RecipeError: parts that do not fit together.
    """
    continuous = isinstance(env.single_action_space, gym.spaces.Box)
    return (_build_actor_critic if continuous else _build_q_network)(recipe, env, value_loss)


def _build_actor_critic(recipe: Recipe, env: VectorEnv, value_loss: ValueLoss) -> ActorCritic:
    shape = env.single_observation_space.shape
    if recipe.network.name == "auto" and len(shape) == 3:
        raise RecipeError(
            f"{recipe.env}: {recipe.agent} has no network for images of {list(shape)}: "
            "network.name=mlp flattens them"
        )
    return ActorCritic(
        shape,
        math.prod(env.single_action_space.shape),
        value_loss.num_outputs,
        num_critics=recipe.num_critics,
        hidden=recipe.network.hidden,
        normalize=recipe.normalize.observation,
        layer_norm=recipe.network.layer_norm,
        initial_outputs=_initial_outputs(recipe, value_loss),
    )


def _build_q_network(recipe: Recipe, env: VectorEnv, value_loss: ValueLoss) -> QNetwork:
    asked = recipe.network.pixels
    try:
        return QNetwork(
            env.single_observation_space.shape,
            int(env.single_action_space.n),
            value_loss.num_outputs,
            torso=recipe.network.name,
            dueling=recipe.dueling,
            hidden=recipe.network.hidden,
            width=recipe.network.width,
            noisy=recipe.noisy,
            layer_norm=recipe.network.layer_norm,
            experts=recipe.network.experts,
            channels_last=recipe.compute.channels_last,
            pixels=are_pixels(env.single_observation_space) if asked is None else asked,
            initial_outputs=_initial_outputs(recipe, value_loss),
        )
    except ValueError as error:
        raise RecipeError(f"{recipe.env}: {error}") from None


def _initial_outputs(recipe: Recipe, value_loss: ValueLoss) -> Tensor | None:
    """Where the recipe wants values to begin; None where it, or the loss, leaves that to the network."""
    if recipe.initial_value is None or not says(value_loss, "initial_outputs"):
        return None
    try:
        return value_loss.initial_outputs(recipe.initial_value)
    except ValueError as error:
        raise RecipeError(f"initial_value={error}; null begins wherever the network does") from None
