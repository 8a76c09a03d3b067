"""Values of moves from the positions after them: sums of a table's rows, and a small network on each sum.

A row of the table stands for a piece on a square, so that a move changes two of a position's 64 rows, four
where it castles: the idea of NNUE (Nasu 2018), which makes all moves of a position cost little more than one.
It reads what `board_transformer.py` does, and sees less in it: no piece sees another but in the sum.

Legend: B batch, M moves, K outputs per value, F features, S terms of a sum.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catzoo.agents.networks.board_transformer import (
    GLOBALS,
    KING,
    KNIGHT,
    PAWN,
    PIECES,
    ROOK,
    SQUARES,
    THEIR_PAWN,
    BoardTransformer,
    globals_of,
    split,
)
from catzoo.agents.networks.heads import in_float32

PROMOTIONS = (1, 4)
"""The first and the last kind of move that makes another piece of a pawn: a knight, bishop, rook or queen."""


class PieceSquareTable(nn.EmbeddingBag):
    """Rows whose sum over a board is of the size of one number drawn at random."""

    def reset_parameters(self) -> None:
        """Draws the rows anew."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(SQUARES))


class AfterStates(nn.Module):
    """Outputs for each of the moves that come with a board; called as a `BoardTransformer`.

    Args:
        num_outputs: K, from the value loss.
        size: F, numbers of a row of the table.
        num_layers: hidden layers behind it, each a quarter as wide.
        initial_outputs: [K], where the outputs of every move begin; None: wherever a fresh layer has them.
    """

    reads = BoardTransformer.reads

    def __init__(
        self, num_outputs: int, *, size: int = 384, num_layers: int = 2, initial_outputs: Tensor | None = None
    ) -> None:
        super().__init__()
        self.table = PieceSquareTable(SQUARES * PIECES, size, mode="sum")
        self.globals = nn.Linear(GLOBALS, size)
        hidden = max(size // 4, 1)
        widths = [size, *[hidden] * num_layers]
        layers = [(nn.GELU(), nn.Linear(*pair)) for pair in itertools.pairwise(widths)]
        self.body = nn.Sequential(*(module for pair in layers for module in pair), nn.GELU())
        self.last = nn.Linear(widths[-1], num_outputs)
        if initial_outputs is not None:
            with torch.no_grad():
                self.last.bias.copy_(initial_outputs)

    def forward(self, observation: Tensor, move: Tensor | None = None) -> Tensor:
        """Boards [B, 70] and moves [B, M, 3] to outputs [B, M, K]; see `BoardTransformer.forward`."""
        if move is None:
            observation, move = split(observation)
        return in_float32(self.last, self.body(self.sums(observation, move)))

    def sums(self, board: Tensor, move: Tensor) -> Tensor:
        """Of the position after each move: its rows, and what no square shows before the move [B, M, F]."""
        piece_BN = board[:, :SQUARES].long()
        squares_N = torch.arange(SQUARES, device=board.device)
        before_BF = self.table(squares_N * PIECES + piece_BN) + self.globals(globals_of(board))
        row_BMS, sign_BMS = changes(piece_BN, move.long())
        sign_BMS = sign_BMS.to(self.table.weight.dtype)
        if torch.compiler.is_exporting():  # ONNX would go through the bags one by one
            change_BMF = (F.embedding(row_BMS, self.table.weight) * sign_BMS[..., None]).sum(-2)
        else:
            change_XF = self.table(row_BMS.flatten(0, 1), per_sample_weights=sign_BMS.flatten(0, 1))
            change_BMF = change_XF.unflatten(0, row_BMS.shape[:2])
        return before_BF[:, None] + change_BMF


def changes(piece: Tensor, move: Tensor) -> tuple[Tensor, Tensor]:
    """Pieces [B, 64] and moves [B, M, 3] to rows [B, M, 10] and their signs: 1 comes, -1 goes, 0 is no part.

    A square that changes has two terms: what stands there goes, and what will stand there comes. Squares: the
    one that the move leaves, the one that it reaches, the rook's two in castling, and that of a pawn that is
    taken en passant.
    """
    left, reached, kind = move.unbind(-1)
    mover, target = piece.gather(1, left), piece.gather(1, reached)
    promotes = (kind >= PROMOTIONS[0]) & (kind <= PROMOTIONS[1])
    placed = torch.where(promotes, kind + KNIGHT - PROMOTIONS[0], mover)
    across = reached % 8 - left % 8
    castles = (mover == KING) & (across.abs() == 2)
    corner, beside = torch.where(across > 0, left // 8 * 8 + 7, left // 8 * 8), (left + reached) // 2
    passing = (mover == PAWN) & (across != 0) & (target == 0)
    passed, none = left // 8 * 8 + reached % 8, torch.zeros_like(left)
    terms = (
        (left, mover, none, True),
        (reached, target, placed, True),
        (corner, none + ROOK, none, castles),
        (beside, none, none + ROOK, castles),
        (passed, none + THEIR_PAWN, none, passing),
    )
    rows = [square * PIECES + stands for square, old, new, _ in terms for stands in (old, new)]
    signs = [sign * (none + 1) * happens for *_, happens in terms for sign in (-1, 1)]
    return torch.stack(rows, -1), torch.stack(signs, -1)
