"""What an agent sees of a position: the same from both sides, every legal move once, in one order."""

import random

import numpy as np
import pytest

from catzoo.zoo.environments.chess_board import (
    BOARD,
    DRAWS,
    MAX_MOVES,
    board_tokens,
    is_drawn,
    legal_moves,
    observation_of,
)

chess = pytest.importorskip("chess")


def positions(number, seed=0):
    """Boards of random games."""
    draw, found = random.Random(seed), []
    while len(found) < number:
        board = chess.Board()
        while not board.is_game_over() and board.ply() < 120:
            board.push(draw.choice(list(board.legal_moves)))
            if draw.random() < 0.2:
                found.append(board.copy(stack=False))
    return found[:number]


def test_a_position_and_its_mirror_image_look_the_same():
    for board in positions(150):
        other = board.mirror()
        assert np.array_equal(board_tokens(board), board_tokens(other))
        moves, own = legal_moves(board)
        mirrored, others = legal_moves(other)
        assert np.array_equal(moves, mirrored)
        for move, image in zip(own, others, strict=True):
            assert (move.from_square ^ 56, move.to_square ^ 56) == (image.from_square, image.to_square)
            assert move.promotion == image.promotion


def test_every_legal_move_is_there_once_and_in_order():
    for board in positions(60, seed=1):
        moves, own = legal_moves(board)
        assert set(own) == set(board.legal_moves)
        assert len(own) == board.legal_moves.count()
        plain, same = legal_moves(board, marked=False)
        assert own == same
        assert [tuple(row) for row in plain] == sorted({tuple(row) for row in plain})
        assert np.array_equal(moves[:, :2], plain[:, :2])


def test_what_stands_where_and_the_rest_of_the_fen():
    tokens = board_tokens(chess.Board("r3k2r/8/8/3pP3/8/8/8/R3K2R w Kq d6 7 9"))
    assert tokens[[0, 4, 7, 35, 36]].tolist() == [4, 6, 4, 7, 1]
    assert tokens[[56, 60, 63]].tolist() == [10, 12, 10]
    assert tokens[64:].tolist() == [1, 0, 0, 1, 4, 7]
    black = board_tokens(chess.Board("4k3/8/8/8/8/8/4P3/4K2R b K - 120 90"))
    assert black[64:].tolist() == [0, 0, 1, 0, 0, 100]
    assert black[[4, 60, 52, 63]].tolist() == [6, 12, 7, 10]


def test_promotions_are_told_apart_on_both_sides():
    for fen in ("8/P6k/8/8/8/8/8/K7 w - - 0 1", "k7/8/8/8/8/8/p6K/8 b - - 0 1"):
        moves, own = legal_moves(chess.Board(fen), marked=False)
        kinds = {move.promotion: row[2] for row, move in zip(moves, own, strict=True) if move.promotion}
        assert kinds == {chess.KNIGHT: 1, chess.BISHOP: 2, chess.ROOK: 3, chess.QUEEN: 4}
        assert all(row[:2].tolist() == [48, 56] for row in moves if row[2])


def test_a_move_that_brings_a_position_back_is_marked():
    board = chess.Board()
    for move in ("g1f3", "g8f6", "f3g1"):
        board.push_uci(move)
    moves, own = legal_moves(board)
    marked = [move.uci() for row, move in zip(moves, own, strict=True) if row[2] == DRAWS]
    assert marked == ["f6g8"]
    assert not (legal_moves(board, marked=False)[0][:, 2] == DRAWS).any()
    assert not is_drawn(board)
    for move in ("f6g8", "g1f3", "g8f6", "f3g1", "f6g8"):
        board.push_uci(move)
    assert is_drawn(board)


def test_a_move_that_ends_in_a_draw_is_marked_and_one_that_mates_is_not():
    moves, own = legal_moves(chess.Board("7k/8/6K1/8/8/8/8/5Q2 w - - 0 1"))
    marked = {move.uci() for row, move in zip(moves, own, strict=True) if row[2] == DRAWS}
    assert marked == {"f1f7", "f1c4"}  # stalemates
    assert chess.Move.from_uci("f1f8") in own


def test_a_mate_with_the_hundredth_half_move_of_nothing_is_no_draw():
    moves, own = legal_moves(chess.Board("k7/8/1K6/8/8/8/8/7R w - - 99 80"))
    drawn = {move.uci(): row[2] == DRAWS for row, move in zip(moves, own, strict=True)}
    assert not drawn.pop("h1h8")
    assert all(drawn.values())


def test_a_promotion_that_draws_stands_where_it_would():
    board = chess.Board("8/P6k/8/8/8/8/8/K7 w - - 0 1")  # a knight or a bishop cannot win
    moves, own = legal_moves(board)
    kinds = [(move.promotion, row[2]) for row, move in zip(moves, own, strict=True) if move.promotion]
    assert kinds == [(chess.KNIGHT, DRAWS), (chess.BISHOP, DRAWS), (chess.ROOK, 3), (chess.QUEEN, 4)]


def test_the_largest_position_fits():
    board = chess.Board("R6R/3Q4/1Q4Q1/4Q3/2Q4Q/Q4Q2/pp1Q4/kBNN1KB1 w - - 0 1")
    moves, own = legal_moves(board)
    assert len(own) == MAX_MOVES
    observation = observation_of(board_tokens(board), moves)
    assert observation.shape == (BOARD + 3 * MAX_MOVES,)
    assert np.array_equal(observation[BOARD:].reshape(-1, 3), moves)


def test_draws_by_the_rules():
    assert is_drawn(chess.Board("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1"))
    assert is_drawn(chess.Board("7k/8/6K1/8/8/8/8/8 w - - 0 1"))
    assert is_drawn(chess.Board("7k/8/6K1/8/8/8/8/R7 w - - 100 99"))
    assert not is_drawn(chess.Board("7k/8/6K1/8/8/8/8/R7 w - - 99 99"))
