"""The network over a board: one pass for all moves, each scored by itself; attention begins with geometry."""

import pytest
import torch

from catzoo.agents.networks import board_transformer
from catzoo.agents.networks.board_transformer import (
    BEGINNING,
    BOARD,
    BoardTransformer,
    flat,
    geometry_bias,
    is_move,
    split,
)
from catzoo.losses import make_value_loss
from catzoo.zoo.environments import chess_board

KNIGHT, KING, PAWN, SELF = 2, 3, 6, 5


@pytest.fixture
def network():
    torch.manual_seed(0)
    return BoardTransformer(5, size=16, num_layers=2)


def observed(number, moves, seed=0):
    random = torch.Generator().manual_seed(seed)
    board = torch.randint(0, 13, (number, BOARD), generator=random, dtype=torch.uint8)
    board[:, 68] %= 9
    move = torch.randint(0, 64, (number, moves, 3), generator=random, dtype=torch.uint8)
    move[..., 2] %= 6
    return board, move


def test_a_move_is_scored_the_same_among_others(network):
    board, move = observed(3, 7)
    outputs = network(board, move)
    assert outputs.shape == (3, 7, 5)
    torch.testing.assert_close(network(board, move[:, 2:4]), outputs[:, 2:4])
    torch.testing.assert_close(network(flat(board, move)), outputs)
    assert all(
        torch.equal(one, other) for one, other in zip(split(flat(board, move)), (board, move), strict=True)
    )


def test_every_byte_of_a_board_and_of_a_move_matters(network):
    board, move = observed(1, 1)
    before = network(board, move)
    for place in range(BOARD):
        other = board.clone()
        other[0, place] = (other[0, place] + 1) % 9
        assert not torch.allclose(network(other, move), before, atol=1e-7), place
    for place, most in ((0, 64), (1, 64), (2, 6)):
        other = move.clone()
        other[0, 0, place] = (other[0, 0, place] + 1) % most
        assert not torch.allclose(network(board, other), before, atol=1e-7), place


def test_attention_begins_with_how_pieces_move():
    bias = geometry_bias(8)
    e4 = 28
    reached = lambda head: set((bias[head, e4] == BEGINNING).nonzero()[:, 0].tolist())  # noqa: E731
    assert reached(KNIGHT) == {11, 13, 18, 22, 34, 38, 43, 45}
    assert reached(KING) == {19, 20, 21, 27, 29, 35, 36, 37}
    assert reached(PAWN) == {35, 37}
    assert reached(SELF) == {e4}
    assert len(reached(0)) == 14
    assert len(reached(4)) == 27
    assert not bias[7].any()
    assert (BoardTransformer(1, size=8, geometry=False).biases[0] == 0).all()
    assert torch.equal(geometry_bias(9)[8], bias[0])


def test_values_begin_where_they_are_told():
    loss = make_value_loss("hl_gauss", v_min=0.0, v_max=1.0, num_bins=32, pad_sigmas=3.0)
    network = BoardTransformer(32, size=16, num_layers=1, initial_outputs=loss.initial_outputs(0.5))
    values = loss.decode(network(*observed(4, 6)))
    assert (values - 0.5).abs().max() < 0.2


def test_heads_divide_the_size():
    with pytest.raises(ValueError, match=r"network.num_heads=8 must divide network.size=12"):
        BoardTransformer(1, size=12)


def test_both_rooms_mean_the_same_bytes():
    assert (board_transformer.BOARD, board_transformer.MOVE) == (chess_board.BOARD, chess_board.MOVE)
    most = chess_board.BOARD + chess_board.MOVE * chess_board.MAX_MOVES
    assert (most,) == board_transformer.OBSERVATION
    assert not is_move(torch.zeros(2, 3, dtype=torch.uint8)).any()
