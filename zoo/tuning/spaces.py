"""The zoo's search spaces, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from catzoo.hparams import RecipeError, read_yaml
from catzoo.hparams.paths import Typed, path_of
from catzoo.hparams.schema import nearest, shown
from catzoo.hparams.tuning.space import read_space
from catzoo.zoo import ROOT

SPACES = ROOT / "tuning" / "spaces.yaml"
"""The zoo's own search spaces, by name."""
DEFAULT_SPACE = "fair"


def find_space(space: Typed | Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
    """A space's name for messages, and its entries: one of the zoo's, or a file's.

    Raises:
        RecipeError: neither.
    """
    if isinstance(space, Mapping):
        return "the space", space
    known = spaces()
    word = DEFAULT_SPACE if space is None else str(space)
    if word in known:
        return f"space {word}", known[word]["keys"]
    path = path_of(word)
    if not os.path.exists(path):
        raise RecipeError(
            f"no space {shown(word)}: the zoo has {', '.join(known)}, or name a file{nearest(word, known)}"
        )
    entries = read_space(path)
    if not entries:
        raise RecipeError(f"{path}: an empty space: nothing to vary")
    return str(path), entries


def is_the_zoos(space: Typed | Mapping[str, Any] | None) -> bool:
    """Whether a space is one of the zoo's, of whose keys an agent takes those that it has."""
    return space is None or (not isinstance(space, Mapping) and str(space) in spaces())


def spaces() -> dict[str, Any]:
    """The zoo's search spaces: description and keys, by name."""
    return read_yaml(SPACES)
