"""The disk's troubles in one line, and nobody else's."""

import errno
import os

import pytest

from catzoo.hparams import NoRoomError
from catzoo.zoo.system.disk_space import no_room_told


def trouble(number, file):
    with no_room_told("the same command goes on", "run"):
        raise OSError(number, os.strerror(number), file)


@pytest.mark.parametrize(
    ("number", "when"),
    [
        (errno.ENOSPC, "there is room"),
        (errno.EROFS, "it can be"),
        (errno.ESTALE, "it can be"),
        (errno.EBUSY, "it can be"),
        (errno.EACCES, "it can be"),
    ],
)
def test_what_keeps_a_run_from_writing(number, when):
    with pytest.raises(NoRoomError) as told:
        trouble(number, "run/metrics.csv")
    what = os.strerror(number)
    assert str(told.value) == f"run: cannot be written: {what}; the same command goes on when {when}"


@pytest.mark.parametrize(
    ("number", "file"),
    [(errno.EACCES, "elsewhere"), (errno.ENOENT, "run/metrics.csv"), (errno.ETIMEDOUT, None)],
)
def test_what_does_not(number, file):
    with pytest.raises(OSError, match=os.strerror(number)):
        trouble(number, file)
