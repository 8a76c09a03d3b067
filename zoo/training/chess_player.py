"""A trained agent at a chess board of python-chess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from catzoo.zoo.environments.chess_board import board_tokens, legal_moves, observation_of

if TYPE_CHECKING:
    import chess


class Choice(NamedTuple):
    """A legal move, and the agent's chance to win with it."""

    move: chess.Move
    value: float


@torch.no_grad()
def choices(agent: Any, board: chess.Board) -> list[Choice]:
    """All legal moves, in the order in which the agent would play them; one that draws is worth 0.5."""
    moves, own = legal_moves(board)
    if not own:
        return []
    observation = observation_of(board_tokens(board), moves)[None]
    device = next(agent.parameters()).device
    value_1M, order_1M = agent.ranking(torch.from_numpy(observation).to(device))
    values, order = value_1M[0].tolist(), order_1M[0, : len(own)].tolist()
    return [Choice(own[index], values[index]) for index in order]
