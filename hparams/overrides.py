"""What a user says over a recipe: `key=value`, and mappings laid upon each other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from catzoo.hparams.agents import RECIPES, all_keys
from catzoo.hparams.schema import RecipeError, brief, keys_of, shown, types_of, unknown_key
from catzoo.hparams.yaml_files import LONGEST, YAMLError, plain_yaml


def plain_overrides(overrides: Iterable[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a program says over a recipe, as nested mappings.

    Args:
        overrides: `key=value` strings and mappings, or one of them. Numbers and arrays of NumPy and torch, as
            searches and sweeps give them, become Python's, and paths become names. A mapping's keys may be
            dotted, as those of a search space are.

    Raises:
        RecipeError: see `parse_override`.
    """
    listed = [overrides] if isinstance(overrides, str | Mapping) else overrides
    return [parse_override(item) if isinstance(item, str) else _nested(_plain(item)) for item in listed]


def _nested(said: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping whose own keys may be dotted."""
    found: dict[str, Any] = {}
    for key, value in said.items():
        for part in reversed(str(key).split(".")):
            value = {part: value}
        found = merge(found, value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


def parse_override(text: str, schema: type | None = None) -> dict[str, Any]:
    """`a.b=value` as a nested mapping.

    The value is read as YAML, so `[64, 64]` and `null` work; names, such as a dataset's, are taken as they
    stand.

    Args:
        text: as the command line has it.
        schema: the dataclass whose keys are known; by default those of all agents are.

    Raises:
        RecipeError: no `=`, an empty or unknown key, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise RecipeError(
            f"{shown(text)}: overrides are written key=value, such as optimizer.lr=1e-4 (command line)"
        )
    known = all_keys() if schema is None else keys_of(schema)
    # An environment's own options are not ours to know.
    own = key.startswith("env_options.") and not key.endswith(".")
    if not own and key not in known and not any(name.startswith(key + ".") for name in known):
        raise RecipeError(unknown_key(key, known, "command line"))
    if len(value) > LONGEST:
        raise RecipeError(f"{brief(key)}: a value of more than {LONGEST} characters (command line)")
    try:
        parsed: Any = _name(value) if key in _names(schema) else plain_yaml(value)
    except (YAMLError, ValueError, OverflowError) as error:
        problem = getattr(error, "problem", None)
        why = f": {brief(problem)}" if problem else ""
        raise RecipeError(
            f"{brief(key)}={shown(value)}: not a value that YAML can read{why} (command line)"
        ) from None
    for part in reversed(key.split(".")):
        parsed = {part: parsed}
    return parsed  # type: ignore[no-any-return]


@cache
def _names(schema: type | None) -> set[str]:
    """The keys whose values are names, such as a folder's."""
    schemas = RECIPES.values() if schema is None else (schema,)
    return {key for one in schemas for key, kind in types_of(one).items() if kind in (str, str | None)}


def _name(value: str) -> str | None:
    """A name as it was typed, whatever YAML would make of it, but for quotes around it."""
    if value.lower() in ("", "~", "null"):
        return None
    if value[0] in "\"'":
        with suppress(YAMLError):
            quoted = plain_yaml(value)
            return quoted if isinstance(quoted, str) else value
    return value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid upon it, mapping by mapping; `env_options` merges by key as well."""
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = (
            merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
        )
    return merged
