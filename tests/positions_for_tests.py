"""Chess positions for tests: random boards with moves, whose values are known, and one of the rules'."""

import numpy as np
import torch

from catzoo.agents.networks.board_transformer import BOARD
from catzoo.agents.replay import write_dataset


def random_positions(number, seed=0, most=40):
    """Columns of a dataset of positions; a move's value is that of the square that it reaches."""
    random = np.random.default_rng(seed)
    board = random.integers(0, 13, (number, BOARD)).astype(np.uint8)
    board[:, 64:] = random.integers(0, 2, (number, BOARD - 64))
    lengths = random.integers(1, most, number)
    move = np.zeros((lengths.sum(), 3), np.uint8)
    move[:, 0] = random.integers(0, 64, len(move))
    move[:, 1] = (move[:, 0] + random.integers(1, 64, len(move))) % 64
    value = (move[:, 1] / 63).astype(np.float32)
    columns = {
        "board": board,
        "offset": lengths.cumsum().astype(np.int64),
        "move": move,
        "value": value,
        "game": np.arange(number, dtype=np.int32) // 3,
    }
    return {name: torch.from_numpy(column) for name, column in columns.items()}


def written_positions(folder, number, seed=0, **about):
    """The same as a dataset."""
    columns = random_positions(number, seed)
    return write_dataset(folder, "positions", columns, {"env": "chess", **about}, ragged=("move", "value"))


def seen(board):
    """A board of python-chess and its legal moves as an agent sees them, and its moves as they are there."""
    from catzoo.zoo.environments.chess_board import board_tokens, legal_moves

    moves, own = legal_moves(board, marked=False)
    return torch.from_numpy(board_tokens(board))[None], torch.from_numpy(moves)[None], own
