"""The network and the value loss that a recipe names."""

from __future__ import annotations

from gymnasium.vector import VectorEnv

from catzoo.agents import QNetwork
from catzoo.agents.networks.q_network import are_pixels
from catzoo.hparams import Recipe, RecipeError
from catzoo.losses import ValueLoss, make_value_loss


def build_value_loss(recipe: Recipe) -> ValueLoss:
    """The recipe's value loss.

    Raises:
        RecipeError: values that the loss refuses, such as a default v_min above the v_max given.
    """
    try:
        return make_value_loss(recipe.value_loss.name, **recipe.value_loss.arguments())
    except ValueError as error:
        raise RecipeError(f"value_loss: {error}") from None


def build_network(recipe: Recipe, env: VectorEnv, value_loss: ValueLoss) -> QNetwork:
    """The recipe's network, with new weights, on torch's default device."""
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
            pixels=are_pixels(env.single_observation_space),
        )
    except ValueError as error:
        raise RecipeError(f"{recipe.env}: {error}") from None
