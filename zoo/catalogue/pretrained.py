"""Trained agents that come with the zoo, by name. Imports no torch.

Each is a run's folder without what only training needs: recipe, weights and result. A target network is left
out of the weights, as it only learns. `training/publish.py` adds finished runs.
"""

from __future__ import annotations

import os
from pathlib import Path

from catzoo.hparams import RecipeError, nearest
from catzoo.hparams.paths import Typed, path_of
from catzoo.hparams.schema import brief
from catzoo.zoo import ROOT

PRETRAINED = ROOT / "pretrained"


def pretrained() -> dict[str, Path]:
    """The folders of the zoo's own trained agents, by name."""
    return {path.parent.name: path.parent for path in sorted(PRETRAINED.glob("*/recipe.yaml"))}


def find_run(run: Typed) -> Path:
    """A run's folder: the path, or the zoo's own trained agent where there is no such path.

    Raises:
        RecipeError: neither is there.
    """
    path, known = path_of(run), pretrained()
    if os.path.lexists(path):
        return path
    name = os.fspath(run)
    if name not in known:
        raise RecipeError(
            f"{brief(name)}: no such folder, and none of the zoo's trained agents, see catzoo list"
            f"{nearest(name, known)}"
        )
    return known[name]
