"""An agent as a chess engine: what programs expect, and garbage that changes nothing."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from catzoo.zoo.datasets.chess_self_play import win_probability
from catzoo.zoo.environments.uci_engine import Score
from catzoo.zoo.watch.uci_loop import UCILoop, centipawns

chess = pytest.importorskip("chess")


def ranked(board):
    """The moves in the order of the alphabet, the first one the best."""
    moves = sorted(board.legal_moves, key=chess.Move.uci)
    return [SimpleNamespace(move=move, value=0.75 - index / 100) for index, move in enumerate(moves)]


def answers(*lines):
    said, loaded = [], []

    def load():
        loaded.append(len(said))
        return ranked

    UCILoop("Test", load, said.append).serve(lines)
    return said, loaded


def test_it_is_loaded_when_a_move_is_asked_for_and_not_before():
    said, loaded = answers("uci\n", "isready\n", "go depth 3\n")
    assert said[0] == "id name Test"
    assert said[2:4] == ["uciok", "readyok"]
    assert loaded == [3]


def test_positions_and_moves():
    said, _ = answers(
        "position startpos moves e2e4 e7e5\n", "go wtime 1000 btime 1000\n",
        "position fen 6k1/5ppp/8/8/8/8/8/R3K3 w - - 0 1\n", "go searchmoves e1d1 a1a8\n", "ucinewgame\n",
        "go movetime 5\n", "quit\n", "go\n",
    )  # fmt: skip
    best = [line for line in said if line.startswith("bestmove")]
    assert best == ["bestmove a2a3", "bestmove a1a8", "bestmove a2a3"]
    assert said[0] == f"info depth 1 multipv 1 score cp {centipawns(0.75)} nodes 29 pv a2a3"


def test_an_endless_search_tells_its_move_when_it_is_stopped():
    said, _ = answers("go infinite\n", "isready\n", "stop\n", "stop\n")
    assert said[-2:] == ["readyok", "bestmove a2a3"]


@pytest.mark.parametrize(
    "garbage",
    ["", "   ", "\x00\x01\ufffd", "position", "position fen", "position fen 8/8/8/8/8/8/8/8 w - - 0 1",
     "position startpos moves e2e5", "position startpos moves \x07", "position fen a b c d e f g",
     "position fen 7k/8/8/8/8/8/8/K7 x - - 0 1", "xyzzy " * 1000, "setoption name Hash value 1", "ponderhit",
     "stop", "position startpos startpos", "debug on", "foö 😀", "position startpos moves 0000 0000",
     "position fen 1QQ1Q1Q1/Q6Q/Q4Q2/2Q4Q/4Q3/1Q4Q1/3k3K/Q4Q2 w - - 0 1"],
)  # fmt: skip
def test_garbage_changes_nothing(garbage):
    said, _ = answers("position startpos moves e2e4\n", f"{garbage}\n", "go\n")
    assert said[-1] == "bestmove a7a5"
    assert all(len(line) < 200 and line.isascii() and line.isprintable() for line in said)
    assert all(line.startswith("info") for line in said[:-1])


def test_a_move_that_was_pondered_on_is_told_when_it_is_hit():
    said, _ = answers("go ponder\n", "ponderhit\n")
    assert said[-1] == "bestmove a2a3"


def test_a_game_that_is_over_has_no_move():
    said, _ = answers("position fen 7k/5Q2/6K1/8/8/8/8/8 b - - 0 1\n", "go\n")
    assert said[-1] == "bestmove (none)"


def test_centipawns_are_chances_again():
    for value in (-400, 0, 123):
        assert centipawns(win_probability(Score(value))) == value
    assert centipawns(1.0) < 10_001
    assert centipawns(0.0) > -10_001


def test_a_chess_program_plays_against_a_run(tmp_path):
    """The command as programs start it, spoken to by python-chess."""
    import chess.engine

    from catzoo.zoo.training.train import train
    from positions_for_tests import written_positions

    for part in ("train", "test"):
        written_positions(tmp_path / part, 20)
    network = {"size": 8, "num_layers": 1}
    train(
        "chess", "chess/random", steps=2, run_dir=tmp_path / "run", overrides=[
            {"dataset": str(tmp_path / "train"), "network": network, "eval": {"episodes": 1, "max_steps": 4}},
        ],
    )  # fmt: skip
    command = [sys.executable, "-m", "catzoo", "play", str(tmp_path / "run"), "--uci"]
    with chess.engine.SimpleEngine.popen_uci(command, timeout=120.0) as engine:
        assert engine.id["name"] == "Catzoo run"
        board = chess.Board()
        for _ in range(6):
            played = engine.play(board, chess.engine.Limit(time=0.01), info=chess.engine.INFO_SCORE)
            assert played.move in board.legal_moves
            assert played.info["score"]
            board.push(played.move)
    assert Path(tmp_path / "run" / "result.json").is_file()
