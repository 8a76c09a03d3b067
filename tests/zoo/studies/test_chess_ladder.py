"""Matches of agents: each plays its own moves, both colours, and a row says how it ended."""

from types import SimpleNamespace

import pytest

from catzoo.zoo.environments import chess_games
from catzoo.zoo.studies import chess_ladder
from catzoo.zoo.studies.chess_ladder import match

chess = pytest.importorskip("chess")


def test_each_plays_its_own_moves_with_both_colours(monkeypatch):
    played, colours = [], []

    def first_or_last(name, board):
        played.append(name)
        moves = sorted(board.legal_moves, key=str)
        return [SimpleNamespace(move=moves[0] if name == "one" else moves[-1])]

    class Short(chess_games.ChessGames):
        def __init__(self, opponent):
            super().__init__(opponent, max_plies=10)

        def play(self, move):
            colours.append(self.white)
            assert move == min(self.board.legal_moves, key=str)
            return super().play(move)

    monkeypatch.setattr(chess_ladder, "choices", first_or_last)
    monkeypatch.setattr(chess_ladder, "ChessGames", Short)
    row = match("one", "other", 4, name="itself at 100")
    assert row["opponent"] == "itself at 100"
    assert (row["games"], row["wins"] + row["draws"] + row["losses"]) == (4, 4)
    assert set(played) == {"one", "other"}
    assert set(colours) == {True, False}


def test_a_row_counts_wins_draws_and_losses():
    row = chess_ladder._row("chess/greedy", [1.0, 1.0, 0.0, -1.0, 1.0])
    assert (row["wins"], row["draws"], row["losses"]) == (3, 1, 1)
    assert row["elo_low"] < row["elo"] < row["elo_high"]
    assert row["elo"] > 0
