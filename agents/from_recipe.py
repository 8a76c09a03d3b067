"""The network and the value loss that a recipe names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gymnasium.vector import VectorEnv
from torch import Tensor, nn

from catzoo.agents import AGENTS, ActionTransformer, ActorCritic, PolicyValueNetwork, QNetwork
from catzoo.agents.networks.after_states import AfterStates
from catzoo.agents.networks.board_transformer import OBSERVATION, BoardTransformer
from catzoo.agents.networks.q_network import are_pixels, auto_torso
from catzoo.agents.networks.token_q_network import TokenQNetwork
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


def build_network(recipe: Recipe, env: VectorEnv, value_loss: ValueLoss) -> nn.Module:
    """The recipe's network, with new weights, on torch's default device.

    Raises:
        RecipeError: parts that do not fit together.
    """
    kind = AGENTS[recipe.agent].network_class
    build = next(build for base, build in BUILDERS.items() if issubclass(kind, base))
    try:
        return build(kind, recipe, env, value_loss)
    except ValueError as error:
        raise RecipeError(f"{recipe.env}: {error}") from None


def _build_actor_critic(kind: Any, recipe: Any, env: VectorEnv, value_loss: ValueLoss) -> ActorCritic:
    shape = env.single_observation_space.shape
    if recipe.network.name == "auto" and len(shape) == 3:
        raise ValueError(
            f"{recipe.agent} has no network for images of {list(shape)}: network.name=mlp flattens them"
        )
    return kind(
        shape,
        math.prod(env.single_action_space.shape),
        value_loss.num_outputs,
        num_critics=recipe.num_critics,
        hidden=recipe.network.hidden,
        actor_hidden=recipe.network.actor_hidden,
        body="mlp" if recipe.network.name == "auto" else recipe.network.name,
        normalize=recipe.normalize.observation,
        layer_norm=recipe.network.layer_norm,
        initial_outputs=_initial_outputs(recipe, value_loss),
    )


def _build_policy_value(kind: Any, recipe: Any, env: VectorEnv, value_loss: ValueLoss) -> PolicyValueNetwork:
    space = env.single_observation_space
    return kind(
        space.shape,
        env.single_action_space,
        value_loss.num_outputs,
        shared=recipe.network.shared,
        normalize=recipe.normalize.observation,
        **_activation(recipe, space.shape),
        **_torso_options(recipe, env),
        initial_outputs=_initial_outputs(recipe, value_loss),
    )


def _activation(recipe: Any, shape: Sequence[int]) -> dict[str, Any]:
    asked, name = recipe.network.activation, recipe.network.name
    if asked != "auto":
        return {"activation": asked}
    return {"activation": "tanh"} if (auto_torso(shape) if name == "auto" else name) == "mlp" else {}


def _build_q_network(kind: Any, recipe: Any, env: VectorEnv, value_loss: ValueLoss) -> QNetwork:
    return kind(
        env.single_observation_space.shape,
        int(env.single_action_space.n),
        value_loss.num_outputs,
        dueling=recipe.dueling,
        noisy=recipe.noisy,
        **_torso_options(recipe, env),
        initial_outputs=_initial_outputs(recipe, value_loss),
    )


def _build_chess_network(
    kind: Any, recipe: Any, env: VectorEnv, value_loss: ValueLoss
) -> BoardTransformer | AfterStates:
    shape, network = tuple(env.single_observation_space.shape), recipe.network
    if shape != OBSERVATION:
        raise ValueError(
            f"{recipe.agent} needs an environment of chess, such as chess/random, and observations of "
            f"{list(shape)} are none of it"
        )
    common = {
        "size": network.size,
        "num_layers": network.num_layers,
        "initial_outputs": _initial_outputs(recipe, value_loss),
    }
    if network.name == "after_states":
        return AfterStates(value_loss.num_outputs, **common)
    return kind(value_loss.num_outputs, num_heads=network.num_heads, geometry=network.geometry, **common)


def _build_action_transformer(
    kind: Any, recipe: Any, env: VectorEnv, value_loss: ValueLoss
) -> ActionTransformer:
    network = recipe.network
    return kind(
        env.single_observation_space.shape,
        math.prod(env.single_action_space.shape),
        recipe.bins,
        value_loss.num_outputs,
        size=network.size,
        num_layers=network.num_layers,
        num_heads=network.num_heads,
        normalize=recipe.normalize.observation,
        **_torso_options(recipe, env),
        initial_outputs=_initial_outputs(recipe, value_loss),
    )


def _build_token_q_network(kind: Any, recipe: Any, env: VectorEnv, value_loss: ValueLoss) -> TokenQNetwork:
    try:
        (words, *_) = env.get_attr("words")
    except (AttributeError, NotImplementedError):
        raise ValueError(f"{recipe.agent} needs an environment with words, such as wordle/200") from None
    network = recipe.network
    return kind(
        words,
        value_loss.num_outputs,
        size=network.size,
        num_layers=network.num_layers,
        num_heads=network.num_heads,
        masked=recipe.masked,
        initial_outputs=_initial_outputs(recipe, value_loss),
    )


BUILDERS = {
    ActionTransformer: _build_action_transformer,
    TokenQNetwork: _build_token_q_network,
    ActorCritic: _build_actor_critic,
    PolicyValueNetwork: _build_policy_value,
    QNetwork: _build_q_network,
    BoardTransformer: _build_chess_network,
}
"""What builds each kind of network."""


def _torso_options(recipe: Recipe, env: VectorEnv) -> dict[str, Any]:
    """Arguments of a `QNetwork` that its torso decides by."""
    network = recipe.network
    return {
        "torso": network.name,
        "hidden": network.hidden,
        "width": network.width,
        "layer_norm": network.layer_norm,
        "experts": network.experts,
        "channels_last": recipe.compute.channels_last,
        "pixels": are_pixels(env.single_observation_space) if network.pixels is None else network.pixels,
    }


def _initial_outputs(recipe: Recipe, value_loss: ValueLoss) -> Tensor | None:
    """Where the recipe wants values to begin; None where it, or the loss, leaves that to the network."""
    if recipe.initial_value is None or not says(value_loss, "initial_outputs"):
        return None
    try:
        return value_loss.initial_outputs(recipe.initial_value)
    except ValueError as error:
        raise RecipeError(f"initial_value={error}; null begins wherever the network does") from None
