"""Elo: by how much one player is better than another, from games between them (Elo 1978)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

Z = 1.96
"""97.5 % quantile of the normal distribution."""


class EloDifference(NamedTuple):
    """Of two players, with its 95 % interval, infinite where every game went one way."""

    elo: float
    low: float
    high: float


def elo_difference(returns: Sequence[float]) -> EloDifference:
    """Elo of a player over another one.

    Wilson's interval of the score, a draw as half a win; it is a little too wide where there are many draws,
    and does not collapse where there are only wins.

    Args:
        returns: of its games: 1 for a win, 0 for a draw, -1 for a loss.

    Raises:
        ValueError: no game.
    """
    number = len(returns)
    if not number:
        raise ValueError("no game was played")
    score = (sum(returns) / number + 1) / 2
    middle = (score + Z**2 / (2 * number)) / (1 + Z**2 / number)
    half = Z * math.sqrt(score * (1 - score) / number + Z**2 / (4 * number**2)) / (1 + Z**2 / number)
    low, high = max(middle - half, 0.0) if score else 0.0, min(middle + half, 1.0) if score < 1 else 1.0
    return EloDifference(_elo(score), _elo(low), _elo(high))


def _elo(score: float) -> float:
    if score in (0.0, 1.0):
        return math.copysign(math.inf, score - 0.5)
    return 400 * math.log10(score / (1 - score))
