"""One process at a time, with the system's locks and without."""

import errno
import fcntl
import os
import subprocess
import sys
import time

import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.system import file_locks
from catzoo.zoo.system.file_locks import held_path


@pytest.fixture(params=["locks", errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL])
def locks(request, monkeypatch):
    """A file system with locks, and some without."""
    monkeypatch.setattr(file_locks, "BEAT", 0.02)
    monkeypatch.setattr(file_locks, "SILENCE", 0.3)
    if request.param != "locks":

        def refuse(*_):
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_second_one_is_refused_and_a_later_one_is_not(locks, kind, tmp_path, capsys):
    path = tmp_path / kind
    path.mkdir() if kind == "folder" else path.touch()
    for _ in range(2):
        with held_path(path, "at work"):
            for _ in range(2):
                with (
                    pytest.raises(RecipeError, match="another process is at work"),
                    held_path(path, "at work"),
                ):
                    pass
    assert [found.name for found in tmp_path.rglob("*")] == [kind]
    assert ("has no locks" in capsys.readouterr().out) == (locks != "locks")


@pytest.mark.parametrize("clock", [0, 10_000])
def test_what_a_dead_process_held_is_taken_over_whatever_its_clock_said(locks, clock, tmp_path):
    if locks != "locks":
        (tmp_path / "held.tmp").write_text("process 1 on elsewhere")
        os.utime(tmp_path / "held.tmp", (time.time() + clock,) * 2)
    with held_path(tmp_path, "at work"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_held_is_one_line(locks, tmp_path, monkeypatch):
    if locks == "locks":
        return
    before = os.open

    def read_only(path, flags, *more):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return before(path, flags, *more)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(RecipeError, match="cannot be held: Read-only"), held_path(tmp_path, "at work"):
        pass


def test_a_lock_ends_with_its_process(tmp_path):
    script = f"from catzoo.zoo.system.file_locks import held_path; import os, pathlib\n" \
             f"with held_path(pathlib.Path({str(tmp_path)!r}), ''): os._exit(0)"  # fmt: skip
    subprocess.run([sys.executable, "-c", script], check=True)
    with held_path(tmp_path, "at work"):
        pass


def test_of_two_that_wait_for_a_dead_holder_one_goes_on(locks, tmp_path, monkeypatch):
    """The second one's last look at the file is older than the first one's taking over."""
    if locks == "locks":
        return
    file = tmp_path / "held.tmp"
    file.write_text("process 1 on elsewhere")
    before = os.rename

    def late(source, target):
        monkeypatch.setattr(os, "rename", before)
        file.unlink()
        file.write_text("process 2 on elsewhere")  # it was quicker
        before(source, target)

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(RecipeError, match="another process is at work"), held_path(tmp_path, "at work"):
        pass
    assert file.read_text() == "process 2 on elsewhere"
    assert [path.name for path in tmp_path.iterdir()] == ["held.tmp"]
