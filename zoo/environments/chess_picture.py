"""A chess board, drawn or in letters."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import chess
    from PIL.ImageFont import FreeTypeFont

SQUARE = 60
"""Pixels of a square."""
LIGHT, DARK, MOVED = (236, 219, 185), (174, 137, 104), (222, 196, 92)
SHAPES = " ♟♞♝♜♛♚"
"""Of pieces, as filled as black ones are; white ones are these in white."""


def draw_board(board: chess.Board, *, white_below: bool = True) -> np.ndarray:
    """The board [480, 480, 3], uint8, with the squares of the last move marked."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (8 * SQUARE, 8 * SQUARE))
    pen, font = ImageDraw.Draw(image), _font()
    last = board.peek() if board.move_stack else None
    for square in range(64):
        file, rank = square % 8, square // 8
        left, top = (file, 7 - rank) if white_below else (7 - file, rank)
        corner = (left * SQUARE, top * SQUARE)
        pen.rectangle((*corner, corner[0] + SQUARE - 1, corner[1] + SQUARE - 1), fill=_ground(square, last))
        piece = board.piece_at(square)
        if piece is not None:
            fill, edge = ((250, 250, 250), (40, 40, 40)) if piece.color else ((30, 30, 30), (225, 225, 225))
            middle = (corner[0] + SQUARE / 2, corner[1] + SQUARE / 2)
            pen.text(middle, SHAPES[piece.piece_type], fill, font, "mm", stroke_width=1, stroke_fill=edge)
    return np.asarray(image).copy()


def write_board(board: chess.Board, *, white_below: bool = True) -> str:
    """The board in lines of text: White's pieces in capital letters, Black's in small ones."""
    ranks = range(7, -1, -1) if white_below else range(8)
    files = range(8) if white_below else range(7, -1, -1)
    lines = [f"{rank + 1}  " + " ".join(_letter(board, 8 * rank + file) for file in files) for rank in ranks]
    return "\n".join([*lines, "", "   " + " ".join("abcdefgh"[file] for file in files)])


def board_in_terminal(board: chess.Board, *, white_below: bool = True) -> str:
    """The board in colours for a terminal, with the squares of the last move marked."""
    last = board.peek() if board.move_stack else None
    ranks = range(7, -1, -1) if white_below else range(8)
    files = range(8) if white_below else range(7, -1, -1)
    lines = []
    for rank in ranks:
        cells = []
        for file in files:
            square = 8 * rank + file
            piece, color = board.piece_at(square), _ground(square, last)
            ink = 97 if piece is not None and piece.color else 30
            shape = " " if piece is None else SHAPES[piece.piece_type]
            cells.append(f"\033[{ink};48;2;{color[0]};{color[1]};{color[2]}m {shape} \033[0m")
        lines.append(f"{rank + 1} " + "".join(cells))
    return "\n".join([*lines, "   " + "  ".join("abcdefgh"[file] for file in files)])


def _ground(square: int, last: chess.Move | None) -> tuple[int, int, int]:
    """The colour of a square."""
    if last is not None and square in (last.from_square, last.to_square):
        return MOVED
    return LIGHT if (square % 8 + square // 8) % 2 else DARK


def _letter(board: chess.Board, square: int) -> str:
    piece = board.piece_at(square)
    return "." if piece is None else piece.symbol()


@cache
def _font() -> FreeTypeFont:
    """Matplotlib's, which has chess pieces."""
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), int(0.85 * SQUARE))
