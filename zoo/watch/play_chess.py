"""Chess with an agent in the terminal, or as an engine of a chess program (`--uci`)."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catzoo.hparams import ChessRecipe, Recipe, RecipeError
from catzoo.zoo.environments.chess_board import import_chess, is_drawn
from catzoo.zoo.environments.chess_picture import board_in_terminal
from catzoo.zoo.watch.uci_loop import UCILoop

if TYPE_CHECKING:
    import chess

Ask = Callable[[str], str]
Say = Callable[[str], None]
HELP = "type a move such as e4, Nf3, O-O or e2e4; or: hint, undo, resign, quit"
END = ("quit", "exit", "q")


def play(agent: Any, recipe: Recipe, *, yours: bool, seed: int | None, ask: Ask, say: Say) -> None:
    """A game until it is over, you resign, or the input ends.

    Args:
        agent: of the recipe.
        recipe: of chess.
        yours: of no meaning here.
        seed: chooses your colour; None: another each time.
        ask: a prompt to what is typed; EOFError ends the game.
        say: shows text.

    Raises:
        RecipeError: an agent that has no values of moves.
    """
    from catzoo.zoo.training.chess_player import choices

    _check(recipe)
    board = import_chess().Board()
    white = random.Random(seed).random() < 0.5
    say(f"You have the {'white' if white else 'black'} pieces. {HELP[0].upper()}{HELP[1:]}.")
    shown = False
    while not (board.is_checkmate() or is_drawn(board)):
        if board.turn != white:
            best = choices(agent, board)
            say(f"the agent: {_told(board, best[:1])}")
            board.push(best[0].move)
            continue
        if not shown:
            say(board_in_terminal(board, white_below=white))
        word = _typed(ask)
        shown = True
        if word in ("resign", *END):
            say("The agent wins." if word == "resign" else "\nThe game is over.")
            return
        if word in ("help", "?"):
            say(HELP)
        elif word == "hint":
            say(f"the agent would play {_told(board, choices(agent, board)[:3])}")
        elif word == "undo":
            for _ in range(min(2, len(board.move_stack) - (not white))):
                board.pop()
            shown = False
        else:
            shown = not _make(board, word, say)
    say(board_in_terminal(board, white_below=white))
    say(_ending(board, white))


def _typed(ask: Ask) -> str:
    try:
        return ask("your move: ").strip()
    except EOFError:
        return "quit"


def _check(recipe: Recipe) -> None:
    """Refuses agents that cannot rank the moves of any position."""
    if not isinstance(recipe, ChessRecipe):
        raise RecipeError(f"{recipe.agent} has learned {recipe.env}: only the agent chess is played against")


def _make(board: chess.Board, word: str, say: Say) -> bool:
    """Makes a move that was typed; returns whether it is one."""
    for read in (board.parse_san, board.parse_uci):
        try:
            move = read(word)
        except ValueError:
            continue
        if move:  # UCI has a null move, 0000
            board.push(move)
            return True
    say(f"{word[:20]!r} is no legal move here: {HELP}")
    return False


def _told(board: chess.Board, best: list[Any]) -> str:
    """Moves with the agent's chance to win: `Nf3 (57 %), e4 (55 %)`."""
    return ", ".join(f"{board.san(choice.move)} ({choice.value:.0%})" for choice in best)


def _ending(board: chess.Board, white: bool) -> str:
    outcome = board.outcome(claim_draw=True)
    assert outcome is not None
    why = outcome.termination.name.lower().replace("_", " ")
    if outcome.winner is None:
        return f"A draw: {why}."
    return f"You win: {why}." if outcome.winner == white else f"The agent wins: {why}."


def serve_uci(run: str | os.PathLike[str], *, best: bool = False, trust: bool = False) -> None:
    """Plays as an engine on standard input and output until it is told to quit.

    Args:
        run: the run's folder, or the name of one of the zoo's own trained agents.
        best, trust: see `load_agent`.

    Raises:
        RecipeError: not a finished run, or one of another world, before it says anything.
    """
    from catzoo.zoo.training.weights import find_trained, load_agent

    recipe = find_trained(run, best=best, trust=trust)[1]
    if not recipe.env.startswith("chess/"):
        raise RecipeError(f"{run}: it plays {recipe.env}, and --uci is for chess")
    _check(recipe)

    def load() -> Callable[[chess.Board], list[Any]]:
        from catzoo.zoo.training.chess_player import choices

        agent = load_agent(run, best=best, trust=trust)[1]
        return lambda board: choices(agent, board)

    def lines() -> Iterator[str]:
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", errors="replace")

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    UCILoop(f"Catzoo {Path(run).name}", load, say).serve(lines())
