"""From a recipe to live objects. The one place that knows which class each key stands for."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from catzoo.agents import (
    CQL,
    DQN,
    PQN,
    Agent,
    LinearSchedule,
    OfflineAgent,
    OffPolicyAgent,
    Priorities,
    QNetwork,
    TrainingOptions,
    replay_bytes,
)
from catzoo.hparams import Recipe, RecipeError
from catzoo.losses import ValueLoss, make_value_loss
from catzoo.zoo.datasets import find_dataset, itemsize, make_recorder
from catzoo.zoo.environments import make_env, stream_seed
from catzoo.zoo.games import canonical
from catzoo.zoo.machine import has_bf16, usable_cores, usable_memory, workers

AGENTS: dict[str, Callable[..., Agent]] = {"dqn": DQN, "rainbow": DQN, "pqn": PQN, "cql": CQL}
"""The class behind each recipe file; Rainbow is DQN with its options together."""
TAKES = {DQN: ("double",), CQL: ("double", "cql_weight", "bootstrap")}
"""Keys of the recipe that a class takes beside its options."""
ACTING = 2
"""Copies of the network that an agent has: its own and the target's."""
LEARNING = 5
"""And when it learns: the gradient and Adam's two moments too."""


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


def build_env(recipe: Recipe, num_envs: int, *, training: bool = False, **render: Any) -> VectorEnv:
    """The recipe's environment, `num_envs` times; `training` ends episodes where the recipe wants it."""
    options = dict(recipe.env_options)
    if training and recipe.life_loss_ends:
        if not recipe.env.startswith("ALE/"):
            raise RecipeError(f"life_loss_ends=true: {recipe.env} has no lives to lose, only ALE/ has")
        options["life_loss_info"] = True
    return make_env(recipe.env, num_envs, options, **render)


def build_agent(recipe: Recipe, env: VectorEnv, folder: Path | None = None, *, copies: int = ACTING) -> Agent:
    """The agent for an environment's spaces, on the recipe's device, ready to act but not to learn.

    Args:
        recipe: what to build.
        env: with the spaces.
        folder: for a replay on disk.
        copies: of the network's size, what the memory must have room for.

    Raises:
        RecipeError: anything that does not fit together, or a network that does not fit into memory.
    """
    if recipe.agent not in AGENTS:
        raise RecipeError(f"unknown agent {recipe.agent!r:.80}: the zoo has {', '.join(AGENTS)}")
    torch.manual_seed(recipe.seed)
    device = build_device(recipe)
    if recipe.compute.threads:
        torch.set_num_threads(recipe.compute.threads)
    value_loss = build_value_loss(recipe)
    check_network(recipe, env, value_loss, copies)
    network = build_network(recipe, env, value_loss)
    if recipe.random_shift and (not network.is_image or network.move_channels):
        shape = list(env.single_observation_space.shape)
        raise RecipeError(
            f"random_shift={recipe.random_shift} needs images with their channels first, such as Atari's; "
            f"{recipe.env} has {shape}"
        )
    kind = AGENTS[recipe.agent]
    options = {key: getattr(recipe, key) for key in TAKES.get(kind, ())}
    return kind(network, value_loss, training_options(recipe, folder), **options).to(device)


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
        )
    except ValueError as error:
        raise RecipeError(f"{recipe.env}: {error}") from None


def check_network(recipe: Recipe, env: VectorEnv, value_loss: ValueLoss, copies: int) -> None:
    """Refuses a network of which so many copies do not fit into memory, before anything is allocated.

    Raises:
        RecipeError: it does not fit, or its parts do not fit together.
    """
    try:
        with torch.device("meta"):  # shapes without memory
            network = build_network(recipe, env, value_loss)
    except RuntimeError as error:
        raise RecipeError(f"{recipe.env}: no such network: {str(error).splitlines()[0][:200]}") from None
    needed = copies * sum(parameter.nbytes for parameter in network.parameters())
    available = usable_memory()
    if available is not None and needed > available:
        raise RecipeError(
            f"{recipe.env}: the network needs {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are free in "
            "memory: lower network.hidden, network.width or value_loss.num_bins"
        )


def training_options(recipe: Recipe, folder: Path | None = None) -> TrainingOptions:
    """The learning half of a recipe, in the agents' own words; replay on disk lies in `folder`."""
    exploration, replay = recipe.exploration, recipe.replay
    return TrainingOptions(
        gamma=recipe.gamma,
        n_step=recipe.n_step,
        q_lambda=recipe.q_lambda,
        epochs=recipe.epochs,
        reward_clip=recipe.reward_clip,
        learning_starts=recipe.learning_starts,
        updates_per_step=recipe.updates_per_step,
        batch_size=recipe.batch_size,
        random_shift=recipe.random_shift,
        reset_every=recipe.reset_every,
        reset_keep=recipe.reset_keep,
        anneal=recipe.optimizer.anneal,
        overlap=overlaps(recipe),
        replay={
            "capacity": replay.capacity,
            "store": replay.store,
            "place": replay.place,
            "folder": folder,
        },
        priorities=Priorities(alpha=replay.alpha, beta=replay.beta) if replay.prioritized else None,
        target_update_every=recipe.target_update_every,
        log_every=recipe.log_every,
        exploration=LinearSchedule(
            exploration.start, exploration.end, recipe.learning_starts, exploration.decay_steps
        ),
        learner={
            "lr": recipe.optimizer.lr,
            "eps": recipe.optimizer.eps,
            "max_grad_norm": recipe.optimizer.max_grad_norm,
            "autocast": torch.bfloat16 if _wants_bf16(recipe) else None,
            "compile": recipe.compute.compile,
            "cuda_graph": recipe.compute.cuda_graph,
        },
        dataset=Path(recipe.dataset) if recipe.dataset else None,
        reward_noise=recipe.reward_noise,
    )


def _wants_bf16(recipe: Recipe) -> bool:
    if recipe.compute.precision == "auto":
        return build_device(recipe).type == "cpu" and has_bf16()
    return recipe.compute.precision == "bf16"


def overlaps(recipe: Recipe) -> bool:
    """Whether to collect while learning: what the recipe says, or where there is something to gain by it."""
    if recipe.compute.overlap is not None:
        return recipe.compute.overlap
    # A thread that collects on a core that the learner needs slows both: on two cores Pong made 237 steps a
    # second beside two threads of torch, and 365 in turn.
    cores = usable_cores()
    return build_device(recipe).type == "cuda" or cores > (recipe.compute.threads or cores)


def resolved_compute(recipe: Recipe) -> dict[str, Any]:
    """What the recipe's `compute` came to on this machine, where it leaves something open."""
    return {
        "device": str(build_device(recipe)),
        "precision": "bf16" if _wants_bf16(recipe) else "fp32",
        "overlap": overlaps(recipe),
        "threads": torch.get_num_threads(),
    }


def build_trainer(recipe: Recipe, folder: Path | None = None, dataset: Path | None = None) -> Agent:
    """The agent with its environments, collector, replay and learner: `agent.iterate()` trains.

    Args:
        recipe: what to build.
        folder: for a replay on disk.
        dataset: where to record what the recipe wants recorded; None: nowhere.

    Raises:
        RecipeError: anything that does not fit together, or a replay larger than the memory.
    """
    offline = issubclass(AGENTS.get(recipe.agent, Agent), OfflineAgent)  # type: ignore[arg-type]
    env = build_env(recipe, 1 if offline else recipe.num_envs, training=True)
    try:
        agent = build_agent(recipe, env, folder, copies=LEARNING)
        if offline:
            check_dataset(recipe)
        else:
            check_rollout(recipe, env)
            if isinstance(agent, OffPolicyAgent):
                check_replay(recipe, env, folder)
        recorder = make_recorder(recipe, env, dataset) if recipe.record and dataset else None
        agent.total_steps = recipe.steps
        agent.attach(
            env,
            rollout_length=recipe.rollout_length,
            seed=stream_seed(recipe.seed, f"train {canonical(recipe.env)}"),
            device=next(agent.network.parameters()).device,
        )
        agent.recorder = recorder
    except RecipeError:
        raise
    except (ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise RecipeError(f"{recipe.env}: {' '.join(str(error).split())[:200]}") from None
    return agent


def check_rollout(recipe: Recipe, env: VectorEnv) -> None:
    """Refuses rollouts that do not fit into memory."""
    space, steps = env.single_observation_space, recipe.num_envs * recipe.rollout_length
    needed = steps * (2 * math.prod(space.shape) * itemsize(space) + 24)
    available = usable_memory()
    if available is not None and needed > available:
        raise RecipeError(
            f"num_envs={recipe.num_envs} times rollout_length={recipe.rollout_length} steps need "
            f"{needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are free in memory"
        )


def check_dataset(recipe: Recipe) -> None:
    """Refuses a dataset that is not the recipe's environment's, or does not fit where it is to lie.

    Raises:
        RecipeError: says why.
    """
    dataset = find_dataset(recipe)
    if recipe.replay.place == "disk":  # it lies there
        return
    available, where = _room(recipe, None)
    if available is not None and dataset.nbytes > available:
        raise RecipeError(
            f"dataset={recipe.dataset}: its {len(dataset)} transitions need {dataset.nbytes / 1e9:.1f} GB, "
            f"and {available / 1e9:.1f} GB are free {where}; replay.place=disk leaves them in its files"
        )


def check_replay(recipe: Recipe, env: VectorEnv, folder: Path | None = None) -> None:
    """Refuses a replay that cannot fit where it is to lie, before anything is allocated.

    Raises:
        RecipeError: it does not fit (how much it needs and how many transitions would), is smaller than a
            batch, or is to store frames of what are no frame stacks.
    """
    space, replay = env.single_observation_space, recipe.replay
    if replay.capacity < recipe.batch_size:
        raise RecipeError(
            f"replay.capacity={replay.capacity} must be at least batch_size={recipe.batch_size}"
        )
    if replay.store == "frames" and (len(space.shape) != 3 or space.dtype != np.uint8):
        raise RecipeError(
            f"replay.store=frames needs stacks of uint8 frames; {recipe.env} has {list(space.shape)} of "
            f"{space.dtype}: use replay.store=whole"
        )
    needed = replay_bytes(
        replay.capacity, space.shape, itemsize(space), store=replay.store, prioritized=replay.prioritized
    )
    available, where = _room(recipe, folder)
    if available is not None and needed > available:
        fits = int(replay.capacity * available / needed)
        frames = len(space.shape) == 3 and space.dtype == np.uint8 and replay.store == "whole"
        hint = "; replay.store=frames takes an eighth of it" if frames else ""
        raise RecipeError(
            f"replay.capacity={replay.capacity} needs {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are "
            f"free {where}: at most {fits} transitions fit{hint}"
        )


def _room(recipe: Recipe, folder: Path | None) -> tuple[int | None, str]:
    """Free bytes for a replay, or None where nobody can tell, and of what."""
    if recipe.replay.place == "disk":
        folder = (folder or Path()).absolute()
        there = next(path for path in folder.parents if path.exists())
        # What an earlier start left is written over.
        own = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
        return shutil.disk_usage(there).free // workers() + own, f"on the disk of {there}"
    device = build_device(recipe)
    if recipe.replay.place == "device" and device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return min(free, total // workers()), "on the GPU"
    return usable_memory(), "for it in memory"
