"""Where files can be written: asked before long work, and a full disk in its middle told in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catzoo.hparams import NoRoomError, RecipeError
from catzoo.hparams.schema import shown

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
GONE = (errno.EIO, errno.EROFS, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN)
"""What a disk says that is read-only or broken, and a network drive that does not answer."""
SOCKETS = (errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN)
"""Of these, what a simulator's or a service's connection says too, without the name of a file."""


def of_the_disk(error: OSError) -> bool:
    """Whether it says that a disk is full, read-only or away."""
    elsewhere = error.errno in SOCKETS and error.filename is None
    return error.errno in FULL + GONE and not elsewhere


@contextmanager
def no_room_told(then: str, where: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Makes the system's errors about room, inside its block, `NoRoomError`.

    Args:
        then: what goes on when it can be written.
        where: what cannot be written; the file that the error names by default.

    Raises:
        NoRoomError: the disk is full, read-only or away, or `where` must not be written to any more.
    """
    try:
        yield
    except OSError as error:
        refused = isinstance(error, PermissionError) and where is not None
        ours = refused and Path(error.filename or "").is_relative_to(where)
        if not of_the_disk(error) and not ours:
            raise
        named = where if where is not None else error.filename
        place = "" if named is None else f"{os.fspath(named)}: "
        when = "there is room" if error.errno in FULL else "it can be"
        raise NoRoomError(
            f"{place}cannot be written: {os.strerror(error.errno)}; {then} when {when}"
        ) from None


def check_writable(file: Path) -> None:
    """Refuses a place that a file could not be written to; makes nothing.

    Raises:
        RecipeError: says why.
    """
    if os.path.isdir(file):
        raise RecipeError(f"{file}: is a folder: name a file")
    folder = next(parent for parent in file.absolute().parents if os.path.lexists(parent))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise RecipeError(f"{file}: cannot be written: {folder} is no folder that you may write to")
    longest = max(len(os.fsencode(part)) for part in (f"{file.name}.tmp", *file.parts))
    if longest > os.pathconf(folder, "PC_NAME_MAX"):
        raise RecipeError(f"{shown(str(file))}: cannot be written: its name is too long")
