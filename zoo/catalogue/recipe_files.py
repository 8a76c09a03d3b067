"""What is in the zoo: the agents and their recipe files. Imports no torch."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from catzoo.hparams import (
    VALUE_LOSSES,
    LossEntry,
    Recipe,
    RecipeError,
    loss_name,
    nearest,
    read_yaml,
    resolve,
)
from catzoo.zoo import ROOT

RECIPES = ROOT / "recipes"


def agents() -> dict[str, Path]:
    """Agent names and their recipe files."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.yaml"))}


def recipe_source(agent: str) -> dict[str, Any]:
    """The content of an agent's recipe file.

    Raises:
        RecipeError: no such agent.
    """
    known = agents()
    if agent not in known:
        raise RecipeError(f"unknown agent {agent!r}: the zoo has {', '.join(known)}{nearest(agent, known)}")
    return copy.deepcopy(_content(known[agent], known[agent].stat().st_mtime_ns))


@cache
def _content(path: Path, _changed: int) -> dict[str, Any]:
    """A recipe file's content: whoever asks about a hundred runs would read it a hundred times."""
    return read_yaml(path)


def find_recipe(
    agent: str,
    env: str,
    loss: str | None = None,
    overrides: Iterable[Mapping[str, Any]] = (),
    preset: str | None = None,
) -> Recipe:
    """The checked recipe for an agent on an environment; see `catzoo.hparams.resolve`."""
    source = recipe_source(agent)
    overrides = list(overrides)
    asked = [loss, *(_value_loss_name(override) for override in overrides)]
    know_losses(name for name in asked if name is not None)
    return resolve(
        source, env=env, loss=loss, preset=preset, overrides=overrides, where=f"recipes/{agent}.yaml"
    )


def know_losses(names: Iterable[str]) -> None:
    """Looks up losses that only `catzoo.losses.LOSSES` knows: somebody added them. Costs torch's import."""
    if all(_is_known(name) for name in names):
        return
    import inspect

    from catzoo.losses import LOSSES

    possible = {key for entry in VALUE_LOSSES.values() for key in entry.keys}
    for name, kind in LOSSES.items():
        takes = inspect.signature(kind.__init__).parameters
        VALUE_LOSSES.setdefault(name, LossEntry(name, tuple(key for key in takes if key in possible)))


def _is_known(name: str) -> bool:
    try:
        return bool(loss_name(name))
    except RecipeError:
        return False


def _value_loss_name(override: Mapping[str, Any]) -> str | None:
    value_loss = override.get("value_loss")
    name = value_loss.get("name") if isinstance(value_loss, Mapping) else None
    return name if isinstance(name, str) else None
