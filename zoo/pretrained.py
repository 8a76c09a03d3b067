"""Trained weights that come with the zoo, by name; `python -m catzoo.zoo.pretrained RUN…` adds finished runs.

Each is a run's folder without what only training needs: recipe, weights and result. A target network is left
out of the weights, as it only learns. Imports no torch before it publishes.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catzoo.hparams import RecipeError, nearest
from catzoo.hparams.schema import brief
from catzoo.zoo.catalogue import ROOM

if TYPE_CHECKING:
    from catzoo.zoo.runs import Run

PRETRAINED = ROOM / "pretrained"
TARGET, NETWORK = "target.", "network."
"""What the names of their parameters begin with."""


def pretrained() -> dict[str, Path]:
    """The folders of the zoo's own trained agents, by name."""
    return {path.parent.name: path.parent for path in sorted(PRETRAINED.glob("*/recipe.yaml"))}


def find_run(run: str | os.PathLike[str]) -> Path:
    """A run's folder: the path, or the zoo's own trained agent where there is no such path.

    Raises:
        RecipeError: neither is there.
    """
    path, known = Path(run), pretrained()
    if os.path.lexists(path):
        return path
    name = os.fspath(run)
    if name not in known:
        raise RecipeError(
            f"{brief(name)}: no such folder, and none of the zoo's trained agents, see catzoo list"
            f"{nearest(name, known)}"
        )
    return known[name]


def publish(runs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Takes finished runs into the zoo, under the names of their folders without the seed.

    Args:
        runs: their folders. What has such a name already is replaced.

    Returns:
        Their names.

    Raises:
        RecipeError: one is not finished, or is being made longer.
    """
    from catzoo.zoo.runs import Run
    from catzoo.zoo.training import default_folder, finished_result

    names = []
    for run in map(Run, runs):
        recipe = run.recipe()
        result = finished_result(run, recipe)
        if result is None or not run.weights.is_file():
            raise RecipeError(f"{run.path}: not finished: let the training finish first")
        name = default_folder(recipe).name.removesuffix(f"-s{recipe.seed}")
        new = Run(PRETRAINED / f".{name}")
        shutil.rmtree(new.path, ignore_errors=True)
        new.path.mkdir(parents=True)
        shutil.copy(run.recipe_file, new.path)
        new.save_result({key: value for key, value in result.items() if key != "run_dir"})
        _copy_weights(run, new)
        shutil.rmtree(PRETRAINED / name, ignore_errors=True)
        new.path.rename(PRETRAINED / name)
        names.append(name)
    return names


def _copy_weights(run: Run, new: Run) -> None:
    from safetensors import safe_open

    from catzoo.agents.checkpoints.state_files import save_tensors

    with safe_open(run.weights, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if not name.startswith(TARGET)}  # noqa: SIM118
        save_tensors(tensors, new.weights, file.metadata())


if __name__ == "__main__":
    try:
        print("\n".join(publish(sys.argv[1:])))
    except RecipeError as error:
        raise SystemExit(f"catzoo: error: {error}") from None
