"""Games of chess that an engine plays against itself, and what each legal move of some positions is worth.

After Ruoss et al. 2024 (arXiv 2402.04494), who label human games: the value of a move is the chance to win,
1 / (1 + exp(-0.00368208 centipawns)), as an engine sees it. Deviations: the games are our own, varied by
random openings, a temperature and whims; the engine searches to a depth, so that labels repeat bit for bit,
not for 50 ms; and mates are told apart by how far they are, so that there is a reason to finish a won game.

Legend: M moves of a position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from catzoo.zoo.environments.chess_board import BOARD, MOVE, board_tokens, import_chess, is_drawn, legal_moves
from catzoo.zoo.environments.uci_engine import ALL_MOVES, EngineError, Score, UCIEngine

if TYPE_CHECKING:
    import chess

LOGISTIC = 0.00368208
"""Of centipawns, in what Lichess and the paper take for the chance to win."""
SURE = 0.98
"""The largest chance that is no mate; the smallest is as far from 0."""
MATE_STEP = 0.002
"""What a mate loses with every move that it is away; ten fit above `SURE`."""
ENGINE_OPTIONS = {"Threads": 1, "Hash": 16, "MultiPV": ALL_MOVES}
"""One thread, since several do not find the same twice."""
LABEL_ONE_IN = 7
"""Neighbours in a game are alike."""
TEST_ONE_IN = 10
"""Games, of which the last of so many is held out."""
DECIDED, DECIDED_PLIES = 0.95, 8
"""A game whose best move was beyond this for so long is over: else many positions are of won endings."""


@dataclass(frozen=True)
class Plan:
    """What decides the games, bit for bit, with one engine."""

    seed: int = 0
    depth: int = 6
    """Of the labels' searches, in plies."""
    max_plies: int = 200
    """Half-moves of a game, at most."""


class Labelled(NamedTuple):
    """A position and what its legal moves are worth."""

    board: np.ndarray
    """uint8 [70], see `chess_board`."""
    moves: np.ndarray
    """uint8 [M, 3]."""
    values: np.ndarray
    """float32 [M], within 0 and 1."""


class Game(NamedTuple):
    """What one game gave."""

    positions: list[Labelled]
    mates: list[Labelled]
    """Of a game that is held out, positions with a mate in one: 1 for what mates, 0 for what does not."""


def win_probability(score: Score) -> float:
    """The chance to win of a side, in 0 … 1; within `SURE` where no mate is in sight.

    Mate in 1 is 1, in n moves 1 - 0.002 (n - 1), and to be mated in n the same from 0 upwards.
    """
    if score.mate is not None:
        away = min(max(abs(score.mate) - 1, 0) * MATE_STEP, 0.9 * (1 - SURE))
        return 1 - away if score.mate > 0 else away
    assert score.centipawns is not None
    chance = 1 / (1 + np.exp(-LOGISTIC * score.centipawns))
    return float(np.clip(chance, 1 - SURE, SURE))


def is_held_out(game: int) -> bool:
    """Whether a game, by its number, is for testing."""
    return game % TEST_ONE_IN == TEST_ONE_IN - 1


def play(engine: UCIEngine, plan: Plan, game: int) -> Game:
    """Plays a game; the same whatever the engine did before.

    The player is the engine after one ply. A game has 0 to 10 random plies first, and a temperature of its
    own, log-uniform in 0.01 … 0.3, at which moves are drawn by their chances. One in four has up to 30 % of
    random moves later too. One in seven is played to its end, and so is one in eight in which a side moves at
    random: how to finish is learned there. One position in seven is labelled, and in games to learn from also
    every one with a mate in one, of which there are few.

    Args:
        engine: with `ENGINE_OPTIONS`.
        plan: what to play.
        game: its number, which seeds it.
    """
    random = np.random.default_rng([plan.seed, game])
    opening, temperature = random.integers(11), np.exp(random.uniform(np.log(0.01), np.log(0.3)))
    whim = random.uniform(0, 0.3) if random.random() < 1 / 4 else 0.0
    weak = int(random.integers(2)) if random.random() < 1 / 8 else None
    to_the_end, decided = random.random() < 1 / 7 or weak is not None, 0
    board, found = import_chess().Board(), Game([], [])
    engine.forget()
    for ply in range(plan.max_plies):
        moves, own = legal_moves(board, marked=False)
        if not own or is_drawn(board):
            break
        values, near = _values(engine, board, 1, own)
        if near and is_held_out(game):
            found.mates.append(Labelled(board_tokens(board), moves, _mating(board, own)))
        drawn = random.random() < 1 / LABEL_ONE_IN
        if ply and (drawn or (near and not is_held_out(game))):
            found.positions.append(label(engine, plan.depth, board, moves, own))
        best = values.max()
        decided = decided + 1 if best > DECIDED or best < 1 - DECIDED else 0
        if decided >= DECIDED_PLIES and not to_the_end:
            break
        chances = np.exp((values - best) / temperature)
        if random.random() < whim or ply < opening or ply % 2 == weak:
            chances = np.ones(len(own))
        chosen = random.choice(len(own), p=chances / chances.sum())
        board.push(own[chosen])
    return found


def label(
    engine: UCIEngine, depth: int, board: chess.Board, moves: np.ndarray, own: list[chess.Move]
) -> Labelled:
    """What every legal move of a position is worth, whatever was searched before."""
    engine.forget()
    values, _ = _values(engine, board, depth, own)
    return Labelled(board_tokens(board), moves, values)


def _values(
    engine: UCIEngine, board: chess.Board, depth: int, own: list[chess.Move]
) -> tuple[np.ndarray, bool]:
    """The moves' chances to win [M] after a search to `depth`, and whether one of them mates at once.

    Raises:
        EngineError: the engine has no score of some move.
    """
    scores = engine.scores(f"fen {board.fen()}", depth)
    if missing := [move.uci() for move in own if move.uci() not in scores]:
        raise EngineError(
            f"{engine.path}: it scored {len(own) - len(missing)} of {len(own)} legal moves: labels need an "
            f"engine with the option MultiPV up to {ALL_MOVES}"
        )
    found = [scores[move.uci()] for move in own]
    chances = np.array([win_probability(score) for score in found], np.float32)
    return chances, any(score.mate == 1 for score in found)


def _mating(board: chess.Board, own: list[chess.Move]) -> np.ndarray:
    """By the rules: 1 for moves that mate, else 0; [M]."""
    values = np.zeros(len(own), np.float32)
    for index, move in enumerate(own):
        board.push(move)
        values[index] = board.is_checkmate()
        board.pop()
    return values


def stacked(positions: list[Labelled]) -> dict[str, np.ndarray]:
    """Positions as columns: board [N, 70], offset [N], where each one's moves end, move [P, 3], value [P]."""
    return {
        "board": np.array([one.board for one in positions], np.uint8).reshape(-1, BOARD),
        "offset": np.cumsum([len(one.moves) for one in positions], dtype=np.int64),
        "move": np.concatenate([np.zeros((0, MOVE), np.uint8), *(one.moves for one in positions)]),
        "value": np.concatenate([np.zeros(0, np.float32), *(one.values for one in positions)]),
    }
