"""`catzoo show`: an agent's recipe, its keys and its scores. Imports no torch."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import yaml

from catzoo.hparams.overrides import plain_overrides
from catzoo.hparams.schema import types_of
from catzoo.zoo.catalogue.recipe_files import find_recipe, recipe_source
from catzoo.zoo.cli.listing import print_scores
from catzoo.zoo.environments.names import distinct_games, in_one_run
from catzoo.zoo.system.console import print_table, say

EXAMPLES = """\
  catzoo show dqn
  catzoo show dqn --env MinAtar/Breakout --loss c51
  catzoo show rainbow --preset atari-100k
  catzoo show dqn --env LunarLander-v3 value_loss.v_min=-200 value_loss.v_max=200   what a run would have
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("agent", metavar="AGENT", help="an agent of the zoo")
    parser.add_argument("--env", metavar="ID", help="resolve the recipe for this environment")
    parser.add_argument("--loss", metavar="NAME", help="and this value loss")
    parser.add_argument("--preset", metavar="NAME", help="and this preset, such as atari-100k")
    parser.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        default=(),
        help="and with these keys, as train takes them",
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo show`."""
    show(**vars(arguments))


def show(
    agent: str,
    env: str | None = None,
    loss: str | None = None,
    preset: str | None = None,
    overrides: Iterable[str | Mapping[str, Any]] = (),
) -> None:
    """Prints an agent's keys with meanings, its resolved recipe for `env`, and its measured scores.

    Raises:
        RecipeError: no such agent, loss or preset; an override that the recipe does not take.
    """
    source = recipe_source(agent)
    presets = source.get("presets", {})
    chosen = in_one_run(env or "") or presets.get(preset, {}).get("for") or next(iter(source["environments"]))
    if chosen not in source["environments"]:
        from catzoo.zoo.environments.registry import find_spec

        for game in distinct_games(chosen):
            find_spec(game)
    recipe = find_recipe(agent, chosen, loss, plain_overrides(overrides), preset)
    say(f"{agent}: {source.get('description', '')}\n")
    docs = field_docs(type(recipe))
    values = recipe.to_dict()
    keys = sorted((key for key in docs if key not in ("agent", "env", "preset")), key=lambda key: "." in key)
    rows = [(key, _value_at(values, key), docs[key]) for key in keys]
    print_table(
        f"Recipe for {chosen}" + (f", preset {preset}" if preset else ""),
        ("key", "value", "meaning"),
        rows,
        note="set one: key=value after catzoo train",
    )
    if presets and preset is None:
        known = ", ".join(f"{name} ({about.get('for', '*')})" for name, about in presets.items())
        say(f"presets, by --preset: {known}\n")
    print_scores(agent)


def field_docs(schema: type, prefix: str = "") -> dict[str, str]:
    """Dotted key of a recipe's class to the docstring under its field."""
    found: dict[str, str] = {}
    texts = {name: text for kind in reversed(schema.__mro__[:-1]) for name, text in _docstrings(kind).items()}
    hints = types_of(schema)
    for item in dataclasses.fields(schema):
        kind, key = hints[item.name], prefix + item.name
        inner = dataclasses.is_dataclass(kind)
        found |= field_docs(kind, key + ".") if inner else {key: texts.get(item.name, "")}
    return found


def _docstrings(schema: type) -> dict[str, str]:
    body = ast.parse(inspect.getsource(schema)).body[0].body  # type: ignore[attr-defined]
    texts: dict[str, str] = {}
    for statement, following in pairwise(body):
        is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(statement, ast.AnnAssign) and is_text:
            texts[statement.target.id] = " ".join(following.value.value.split())  # type: ignore[union-attr]
    return texts


def _value_at(values: dict[str, Any], key: str) -> str:
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return yaml.safe_dump(found, default_flow_style=True).split("\n")[0] if found is not None else "–"
