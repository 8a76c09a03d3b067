"""Stockfish, or another engine that speaks UCI, in a process of its own behind a bare pipe.

What a search finds is one reply a line; of these only the scores are read. With `MultiPV` as large as there
may be moves, one search has the score of every legal move.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from catzoo.hparams import RecipeError

DEBIAN = "/usr/games/stockfish"
"""Where Debian has it, which is not on every PATH."""
ALL_MOVES = 256
"""`MultiPV` for every legal move: no position has more than 218."""


class EngineError(RecipeError):
    """No engine, or one that died, is silent, or speaks something else; one line."""


class Score(NamedTuple):
    """What a search says of a move, for the side that makes it."""

    centipawns: int | None
    """None where it is a mate."""
    mate: int | None = None
    """Moves to mate, below 0 where it is one's own; None where there is none in sight."""


class UCIEngine:
    """A running engine.

    Args:
        path: the program; None: `stockfish` on the PATH, or where Debian has it.
        options: UCI options, such as `{"Hash": 16}`.
        timeout: seconds after which a silent engine is given up.

    Raises:
        EngineError: there is no such program, or it does not speak UCI.
    """

    name: str
    """As it says itself, with its version."""

    def __init__(
        self, path: str | None = None, options: dict[str, Any] | None = None, *, timeout: float = 60.0
    ) -> None:
        self.timeout, self.path = timeout, find_engine(path)
        self._buffer = b""
        try:
            self.process = subprocess.Popen(
                [self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C on the terminal is for us, who close it
            )  # fmt: skip
        except OSError as error:
            raise EngineError(f"{self.path}: cannot be run: {error.strerror or error}") from None
        self._ready = selectors.DefaultSelector()
        self._ready.register(self.process.stdout, selectors.EVENT_READ)
        try:
            self._say("uci")
            said = self._until("uciok")
            self.name = next((line[8:] for line in said if line.startswith("id name ")), self.path)
            for key, value in (options or {}).items():
                self._say(f"setoption name {key} value {value}")
            self.wait()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> UCIEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait(self) -> None:
        """Until it has done what it was told."""
        self._say("isready")
        self._until("readyok")

    def forget(self) -> None:
        """Empties its memory, without which what it finds depends on what it was asked before."""
        self._say("ucinewgame")

    def scores(self, position: str, depth: int) -> dict[str, Score]:
        """The scores of moves, by their UCI names, after a search to `depth`.

        As many moves as `MultiPV` says. Bounds, which are no scores, and lines that are cut are left out.

        Args:
            position: as UCI has it, `fen …` or `startpos moves …`.
            depth: in plies.
        """
        self._say(f"position {position}")
        self._say(f"go depth {depth}")
        found: dict[str, Score] = {}
        for line in self._until("bestmove"):
            words = line.split()
            if "pv" in words and "score" in words and not line.count("bound"):
                at, after = words.index("score"), words[words.index("pv") + 1 :]
                kind, value = (*words[at + 1 : at + 3], "", "")[:2]
                if kind in ("cp", "mate") and after and re.fullmatch(r"-?\d{1,9}", value):
                    found[after[0]] = Score(None, int(value)) if kind == "mate" else Score(int(value))
        return found

    def best_move(self, position: str, depth: int) -> str:
        """The UCI name of the move that it plays; arguments as `scores`."""
        self._say(f"position {position}")
        self._say(f"go depth {depth}")
        return self._until("bestmove")[-1].split()[1]

    def close(self) -> None:
        """Ends the process."""
        if self.process.poll() is None:
            with contextlib.suppress(EngineError):
                self._say("quit")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1.0)
            self.process.kill()
        self.process.wait()
        self._ready.close()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]  # they are pipes

    def _say(self, line: str) -> None:
        try:
            self.process.stdin.write(f"{line}\n".encode())  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        except (OSError, ValueError):
            raise EngineError(f"{self.path}: the engine has ended") from None

    def _until(self, word: str) -> list[str]:
        """The lines that it says, up to one that begins with `word`."""
        lines, deadline = [], time.monotonic() + self.timeout
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                lines.append(line.decode(errors="replace").strip())
                if lines[-1].partition(" ")[0] == word:
                    return lines
                continue
            if not self._ready.select(deadline - time.monotonic()):
                raise EngineError(
                    f"{self.path}: silent for {self.timeout:g} s before {word}: is it a UCI engine?"
                )
            more = os.read(self.process.stdout.fileno(), 1 << 16)  # type: ignore[union-attr]
            if not more:
                raise EngineError(f"{self.path}: the engine ended before it said {word}")
            self._buffer, deadline = self._buffer + more, time.monotonic() + self.timeout


@cache
def engine_name(path: str | None = None) -> str:
    """What an engine says that it is; arguments and errors as `UCIEngine`."""
    with UCIEngine(path) as engine:
        return engine.name


def find_engine(path: str | None = None) -> str:
    """The program of an engine.

    Raises:
        EngineError: there is none.
    """
    if path is not None:
        found = shutil.which(path)
        if found is None:
            raise EngineError(f"{path}: no such program; name an engine that speaks UCI")
        return found
    found = shutil.which("stockfish") or (DEBIAN if Path(DEBIAN).is_file() else None)
    if found is None:
        raise EngineError("Stockfish is not installed: apt-get install stockfish")
    return found
