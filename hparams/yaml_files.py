"""YAML files as plain data, safely read: they may come from anyone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

try:
    import yaml
except ModuleNotFoundError:  # kernels are measured on machines with nothing but torch
    yaml = None  # type: ignore[assignment]

from catzoo.hparams.schema import RecipeError, brief, shown

YAMLError: type[Exception] = ValueError if yaml is None else yaml.YAMLError
LARGEST_FILE = 10**6
"""Bytes of a recipe file at most; the zoo's own have some thousand."""
LONGEST = 10_000
"""Characters of a value at most."""
DEEPEST = 20
"""Levels of lists and mappings at most."""


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file, safely loaded: it may come from anyone.

    Raises:
        RecipeError: missing, unreadable, too large, not YAML, not a mapping, or more than plain data.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for ever
            raise RecipeError(f"{path}: is not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise RecipeError(f"{path}: larger than {LARGEST_FILE // 10**6} MB")
        values = plain_yaml(content.decode())
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: is not a text file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "malformed"
        raise RecipeError(f"{path}{line}: not YAML: {brief(problem)}") from None
    except (ValueError, OverflowError) as error:  # a date that no calendar has, a number of 5,000 digits
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(f"{path}: not YAML: a value that cannot be") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: {'empty' if values is None else 'no mapping'}: keys were expected")
    return values


def plain_yaml(text: str) -> Any:
    """Nested dictionaries, lists and scalars from YAML without references and tags.

    A few aliases can stand for billions of values, and tags ask for types that no recipe has.

    Raises:
        YAMLError, ValueError, OverflowError: not that.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    event: Any
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _refused("nested too deeply", event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused("references (& and *) are not for recipes", event)
        if getattr(event, "tag", None) not in (None, "!"):
            raise _refused(f"the tag {brief(event.tag)} is not for recipes", event)
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST:
            raise _refused(f"a value of more than {LONGEST} characters", event)
    values = yaml.load(text, Loader=loader)
    _check_keys(values)
    return values


def _refused(problem: str, event: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _check_keys(value: Any) -> None:
    """Refuses a key that is not a string, such as `on`, which YAML takes for true."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"the key {shown(key)} must be a name: put it in quotes")
            _check_keys(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_keys(inner)
