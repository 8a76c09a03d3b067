"""From a recipe to live objects. The one place that knows which class each key stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from gymnasium.vector import VectorEnv

from catzoo.agents import DQN, Agent, LinearSchedule, QNetwork, TrainingOptions, replay_bytes
from catzoo.hparams import Recipe, RecipeError
from catzoo.losses import ValueLoss, make_value_loss
from catzoo.zoo.environments import canonical, make_env, stream_seed

AGENTS: dict[str, Callable[..., Agent]] = {"dqn": DQN}


def build_value_loss(recipe: Recipe) -> ValueLoss:
    """The recipe's value loss.

    Raises:
        RecipeError: values that the loss refuses, such as a default v_min above the v_max given.
    """
    try:
        return make_value_loss(recipe.value_loss.name, **recipe.value_loss.arguments())
    except ValueError as error:
        raise RecipeError(f"value_loss: {error}") from None


def build_device(recipe: Recipe) -> torch.device:
    """The device that the recipe names; `auto` is a GPU if there is one."""
    name = recipe.compute.device
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.split(":")[0] not in ("cpu", "cuda", "mps"):
        raise RecipeError(f"compute.device={name}: must be auto, cpu, mps, cuda or cuda:0, cuda:1 …")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"compute.device={name}: {str(error).splitlines()[0]}") from None
    return device


def build_env(recipe: Recipe, num_envs: int, **render: Any) -> VectorEnv:
    """The recipe's environment, `num_envs` times."""
    return make_env(recipe.env, num_envs, recipe.env_options, **render)


def build_agent(recipe: Recipe, env: VectorEnv) -> Agent:
    """The agent for an environment's spaces, on the recipe's device, ready to act but not to learn."""
    if recipe.agent not in AGENTS:
        raise RecipeError(f"unknown agent {recipe.agent!r}: the zoo has {', '.join(AGENTS)}")
    torch.manual_seed(recipe.seed)
    device = build_device(recipe)
    if recipe.compute.threads:
        torch.set_num_threads(recipe.compute.threads)
    value_loss = build_value_loss(recipe)
    try:
        network = QNetwork(
            env.single_observation_space.shape,
            int(env.single_action_space.n),
            value_loss.num_outputs,
            torso=recipe.network.name,
            dueling=recipe.dueling,
            hidden=recipe.network.hidden,
            width=recipe.network.width,
            channels_last=recipe.compute.channels_last,
        )
    except ValueError as error:
        raise RecipeError(f"{recipe.env}: {error}") from None
    agent = AGENTS[recipe.agent](network, value_loss, training_options(recipe), double=recipe.double)
    return agent.to(device)


def training_options(recipe: Recipe) -> TrainingOptions:
    """The learning half of a recipe, in the agents' own words."""
    exploration = recipe.exploration
    return TrainingOptions(
        gamma=recipe.gamma,
        n_step=recipe.n_step,
        reward_clip=recipe.reward_clip,
        learning_starts=recipe.learning_starts,
        updates_per_step=recipe.updates_per_step,
        batch_size=recipe.batch_size,
        replay_capacity=recipe.replay.capacity,
        target_update_every=recipe.target_update_every,
        log_every=recipe.log_every,
        exploration=LinearSchedule(
            exploration.start, exploration.end, recipe.learning_starts, exploration.decay_steps
        ),
        learner={
            "lr": recipe.optimizer.lr,
            "eps": recipe.optimizer.eps,
            "max_grad_norm": recipe.optimizer.max_grad_norm,
            "autocast": torch.bfloat16 if recipe.compute.precision == "bf16" else None,
            "compile": recipe.compute.compile,
            "cuda_graph": recipe.compute.cuda_graph,
        },
    )


def build_trainer(recipe: Recipe) -> Agent:
    """The agent with its environments, collector, replay and learner: `agent.iterate()` trains.

    Raises:
        RecipeError: anything that does not fit together, or a replay larger than the memory.
    """
    env = build_env(recipe, recipe.num_envs)
    check_memory(recipe, env)
    try:
        agent = build_agent(recipe, env)
        agent.total_steps = recipe.steps
        agent.attach(
            env,
            rollout_length=recipe.rollout_length,
            seed=stream_seed(recipe.seed, f"train {canonical(recipe.env)}"),
            device=next(agent.network.parameters()).device,
        )
    except RecipeError:
        raise
    except (ValueError, RuntimeError, MemoryError) as error:
        raise RecipeError(f"{recipe.env}: {' '.join(str(error).split())[:200]}") from None
    return agent


def check_memory(recipe: Recipe, env: VectorEnv) -> None:
    """Refuses a replay that cannot fit, before anything is allocated."""
    space = env.single_observation_space
    itemsize = 4 if space.dtype == "float64" else space.dtype.itemsize  # as the collector stores it
    needed = replay_bytes(recipe.replay.capacity, space.shape, itemsize)
    available = _available_memory()
    if available is not None and needed > available:
        fits = int(recipe.replay.capacity * available / needed)
        raise RecipeError(
            f"replay.capacity={recipe.replay.capacity} needs {needed / 1e9:.1f} GB and "
            f"{available / 1e9:.1f} GB are free: at most {fits} transitions fit"
        )


def _available_memory() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
