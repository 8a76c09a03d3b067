"""Sums for the positions after each move: those of the rules, with castling, en passant and promotions."""

import pytest
import torch

from catzoo.agents.networks.after_states import AfterStates
from catzoo.agents.networks.board_transformer import PIECES, SQUARES, flat, globals_of
from catzoo.losses import make_value_loss

chess = pytest.importorskip("chess")

POSITIONS = [
    chess.STARTING_FEN,
    "r3k2r/pppq1ppp/2npbn2/2b1p3/2B1P3/2NPBN2/PPPQ1PPP/R3K2R w KQkq - 4 8",  # both castle both ways
    "r3k2r/pppq1ppp/2npbn2/2b1p3/2B1P3/2NPBN2/PPPQ1PPP/R3K2R b KQkq - 4 8",
    "rnbqkbnr/ppp1p1pp/8/3pPp2/8/8/PPPP1PPP/RNBQKBNR w KQkq f6 0 3",  # en passant
    "rnbqkbnr/pppp1ppp/8/8/3Pp3/8/PPP1PPPP/RNBQKBNR b KQkq d3 0 3",
    "1n5k/P1P5/8/8/8/8/p6K/1N6 w - - 0 1",  # promotions, some that take
    "1n5k/P1P5/8/8/8/8/p6K/1N6 b - - 0 1",
]


def seen(board):
    """A position and its legal moves as an agent sees them, and as python-chess has them."""
    from catzoo.zoo.environments.chess_board import board_tokens, legal_moves

    moves, own = legal_moves(board, marked=False)
    return torch.from_numpy(board_tokens(board))[None], torch.from_numpy(moves)[None], own


def placed(board, mover):
    """What stands on each square [64], as `mover` sees it."""
    mirror = 0 if mover else 56
    piece = torch.zeros(SQUARES, dtype=torch.long)
    for square, stands in board.piece_map().items():
        piece[square ^ mirror] = stands.piece_type + (0 if stands.color == mover else 6)
    return piece


@pytest.mark.parametrize("fen", POSITIONS)
def test_sums_are_those_of_the_positions_that_the_rules_lead_to(fen):
    torch.manual_seed(0)
    network = AfterStates(3, size=8)
    board = chess.Board(fen)
    tokens, moves, own = seen(board)
    sums = network.sums(tokens, moves)[0] - network.globals(globals_of(tokens))
    for move, found in zip(own, sums, strict=True):
        after = board.copy()
        after.push(move)
        rows = torch.arange(SQUARES) * PIECES + placed(after, board.turn)
        assert torch.allclose(found, network.table.weight[rows].sum(0), atol=1e-5), move


def test_it_is_called_as_the_transformer_and_begins_where_it_is_told_to():
    loss = make_value_loss("hl_gauss", v_min=0.0, v_max=1.0, num_bins=32)
    network = AfterStates(32, size=16, num_layers=1, initial_outputs=loss.initial_outputs(0.5))
    torch.nn.init.zeros_(network.last.weight)
    tokens, moves, own = seen(chess.Board())
    outputs = network(tokens, moves)
    assert outputs.shape == (1, len(own), 32)
    assert torch.equal(network(flat(tokens, moves)), outputs)
    assert loss.decode(outputs).sub(0.5).abs().max() < 1e-3


def test_an_exported_one_is_the_same():
    torch.manual_seed(0)
    network = AfterStates(3, size=8)
    tokens, moves, _ = seen(chess.Board(POSITIONS[1]))
    exported = torch.export.export(network, (tokens, moves)).module()
    assert torch.allclose(exported(tokens, moves), network(tokens, moves), atol=1e-5)


def test_padding_changes_no_other_move():
    torch.manual_seed(0)
    network = AfterStates(3, size=8)
    tokens, moves, own = seen(chess.Board())
    longer = torch.cat([moves, torch.zeros(1, 5, 3, dtype=moves.dtype)], 1)
    assert torch.allclose(network(tokens, longer)[:, : len(own)], network(tokens, moves))
    assert network(tokens, longer).isfinite().all()


def test_what_it_does_not_see_has_no_gradient_and_the_table_has():
    network = AfterStates(3, size=8)
    tokens, moves, _ = seen(chess.Board())
    network(tokens, moves).square().sum().backward()
    rows = network.table.weight.grad.abs().sum(1) > 0
    # Rows of the position itself, and of what its moves bring: pieces on the third and fourth rank, and none.
    assert rows.sum() > 64
    assert not rows[8 * PIECES + 7]  # no pawn of theirs on a2
