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
    """All legal moves, the agent's best first; a move that repeats a position of the game is worth a draw."""
    moves, own = legal_moves(board)
    if not own:
        return []
    observation = observation_of(board_tokens(board), moves)[None]
    device = next(agent.parameters()).device
    values = agent.values(torch.from_numpy(observation).to(device))[0, : len(own)].tolist()
    found = [Choice(move, value) for move, value in zip(own, values, strict=True)]
    return sorted(found, key=lambda choice: -choice.value)
