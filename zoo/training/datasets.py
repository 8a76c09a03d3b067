"""Datasets in recipes: recorded by a run (`record=0.1`), and learned from by another (`dataset=RUN`)."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from catzoo.agents import Dataset, DatasetError, Recorder, transition_bytes
from catzoo.hparams import Recipe, RecipeError
from catzoo.version import __version__
from catzoo.zoo.environments.making import stream_seed
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.environments.protocols import Protocol
from catzoo.zoo.system.machine import workers


def itemsize(space: Any) -> int:
    """Bytes of a number of an observation as the collector stores it."""
    return 4 if space.dtype == "float64" else int(space.dtype.itemsize)


def action_bytes(env: VectorEnv) -> int:
    """Of an action as the collector stores it."""
    space = env.single_action_space
    return math.prod(space.shape) * itemsize(space)


def make_recorder(recipe: Recipe, env: VectorEnv, protocol: Protocol, folder: Path) -> Recorder:
    """The recorder of a run; nothing is written yet.

    Raises:
        RecipeError: the disk has no room for what it will write.
    """
    if isinstance(env.single_action_space, gym.spaces.Box):
        raise RecipeError(
            f"record={recipe.record:g}: {recipe.env} has continuous actions, and no agent learns from a "
            "dataset of these yet"
        )
    space = env.single_observation_space
    needed = int(recipe.record * recipe.steps) * transition_bytes(
        space.shape, itemsize(space), action_bytes(env)
    )
    there = next(path for path in folder.absolute().parents if path.exists())
    # What an earlier start left is written over.
    own = sum(file.stat().st_size for file in folder.glob("*.memmap"))
    available = shutil.disk_usage(there).free // workers() + own
    if needed > available:
        raise RecipeError(
            f"record={recipe.record:g} of {recipe.steps} steps needs {needed / 1e9:.1f} GB and "
            f"{available / 1e9:.1f} GB are free on the disk of {there}: lower record"
        )
    about = {
        "catzoo": __version__,
        "env": canonical(recipe.env),
        "protocol": protocol.to_dict(),
        "seed": recipe.seed,
        "recipe": recipe.to_dict(),
    }
    return Recorder(
        folder,
        recipe.record,
        num_actions=int(getattr(env.single_action_space, "n", 0)),
        seed=stream_seed(recipe.seed, "record"),
        about=about,
    )


def find_dataset(recipe: Recipe, protocol: Protocol) -> Dataset:
    """The dataset that a recipe names, recorded on the recipe's environment under the same protocol.

    Raises:
        RecipeError: none is named, or it is missing, damaged, or another environment's.
    """
    if not recipe.dataset:
        raise RecipeError(
            f"{recipe.agent} learns from a dataset: name one with dataset=RUN, a run that was trained with "
            "record=0.1 or the like, or a folder that catzoo data has made"
        )
    try:
        dataset = Dataset(recipe.dataset)
    except (DatasetError, ValueError) as error:
        raise RecipeError(f"dataset: {error}") from None
    positions = dataset.kind == "positions"  # of a game, whoever the opponent is
    found, own = dataset.manifest.get("env"), canonical(recipe.env)
    if found != (own := own.partition("/")[0] if positions else own):
        raise RecipeError(f"dataset={recipe.dataset}: it is of {str(found)!r:.80}, not of {own}")
    if positions:
        return dataset
    before, now = dataset.manifest.get("protocol"), protocol.to_dict()
    if before != now:
        raise RecipeError(
            f"dataset={recipe.dataset}: it was recorded under another protocol: {_difference(before, now)}; "
            "env_options must be the same"
        )
    return dataset


def _difference(before: Any, now: dict[str, Any]) -> str:
    """Where two protocols differ first, in a few words."""
    settings = before.get("settings") if isinstance(before, dict) else None
    if isinstance(settings, dict):
        for key in sorted(now["settings"].keys() | settings.keys()):
            if settings.get(key) != now["settings"].get(key):
                return f"{key} {str(settings.get(key))!r:.40}, not {str(now['settings'].get(key))!r:.40}"
    return f"not {now['name']}"
