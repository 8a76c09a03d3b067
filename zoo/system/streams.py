"""Standard output and error wherever a program runs: none, closed, or in an encoding that lacks our signs."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress
from typing import Any

PLAINLY = "catzoo.plainly"
"""Name of the error handler that writes in ASCII what an encoding lacks."""
READINGS = {
    "…": "...", "–": "-", "—": "-", "\N{MINUS SIGN}": "-", "±": "+-", "·": "-", "×": "x", "→": "->",
    "←": "<-", "≤": "<=", "≥": ">=", "τ": "tau", "σ": "sigma", "λ": "lambda", "│": "|", "─": "-", "━": "-",
    "’": "'", "“": '"', "”": '"', "╸": "-", "╺": "-",
    "▁": "_", "▂": ".", "▃": "-", "▄": "~", "▅": "=", "▆": "+", "▇": "*", "█": "#",
}  # fmt: skip
"""ASCII readings of our own signs; the letters of names are escaped, as others would be another name."""


def _read_plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    read = (READINGS.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in lacking)
    return "".join(read), error.end


codecs.register_error(PLAINLY, _read_plainly)


class Output:
    """A file that is `sys.stdout` or `sys.stderr` as it is when something is written, and never fails.

    Args:
        name: `stdout` or `stderr`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def _stream(self) -> Any:
        stream = getattr(sys, self.name)
        return getattr(stream, "rich_proxied_file", stream)  # rich stands in for it below a bar

    @property
    def encoding(self) -> str:
        """Of the stream; UTF-8 where it takes any text."""
        return getattr(self._stream(), "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return bool(self._stream().isatty())
        except (AttributeError, ValueError):  # none, one that can only be written to, or a closed one
            return False

    def readable(self, text: str) -> str:
        """A text in signs that the stream has."""
        return text.encode(self.encoding, PLAINLY).decode(self.encoding)

    def write(self, text: str) -> int:
        """Writes a text; for nobody, if nobody reads it: what was asked for goes on."""
        stream = self._stream()
        if stream is not None and not getattr(stream, "closed", False):
            with suppress(OSError):  # a closed pipe, a terminal that is gone, a full disk
                stream.write(self.readable(text))
        return len(text)

    def flush(self) -> None:
        """Writes what is still in memory."""
        stream = self._stream()
        if hasattr(stream, "flush") and not getattr(stream, "closed", False):
            with suppress(OSError):
                stream.flush()


STDOUT, STDERR = Output("stdout"), Output("stderr")


def complete_streams() -> None:
    """Opens nothing in the place of standard streams that this process was started without.

    Else the next file that is opened would take a standard stream's number, and get what libraries print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def leave_streams() -> None:
    """Flushes; the interpreter shall not try again, and complain, where nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (AttributeError, ValueError):  # one that can only be written to, or a closed one
            pass
