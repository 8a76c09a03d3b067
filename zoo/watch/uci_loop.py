"""An agent as a chess engine: what UCI says on standard input, answered on standard output.

Any program that plays against engines can play against it, as
`catzoo play RUN --uci`. There is no search: a move is ready as soon as it is asked for, whatever the clock
says. What cannot be understood is answered with `info string`, and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from catzoo.zoo.environments.chess_board import MAX_MOVES, import_chess

if TYPE_CHECKING:
    import chess

IGNORED = ("debug", "setoption", "register")
"""What changes nothing here."""
MOST_CENTIPAWNS = 10_000
LOGISTIC = 0.00368208
"""Of centipawns, see `zoo/datasets/chess_self_play.py`."""
Choose = Callable[["chess.Board"], list[Any]]


class UCILoop:
    """An engine's side of the protocol.

    Args:
        name: what it calls itself.
        load: makes what gives a board's choices, the best first; called when it is first needed, since a
            program waits for the answer to `uci` for a few seconds only.
        say: sends a line.
    """

    def __init__(self, name: str, load: Callable[[], Choose], say: Callable[[str], None]) -> None:
        self.name, self.load, self.say = name, load, say
        self.chess = import_chess()
        self.board = self.chess.Board()
        self.choose: Choose | None = None
        self.held: str | None = None
        """The best move of an endless search, which is told when it is stopped."""

    def serve(self, lines: Iterable[str]) -> None:
        """Answers until `quit`, or the end of the input."""
        for line in lines:
            words = line.split()
            if words and words[0] == "quit":
                return
            if words:
                self.answer(words)

    def answer(self, words: list[str]) -> None:
        """Answers one line."""
        command, rest = words[0], words[1:]
        known = {"uci": self._uci, "isready": self._ready, "ucinewgame": self._new, "position": self._set_up,
                 "go": self._go, "stop": self._stop, "ponderhit": self._stop}  # fmt: skip
        if command in known:
            known[command](rest)
        elif command not in IGNORED:
            self.say(f"info string unknown command {_plain(command)}")

    def _uci(self, rest: list[str]) -> None:
        self.say(f"id name {_plain(self.name)}")
        self.say("id author the Catzoo developers")
        self.say("uciok")

    def _ready(self, rest: list[str]) -> None:
        self._loaded()
        self.say("readyok")

    def _new(self, rest: list[str]) -> None:
        self.board = self.chess.Board()

    def _set_up(self, rest: list[str]) -> None:
        at = rest.index("moves") if "moves" in rest else len(rest)
        what, moves = rest[:at], rest[at + 1 :]
        try:
            if what == ["startpos"]:
                board = self.chess.Board()
            elif what[:1] == ["fen"]:
                board = self.chess.Board(" ".join(what[1:]))
            else:
                raise ValueError("position takes startpos or fen")
            if not board.is_valid():
                raise ValueError("illegal position")
            for word in moves:
                move = board.parse_uci(word)
                if not move:  # UCI's null move, which leaves a king in check
                    raise ValueError(f"illegal move {word}")
                board.push(move)
            if board.legal_moves.count() > MAX_MOVES:  # which no game comes to, but a FEN may
                raise ValueError(f"more than {MAX_MOVES} legal moves")
        except (ValueError, IndexError) as error:
            self.say(f"info string {_plain(str(error))}: the position stays as it was")
            return
        self.board = board

    def _go(self, rest: list[str]) -> None:
        choices = self._loaded()(self.board)
        if "searchmoves" in rest:
            wanted = set(rest[rest.index("searchmoves") + 1 :])
            choices = [choice for choice in choices if choice.move.uci() in wanted] or choices
        if not choices:
            self.say("info string no legal move")
        for number, choice in enumerate(choices[:1], 1):
            score, move = centipawns(choice.value), choice.move.uci()
            self.say(f"info depth 1 multipv {number} score cp {score} nodes {len(choices)} pv {move}")
        best = f"bestmove {choices[0].move.uci() if choices else '(none)'}"
        if "infinite" in rest or "ponder" in rest:
            self.held = best
        else:
            self.say(best)

    def _stop(self, rest: list[str]) -> None:
        if self.held is not None:
            self.say(self.held)
            self.held = None

    def _loaded(self) -> Choose:
        if self.choose is None:
            self.choose = self.load()
        return self.choose


def centipawns(value: float) -> int:
    """A chance to win as engines tell it; what `win_probability` makes chances of."""
    value = min(max(value, 1e-9), 1 - 1e-9)
    return round(min(max(math.log(value / (1 - value)) / LOGISTIC, -MOST_CENTIPAWNS), MOST_CENTIPAWNS))


def _plain(text: str) -> str:
    """What may be garbage, on one line and not long, for a stream of any encoding."""
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)[:80]
