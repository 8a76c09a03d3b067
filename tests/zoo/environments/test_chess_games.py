"""Games against an opponent: who wins is paid, both colours, no end without an end."""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from catzoo.agents.collecting.simulators import restore_simulator, simulator_state
from catzoo.hparams import RecipeError
from catzoo.zoo.environments import uci_engine
from catzoo.zoo.environments.chess_board import BOARD, MAX_MOVES, legal_moves
from catzoo.zoo.environments.chess_games import ChessGames
from catzoo.zoo.environments.making import make_env
from catzoo.zoo.environments.protocols import protocol_of

chess = pytest.importorskip("chess")
ENGINE = Path(__file__).parents[2] / "engine_for_tests.py"


@pytest.fixture
def counter(tmp_path, monkeypatch):
    """An engine in Stockfish's place."""
    program = tmp_path / "stockfish"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} {ENGINE}\n")
    program.chmod(0o755)
    monkeypatch.setattr(uci_engine, "find_engine", lambda path=None: str(program))
    uci_engine.engine_name.cache_clear()
    yield program
    uci_engine.engine_name.cache_clear()


def index_of(env, uci):
    return [move.uci() for move in legal_moves(env.board)[1]].index(uci)


def set_up(env, fen, white, reply=None):
    """A position before the agent's move; the opponent's next move, if it matters."""
    env.reset(seed=0)
    env.board, env.white = chess.Board(fen), white
    if reply:
        env._any_move = lambda: chess.Move.from_uci(reply)


@pytest.mark.parametrize(
    ("fen", "white", "move", "reply", "reward"),
    [
        ("6k1/5ppp/8/8/8/8/8/R3K3 w - - 0 1", True, "a1a8", None, 1.0),
        ("r3k3/8/8/8/8/8/5PPP/6K1 b - - 0 1", False, "a8a1", None, 1.0),
        ("rnbqkbnr/pppp1ppp/8/4p3/8/5P2/PPPPP1PP/RNBQKBNR w KQkq - 0 2", True, "g2g4", "d8h4", -1.0),
        ("7k/8/6K1/8/8/8/8/5Q2 w - - 0 1", True, "f1f7", None, 0.0),
    ],
)
def test_wins_draws_and_losses(fen, white, move, reply, reward):
    env = ChessGames()
    set_up(env, fen, white, reply)
    observation, paid, terminated, truncated, _ = env.step(index_of(env, move))
    assert (paid, terminated, truncated) == (reward, True, False)
    assert not observation[BOARD:].any()


@pytest.mark.parametrize("piece", "nbrq")
def test_what_a_pawn_becomes_is_what_was_chosen(piece):
    env = ChessGames()
    set_up(env, "8/P6k/8/8/8/8/8/K7 w - - 0 1", True)
    env.step(index_of(env, f"a7a8{piece}"))
    assert env.board.move_stack[0].uci() == f"a7a8{piece}"


@pytest.mark.parametrize(
    ("fen", "move"),
    [
        ("6k1/5ppp/8/8/8/q7/8/R3K3 w - - 0 1", "a1a3"),  # the queen, as there is no mate now
        ("6k1/5ppp/8/8/8/8/q7/R3K2R w - - 0 1", "a1a2"),
        ("6k1/5ppp/8/1q6/P7/8/8/R3K3 w - - 0 1", "a4b5"),
        ("3r2k1/4Pppp/8/8/8/8/8/3RK3 w - - 0 1", "d1d8"),  # it mates, and takes the rook that a pawn may take
        ("7k/8/3p4/4q3/3P1Q2/8/8/K7 w - - 0 1", "d4e5"),  # by the pawn rather than by the queen
        ("7k/8/8/3pP3/8/8/8/K7 w - d6 0 1", "e5d6"),  # en passant
    ],
)
def test_a_greedy_opponent_mates_or_takes_the_most_valuable(fen, move):
    env = ChessGames("greedy")
    env.reset(seed=0)
    env.board = chess.Board(fen)
    assert env.mover(env.board).uci() == move
    assert env.board.fen() == chess.Board(fen).fen()


def test_an_opponent_of_one_s_own():
    env = ChessGames(lambda board: min(board.legal_moves, key=str))
    set_up(env, chess.STARTING_FEN, True)
    env.play(chess.Move.from_uci("e2e4"))
    assert env.board.peek().uci() == "a7a5"
    with pytest.raises(ValueError, match="must be random, greedy or stockfish"):
        ChessGames("kasparov")


def test_a_move_that_is_not_in_the_list_loses():
    env = ChessGames()
    env.reset(seed=0)
    assert env.step(MAX_MOVES - 1)[1:4] == (-1.0, True, False)


def test_an_opening_is_played_with_both_colours():
    env = ChessGames(opening_plies=3)
    found = []
    env.reset(seed=5)
    for _ in range(4):
        found.append((tuple(env.opening), env.white))
        assert env.board.turn == env.white
        assert [move.uci() for move in env.board.move_stack][:3] == list(env.opening)
        env.reset()
    assert found[0][0] == found[1][0] != found[2][0] == found[3][0]
    assert found[0][1] != found[1][1]
    assert found[2][1] != found[3][1]


def test_a_seed_repeats_its_games_and_long_ones_are_truncated():
    def games(seed):
        env = make_env("chess/random", 2, {"max_plies": 30})
        observation, _ = env.reset(seed=seed)
        rows, ends = [observation], []
        for _ in range(40):
            observation, reward, terminated, truncated, _ = env.step(np.zeros(2, np.int64))
            rows.append(observation)
            ends.append((reward * terminated, truncated))
        return np.array(rows), np.array(ends)

    one, again, other = games(1), games(1), games(2)
    assert np.array_equal(one[0], again[0])
    assert not np.array_equal(one[0], other[0])
    assert one[1][:, 1].any()


def test_a_checkpoint_goes_on_in_mid_game():
    env = make_env("chess/random", 1)
    env.reset(seed=3)
    for _ in range(3):
        env.step(np.zeros(1, np.int64))
    state = simulator_state(env)
    assert state is not None
    other = make_env("chess/random", 1)
    other.reset(seed=9)
    restore_simulator(other, state)
    for action in (1, 0, 2):
        assert np.array_equal(env.step(np.array([action]))[0], other.step(np.array([action]))[0])


def test_the_engine_and_its_version_are_part_of_the_protocol(counter):
    protocol = protocol_of("chess/stockfish-3")
    assert protocol.name == "chess"
    assert protocol.settings["engine"] == "Counter 1.0"
    assert "engine" not in protocol_of("chess/random").settings
    env = make_env("chess/stockfish-3", 1)
    env.reset(seed=0)
    before = env.envs[0].unwrapped.board.ply()
    env.step(np.zeros(1, np.int64))
    assert env.envs[0].unwrapped.board.ply() == before + 2
    env.close()
    with pytest.raises(RecipeError, match="another"):
        make_env("chess/stockfish-3", 1, {"engine": "Stockfish 99"})


def test_pictures_from_the_agent_s_side():
    env = ChessGames(render_mode="rgb_array")
    env.reset(seed=0)
    env.white = True
    white = env.render()
    assert white.shape == (480, 480, 3)
    env.white = False
    assert not np.array_equal(env.render(), white)
    env.render_mode = "ansi"
    assert env.render().splitlines()[0].startswith("1  ")


def test_mistakes_are_one_line(monkeypatch):
    with pytest.raises(RecipeError, match=r"chess/stokfish-3; did you mean chess/stockfish"):
        make_env("chess/stokfish-3", 1)
    with pytest.raises(RecipeError, match="chess/stockfish-25: Stockfish's levels are 0 to 20"):
        make_env("chess/stockfish-25", 1)
    with pytest.raises(RecipeError, match="max_plies"):
        make_env("chess/random", 1, {"max_plies": 0})
    monkeypatch.setitem(sys.modules, "chess", None)
    with pytest.raises(RecipeError, match=r"pip install 'catzoo\[chess\]' \(GPL-3\)"):
        make_env("chess/random", 1)


def test_gymnasium_knows_it():
    make_env("chess/random", 1).close()
    assert isinstance(gym.make("chess/random").unwrapped, ChessGames)
