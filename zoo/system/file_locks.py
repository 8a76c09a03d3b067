"""Files and folders that one process at a time works with.

The system's lock ends with its process. Where the file system has none, a file stands for it: it names host
and process, which touches it all the while, and is taken over when nobody has touched it for a time.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catzoo.hparams import RecipeError
from catzoo.zoo.system.console import say

BEAT = 5.0
"""Seconds between signs of life."""
SILENCE = 4 * BEAT
"""Seconds without one, by this process's own clock, after which a holder is dead."""


@contextmanager
def held_path(path: Path, doing: str) -> Iterator[None]:
    """Holds a file or folder that is there for one process.

    Raises:
        RecipeError: another process is `doing` that, or it cannot be read, or not held in any way.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        if _locked(descriptor, path, doing):
            yield
        else:
            with _held_by_file(path, doing):
                yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, path: Path, doing: str) -> bool:
    """Takes the system's lock; whether there is such a thing here."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecipeError(f"{path}: another process is {doing}") from None
    except (ImportError, OSError):
        return False
    return True


@contextmanager
def _held_by_file(path: Path, doing: str) -> Iterator[None]:
    file = path / "held.tmp" if path.is_dir() else path.with_name(f"{path.name}.held.tmp")
    say(
        f"{path}: the file system has no locks: {file.name} holds it, for up to {SILENCE:.0f} s after a crash"
    )
    try:
        if file.exists():
            _wait_for_death(file, path, doing)
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        own = f"process {os.getpid()} on {socket.gethostname()}, {uuid.uuid4().hex}"
        with open(descriptor, "w", encoding="utf-8") as opened:
            opened.write(own)
    except FileExistsError:
        raise RecipeError(f"{path}: another process is {doing}") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be held: {error.strerror or error}") from None
    ended = threading.Event()
    threading.Thread(target=_beat, args=(file, own, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            if _content(file) == own:
                file.unlink()


def _content(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _wait_for_death(file: Path, path: Path, doing: str) -> None:
    """Removes the file of a holder that died; the clocks of two machines differ, so only a change counts."""
    with contextlib.suppress(FileNotFoundError):
        first, silent_since = file.stat().st_mtime_ns, time.monotonic()
        while time.monotonic() - silent_since < SILENCE:
            if file.stat().st_mtime_ns != first:
                raise RecipeError(
                    f"{path}: another process is {doing}: {_content(file).partition(',')[0]:.100}"
                )
            time.sleep(min(BEAT, SILENCE) / 10)
        # Of several that wait one gets it; what it gets may be the next holder's already.
        aside = file.with_name(f"{file.name}.{uuid.uuid4().hex}.tmp")
        os.rename(file, aside)
        if aside.stat().st_mtime_ns != first:
            os.rename(aside, file)
            raise RecipeError(f"{path}: another process is {doing}")
        aside.unlink()


def _beat(file: Path, own: str, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(OSError):
            if _content(file) == own:
                os.utime(file)
