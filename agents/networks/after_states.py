"""Values of moves from the positions after them: sums of a table's rows, and a small network on each sum.

A square has two rows: one of what stands there, and one, the same wherever the square is, of what stands
there, who attacks it and whether it is beside a king (`chess_attacks.py`). So pieces that hang, and kings
that have nowhere to go, are seen at once. The sum is the idea of NNUE (Nasu 2018). It reads what
`board_transformer.py` does.

Legend: B batch, M moves, K outputs per value, F features, N = 64 squares.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from catzoo.agents.networks.board_transformer import GLOBALS, BoardTransformer, globals_of, split
from catzoo.agents.networks.chess_attacks import PIECES, RELATIONS, SQUARES, relations, squares_after
from catzoo.agents.networks.heads import in_float32


class SquareTable(nn.EmbeddingBag):
    """Rows whose sum over a board is of the size of one number drawn at random."""

    def reset_parameters(self) -> None:
        """Draws the rows anew."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(2 * SQUARES))


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
        self.table = SquareTable(SQUARES * PIECES + RELATIONS, size, mode="sum")
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
        after_XN = squares_after(board[:, :SQUARES], move).flatten(0, 1)
        squares_N = torch.arange(SQUARES, device=board.device)
        row_XR = torch.cat([squares_N * PIECES + after_XN, SQUARES * PIECES + relations(after_XN)], 1)
        return self._bag(row_XR).unflatten(0, move.shape[:2]) + self.globals(globals_of(board))[:, None]

    def _bag(self, row_XR: Tensor) -> Tensor:
        if not torch.compiler.is_exporting():
            return self.table(row_XR)
        # ONNX would go through the bags one by one; and all rows at once are 43 MB a position.
        parts = row_XR.split(16, dim=1)
        return torch.stack([nn.functional.embedding(part, self.table.weight).sum(1) for part in parts]).sum(0)
