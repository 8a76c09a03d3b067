"""Scores of different environments on one scale: 0 is random play, 1 the reference (a human, on Atari)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from catzoo.hparams import RecipeError
from catzoo.hparams.schema import brief
from catzoo.zoo import ROOT
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.system.csv_rows import read_rows

FILE = ROOT / "data" / "reference_scores.csv"
"""Columns: env, random, reference, source."""


@dataclass(frozen=True)
class Scale:
    """From returns of one environment to normalised scores."""

    random: float
    """What random play scores."""
    reference: float
    """What is 1."""

    def __call__(self, value: float) -> float:
        """A return, normalised."""
        return (value - self.random) / (self.reference - self.random)


@cache
def scales() -> dict[str, Scale]:
    """The environments whose scale is known."""
    return {row["env"]: Scale(float(row["random"]), float(row["reference"])) for row in read_rows(FILE)}


def scale_of(env: str) -> Scale:
    """The scale of an environment.

    Raises:
        RecipeError: unknown.
    """
    known = scales()
    name = canonical(env)
    if name not in known:
        raise RecipeError(
            f"{brief(env)}: no random and reference score are known, so that its returns cannot be put "
            "on one scale with those of others: take environments one by one"
        )
    return known[name]
