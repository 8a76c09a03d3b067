"""`support: auto`: returns are scaled, so that the same two ends hold them in every environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catzoo.hparams.overrides import merge
from catzoo.hparams.recipe import AUTO_END
from catzoo.hparams.schema import RecipeError
from catzoo.hparams.value_losses import VALUE_LOSSES

_EXCLUDE = (("sigma", "sigma_ratio"), ("sigma_ratio", "sigma"))


def over(values: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's nested values with others over them; what excludes those gives way.

    Raises:
        RecipeError: `said` has both an automatic support and an end of one.
    """
    of_loss = said.get("value_loss")
    of_loss = of_loss if isinstance(of_loss, Mapping) else {}
    dropped = {other for given, other in _EXCLUDE if given in of_loss}
    ends = [f"value_loss.{end}" for end in ("v_min", "v_max") if of_loss.get(end) is not None]
    if said.get("support") == "auto":
        if ends:
            raise RecipeError(f"support=auto has ends of its own: leave {' and '.join(ends)} out")
        dropped |= {"v_min", "v_max", "sigma"}  # all are in units of value
    if said.get("support") == "auto" or (ends and values.get("support") == "auto"):
        values = {key: value for key, value in values.items() if key not in ("support", "normalize")}
    before = values.get("value_loss")
    if isinstance(before, Mapping):
        values = {**values, "value_loss": {k: v for k, v in before.items() if k not in dropped}}
    return merge(values, said)


def with_ends(values: Mapping[str, Any], loss: str) -> dict[str, Any]:
    """Nested values of a recipe with what `support: auto` stands for."""
    if values.get("support") != "auto":
        return dict(values)
    value_loss = dict(values.get("value_loss") or {})
    if "v_min" in VALUE_LOSSES[loss].keys:
        value_loss |= {"v_min": -AUTO_END, "v_max": AUTO_END}
    return {
        **values,
        "normalize": {"reward": True, **(values.get("normalize") or {})},
        "value_loss": value_loss,
    }
