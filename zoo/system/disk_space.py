"""Where files can be written: asked before long work, and a full disk in its middle told in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catzoo.hparams import NoRoomError, RecipeError
from catzoo.hparams.schema import shown

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@contextmanager
def no_room_told(then: str, where: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Makes the system's errors about room, inside its block, `NoRoomError`.

    Args:
        then: what goes on when there is room.
        where: what cannot be written; the file that the error names by default.

    Raises:
        NoRoomError: the disk is full or read-only.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        named = where if where is not None else error.filename
        place = "" if named is None else f"{os.fspath(named)}: "
        raise NoRoomError(
            f"{place}cannot be written: {os.strerror(error.errno)}; {then} when there is room"
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
