"""Matches of a trained agent against opponents of known strength and other agents, as Elo with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from catzoo.zoo.environments.chess_games import ChessGames
from catzoo.zoo.statistics.elo import elo_difference
from catzoo.zoo.studies.study import Row
from catzoo.zoo.training.chess_player import choices

OPPONENTS = ("chess/random", "chess/greedy", "chess/stockfish-0", "chess/stockfish-3")
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
        rows.append(_row(env, returns))
    return rows


def match(agent: Any, other: Any, games: int, *, name: str, seed: int = 0) -> Row:
    """A match between two agents, such as one and what it was earlier; a row as `ladder` has them.

    Args:
        agent, other: of chess; they play their best moves.
        games: two by two they have one opening and both colours.
        name: of the other one.
        seed: of the openings.
    """
    env, returns = ChessGames(opponent=lambda board: choices(other, board)[0].move), []
    for index in range(games):
        env.reset(seed=None if index else seed)
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.play(choices(agent, env.board)[0].move)
            over = terminated or truncated
        returns.append(reward)
    return _row(name, returns)


def _row(opponent: str, returns: Sequence[float]) -> Row:
    elo, low, high = elo_difference(returns)
    won, lost = (sum(score * side > 0 for score in returns) for side in (1, -1))
    return {
        "opponent": opponent, "games": len(returns), "wins": won, "draws": len(returns) - won - lost,
        "losses": lost, "elo": elo, "elo_low": low, "elo_high": high,
    }  # fmt: skip
