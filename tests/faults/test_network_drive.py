"""A drive without locks, hard links and modes, whose files are in use now and then, holds a run."""

import errno
import fcntl
import itertools
import os
from pathlib import Path

from tiny_runs_for_tests import tiny


def test_a_network_drive_without_locks_links_and_modes_holds_a_run_that_goes_on(tmp_path, monkeypatch):
    def refusing(call, number, when=lambda path: True):
        def refused(path, *more, **keywords):
            if when(path):
                raise OSError(number, os.strerror(number), path)
            return call(path, *more, **keywords)

        return refused

    monkeypatch.setattr("fcntl.flock", refusing(fcntl.flock, errno.ENOLCK))
    monkeypatch.setattr(os, "link", refusing(os.link, errno.EPERM))
    monkeypatch.setattr(os, "chmod", refusing(os.chmod, errno.EOPNOTSUPP))
    monkeypatch.setattr(os, "fsync", refusing(os.fsync, errno.EINVAL))
    tries = itertools.cycle((True, False))
    in_use = lambda path: Path(path).suffix == ".tmp" and next(tries)  # noqa: E731
    monkeypatch.setattr(os, "replace", refusing(os.replace, errno.EACCES, in_use))
    tiny(tmp_path / "drive", steps=200)
    again = tiny(tmp_path / "drive", steps=400)
    monkeypatch.undo()
    assert again["returns"] == tiny(tmp_path / "disk", steps=400)["returns"]
    assert {path.name for path in (tmp_path / "drive").iterdir()} == {
        path.name for path in (tmp_path / "disk").iterdir()
    }
