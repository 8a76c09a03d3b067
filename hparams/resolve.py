"""From a recipe file, a command line and an environment's name to one checked `Recipe`.

A recipe file has `defaults`, then `environments`: sections by name or pattern, later ones over earlier
ones, then `presets`: sections that the user asks for by name, such as another protocol. Inside any of them,
`losses` holds what differs for one value loss. What the user said comes last. `ignores` lists the keys that
the agent has no use for, so that setting one is a mistake and not a silence.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from catzoo.hparams.recipe import LOSS_KEYS, Recipe, ValueLossConfig
from catzoo.hparams.schema import RecipeError, build, keys_of, nearest, unknown_key

SECTIONS = {"agent", "description", "ignores", "defaults", "environments", "presets"}
"""Of a recipe file."""


def loss_name(name: str) -> str:
    """The loss's name in recipes, from any common spelling (`HL-Gauss`, `hlgauss`, `TwoHot`).

    Raises:
        RecipeError: no such loss.
    """
    folded = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    for known in LOSS_KEYS:
        if known.lower().replace("_", "") == folded:
            return known
    hint = nearest(name, LOSS_KEYS)
    raise RecipeError(f"unknown loss {name!r}: must be one of {', '.join(LOSS_KEYS)}{hint}")


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file, safely loaded.

    Raises:
        RecipeError: missing, unreadable, not YAML, or not a mapping.
    """
    try:
        values = yaml.load(
            path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: is not a text file") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that no calendar has
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "malformed"
        raise RecipeError(f"{path}{line}: not YAML: {problem}") from None
    except RecursionError:
        raise RecipeError(f"{path}: not a recipe: nested too deeply") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: not a recipe: a mapping of keys was expected")
    return values


def parse_override(text: str) -> dict[str, Any]:
    """`a.b=value` as a nested mapping; the value is read as YAML, so `[64, 64]` and `null` work.

    Raises:
        RecipeError: no `=`, an empty or unknown key, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise RecipeError(
            f"{text!r}: overrides are written key=value, such as optimizer.lr=1e-4 (command line)"
        )
    known = keys_of(Recipe)
    # An environment's own options are not ours to know.
    own = key.startswith("env_options.") and not key.endswith(".")
    if not own and key not in known and not any(name.startswith(key + ".") for name in known):
        raise RecipeError(unknown_key(key, Recipe, "", "command line"))
    try:
        parsed = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise RecipeError(f"{key}={value!r}: not a value that YAML can read (command line)") from None
    for part in reversed(key.split(".")):
        parsed = {part: parsed}
    return parsed  # type: ignore[no-any-return]


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid upon it, mapping by mapping; `env_options` merges by key as well."""
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = (
            merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
        )
    return merged


def resolve(
    source: Mapping[str, Any],
    *,
    env: str,
    loss: str | None = None,
    preset: str | None = None,
    overrides: Iterable[Mapping[str, Any]] = (),
    where: str = "recipe",
) -> Recipe:
    """The recipe of one run.

    Args:
        source: a recipe file's content, see the module.
        env: environment id; every section whose pattern matches applies, in the file's order.
        loss: value loss to use instead of the recipe's.
        preset: one of the file's `presets`.
        overrides: nested mappings from the user, last one wins; checked against the loss in use.
        where: what to call the source in errors.

    Raises:
        RecipeError: anything unknown, out of range or contradictory, in one line.
    """
    unknown = set(source) - SECTIONS
    if unknown:
        raise RecipeError(
            f"{where}: unknown section {sorted(unknown)[0]!r}; known: {', '.join(sorted(SECTIONS))}"
        )
    sections = [source.get("defaults") or {}]
    sections += [
        section or {}
        for pattern, section in (source.get("environments") or {}).items()
        if fnmatch.fnmatchcase(env, pattern)
    ]
    if preset is not None:
        sections.append(_preset(source, preset, env))
    said: dict[str, Any] = {}
    for override in overrides:
        said = merge(said, override)
    _refuse_ignored(said, source)
    for key in ("agent", "env", "preset"):
        if key in said:
            raise RecipeError(f"{key}={said[key]!r}: the {key} is not an override, name it in its own place")
    name = _loss_in_use(sections, loss, said)
    values: dict[str, Any] = {"agent": source.get("agent", "dqn"), "env": env, "preset": preset}
    for section in sections:
        per_loss = section.get("losses") or {}
        plain = {key: value for key, value in section.items() if key not in ("losses", "for", "description")}
        values = merge(merge(values, plain), per_loss.get(name) or {})
    values["value_loss"] = _only_accepted(values.get("value_loss") or {}, name)
    build(Recipe, values, where=where)  # the file's own mistakes are reported as the file's
    said_of_loss = said.get("value_loss")
    for given, dropped in (("sigma", "sigma_ratio"), ("sigma_ratio", "sigma")):
        if isinstance(said_of_loss, Mapping) and given in said_of_loss:
            values["value_loss"].pop(dropped, None)
    return build(Recipe, merge(values, said), where="command line")


def _preset(source: Mapping[str, Any], name: str, env: str) -> Mapping[str, Any]:
    presets = source.get("presets") or {}
    if name not in presets:
        known = ", ".join(presets) or "none"
        raise RecipeError(
            f"unknown preset {name!r}: {source.get('agent')} has {known}{nearest(name, presets)}"
        )
    pattern = presets[name].get("for", "*")
    if not fnmatch.fnmatchcase(env, pattern):
        raise RecipeError(f"preset {name} is for {pattern}, not for {env}")
    return presets[name]  # type: ignore[no-any-return]


def _refuse_ignored(said: Mapping[str, Any], source: Mapping[str, Any], prefix: str = "") -> None:
    for key, value in said.items():
        if prefix + key in (source.get("ignores") or ()):
            raise RecipeError(f"{prefix}{key} does not apply to {source.get('agent')} (command line)")
        if isinstance(value, Mapping):
            _refuse_ignored(value, source, f"{prefix}{key}.")


def _loss_in_use(sections: Iterable[Mapping[str, Any]], loss: str | None, said: Mapping[str, Any]) -> str:
    named = said.get("value_loss")
    if isinstance(named, Mapping) and "name" in named:
        override = loss_name(str(named["name"]))
        if loss is not None and loss_name(loss) != override:
            raise RecipeError(f"--loss {loss} and value_loss.name={override} disagree (command line)")
        loss = override
    if loss is not None:
        return loss_name(loss)
    name = ValueLossConfig().name
    for section in sections:
        name = (section.get("value_loss") or {}).get("name", name)
    return loss_name(name)


def _only_accepted(value_loss: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A recipe may set a support for all its losses; the ones without a support do not see it."""
    known = {key for keys in LOSS_KEYS.values() for key in keys}
    drop = known - set(LOSS_KEYS[name])
    return {key: value for key, value in value_loss.items() if key not in drop} | {"name": name}
