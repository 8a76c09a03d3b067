"""A full or read-only disk, told in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from catzoo.hparams import NoRoomError

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
