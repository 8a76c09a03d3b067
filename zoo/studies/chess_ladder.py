"""Matches of a trained agent against opponents of known strength, as Elo with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from catzoo.zoo.statistics.elo import elo_difference
from catzoo.zoo.studies.study import Row

OPPONENTS = ("chess/random", "chess/stockfish-0", "chess/stockfish-3")
"""From the weakest on."""


def ladder(
    agent: Any, recipe: Any, games: int, *, opponents: Sequence[str] = OPPONENTS, seed: int = 0
) -> list[Row]:
    """A match against each opponent: wins, draws, losses, and Elo over the opponent with its interval.

    Args:
        agent: of the recipe; it plays its best moves.
        recipe: of chess.
        games: to a match; two by two they have one opening and both colours.
        opponents: environments.
        seed: of the openings. Stockfish's lower levels draw from random numbers of their own.

    Raises:
        RecipeError: an engine is missing.
    """
    from catzoo.zoo.training.evaluate import evaluate_trained

    rows: list[Row] = []
    for env in opponents:
        own = dataclasses.replace(recipe, env=env, dataset=None)
        returns = list(evaluate_trained(agent, own, games, seed=seed, purpose="ladder"))
        elo, low, high = elo_difference(returns)
        won, lost = (sum(score * side > 0 for score in returns) for side in (1, -1))
        rows.append(
            {"opponent": env, "games": games, "wins": won, "draws": games - won - lost, "losses": lost,
             "elo": elo, "elo_low": low, "elo_high": high}
        )  # fmt: skip
    return rows
