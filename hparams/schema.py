"""Nested mappings to typed dataclasses, with one-line errors that name the key.

A recipe is data that people write by hand, so every mistake must be answered with what is wrong,
where it stands, and what is allowed. `build` is the whole of it: it walks a dataclass and a mapping
side by side, and checks types, ranges and spelling at any depth.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from catzoo.hparams.json_text import to_json

T = TypeVar("T")
LONGEST_LIST = 100
"""Items of a list at most."""
LONGEST_NAME = 200
"""Characters of a name at most."""
EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d{1,2}", re.ASCII)
"""A number as people write it, and as YAML 1.1 does not read it."""
LARGEST = 2**63
"""Whole numbers are below it."""


class RecipeError(ValueError):
    """A recipe, or an override of one, that cannot be used; the message is one line."""


class NoRoomError(RecipeError):
    """Nothing is wrong with what was asked for: the disk is full or read-only, and later it may not be."""


class LostLearnerError(RecipeError):
    """Nothing is wrong with what was asked for: one of a run's learners has ended, and so the others do."""


def bounded(
    default: Any, *, at_least: float | None = None, above: float | None = None, at_most: float | None = None
) -> Any:
    """A dataclass field whose numeric value is checked against the bounds."""
    return dataclasses.field(
        default=default, metadata={"at_least": at_least, "above": above, "at_most": at_most}
    )


def brief(text: str, longest: int = 80) -> str:
    """A text for an error message: on one line, and not long."""
    cut = text[: longest + 1]
    line = cut if cut.isprintable() else repr(cut)[1:-1]
    return line if len(line) <= longest else line[: longest - 1] + "…"


def shown(value: Any, longest: int = 80) -> str:
    """A value for an error message, as Python writes it, but for what is long."""
    if isinstance(value, str):
        return f"'{brief(value, longest)}'" if "'" not in value else brief(repr(value[:longest]), longest)
    try:
        return brief(repr(value), longest)
    except (ValueError, RecursionError):  # a number of 5,000 digits, or lists in lists in lists
        return f"a {type(value).__name__} too large to show"


def nearest(word: str, allowed: Iterable[str]) -> str:
    """` (did you mean X?)` for the closest of `allowed`, or an empty string."""
    allowed = list(allowed)
    folded = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(word[:100].lower(), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """RecipeError unless a name, `what` it may be, is a known one."""
    known = list(known)
    if name not in known:
        raise RecipeError(
            f"unknown {what} {shown(name)}: must be one of {', '.join(known)}{nearest(name, known)}"
        )


@functools.cache
def types_of(schema: type) -> dict[str, Any]:
    """The types of a dataclass's fields, by name."""
    return typing.get_type_hints(schema)


def keys_of(schema: type, prefix: str = "") -> list[str]:
    """Every dotted key of a dataclass, leaves only, in order of definition."""
    hints = types_of(schema)
    keys: list[str] = []
    for field in dataclasses.fields(schema):
        kind = hints[field.name]
        name = prefix + field.name
        keys += keys_of(kind, name + ".") if dataclasses.is_dataclass(kind) else [name]  # type: ignore[arg-type]
    return keys


def build(schema: type[T], values: Mapping[str, Any], *, where: str, prefix: str = "") -> T:
    """Make `schema` from nested `values`.

    Args:
        schema: a dataclass; its fields' types and `bounded` metadata are the rules.
        values: nested mapping with the same shape; what is missing takes the default, if there is one.
        where: what to call the source in an error ("the command line", a file's name).
        prefix: dotted path of this level, for errors.

    Raises:
        RecipeError: unknown key (with the nearest one), missing key, wrong type, or a value out of range.
    """
    hints = types_of(schema)  # type: ignore[arg-type]
    fields = {field.name: field for field in dataclasses.fields(schema)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            raise RecipeError(unknown_key(prefix + str(key), keys_of(schema, prefix), where))
        kind = hints[key]
        if dataclasses.is_dataclass(kind):
            if not isinstance(value, Mapping):
                inner = ", ".join(keys_of(kind, prefix + key + "."))  # type: ignore[arg-type]
                raise RecipeError(f"{prefix}{key} is a group of keys, not a value: {inner} ({where})")
            inner_schema: type[Any] = kind  # type: ignore[assignment]
            arguments[key] = build(inner_schema, value, where=where, prefix=f"{prefix}{key}.")
        else:
            arguments[key] = convert(value, kind, fields[key].metadata, f"{prefix}{key}", where)
    for key, field in fields.items():
        if key not in arguments and field.default is field.default_factory is dataclasses.MISSING:
            raise RecipeError(f"{prefix}{key} is missing ({where})")
    try:
        return schema(**arguments)
    except RecipeError as error:
        raise RecipeError(f"{error} ({where})") from None


def unknown_key(key: str, allowed: list[str], where: str) -> str:
    """The message for a key that is none of those allowed; a near one is looked for at any depth."""
    hint = nearest(key, allowed)
    if not hint:  # the right leaf under the wrong parent: `lr` for `optimizer.lr`
        leaf = key.rsplit(".", 1)[-1][:100]
        by_leaf = {name.rsplit(".", 1)[-1]: name for name in allowed}
        close = difflib.get_close_matches(leaf, by_leaf, n=1, cutoff=0.6)
        hint = f"; did you mean {by_leaf[close[0]]}?" if close else ""
    names = ", ".join(allowed)
    known = f"; known keys: {names}" if len(names) < 200 else "; catzoo show AGENT lists the keys"
    return f"unknown key {brief(key)} ({where}){hint or known}"


def convert(value: Any, kind: Any, metadata: Mapping[str, Any], key: str, where: str) -> Any:
    """`value` as `kind`, or a RecipeError that says what came and what is allowed."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [argument for argument in arguments if argument is not type(None)]
        word = str in kinds and isinstance(value, str) and not _is_number(value)
        return convert(value, str if word else kinds[0], metadata, key, where)
    if origin is typing.Literal:
        if value not in arguments:
            hint = nearest(shown(value), [str(argument) for argument in arguments])
            allowed = ", ".join(str(argument) for argument in arguments)
            raise RecipeError(f"{key}={shown(value)}: must be one of {allowed} ({where}){hint}")
        return value
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise RecipeError(f"{key}={shown(value)}: must be a list such as [64, 64] ({where})")
        longest = metadata.get("longest", LONGEST_LIST)
        if len(value) > longest:
            raise RecipeError(f"{key} has {len(value)} items: must be at most {longest} ({where})")
        return origin(convert(item, arguments[0], metadata, key, where) for item in value)
    if origin is dict:
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise RecipeError(f"{key}={shown(value)}: must be a mapping such as {{name: value}} ({where})")
        if arguments[1] in (Any, object):
            try:
                to_json(value)  # recipes and results hold it, and processes are told it
            except (TypeError, ValueError, RecursionError):
                wanted = "numbers, words, lists and mappings of them"
                raise RecipeError(f"{key}={shown(value)}: must be plain data, {wanted} ({where})") from None
            return {name: _with_numbers(item) for name, item in value.items()}
        return {
            name: convert(item, arguments[1], metadata, f"{key}.{brief(name)}", where)
            for name, item in value.items()
        }
    return _convert_scalar(value, kind, metadata, key, where)


def _with_numbers(value: Any) -> Any:
    """Plain data in which 1e-3, which YAML 1.1 reads as a string, is a number."""
    if isinstance(value, Mapping):
        return {name: _with_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    if not (isinstance(value, str) and EXPONENT.fullmatch(value)):
        return value
    number = float(value)
    return int(number) if "." not in value and number.is_integer() else number


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _convert_scalar(value: Any, kind: Any, metadata: Mapping[str, Any], key: str, where: str) -> Any:
    if kind is bool:
        if not isinstance(value, bool):
            raise _wrong(value, kind, key, where)
        return value
    if kind is str:  # names end up in messages, and in the names of folders
        if not isinstance(value, str) or not value.isprintable():
            raise _wrong(value, kind, key, where)
        longest = metadata.get("longest", LONGEST_NAME)
        if len(value) > longest:
            raise RecipeError(f"{key}={shown(value)}: must have at most {longest} characters ({where})")
        return value
    if isinstance(value, str):  # YAML 1.1 reads 1e-4 as a string
        try:
            value = float(value)
        except ValueError:
            raise _wrong(value, kind, key, where) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        raise _wrong(value, kind, key, where)
    if (kind is int or isinstance(value, int)) and abs(value) >= LARGEST:
        raise RecipeError(f"{key}={shown(value)}: must be a number below 2**63 ({where})")
    if kind is int:
        if value != int(value):
            raise _wrong(value, kind, key, where)
        value = int(value)
    else:
        value = float(value)
    _check_bounds(value, metadata, key, where)
    return value


def _wrong(value: Any, kind: Any, key: str, where: str) -> RecipeError:
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}[kind]
    return RecipeError(f"{key}={shown(value)}: must be {wanted} ({where})")


def _check_bounds(value: float, metadata: Mapping[str, Any], key: str, where: str) -> None:
    at_least, above, at_most = (metadata.get(name) for name in ("at_least", "above", "at_most"))
    rules = []
    if at_least is not None:
        rules.append((value >= at_least, f"at least {at_least:g}"))
    if above is not None:
        rules.append((value > above, f"above {above:g}"))
    if at_most is not None:
        rules.append((value <= at_most, f"at most {at_most:g}"))
    if not all(kept for kept, _ in rules):
        raise RecipeError(f"{key}={value:g}: must be {' and '.join(rule for _, rule in rules)} ({where})")
