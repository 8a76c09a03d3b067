"""What is in the zoo: the agents, their recipe files and their measured scores. Imports no torch."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from catzoo.hparams import Recipe, RecipeError, nearest, read_yaml, resolve

ROOM = Path(__file__).resolve().parent
RECIPES = ROOM / "recipes"
SCORES = ROOM / "results" / "scores.csv"
"""One row a run: env, agent, loss, seed, steps, mean_return, episodes, protocol, date, command."""


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
    return read_yaml(known[agent])


def find_recipe(
    agent: str, env: str, loss: str | None = None, overrides: Iterable[Mapping[str, Any]] = ()
) -> Recipe:
    """The checked recipe for an agent on an environment; see `catzoo.hparams.resolve`."""
    source = recipe_source(agent)
    return resolve(source, env=env, loss=loss, overrides=overrides, where=f"recipes/{agent}.yaml")


def scores(agent: str | None = None) -> list[dict[str, str]]:
    """Measured scores, one mapping a run, of one agent or of all."""
    if not SCORES.exists():
        return []
    with SCORES.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if agent is None or row["agent"] == agent]
