"""Search spaces: which keys of a recipe a study varies, and between what bounds.

A space is a mapping from the recipe's own keys:

    optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
    value_loss.num_bins: {choices: [21, 51, 101, 201]}
    network.hidden: {choices: [[120, 84], [256, 256]]}
    value_loss.sigma: {low: 0.002, high: 0.2, log: true, of: support}

Whole numbers and numbers follow from the key. `of: support` gives bounds in shares of v_max - v_min, and
`of: recipe` in multiples of what the recipe has, so that one space serves environments of any scale; `points`
is how many values a grid takes between the bounds.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from catzoo.hparams.agents import agents_with, all_keys
from catzoo.hparams.overrides import merge
from catzoo.hparams.recipe import ADAPTIVE, AUTO, Recipe
from catzoo.hparams.schema import RecipeError, brief, convert, shown, types_of, unknown_key
from catzoo.hparams.value_losses import VALUE_LOSSES
from catzoo.hparams.yaml_files import read_yaml

FIXED = ("agent", "env", "preset", "seed", "steps", "eval.", "compute.", "checkpoint_every", "log_every",
         "value_loss.name", "record", "dataset", "reward_noise")  # fmt: skip
"""Keys that a study must not vary: its trials would not be comparable."""
WORDS = {"low", "high", "log", "choices", "of", "points"}
ENDS = {"value_loss.v_min", "value_loss.v_max"}
EXCLUSIVE = {"value_loss.sigma": "sigma_ratio", "value_loss.sigma_ratio": "sigma"}
"""HL-Gauss's sigma is given in one of two ways: keys, and what must not stand beside them."""
MOST_POINTS = 1_000
POINTS = 4
"""Values that a grid takes between two bounds, unless the space says."""


@dataclass(frozen=True)
class Parameter:
    """One key of the recipe that a study varies: bounds, or choices."""

    key: str
    kind: Literal["int", "float", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()
    """Names, numbers, true and false, which is all that Optuna keeps: a list is its text, `[120, 84]`."""
    of: Literal["support", "recipe"] | None = None
    """What the bounds are multiples of, where environments differ in it."""
    points: int = POINTS

    def grid(self) -> list[Any]:
        """The values that a grid takes, in order."""
        if self.kind == "choice":
            return list(self.choices)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        steps = [low + (high - low) * index / (self.points - 1) for index in range(self.points)]
        values = [min(max(math.exp(step) if self.log else step, self.low), self.high) for step in steps]
        return sorted({round(value) for value in values}) if self.kind == "int" else values

    def contains(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        if self.kind == "choice":
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    def to_dict(self) -> dict[str, Any]:
        """As a space file has it."""
        if self.kind == "choice":
            return {"choices": list(self.choices)}
        values = {"low": self.low, "high": self.high, "log": self.log, "of": self.of, "points": self.points}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Space:
    """What a study varies, for recipes that differ in nothing but their environment."""

    parameters: tuple[Parameter, ...]

    def overrides(self, recipe: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
        """Chosen values as overrides of a recipe, nested."""
        nested: dict[str, Any] = {}
        for parameter in self.parameters:
            value = values[parameter.key]
            if _is_list(parameter.key, type(recipe)):
                value = json.loads(value)
            if parameter.of is not None:
                value *= scale_of(recipe, parameter.key, parameter.of)
                value = round(value) if _kind(parameter.key, type(recipe)) == "int" else value
            for part in reversed(parameter.key.split(".")):
                value = {part: value}
            nested = merge(nested, value)
            if parameter.key in EXCLUSIVE:  # the other one may be the recipe's
                nested["value_loss"][EXCLUSIVE[parameter.key]] = None
        return nested

    def defaults(self, recipe: Recipe) -> dict[str, Any] | None:
        """The recipe's own values, None where they are outside of the space."""
        values = {}
        for parameter in self.parameters:
            value = _plain(value_of(recipe, parameter.key))
            if parameter.of is not None and value is not None:
                value /= scale_of(recipe, parameter.key, parameter.of)
            if not parameter.contains(value):
                return None
            values[parameter.key] = value
        return values

    def to_dict(self) -> dict[str, Any]:
        """As a space file has it."""
        return {parameter.key: parameter.to_dict() for parameter in self.parameters}


def read_space(path: Path) -> dict[str, Any]:
    """A space from a YAML file of one's own; see `resolve_space`."""
    return read_yaml(path)


def resolve_space(
    source: Mapping[str, Any],
    recipes: Sequence[Recipe],
    *,
    where: str,
    drop: bool = False,
) -> Space:
    """A space for some recipes of one agent and loss, checked.

    Args:
        source: from keys to bounds or choices, see the module.
        recipes: one per environment; bounds `of` something become plain where it is the same in all.
        where: what to call the source in errors.
        drop: leave out the keys that do not apply to the loss, the agent or an automatic support, instead of
            refusing them.

    Raises:
        RecipeError: an unknown key, a bound out of the key's range, a space without choice.
    """
    agent, loss = recipes[0].agent, recipes[0].value_loss.name
    parameters = []
    for key, entry in source.items():
        _check_key(key, where)
        group, _, leaf = key.partition(".")
        useless = loss if group == "value_loss" and leaf not in VALUE_LOSSES[loss].keys else None
        if agent not in agents_with(key):
            useless = f"{agent}, but to {', '.join(agents_with(key))}"
        if useless is None and {key} == ENDS & set(source) and any(map(is_automatic, recipes)):
            useless = "an automatic support without the other end"
        if useless and drop:
            continue
        if useless:
            raise RecipeError(f"{key} does not apply to {useless} ({where})")
        parameters.append(_parameter(key, entry, recipes, where))
    keys = {parameter.key for parameter in parameters}
    if set(EXCLUSIVE) <= keys:
        raise RecipeError(f"value_loss.sigma and value_loss.sigma_ratio exclude each other ({where})")
    if not parameters:
        raise RecipeError(f"the space has nothing to vary for {loss} ({where})")
    return Space(tuple(parameters))


def is_automatic(recipe: Recipe) -> bool:
    """Whether its returns are scaled to a support that nobody sets."""
    return getattr(recipe, "support", None) == AUTO


def _check_key(key: Any, where: str) -> None:
    if not isinstance(key, str) or key not in all_keys():
        raise RecipeError(unknown_key(str(key), all_keys(), where))
    if any(key == fixed or (fixed.endswith(".") and key.startswith(fixed)) for fixed in FIXED):
        raise RecipeError(f"{key} cannot be tuned: trials that differ in it cannot be compared ({where})")


def _parameter(key: str, entry: Any, recipes: Sequence[Recipe], where: str) -> Parameter:
    if not isinstance(entry, Mapping) or not entry or set(entry) - WORDS:
        raise RecipeError(
            f"{key}={shown(entry)}: must be {{low: …, high: …, log: true}} or {{choices: […]}} ({where})"
        )
    if "choices" in entry:
        return _choice(key, entry, type(recipes[0]), where)
    schema = type(recipes[0])
    kind = _kind(key, schema)
    if kind is None:
        raise RecipeError(f"{key}: not a number: name its choices, such as {{choices: [a, b]}} ({where})")
    low, high = (_number(entry.get(name), f"{key}.{name}", where) for name in ("low", "high"))
    log, of, points = entry.get("log", False), entry.get("of"), entry.get("points", POINTS)
    if not isinstance(log, bool):
        raise RecipeError(f"{key}.log={shown(log)}: must be true or false ({where})")
    if of not in (None, "support", "recipe"):
        raise RecipeError(f"{key}.of={shown(of)}: must be support or recipe ({where})")
    if not isinstance(points, int) or isinstance(points, bool) or not 2 <= points <= MOST_POINTS:
        raise RecipeError(
            f"{key}.points={shown(points)}: must be a whole number from 2 to {MOST_POINTS} ({where})"
        )
    scales = [1.0] if of is None else [scale_of(recipe, key, of) for recipe in recipes]
    for bound in (low, high):
        for scale in scales:
            value = round(bound * scale) if kind == "int" and of else bound * scale
            _check_value(key, value, schema, where)
    if len(set(scales)) == 1:
        low, high, of = low * scales[0], high * scales[0], None
    if kind == "int" and of is None:
        low, high = round(low), round(high)
    elif kind == "int":
        kind = "float"  # multiples of whole numbers
    if low >= high:
        raise RecipeError(f"{key}: low={low:g} must be below high={high:g}: nothing to vary ({where})")
    if log and low <= 0:
        raise RecipeError(f"{key}: low={low:g} must be above 0 with log: true ({where})")
    return Parameter(key, kind, low, high, log, (), of, points)


def _choice(key: str, entry: Mapping[str, Any], schema: type, where: str) -> Parameter:
    choices = entry["choices"]
    if not isinstance(choices, list) or len(entry) > 1:
        raise RecipeError(f"{key}: choices must be a list, and stand alone ({where})")
    values = tuple(_plain(_check_value(key, value, schema, where)) for value in choices)
    if len(set(values)) < 2:
        raise RecipeError(f"{key}: {len(set(values))} choice: nothing to vary ({where})")
    if len(set(values)) < len(values):
        raise RecipeError(f"{key}: a choice stands twice ({where})")
    return Parameter(key, "choice", choices=values)


def _field(key: str, schema: Any) -> tuple[Any, Mapping[str, Any]]:
    """The type of a recipe's key, and its bounds."""
    *groups, leaf = key.split(".")
    for group in groups:
        schema = types_of(schema)[group]
    field = next(field for field in dataclasses.fields(schema) if field.name == leaf)
    return types_of(schema)[leaf], field.metadata


def _kind(key: str, schema: type) -> Literal["int", "float"] | None:
    kind, _ = _field(key, schema)
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return "int" if int in options else "float" if float in options else None


def _is_list(key: str, schema: type) -> bool:
    return typing.get_origin(_field(key, schema)[0]) is tuple


def _plain(value: Any) -> Any:
    """A value as `Parameter.choices` has it."""
    return json.dumps(value) if isinstance(value, tuple) else value


def _check_value(key: str, value: Any, schema: type, where: str) -> Any:
    kind, metadata = _field(key, schema)
    if isinstance(value, dict):
        raise RecipeError(f"{key}={shown(value)}: a mapping cannot be tuned ({where})")
    return convert(value, kind, metadata, key, where)


def _number(value: Any, key: str, where: str) -> float:
    if value is None:
        raise RecipeError(f"{key} is missing ({where})")
    return float(convert(value, float, {}, key, where))


def scale_of(recipe: Recipe, key: str, of: str) -> float:
    """What a bound `of` the support or of the recipe's own value is a multiple of."""
    if of == "recipe":
        own = value_of(recipe, key)
        if not isinstance(own, int | float) or isinstance(own, bool) or own <= 0:
            raise RecipeError(f"{key}: of: recipe needs a number above 0 in the recipe, not {shown(own)}")
        return float(own)
    loss = recipe.value_loss
    if getattr(recipe, "support", None) == ADAPTIVE:
        raise RecipeError(
            f"{brief(key)}: of: support goes with ends that stay, not with support={ADAPTIVE}: "
            "tune value_loss.sigma_ratio, as --space grid does"
        )
    if loss.v_min is None or loss.v_max is None:
        raise RecipeError(f"{brief(key)}: of: support needs value_loss.v_min and .v_max in the recipe")
    spacing = loss.spacing if key == "value_loss.sigma" else None  # it is on the axis of equal bins
    return _placed(loss.v_max, spacing) - _placed(loss.v_min, spacing)


def _placed(end: float | None, spacing: str | None) -> float:
    """Where an end of the support is on the axis on which bins are equal."""
    assert end is not None
    return math.copysign(math.log1p(abs(end)), end) if spacing == "symexp" else end


def value_of(recipe: Recipe, key: str) -> Any:
    """What a recipe has under a dotted key; HL-Gauss's sigma also where the recipe gives it in bin widths."""
    value: Any = recipe
    for part in key.split("."):
        value = getattr(value, part)
    loss = recipe.value_loss
    if loss.name == "hl_gauss" and value is None:
        if key == "value_loss.sigma_ratio" and loss.sigma is None:
            return 0.75
        if key == "value_loss.sigma" and None not in (loss.v_min, loss.v_max, loss.num_bins):
            bins = loss.num_bins - (loss.align == "centers")  # type: ignore[operator]
            low, high = (_placed(end, loss.spacing) for end in (loss.v_min, loss.v_max))
            ratio = loss.sigma_ratio or 0.75
            return ratio * (high - low) / (bins - 2 * (loss.pad_sigmas or 0.0) * ratio)
    return value
