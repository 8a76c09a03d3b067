"""result.json: what it must hold to be believed. It may come from anyone, and what it says is printed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from catzoo.hparams import RecipeError

LARGEST = 1 << 26
"""Bytes that are read."""
LONGEST = 1_000
"""Characters of a text at most."""


def read_result(path: Path) -> dict[str, Any]:
    """The content of a result.json.

    Raises:
        RecipeError: it is not one.
    """
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise ValueError
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError
        result = json.loads(content)
        if not is_result(result):
            raise ValueError
        return result  # type: ignore[no-any-return]
    except (OSError, ValueError, RecursionError):
        raise RecipeError(f"{path}: corrupt; delete it to evaluate again") from None


def is_result(result: Any) -> bool:
    """Whether JSON has what every result has, and of the right kind."""
    if not isinstance(result, dict) or NEEDED.keys() - result.keys():
        return False
    rules = {**NEEDED, **OPTIONAL}
    return all(rules[name](value) for name, value in result.items() if name in rules)


def _text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= LONGEST


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 2**63
    return type(value) is float and math.isfinite(value)


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_number, value))


def _protocol(value: Any) -> bool:
    return isinstance(value, dict) and _text(value.get("name"))


def _texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_text, value.values()))


def _maybe(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or rule(value)


NEEDED: dict[str, Callable[[Any], bool]] = {
    "agent": _text,
    "env": _text,
    "loss": _text,
    "seed": _count,
    "steps": _count,
    "mean_return": _number,
    "interval_95": _pair,
    "episodes": _count,
    "protocol": _protocol,
}
OPTIONAL: dict[str, Callable[[Any], bool]] = {
    "returns": lambda value: isinstance(value, list) and all(map(_number, value)),
    "train_return": _maybe(_number),
    "advice": _maybe(_text),
    "compute": lambda value: isinstance(value, dict),
    "versions": _texts,
    "cpu": _text,
    "date": _text,
    "run_dir": _text,
}
