"""Sums for the positions after each move, and the network on them."""

import pytest
import torch

from catzoo.agents.networks.after_states import AfterStates
from catzoo.agents.networks.board_transformer import flat, globals_of
from catzoo.agents.networks.chess_attacks import PIECES, SQUARES, relations, squares_after
from catzoo.losses import make_value_loss
from positions_for_tests import seen

chess = pytest.importorskip("chess")

MIDGAME = "r3k2r/pppq1ppp/2npbn2/2b1p3/2B1P3/2NPBN2/PPPQ1PPP/R3K2R w KQkq - 4 8"


@pytest.mark.parametrize("fen", [chess.STARTING_FEN, MIDGAME])
def test_a_sum_has_two_rows_for_each_square_and_what_no_square_shows(fen):
    torch.manual_seed(0)
    network = AfterStates(3, size=8)
    tokens, moves, _ = seen(chess.Board(fen))
    sums = network.sums(tokens, moves)[0] - network.globals(globals_of(tokens))
    for piece, found in zip(squares_after(tokens[:, :SQUARES], moves)[0], sums, strict=True):
        standing, related = network.table.weight[: SQUARES * PIECES], network.table.weight[SQUARES * PIECES :]
        expected = standing[torch.arange(SQUARES) * PIECES + piece] + related[relations(piece[None])[0]]
        assert torch.allclose(found, expected.sum(0), atol=1e-5)


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
    tokens, moves, _ = seen(chess.Board(MIDGAME))
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
    # Rows of the position itself, and of what its moves bring: pieces on the third and fourth rank, and none;
    # and some of those of relations.
    assert rows[: SQUARES * PIECES].sum() > 64
    assert rows[SQUARES * PIECES :].sum() > 10
    assert not rows[8 * PIECES + 7]  # no pawn of theirs on a2
