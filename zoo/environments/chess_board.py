"""What an agent sees of a chess position, so that it needs no rules: the board, and the legal moves.

The side to move always plays up the board as White does: for Black the ranks are mirrored and the colours
swapped. A position and its mirror image look the same, and have the same moves in the same order.

An observation is one row of bytes: the board [70], then a list of moves [218, 3], most of it padding.

| bytes | meaning |
|---|---|
| 0–63 | what stands on a1, b1 … h8: 0 nothing, 1–6 own pawn, knight, bishop, rook, queen, king, 7–12 theirs |
| 64–67 | 1 where castling is not lost: own king's side, own queen's side, theirs, theirs |
| 68 | the file, 1–8, of a pawn that may be taken en passant; 0: none |
| 69 | half-moves since a pawn moved or something was taken, at most 100: at 100 it is a draw |
| 70 … | for each legal move the square that it leaves, the square that it reaches, and its kind |

A move's kind is 0, or 1–4 where a pawn becomes a knight, bishop, rook or queen, or 5 where the game is drawn
after it, or the position has been on the board before. Padding has two equal squares, as no move has. Moves
are in the order of their squares, and then of what a pawn becomes.

The rules are python-chess's (GPL-3), which is imported when they are needed.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from catzoo.hparams import RecipeError

if TYPE_CHECKING:
    import chess

BOARD = 70
"""Bytes of a board."""
MAX_MOVES = 218
"""Legal moves of a position, at most (Petrović 1964)."""
MOVE = 3
"""Bytes of a move."""
DRAWS = 5
"""Kind of a move after which the game is drawn, or a position comes back."""


def import_chess() -> ModuleType:
    """python-chess; RecipeError where it is not installed."""
    try:
        import chess
    except ImportError:
        raise RecipeError("python-chess is not installed: pip install 'catzoo[chess]' (GPL-3)") from None
    return chess


def board_tokens(board: chess.Board) -> np.ndarray:
    """A position as the side to move sees it: uint8 [70]."""
    mover, mirror = board.turn, 0 if board.turn else 56
    tokens = np.zeros(BOARD, np.uint8)
    for square, piece in board.piece_map().items():
        tokens[square ^ mirror] = piece.piece_type + (0 if piece.color == mover else 6)
    tokens[64:68] = [
        side(color)
        for color in (mover, not mover)
        for side in (board.has_kingside_castling_rights, board.has_queenside_castling_rights)
    ]
    tokens[68] = board.ep_square % 8 + 1 if board.has_legal_en_passant() else 0
    tokens[69] = min(board.halfmove_clock, 100)
    return tokens


def legal_moves(board: chess.Board, *, marked: bool = True) -> tuple[np.ndarray, list[chess.Move]]:
    """The legal moves as the side to move sees them, uint8 [M, 3], and the same for python-chess.

    `marked`: whether those that draw are marked, which takes the board's past and costs a millisecond.
    """
    mirror = 0 if board.turn else 56
    rows = sorted(
        ((move.from_square ^ mirror, move.to_square ^ mirror, _promotion(move)), index, move)
        for index, move in enumerate(board.legal_moves)
    )
    moves, own = np.array([row for row, _, _ in rows], np.uint8).reshape(-1, MOVE), [row[2] for row in rows]
    if marked:  # only now: what draws stands where it would without a mark
        moves[[_draws(board, move) for move in own], 2] = DRAWS
    return moves, own


def observation_of(tokens: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """A board [70] and its moves [M, 3] as one observation, uint8 [724]."""
    observation = np.zeros(BOARD + MAX_MOVES * MOVE, np.uint8)
    observation[:BOARD] = tokens
    observation[BOARD : BOARD + moves.size] = moves.reshape(-1)
    return observation


def is_drawn(board: chess.Board) -> bool:
    """Whether the game is a draw now: stalemate, too few pieces, the third time, or 50 moves of nothing."""
    return (
        board.is_stalemate()
        or board.is_insufficient_material()
        or board.halfmove_clock >= 100
        or board.is_repetition(3)
    )


def _promotion(move: chess.Move) -> int:
    return move.promotion - 1 if move.promotion else 0


def _draws(board: chess.Board, move: chess.Move) -> bool:
    board.push(move)
    # Mate comes first, even with the hundredth half-move of nothing.
    draws = not board.is_checkmate() and (board.is_repetition(2) or is_drawn(board))
    board.pop()
    return draws
