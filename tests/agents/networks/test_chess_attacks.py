"""Boards after moves and attackers of squares: those of python-chess."""

import random

import pytest
import torch

from catzoo.agents.networks.chess_attacks import (
    ATTACKERS,
    PIECES,
    RELATIONS,
    SQUARES,
    least_attackers,
    relations,
    squares_after,
)
from positions_for_tests import seen

chess = pytest.importorskip("chess")

POSITIONS = [
    chess.STARTING_FEN,
    "r3k2r/pppq1ppp/2npbn2/2b1p3/2B1P3/2NPBN2/PPPQ1PPP/R3K2R w KQkq - 4 8",  # both castle both ways
    "r3k2r/pppq1ppp/2npbn2/2b1p3/2B1P3/2NPBN2/PPPQ1PPP/R3K2R b KQkq - 4 8",
    "rnbqkbnr/ppp1p1pp/8/3pPp2/8/8/PPPP1PPP/RNBQKBNR w KQkq f6 0 3",  # en passant
    "rnbqkbnr/pppp1ppp/8/8/3Pp3/8/PPP1PPPP/RNBQKBNR b KQkq d3 0 3",
    "1n5k/P1P5/8/8/8/8/p6K/1N6 w - - 0 1",  # promotions, some that take
    "1n5k/P1P5/8/8/8/8/p6K/1N6 b - - 0 1",
    "Q6Q/8/2k5/8/5K2/8/8/q6q w - - 0 1",  # along all edges, from all corners
]
LEAST = {chess.PAWN: 1, chess.KNIGHT: 2, chess.BISHOP: 2, chess.ROOK: 3, chess.QUEEN: 4, chess.KING: 5}


def placed(board, mover):
    """What stands on each square [64], as `mover` sees it."""
    piece = torch.zeros(SQUARES, dtype=torch.long)
    for square, stands in board.piece_map().items():
        piece[square ^ mirror(mover)] = stands.piece_type + (0 if stands.color == mover else 6)
    return piece


def mirror(mover):
    return 0 if mover else 56


def played(seed):
    """A position after random moves."""
    board, draw = chess.Board(), random.Random(seed)
    for _ in range(draw.randint(1, 150)):
        if board.is_game_over():
            break
        board.push(draw.choice(list(board.legal_moves)))
    return board.fen()


@pytest.mark.parametrize("fen", [*POSITIONS, *map(played, range(12))])
def test_after_a_move_the_board_and_the_attackers_are_those_of_the_rules(fen):
    board = chess.Board(fen)
    tokens, moves, own = seen(board)
    boards = squares_after(tokens[:, :SQUARES], moves)[0]
    least, beside = least_attackers(boards)
    for row, move in enumerate(own):
        after = board.copy()
        after.push(move)
        assert torch.equal(boards[row], placed(after, board.turn)), move
        for side, color in enumerate((board.turn, not board.turn)):
            attackers = [
                [after.piece_type_at(square) for square in after.attackers(color, to ^ mirror(board.turn))]
                for to in range(SQUARES)
            ]
            expected = [min((LEAST[kind] for kind in kinds), default=0) for kinds in attackers]
            assert least[row, side].tolist() == expected, move
            assert beside[row, side].tolist() == [int(chess.KING in kinds) for kinds in attackers], move


def test_a_relation_says_what_stands_there_who_attacks_and_which_king_is_near():
    piece, _, _ = seen(chess.Board("6k1/8/8/8/8/8/3P4/4K3 w - - 0 1"))
    (found,) = relations(piece[:, :SQUARES].long())

    def at(name):
        number, parts = int(found[chess.parse_square(name)]), []
        for base in (3, ATTACKERS, ATTACKERS):
            number, part = divmod(number, base)
            parts.append(part)
        return number, *parts[::-1]

    assert at("d2") == (chess.PAWN, 5, 0, 2)  # its king attacks it and is beside it
    assert at("c3") == (0, 1, 0, 0)
    assert at("g7") == (0, 0, 5, 1)
    assert at("a8") == (0, 0, 0, 0)
    assert int(found.max()) < RELATIONS == PIECES * ATTACKERS**2 * 3


def test_padding_and_nonsense_are_boards_too():
    """Moves that are padding, and boards that no game has: several kings, none, nothing."""
    torch.manual_seed(0)
    piece = torch.randint(0, PIECES, (50, SQUARES))
    after = squares_after(piece, torch.zeros(50, 2, 3, dtype=torch.uint8))
    assert torch.equal(after, piece[:, None].expand(-1, 2, -1))
    for boards in (piece, torch.zeros_like(piece)):
        found = relations(boards)
        assert found.min() >= 0
        assert found.max() < RELATIONS
