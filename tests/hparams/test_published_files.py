"""Writing and renaming on file systems that refuse at times."""

import errno
import os

import pytest

from catzoo.hparams import published_files
from catzoo.hparams.published_files import IN_USE, UNSUPPORTED, replace, sync


def refusing(call, number, times):
    """`call`, but that many times an error of that number; all of them with None."""
    left = [times]

    def refused(*arguments):
        if left[0] == 0:
            return call(*arguments)
        left[0] = None if left[0] is None else left[0] - 1
        raise OSError(number, os.strerror(number), *map(str, arguments[:1]))

    return refused


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.mark.parametrize("number", IN_USE)
def test_a_file_that_is_in_use_for_a_moment_is_replaced(number, tmp_path, monkeypatch):
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    monkeypatch.setattr(os, "replace", refusing(os.replace, number, len(published_files.PATIENCE)))
    replace(tmp_path / "new", tmp_path / "old")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old", "new")]


@pytest.mark.parametrize(("number", "times"), [(errno.EACCES, None), (errno.ENOSPC, 1)])
def test_other_trouble_is_raised(number, times, tmp_path, monkeypatch):
    (tmp_path / "new").touch()
    monkeypatch.setattr(os, "replace", refusing(os.replace, number, times))
    with pytest.raises(OSError, match=os.strerror(number)):
        replace(tmp_path / "new", tmp_path / "old")


@pytest.mark.parametrize("number", UNSUPPORTED)
def test_what_cannot_be_waited_for_is_not(number, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refusing(os.fsync, number, None))
    sync(tmp_path)


def test_a_disk_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refusing(os.fsync, errno.EIO, None))
    with pytest.raises(OSError, match="Input/output"):
        sync(tmp_path)
