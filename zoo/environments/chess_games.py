"""Chess as a Gymnasium environment, against `chess/random`, `chess/greedy` or `chess/stockfish-0` … `-20`.

The agent chooses from the list of legal moves that is part of what it sees, see `chess_board.py`. A game
begins with a few random moves of both, and is played twice, once with each colour. The reward is 1 for a
win, 0 for a draw and -1 for a loss, at the end; a move that is not in the list loses. A game is drawn by the
rules: the third time that a position is on the board, and 50 moves without a pawn's move or a capture, at
once. One that takes too long is truncated.

`random` plays any legal move. `greedy` mates if it can, else takes the most valuable piece that it can, with
the least valuable one of its own, else plays any move. `stockfish-N` is Stockfish at its skill level N, which
searches N + 1 plies deep, 12 at most, and then chooses among its best moves by random numbers of its own, so
that no seed repeats its games.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.chess_board import (
    BOARD,
    MAX_MOVES,
    MOVE,
    board_tokens,
    import_chess,
    is_drawn,
    legal_moves,
    observation_of,
)
from catzoo.zoo.environments.chess_picture import draw_board, write_board
from catzoo.zoo.environments.uci_engine import UCIEngine, engine_name

if TYPE_CHECKING:
    import chess

    Mover = Callable[[chess.Board], chess.Move]

CHESS = {"max_plies": 400, "opening_plies": 4}
"""The protocol's settings."""
STOCKFISH = re.compile(r"chess/stockfish-(\d|1\d|20)")
DEEPEST = 12
"""Plies that a skill level searches at most."""
KING = 6
"""Kinds of pieces are 1 (a pawn) to 6."""


def register_chess() -> None:
    """Registers the opponents; RecipeError where python-chess is not installed."""
    import_chess()
    names = ["random", "greedy", *(f"stockfish-{level}" for level in range(21))]
    for name in names:
        if f"chess/{name}" not in gym.registry:
            entry = f"{__name__}:{ChessGames.__name__}"
            kwargs = {"opponent": name}
            gym.register(f"chess/{name}", entry_point=entry, disable_env_checker=True, kwargs=kwargs)


def chess_settings(env: str) -> dict[str, Any]:
    """What a score against an opponent is measured under, its engine's version included."""
    return {**CHESS, "engine": engine_name()} if STOCKFISH.fullmatch(env) else dict(CHESS)


class ChessGames(gym.Env):
    """Games against one opponent.

    Args:
        opponent: `random`, `greedy` or `stockfish-N`; or what chooses a move on a board.
        max_plies: half-moves after which a game is truncated.
        opening_plies: random half-moves at a game's beginning.
        engine: the engine's name and version that is expected; None: any.
        render_mode: `rgb_array`, `ansi` or None.

    Raises:
        RecipeError: python-chess or the engine is missing, or it is another engine.
        ValueError: a number that cannot be.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 2}  # noqa: RUF012, as gym.Env has it

    def __init__(
        self,
        opponent: str | Mover = "random",
        max_plies: int = 400,
        opening_plies: int = 4,
        engine: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        for name, number, least in (("max_plies", max_plies, 1), ("opening_plies", opening_plies, 0)):
            if type(number) is not int or number < least:
                raise ValueError(f"{name}={number!r:.80} must be a whole number of at least {least}")
        self.max_plies, self.opening_plies, self.render_mode = max_plies, opening_plies, render_mode
        self.observation_space = gym.spaces.Box(0, 255, (BOARD + MAX_MOVES * MOVE,), np.uint8)
        self.action_space = gym.spaces.Discrete(MAX_MOVES)
        self.board = import_chess().Board()
        self.white = False
        """Whether the agent has the white pieces."""
        self.opening: list[str] = []
        self.again = False
        """Whether the next game is this one with the other colour."""
        movers = {"random": lambda _: self._any_move(), "greedy": lambda _: self._greedy_move()}
        self.mover: Mover = opponent if callable(opponent) else movers.get(opponent, self._engine_move)
        level = STOCKFISH.fullmatch(f"chess/{opponent}")
        if not (callable(opponent) or opponent in movers or level):
            raise ValueError(f"opponent={opponent!r:.80} must be random, greedy or stockfish-0 … -20")
        self.engine: UCIEngine | None = None
        if level is not None:
            self.depth = min(int(level[1]) + 1, DEEPEST)
            self.engine = UCIEngine(options={"Threads": 1, "Hash": 16, "Skill Level": int(level[1])})
            if engine not in (None, self.engine.name):
                self.close()
                raise RecipeError(f"chess/{opponent}: it is to be {engine!r:.60}, and here is another")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """A new game, or the last one's opening with the other colour."""
        super().reset(seed=seed)
        if self.engine is not None:
            self.engine.forget()
        if self.again and seed is None:
            self.again, self.white = False, not self.white
        else:
            self.again, self.white = True, bool(self.np_random.integers(2))
            self.opening = self._new_opening()
        self._set_up(self.opening)
        if self.board.turn != self.white:
            self._reply()
        return self._seen(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        """The agent's move, and the opponent's."""
        moves = legal_moves(self.board, marked=False)[1]
        if not 0 <= action < len(moves):
            return self._seen(over=True), -1.0, True, False, {}
        return self.play(moves[action])

    def play(self, move: chess.Move) -> tuple[np.ndarray, float, bool, bool, dict]:
        """As `step`, with a legal move."""
        self.board.push(move)
        if not self._is_over():
            self._reply()
        if self.board.is_checkmate():
            return self._seen(over=True), 1.0 if self.board.turn != self.white else -1.0, True, False, {}
        if is_drawn(self.board):
            return self._seen(over=True), 0.0, True, False, {}
        return self._seen(), 0.0, False, self.board.ply() >= self.max_plies, {}

    def _new_opening(self) -> list[str]:
        """Random moves after which the game still goes on, with a move for both sides."""
        while True:
            self._set_up([])
            for _ in range(self.opening_plies):
                if self._is_over():
                    break
                self.board.push(self._any_move())
            if not self._is_over() and not any(map(self.board.gives_check, self.board.legal_moves)):
                return [move.uci() for move in self.board.move_stack]

    def _set_up(self, moves: list[str]) -> None:
        self.board.reset()
        for move in moves:
            self.board.push_uci(move)

    def _reply(self) -> None:
        """The opponent moves."""
        self.board.push(self.mover(self.board))

    def _engine_move(self, board: chess.Board) -> chess.Move:
        assert self.engine is not None
        moves = " ".join(move.uci() for move in board.move_stack)
        return board.parse_uci(self.engine.best_move(f"startpos moves {moves}", self.depth))

    def _greedy_move(self) -> chess.Move:
        moves = legal_moves(self.board, marked=False)[1]
        worth = [self._worth(move) for move in moves]
        return moves[self.np_random.choice([index for index, each in enumerate(worth) if each == max(worth)])]

    def _worth(self, move: chess.Move) -> tuple[int, int]:
        """The kind of piece that a move takes, a king where it mates; less that of the one it risks."""
        self.board.push(move)
        mates = self.board.is_checkmate()
        self.board.pop()
        if mates:
            return KING, 0
        taken = 1 if self.board.is_en_passant(move) else self.board.piece_type_at(move.to_square)
        return (taken, -(self.board.piece_type_at(move.from_square) or 0)) if taken else (0, 0)

    def _any_move(self) -> Any:
        moves = legal_moves(self.board, marked=False)[1]
        return moves[int(self.np_random.integers(len(moves)))]

    def _is_over(self) -> bool:
        return self.board.is_checkmate() or is_drawn(self.board)

    def _seen(self, over: bool = False) -> np.ndarray:
        """The observation; of a game that is over without moves."""
        moves = np.zeros((0, MOVE), np.uint8) if over else legal_moves(self.board)[0]
        return observation_of(board_tokens(self.board), moves)

    def render(self) -> Any:
        """The board from the agent's side, as a picture or in letters."""
        draw = write_board if self.render_mode == "ansi" else draw_board
        return draw(self.board, white_below=self.white)

    def close(self) -> None:
        """Ends the engine."""
        if self.engine is not None:
            self.engine.close()
            self.engine = None

    def state_dict(self) -> dict[str, Any]:
        """The game, and the random stream; what an engine remembers is not told."""
        return {
            "moves": [move.uci() for move in self.board.move_stack],
            "white": self.white,
            "opening": list(self.opening),
            "again": self.again,
            "random": self.np_random.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self._set_up(list(state["moves"]))
        self.white, self.again = bool(state["white"]), bool(state["again"])
        self.opening = list(state["opening"])
        self.np_random.bit_generator.state = state["random"]
