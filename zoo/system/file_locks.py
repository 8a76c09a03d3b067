"""Files and folders that one process at a time works with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catzoo.hparams import RecipeError


def lock(descriptor: int, path: Path, doing: str = "training in this folder") -> None:
    """Holds an open file or folder for this process, or refuses with what another is doing in it."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system: go without
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecipeError(f"{path}: another process is {doing}") from None


@contextmanager
def held_path(path: Path, doing: str) -> Iterator[None]:
    """Holds a file or folder that is there for one process.

    Raises:
        RecipeError: another process is `doing` that, or it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        lock(descriptor, path, doing)
        yield
    finally:
        os.close(descriptor)
