"""Datasets in recipes: recorded by a run (`record=0.1`), and learned from by another (`dataset=RUN`)."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from catzoo.agents import Dataset, DatasetError, Recorder, transition_bytes
from catzoo.hparams import Recipe, RecipeError
from catzoo.hparams.schema import brief, shown
from catzoo.version import __version__
from catzoo.zoo.environments.making import stream_seed
from catzoo.zoo.environments.minimal_actions import minimal_actions
from catzoo.zoo.environments.names import TOGETHER, canonical
from catzoo.zoo.environments.protocols import Protocol, protocol_of, protocols_of_games
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
            f"record={recipe.record:g}: {recipe.env} has continuous actions, which are not recorded; "
            "`catzoo data robots` makes datasets with such"
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


SOURCES = {
    "chess": "what `catzoo data chess` made",
    "q_transformer": "what `catzoo data robots` made of Fetch*-v4 or metaworld/*",
    "wordle": "what `catzoo data wordle` made",
}
"""Where the datasets of agents come from that learn from no recorded run."""


def check_named(recipe: Recipe) -> None:
    """Refuses a recipe that names no dataset, where its agent learns from one.

    Raises:
        RecipeError: says what makes one.
    """
    if not recipe.dataset:
        source = SOURCES.get(recipe.agent, "a run that was trained with record=0.1 or the like")
        raise RecipeError(f"{recipe.agent} learns from a dataset: name one with dataset=DIR, {source}")


def find_datasets(recipe: Recipe, protocol: Protocol) -> list[Dataset]:
    """The dataset that a recipe names, recorded by a run on the recipe's environment; or of several games one
    each, in the games' order, recorded by runs of one game.

    Raises:
        RecipeError: one is missing, damaged, another environment's or another protocol's; a game has none,
            or two.
    """
    each, found = {one.env: one for one in protocols_of_games(protocol)}, {}
    folders = folders_in(recipe.dataset)
    for folder in folders:
        try:
            dataset = Dataset(folder)
        except (DatasetError, ValueError) as error:
            raise RecipeError(f"dataset: {error}") from None
        game, where = dataset.manifest.get("env"), f"dataset={folder}"
        if dataset.kind == "positions" and game == protocol.env.partition("/")[0]:
            if len(folders) > 1:
                raise RecipeError(f"dataset: {game} learns from one dataset, and {len(folders)} are named")
            return [dataset]  # of a game, whoever the opponent is
        if len(folders) == 1 and game == protocol.env:
            _check_protocol(dataset, protocol, where)
            return [dataset]
        if game not in list(each):
            raise RecipeError(f"{where}: it is of {shown(game)}, not of {protocol.env}")
        if game in found:
            raise RecipeError(f"{where}: a second one of {game}: name one for each game")
        found[game] = dataset
        if dataset.manifest.get("protocol") != each[game].to_dict():
            _number_actions(dataset, protocol_of(game, recipe.env_options), where)
    missing = [game for game in each if game not in found]
    if missing:
        raise RecipeError(
            f"dataset={brief(recipe.dataset)}: none is of {missing[0]}: name one for each game, with "
            f"{TOGETHER} between two"
        )
    return [found[game] for game in each]


def folders_in(names: str) -> list[str]:
    """The folders behind names with a + between them; what there is goes before, if it has a + in its own.

    Of several ways to read them the one with the longest names in front.
    """
    parts, found = names.split(TOGETHER), []
    while parts:
        heads = (TOGETHER.join(parts[:count]) for count in range(len(parts), 0, -1))
        found.append(next((head for head in heads if os.path.exists(os.path.expanduser(head))), parts[0]))
        del parts[: found[-1].count(TOGETHER) + 1]
    return found


def _number_actions(dataset: Dataset, alone: Protocol, where: str) -> None:
    """Tells a dataset of a game that was played alone what its actions are among those of several games.

    Raises:
        RecipeError: it was played otherwise.
    """
    _check_protocol(dataset, alone, where)
    numbers = minimal_actions(alone.env)
    if len(numbers) != dataset.num_actions:
        raise RecipeError(f"{where}: it has {dataset.num_actions} actions, not {len(numbers)}")
    dataset.action_numbers = numbers


def _check_protocol(dataset: Dataset, protocol: Protocol, where: str) -> None:
    before, now = dataset.manifest.get("protocol"), protocol.to_dict()
    if before != now:
        raise RecipeError(
            f"{where}: it was recorded under another protocol: {_difference(before, now)}; env_options must "
            "be the same"
        )


def _difference(before: Any, now: dict[str, Any]) -> str:
    """Where two protocols differ first, in a few words."""
    settings = before.get("settings") if isinstance(before, dict) else None
    if isinstance(settings, dict):
        for key in sorted(now["settings"].keys() | settings.keys()):
            if settings.get(key) != now["settings"].get(key):
                return f"{key} {str(settings.get(key))!r:.40}, not {str(now['settings'].get(key))!r:.40}"
    return f"not {now['name']}"
