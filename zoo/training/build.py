"""From a recipe to live objects."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from gymnasium.vector import VectorEnv

from catzoo.agents import AGENTS, Agent, AtWork, Compute, DatasetFeed, ReplayFeed
from catzoo.agents.from_recipe import build_network, build_value_loss
from catzoo.hparams import Playing, Recipe, RecipeError, share_of
from catzoo.hparams.recipe import ADAPTIVE
from catzoo.losses.base import says
from catzoo.zoo.environments.making import make_under, stream_seed
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.environments.protocols import Protocol, protocol_of
from catzoo.zoo.environments.unit_actions import in_words
from catzoo.zoo.system.console import say
from catzoo.zoo.training.compute import resolve_compute
from catzoo.zoo.training.datasets import check_named, find_datasets, make_recorder
from catzoo.zoo.training.memory_checks import (
    ACTING,
    LEARNING,
    check_datasets,
    check_network,
    check_replay,
    check_rollout,
)
from catzoo.zoo.training.remote_collectors import played_elsewhere

KINDS = {gym.spaces.Discrete: "discrete", gym.spaces.Box: "continuous"}
"""What an action space is called that is the only kind that an agent takes."""
OF_A_WORLD = ("chess", "q_transformer", "wordle")
"""Agents for environments or data of their own, which nobody is pointed to from elsewhere."""


def build_env(recipe: Recipe, num_envs: int, protocol: Protocol | None = None, **render: Any) -> VectorEnv:
    """The recipe's environment, `num_envs` times, as it is played for a score.

    Args:
        recipe: names it.
        num_envs: how many to step together; of several games at least one each.
        protocol: the recipe's, where it is known already.
        render: see `make_env`.
    """
    protocol = protocol or protocol_of(recipe.env, recipe.env_options)
    return make_under(protocol, max(num_envs, len(recipe.games)), **render)


def build_training_env(recipe: Recipe, protocol: Protocol | None = None) -> VectorEnv:
    """The recipe's environment as it is trained on: episodes end where the recipe wants it.

    An agent that plays nothing gets one of each game, for their spaces.
    """
    protocol = protocol or protocol_of(recipe.env, recipe.env_options)
    if getattr(recipe, "life_loss_ends", False):
        if len(recipe.games) > 1:
            raise RecipeError("life_loss_ends=true does not go with several games in one run")
        if not recipe.env.startswith("ALE/"):
            raise RecipeError(f"life_loss_ends=true: {recipe.env} has no lives to lose, only ALE/ has")
        protocol = dataclasses.replace(protocol, settings={**protocol.settings, "life_loss_info": True})
    if isinstance(recipe, Playing) and recipe.collect.elsewhere:
        return played_elsewhere(recipe, protocol)
    return make_under(protocol, getattr(recipe, "num_envs", len(recipe.games)))


def build_agent(
    recipe: Recipe, env: VectorEnv, compute: Compute | None = None, *, copies: int = ACTING
) -> Agent:
    """The agent for an environment's spaces, ready to act but not to learn.

    Args:
        recipe: what to build.
        env: with the spaces.
        compute: on what; the recipe's by default.
        copies: of the network's size, what the memory must have room for.

    Raises:
        RecipeError: anything that does not fit together, or a network that does not fit into memory.
    """
    if recipe.agent not in AGENTS:
        raise RecipeError(f"unknown agent {recipe.agent!r:.80}: the zoo has {', '.join(AGENTS)}")
    _check_actions(recipe, env)
    torch.manual_seed(recipe.seed)
    compute = compute or resolve_compute(recipe)
    value_loss = build_value_loss(recipe)
    check_network(recipe, env, value_loss, copies)
    network = build_network(recipe, env, value_loss)
    shift = getattr(recipe, "random_shift", 0)
    if shift and (not network.is_image or network.move_channels):
        shape = list(env.single_observation_space.shape)
        raise RecipeError(
            f"random_shift={shift} needs images with their channels first, such as Atari's; "
            f"{recipe.env} has {shape}"
        )
    return AGENTS[recipe.agent](network, value_loss, recipe).to(compute.device)


def check_agent(recipe: Recipe) -> None:
    """Refuses an environment that cannot be made here, or that the agent does not go with; keeps nothing.

    Raises:
        RecipeError: in one line.
    """
    with contextlib.closing(build_env(recipe, 1)) as env:
        _check_actions(recipe, env)
        check_network(recipe, env, build_value_loss(recipe), ACTING)


def _check_actions(recipe: Recipe, env: VectorEnv) -> None:
    """Refuses an environment whose actions the agent cannot choose, and names those that can."""
    space, kind = env.single_action_space, AGENTS[recipe.agent].actions
    if not isinstance(space, kind):
        wanted = KINDS.get(kind, "discrete or continuous")
        fit = (name for name, agent in AGENTS.items() if isinstance(space, agent.actions))
        others = ", ".join(name for name in fit if name not in OF_A_WORLD)
        raise RecipeError(
            f"{recipe.env}: {recipe.agent} needs a {wanted} action space, but it has {in_words(space)}"
            f"; for that there is {others}"
        )


def build_trainer(
    recipe: Recipe,
    folder: Path | None = None,
    dataset: Path | None = None,
    *,
    compute: Compute | None = None,
    protocol: Protocol | None = None,
    prepare: Callable[[Agent], None] = lambda agent: None,
) -> AtWork:
    """The agent at work, with its environments, collector, replay and learner: `iterate()` trains.

    Args:
        recipe: what to build.
        folder: for a replay on disk.
        dataset: where to record what the recipe wants recorded; None: nowhere.
        compute, protocol: the recipe's, where they are known already; a learner among many has its share.
        prepare: changes the agent before its learner is made.

    Raises:
        RecipeError: anything that does not fit together, or a replay larger than the memory.
    """
    compute = compute or resolve_compute(recipe)
    if compute.ranks.count > 1:
        recipe = share_of(recipe)
    protocol = protocol or protocol_of(recipe.env, recipe.env_options)
    # Before an environment is made, which may go to another folder.
    datasets = find_datasets(recipe, protocol) if getattr(recipe, "dataset", None) else []
    env = build_training_env(recipe, protocol)
    try:
        agent = build_agent(recipe, env, compute, copies=LEARNING)
        if issubclass(agent.feed, DatasetFeed):
            check_named(recipe)  # after the agent, which may be none for the environment
            check_datasets(recipe, datasets, compute.device)
        else:
            check_rollout(recipe, env)
        if issubclass(agent.feed, ReplayFeed):
            check_replay(recipe, env, compute.device, folder)
        if recipe.initial_value is not None and not says(agent.value_loss, "initial_outputs"):
            say(
                f"{recipe.value_loss.name} has no initial_outputs: its values begin wherever the network does"
            )
        if getattr(recipe, "support", None) == ADAPTIVE and agent.adaptive is None:
            say(f"{recipe.value_loss.name} has no support: support={ADAPTIVE} changes nothing")
        prepare(agent)
        wanted = getattr(recipe, "record", 0.0) and dataset
        return AtWork(
            agent,
            env,
            compute,
            seed=stream_seed(recipe.seed, f"train {canonical(recipe.env)}"),
            folder=folder,
            recorder=make_recorder(recipe, env, protocol, dataset) if wanted else None,
            datasets=datasets,
        )
    except RecipeError:
        raise
    except (ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise RecipeError(f"{recipe.env}: {' '.join(str(error).split())[:200]}") from None
