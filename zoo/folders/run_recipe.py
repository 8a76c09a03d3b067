"""A run's recipe as it lies in its folder: stamped, flat, and compared with another. Imports no torch."""

from __future__ import annotations

from typing import Any

from catzoo.hparams import Recipe
from catzoo.hparams.old_formats import FORMAT
from catzoo.zoo.environments.protocols import Protocol, protocol_of
from catzoo.zoo.system.provenance import versions

MAY_DIFFER = (
    "steps",
    "eval",
    "checkpoint_every",
    "log_every",
    "collect.workers",
    "compute.device",  # and devices
    "compute.launcher",
    "compute.threads",
    "compute.gpus",
    "compute.memory",
    "compute.precision",
    "compute.overlap",
)
"""Keys that a continued run may change."""
INCIDENTAL = (
    "steps",
    "eval.every",
    "eval.interim_episodes",
    "checkpoint_every",
    "log_every",
    "record",
    "compute.device",  # and devices
    "compute.launcher",
    "compute.threads",
    "compute.gpus",
    "compute.memory",
)
"""Keys that do not make another experiment: its result at so many steps is the same with any of them."""


def compare(before: Recipe, now: Recipe, ignoring: tuple[str, ...] = MAY_DIFFER) -> dict[str, Any]:
    """Keys that differ between two recipes, but for those that begin as in `ignoring`: values in `now`."""
    old, new = flat(before.to_dict()), flat(now.to_dict())
    return {
        key: new.get(key)
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not key.startswith(ignoring)
    }


def stamped(recipe: Recipe, protocol: Protocol | None = None, begun: Any = FORMAT) -> dict[str, Any]:
    """A resolved recipe as plain data, with format, versions and protocol.

    `begun` is the format of the version that began the run, where it was another.
    """
    stamp = {
        "format": FORMAT,
        "versions": versions(),
        "protocol": (protocol or protocol_of(recipe.env, recipe.env_options)).to_dict(),
    }
    if begun != FORMAT:
        stamp["begun"] = begun
    return {"catzoo": stamp, **recipe.to_dict()}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found
