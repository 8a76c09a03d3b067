"""A transformer over the squares of a chess board that scores every legal move in one pass.

What it reads is described in `zoo/environments/chess_board.py`. The network of Ruoss et al. 2024 (arXiv
2402.04494) reads a position's FEN and one move, 79 tokens a pass; this one has a token for each square and
scores all moves at once, which costs a thirtieth. Each head of each layer has a learned bias for every pair
of squares, which begins with how pieces move.

Legend: B batch, M moves, K outputs per value, N = 64 squares, D model size, H heads, F features.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from catzoo.agents.networks.attention import AttentionBlock, Positions
from catzoo.agents.networks.chess_attacks import PIECES, SQUARES
from catzoo.agents.networks.heads import in_float32

BOARD, MOVE = 70, 3
"""Bytes of a board, and of a move."""
OBSERVATION = (BOARD + 218 * MOVE,)
"""The shape of an environment's observations: no position has more than 218 moves."""
KINDS = 6
"""Of moves: ordinary, four promotions, and those that draw."""
GLOBALS = 4 + 9 + 1
"""Numbers that say what no square shows: castling, the file of an en passant, the clock."""
BEGINNING = 3.0
"""Where a head's bias begins for pairs of squares that its piece connects."""


class BoardTransformer(nn.Module):
    """Outputs for each of the moves that come with a board.

    Args:
        num_outputs: K, from the value loss.
        size: D, a multiple of `num_heads`.
        num_layers, num_heads: of the transformer.
        geometry: whether attention begins with how pieces move; else its biases begin at zero.
        initial_outputs: [K], where the outputs of every move begin; None: wherever a fresh layer has them.

    Raises:
        ValueError: heads that do not divide the size.
    """

    reads: ClassVar = {
        "board": ((BOARD,), 0, [PIECES - 1] * SQUARES + [1] * 4 + [8, 100]),
        "move": ((MOVE,), 0, [SQUARES - 1, SQUARES - 1, KINDS - 1]),
    }
    """Of a dataset's columns, by name: the shape of a row, and the least and the largest of each number."""

    def __init__(
        self,
        num_outputs: int,
        *,
        size: int = 64,
        num_layers: int = 4,
        num_heads: int = 8,
        geometry: bool = True,
        initial_outputs: Tensor | None = None,
    ) -> None:
        super().__init__()
        if size % num_heads:
            raise ValueError(f"network.num_heads={num_heads} must divide network.size={size}")
        self.pieces = nn.Embedding(PIECES, size)
        self.globals = nn.Linear(GLOBALS, size)
        self.positions = Positions(SQUARES, size)
        self.blocks = nn.ModuleList(AttentionBlock(size, num_heads) for _ in range(num_layers))
        bias_HNN = geometry_bias(num_heads) if geometry else torch.zeros(num_heads, SQUARES, SQUARES)
        self.biases = nn.ParameterList(nn.Parameter(bias_HNN.clone()) for _ in range(num_layers))
        self.norm = nn.LayerNorm(size)
        hidden = 2 * size
        self.leaving, self.reaching = (nn.Linear(size, hidden, bias=False) for _ in range(2))
        self.whole, self.kinds = nn.Linear(size, hidden), nn.Embedding(KINDS, hidden)
        self.head = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.last = nn.Linear(hidden, num_outputs)
        if initial_outputs is not None:
            with torch.no_grad():
                self.last.bias.copy_(initial_outputs)

    def forward(self, observation: Tensor, move: Tensor | None = None) -> Tensor:
        """Boards [B, 70] and moves [B, M, 3] to outputs [B, M, K], in float32 under autocast too.

        Without moves, observations [B, 70 + 3 M] have them behind the board. Bytes of any dtype.
        """
        if move is None:
            observation, move = split(observation)
        return in_float32(self.last, self.features(observation, move))

    def features(self, board: Tensor, move: Tensor) -> Tensor:
        """Boards [B, 70] and moves [B, M, 3] to what the last layer sees of each move, [B, M, F]."""
        x_BND = self.pieces(board[:, :SQUARES].long()) + self.globals(globals_of(board))[:, None]
        x_BND = self.positions(x_BND)
        for block, bias_HNN in zip(self.blocks, self.biases, strict=True):
            x_BND = block(x_BND, bias_HNN)
        x_BND = self.norm(x_BND)
        # Chosen by a product, not by an index, whose gradient would be summed in any order on a GPU.
        squares = torch.arange(SQUARES, device=board.device)
        from_BMN, to_BMN = ((move[..., i, None] == squares).to(x_BND.dtype) for i in (0, 1))
        x_BMF = from_BMN @ self.leaving(x_BND) + to_BMN @ self.reaching(x_BND)
        x_BMF = x_BMF + self.kinds(move[..., 2].long()) + self.whole(x_BND.mean(1))[:, None]
        return self.head(x_BMF)


def split(observation: Tensor) -> tuple[Tensor, Tensor]:
    """Observations [B, 70 + 3 M] to boards [B, 70] and moves [B, M, 3]."""
    return observation[:, :BOARD], observation[:, BOARD:].unflatten(1, (-1, MOVE))


def flat(board: Tensor, move: Tensor) -> Tensor:
    """Boards [B, 70] and moves [B, M, 3] to observations [B, 70 + 3 M]; `split` undoes it."""
    return torch.cat([board, move.flatten(1)], dim=1)


def is_move(move: Tensor) -> Tensor:
    """Which of moves [..., 3] are no padding, bool [...]."""
    return move[..., 0] != move[..., 1]


def globals_of(board: Tensor) -> Tensor:
    """What no square shows [B, 14], within 0 and 1."""
    files = torch.arange(9, device=board.device)
    parts = board[:, 64:68], board[:, 68:69] == files, board[:, 69:70] / 100
    return torch.cat([part.float() for part in parts], dim=1)


def geometry_bias(num_heads: int) -> Tensor:
    """Where the biases of heads begin [H, 64, 64]: `BEGINNING` for pairs that a piece connects, else 0.

    Heads have in turn: rank or file, diagonal, knight's move, king's move, both diagonals and lines, the
    square itself, the squares that a pawn attacks, and nothing.
    """
    square = torch.arange(SQUARES)
    file, rank = square % 8, square // 8
    across, up = file - file[:, None], rank - rank[:, None]
    wide, high = across.abs(), up.abs()
    other = wide + high > 0
    rook, bishop = ((wide == 0) | (high == 0)) & other, (wide == high) & other
    knight, king = (wide * high) == 2, (torch.maximum(wide, high) == 1)
    pawn = (wide == 1) & (up == 1)
    patterns = (rook, bishop, knight, king, rook | bishop, ~other, pawn, torch.zeros_like(pawn))
    return BEGINNING * torch.stack([patterns[head % len(patterns)] for head in range(num_heads)]).float()
