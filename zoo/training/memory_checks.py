"""Whether network, rollouts, replay and dataset fit into memory, before any of them is made."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from gymnasium import Space
from gymnasium.vector import VectorEnv

from catzoo.agents import Dataset, replay_bytes
from catzoo.agents.from_recipe import build_network
from catzoo.agents.networks.q_network import is_channels_last
from catzoo.hparams import Recipe, RecipeError
from catzoo.losses import ValueLoss
from catzoo.zoo.system.machine import usable_memory, workers
from catzoo.zoo.training.datasets import action_bytes, itemsize

ACTING = 2
"""Copies of the network that an agent has: its own and the target's."""
LEARNING = 5
"""And when it learns: the gradient and Adam's two moments too."""


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
    if needed > available:
        raise RecipeError(
            f"{recipe.env}: the network needs {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are free in "
            "memory: lower network.hidden, network.width or value_loss.num_bins"
        )


def check_rollout(recipe: Recipe, env: VectorEnv) -> None:
    """Refuses rollouts that do not fit into memory."""
    space, steps = env.single_observation_space, recipe.num_envs * recipe.rollout_length
    needed = steps * (2 * math.prod(space.shape) * itemsize(space) + 16 + action_bytes(env))
    available = usable_memory()
    if needed > available:
        raise RecipeError(
            f"num_envs={recipe.num_envs} times rollout_length={recipe.rollout_length} steps need "
            f"{needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are free in memory"
        )


def check_datasets(recipe: Recipe, datasets: Sequence[Dataset], device: torch.device) -> None:
    """Refuses datasets that do not fit where they are to lie.

    Raises:
        RecipeError: says how much they need.
    """
    if recipe.replay.place == "disk":  # it lies there
        return
    available, where = _room(recipe, device, None)
    count, needed = sum(map(len, datasets)), sum(dataset.nbytes for dataset in datasets)
    if needed > available:
        raise RecipeError(
            f"dataset={recipe.dataset}: {count} transitions need {needed / 1e9:.1f} GB, and "
            f"{available / 1e9:.1f} GB are free {where}; replay.place=disk leaves them in their files"
        )


def check_replay(recipe: Recipe, env: VectorEnv, device: torch.device, folder: Path | None = None) -> None:
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
    if replay.store == "frames" and not _is_stack(space):
        raise RecipeError(
            f"replay.store=frames needs stacks of uint8 frames, such as [4, 84, 84]; {recipe.env} has "
            f"{list(space.shape)} of {space.dtype}: use replay.store=whole"
        )
    needed = replay_bytes(
        replay.capacity, space.shape, itemsize(space),
        store=replay.store, prioritized=replay.prioritized, action_bytes=action_bytes(env),
    )  # fmt: skip
    available, where = _room(recipe, device, folder)
    if needed > available:
        fits = int(replay.capacity * available / needed)
        frames = replay.store == "whole" and _is_stack(space)
        hint = "; replay.store=frames takes an eighth of it" if frames else ""
        raise RecipeError(
            f"replay.capacity={replay.capacity} needs {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are "
            f"free {where}: at most {fits} transitions fit{hint}"
        )


def _is_stack(space: Space) -> bool:
    """Whether observations are frames, one upon the other: a picture in colour is not."""
    return len(space.shape) == 3 and space.dtype == np.uint8 and not is_channels_last(space.shape)


def _room(recipe: Recipe, device: torch.device, folder: Path | None) -> tuple[int, str]:
    """Free bytes for a replay, and of what."""
    if recipe.replay.place == "disk":
        folder = (folder or Path()).absolute()
        there = next(path for path in folder.parents if path.exists())
        # What an earlier start left is written over.
        own = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
        return shutil.disk_usage(there).free // workers() + own, f"on the disk of {there}"
    if recipe.replay.place == "device" and device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return min(free, total // workers()), "on the GPU"
    return usable_memory(), "for it in memory"
