"""What follows from how chess pieces move: the board after each move, and who attacks which square.

A bitboard is an int64 whose bit s is square s, so that all boards of a batch are shifted at once; sliders go
on in doubled steps (Kogge-Stone).

Legend: B batch, M moves, X boards, N = 64 squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SQUARES, PIECES = 64, 13
"""Squares, a1, b1 … h8; and what may stand on one: nothing, one's own from pawn to king, theirs."""
PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(1, 7)
THEIRS = 6
"""How far their pieces stand behind one's own."""
PROMOTIONS = (1, 4)
"""The first and the last kind of move that makes another piece of a pawn: a knight, bishop, rook or queen."""
ATTACKERS = 6
"""The least attacker of a square: none, pawn, knight or bishop, rook, queen, king."""
RELATIONS = PIECES * ATTACKERS * ATTACKERS * 3
"""What a square may be, see `relations`."""

_Way = tuple[int, int]
"""Files and ranks that a step goes."""
LINES: Sequence[_Way] = ((0, 1), (0, -1), (1, 0), (-1, 0))
DIAGONALS: Sequence[_Way] = ((1, 1), (1, -1), (-1, 1), (-1, -1))
JUMPS: Sequence[_Way] = ((1, 2), (2, 1), (-1, 2), (-2, 1), (1, -2), (2, -1), (-1, -2), (-2, -1))
FORWARD: Sequence[_Way] = ((1, 1), (-1, 1))
"""Where one's own pawns take; theirs take backward."""
BACKWARD: Sequence[_Way] = ((1, -1), (-1, -1))
FILE = sum(1 << 8 * rank for rank in range(8))
"""The first file as a bitboard."""


def squares_after(piece_BN: Tensor, move_BM3: Tensor) -> Tensor:
    """What stands on each square after each move, int64 [B, M, 64]; all are still seen by who moved.

    Castling moves the rook, a pawn taken in passing goes, and one that arrives becomes what its kind says: a
    promotion that draws stays a pawn, since its value is never asked for.

    Args:
        piece_BN: what stands on the squares before.
        move_BM3: the square that is left, the one that is reached, and the kind (`board_transformer.py`).
    """
    piece_BN = piece_BN.long()
    left, reached, kind = move_BM3.long().unbind(-1)
    mover, target, none = piece_BN.gather(1, left), piece_BN.gather(1, reached), torch.zeros_like(left)
    promotes = (kind >= PROMOTIONS[0]) & (kind <= PROMOTIONS[1])
    placed = torch.where(promotes, kind + KNIGHT - PROMOTIONS[0], mover)
    across = reached % 8 - left % 8
    castles = (mover == KING) & (across.abs() == 2)
    passing = (mover == PAWN) & (across != 0) & (target == 0)
    corner, passed = left // 8 * 8 + 7 * (across > 0), left // 8 * 8 + reached % 8
    squares = (
        # What does not happen is written where the mover leaves, and overwritten.
        (torch.where(castles, corner, left), none),
        (torch.where(castles, (left + reached) // 2, left), ROOK * castles),
        (torch.where(passing, passed, left), none),
        (left, none),
        (reached, placed),
    )
    after_BMN = piece_BN[:, None].expand(-1, left.shape[1], -1)
    for square, stands in squares:
        after_BMN = after_BMN.scatter(2, square[..., None], stands[..., None])
    return after_BMN


def relations(piece_XN: Tensor) -> Tensor:
    """What each square [X, 64] is, by what stands there, who attacks it and whether a king is beside it.

    Args:
        piece_XN: what stands on the squares, int64.

    Returns:
        int64 [X, 64] below `RELATIONS`: ((piece x own least attacker) x theirs) x king, where king is 1
        beside theirs, else 2 beside one's own, else 0. Pieces that are pinned attack.
    """
    attacker_X2N, beside_X2N = least_attackers(piece_XN)
    own, theirs = attacker_X2N.unbind(1)
    king = torch.where(beside_X2N[:, 1] > 0, 1, 2 * beside_X2N[:, 0])
    return ((piece_XN * ATTACKERS + own) * ATTACKERS + theirs) * 3 + king


def least_attackers(piece_XN: Tensor) -> tuple[Tensor, Tensor]:
    """Of one's own and their attackers of each square the least, below `ATTACKERS`; 1 beside a side's king.

    Args:
        piece_XN: what stands on the squares, int64 [X, 64].

    Returns:
        Two int64 [X, 2, 64], sides in the order own, theirs.
    """
    square_N = torch.arange(SQUARES, device=piece_XN.device)
    count, bit_N = piece_XN.shape[0], 1 << square_N  # a graph takes `len` as a constant
    boards_XP = piece_XN.new_zeros(count, PIECES).scatter_add(1, piece_XN, bit_N.expand_as(piece_XN))
    empty_X1 = boards_XP[:, :1]
    pawns, knights, bishops, rooks, queens, kings = boards_XP[:, 1:].unflatten(1, (2, THEIRS)).unbind(-1)
    pawns = torch.stack([_jumped(pawns[:, 0], FORWARD), _jumped(pawns[:, 1], BACKWARD)], 1)
    minors = _slid(bishops, empty_X1, DIAGONALS) | _jumped(knights, JUMPS)
    rooks = _slid(rooks, empty_X1, LINES)
    queens = _slid(queens, empty_X1, [*LINES, *DIAGONALS])
    kings = _jumped(kings, [*LINES, *DIAGONALS])
    least_X2N = torch.zeros_like(_bits(kings, square_N))
    # From the strongest to the weakest, so that the least has the last word.
    for number, attacked in reversed([*enumerate((pawns, minors, rooks, queens, kings), 1)]):
        least_X2N = torch.where(_bits(attacked, square_N) > 0, number, least_X2N)
    return least_X2N, _bits(kings, square_N)


def _bits(board: Tensor, square_N: Tensor) -> Tensor:
    """Bitboards [...] as 0 and 1 [..., 64]."""
    return torch.bitwise_right_shift(board[..., None], square_N) & 1  # ONNX has no `>>` of two tensors


def _signed(board: int) -> int:
    """A bitboard as int64 has it."""
    return board - (1 << SQUARES) if board >> (SQUARES - 1) else board


def _shifted(board: Tensor, squares: int) -> Tensor:
    """Bitboards moved up by so many squares, or down."""
    if squares > 0:
        return board << squares
    return (board >> -squares) & ((1 << (SQUARES + squares)) - 1)  # `>>` repeats the sign, which is h8


def _landing(way: _Way) -> int:
    """The squares that a step of this way can reach without leaving the board sideways."""
    files = [file for file in range(8) if 0 <= file - way[0] < 8]
    return _signed(sum(FILE << file for file in files))


def _jumped(board: Tensor, ways: Sequence[_Way]) -> Tensor:
    """What pieces attack that go one step."""
    found = torch.zeros_like(board)
    for way in ways:
        found = found | (_shifted(board, way[0] + 8 * way[1]) & _landing(way))
    return found


def _slid(board: Tensor, empty: Tensor, ways: Sequence[_Way]) -> Tensor:
    """What pieces attack that go on until something stands in the way."""
    found = torch.zeros_like(board)
    for way in ways:
        step, free, reached = way[0] + 8 * way[1], empty & _landing(way), board
        for far in (1, 2, 4):
            reached = reached | (free & _shifted(reached, far * step))
            free = free & _shifted(free, far * step)
        found = found | (_shifted(reached, step) & _landing(way))
    return found
