"""Files that are whole or not there, also where a file system cannot wait for the disk, or rename at once."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""What a file system says that cannot wait for a file, or for a folder."""
IN_USE = (errno.EACCES, errno.EPERM, errno.EBUSY)
"""What a network drive says while somebody has the file open."""
PATIENCE = (0.02, 0.1, 0.5, 2.0)
"""Seconds between tries to rename."""


def settle(descriptor: int) -> None:
    """Waits until an open file, or a folder's list of names, is on the disk, where that can be waited for."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def sync(path: Path) -> None:
    """`settle` for a file or folder that is not open."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        settle(descriptor)
    finally:
        os.close(descriptor)


def replace(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Renames over what is there; tries again while that is in use.

    Raises:
        OSError: it stays so, or another trouble.
    """
    for wait in PATIENCE:
        try:
            return os.replace(source, target)
        except OSError as error:
            if error.errno not in IN_USE:
                raise
            time.sleep(wait)
    return os.replace(source, target)
