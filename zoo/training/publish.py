"""`python -m catzoo.zoo.training.publish RUN…`: takes finished runs into the zoo's trained agents."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from catzoo.hparams import RecipeError
from catzoo.hparams.schema import brief
from catzoo.zoo.catalogue.pretrained import PRETRAINED
from catzoo.zoo.folders.result_file import known_keys
from catzoo.zoo.folders.run_folder import Run, default_folder, finished_result


def publish(runs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Takes finished runs into the zoo, under the names of their folders without the seed.

    Args:
        runs: their folders. What has such a name already is replaced.

    Returns:
        Their names.

    Raises:
        RecipeError: one is not finished, or is being made longer.
    """
    names = []
    for run in map(Run, runs):
        recipe = run.recipe()
        name = default_folder(recipe).name.removesuffix(f"-s{recipe.seed}")
        new = Run(PRETRAINED / f".{name}")
        shutil.rmtree(new.path, ignore_errors=True)
        copy_agent(run, new)
        shutil.rmtree(PRETRAINED / name, ignore_errors=True)
        new.path.rename(PRETRAINED / name)
        names.append(name)
    return names


def copy_agent(run: Run, new: Run) -> dict[str, Any]:
    """Makes a folder with what others need of a finished run: recipe, weights, result; returns the result.

    Raises:
        RecipeError: it is not finished, is being made longer, or names a file of this machine.
    """
    recipe = run.recipe()
    result = finished_result(run, recipe)
    if result is None or not run.weights.is_file():
        raise RecipeError(f"{run.path}: not finished: let the training finish first")
    result = known_keys(result)
    result.pop("run_dir", None)
    shared = _shared(run)
    said = {"env_options": {}, **shared, "result.json": result}  # the key that a user writes is named first
    if found := next(_paths(said), None):
        raise RecipeError(f"{run.path}: {brief(found)} is a path of this machine, and would be published")
    new.path.mkdir(parents=True)
    new.recipe_file.write_text(yaml.safe_dump(shared, sort_keys=False), encoding="utf-8")
    new.save_result(result)
    _copy_weights(run, new, recipe.agent)
    return result


def _paths(value: Any, key: str = "") -> Iterator[str]:
    """The dotted keys whose text begins as an absolute path does, of any system, or in somebody's home."""
    if isinstance(value, Mapping | list):
        for name, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _paths(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, str):
        kinds = (PurePosixPath, PureWindowsPath)
        if value.startswith("~") or any(kind(value).is_absolute() for kind in kinds):
            yield key


def _shared(run: Run) -> dict[str, Any]:
    """The recipe without the dataset, which lies where it was made and is for learning only."""
    recipe = yaml.safe_load(run.recipe_file.read_text(encoding="utf-8"))
    return recipe | ({"dataset": None} if "dataset" in recipe else {})


def _copy_weights(run: Run, new: Run, agent: str) -> None:
    from safetensors import safe_open

    from catzoo.agents import AGENTS
    from catzoo.agents.checkpoints.state_files import save_tensors

    with safe_open(run.weights, framework="pt") as file:
        followers = tuple(AGENTS[agent].followers)
        tensors = {name: file.get_tensor(name) for name in file.keys() if not name.startswith(followers)}  # noqa: SIM118
        save_tensors(tensors, new.weights, file.metadata())


if __name__ == "__main__":
    try:
        print("\n".join(publish(sys.argv[1:])))
    except RecipeError as error:
        raise SystemExit(f"catzoo: error: {error}") from None
