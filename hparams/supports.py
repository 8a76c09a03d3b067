"""Supports that nobody has to choose.

`support: auto`: returns are scaled, so that the same two ends hold them in every environment. `adaptive`: the
ends follow the targets, from a narrow range around the initial value on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catzoo.hparams.overrides import merge
from catzoo.hparams.recipe import ADAPTIVE, AUTO, AUTO_END, SET, Recipe, adaptive_ends
from catzoo.hparams.schema import RecipeError
from catzoo.hparams.value_losses import VALUE_LOSSES

_EXCLUDE = (("sigma", "sigma_ratio"), ("sigma_ratio", "sigma"))
_CQL = ("cql_weight", "cql_strength")
_OF_VALUE = ("v_min", "v_max", "sigma")
"""Keys of `value_loss` in units of value."""


def over(values: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's nested values with others over them; what excludes those gives way.

    Raises:
        RecipeError: `said` has both a support that nobody sets and what would set one, half of a support
            where it was automatic, or both of what excludes each other.
    """
    given = [key for key in _CQL if said.get(key) is not None]
    if len(given) > 1:
        raise RecipeError(f"{' and '.join(given)} exclude each other: give one")
    if given:
        values = {key: value for key, value in values.items() if key not in _CQL}
    of_loss = said.get("value_loss")
    of_loss = of_loss if isinstance(of_loss, Mapping) else {}
    dropped = {other for given, other in _EXCLUDE if given in of_loss}
    ends = [f"value_loss.{key}" for key in _OF_VALUE if of_loss.get(key) is not None]
    support, before = said.get("support"), values.get("support")
    if support != ADAPTIVE:  # with the others a label's width may be said
        ends = [end for end in ends if end != "value_loss.sigma"]
    if support in (AUTO, ADAPTIVE):
        if ends:
            raise RecipeError(f"support={support} has ends of its own: leave {' and '.join(ends)} out")
        dropped |= {*_OF_VALUE}
    if support == AUTO or (before == AUTO and (ends or support == ADAPTIVE)):
        values = {key: value for key, value in values.items() if key != "support"}
        if isinstance(values.get("normalize"), Mapping):  # how observations are scaled is another matter
            values["normalize"] = {k: v for k, v in values["normalize"].items() if k != "reward"}
        if ends and support != ADAPTIVE and _has_ends(values, of_loss):
            _check_both_ends(of_loss)
    elif before == ADAPTIVE and ends:
        values = {key: value for key, value in values.items() if key != "support"}
    loss = values.get("value_loss")
    if isinstance(loss, Mapping):
        values = {**values, "value_loss": {k: v for k, v in loss.items() if k not in dropped}}
    return merge(values, said)


def refuse_no_ends(values: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Refuses a support that was automatic, is to be set, and has no ends.

    Raises:
        RecipeError: it is so.
    """
    of_loss = said.get("value_loss")
    of_loss = of_loss if isinstance(of_loss, Mapping) else {}
    named = any(of_loss.get(key) is not None for key in ("v_min", "v_max"))
    was_automatic = values.get("support") == AUTO and said.get("support") == SET
    if was_automatic and not named and _has_ends(values, of_loss):
        raise RecipeError(
            f"support={SET} where it was automatic: say value_loss.v_min and value_loss.v_max, in the "
            "environment's own units"
        )


def _has_ends(values: Mapping[str, Any], of_loss: Mapping[str, Any]) -> bool:
    """Whether the loss in use has a support; one that does not says so itself."""
    own = values.get("value_loss")
    name = of_loss.get("name") or (own.get("name") if isinstance(own, Mapping) else None)
    return name not in VALUE_LOSSES or "v_min" in VALUE_LOSSES[name].keys


def _check_both_ends(of_loss: Mapping[str, Any]) -> None:
    """Refuses one end without the other, which was the automatic support's."""
    said, left_out = (
        [f"value_loss.{key}" for key in ("v_min", "v_max") if (of_loss.get(key) is None) == is_left_out]
        for is_left_out in (False, True)
    )
    if left_out:
        raise RecipeError(
            f"{said[0]} sets a support in the environment's own units, where it was automatic (±{AUTO_END:g} "
            f"of scaled returns): say {left_out[0]} as well"
        )


def with_ends(values: Mapping[str, Any], loss: str) -> dict[str, Any]:
    """Nested values of a recipe with what `support: auto` or `adaptive` stands for."""
    support = values.get("support")
    groups = [values.get(group) or {} for group in ("value_loss", "normalize")]
    # What is no group of keys is for the recipe's own check to name.
    if support not in (AUTO, ADAPTIVE) or not all(isinstance(group, Mapping) for group in groups):
        return dict(values)
    value_loss, normalize = map(dict, groups)
    if "v_min" in VALUE_LOSSES[loss].keys:
        value_loss |= dict(zip(("v_min", "v_max"), _ends(values), strict=True))
    if support == ADAPTIVE:
        return {**values, "value_loss": value_loss}
    return {
        **values,
        "normalize": {"reward": True, **normalize},
        "value_loss": value_loss,
    }


def _ends(values: Mapping[str, Any]) -> tuple[float, float]:
    if values["support"] == AUTO:
        return -AUTO_END, AUTO_END
    begin = values.get("initial_value", Recipe.initial_value)
    # What is no number is for the recipe's own check to name.
    return adaptive_ends(begin if isinstance(begin, int | float) else None)
