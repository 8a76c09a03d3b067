"""A disk that is full ends a run in one line, and the same command goes on when there is room."""

import random
import shlex
import subprocess
import sys

import pytest

from faults.runs_for_tests import LONG, assert_same_runs, command, run_here

pytestmark = pytest.mark.early
CONFIGURATION = ("rainbow", "CartPole-v1", "c51", 1400)
SIZES = 12 if LONG else 2
SCRIPT = """
mount -t tmpfs -o size={size} tmpfs {disk} || exit 77
{train} >{out}/first.out 2>{out}/first.err; echo $? >{out}/first.status
ls {disk}/run/checkpoints >{out}/checkpoints
mount -o remount,size=64M {disk}
{train} >{out}/second.out 2>{out}/second.err; echo $? >{out}/second.status
cp -a {disk}/run {out}/run
"""
"""In a mount namespace of its own, which ends with it."""


def in_a_namespace(script):
    return subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A folder to mount small disks on."""
    folder = tmp_path_factory.mktemp("disk")
    try:
        tried = in_a_namespace(f"mount -t tmpfs -o size=1M tmpfs {shlex.quote(str(folder))}")
    except OSError as error:
        pytest.skip(f"no small disk can be made here: {error}")
    if tried.returncode:
        pytest.skip(f"no small disk can be made here: {tried.stderr.strip()}")
    return folder


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The folder of the run that had room."""
    folder = tmp_path_factory.mktemp("truth") / "run"
    run_here(command(*CONFIGURATION, folder))
    return folder


def room(folder):
    """Bytes that a folder takes on a disk, in blocks of 4 kB; hard links take nothing."""
    sizes = {path.stat().st_ino: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return sum(-(-size // 4096) * 4096 for size in sizes.values())


@pytest.mark.parametrize("case", range(SIZES))
def test_full(case, disk, truth, tmp_path):
    # From hardly room for the recipe to not quite enough for the picture at the end.
    share = (case + random.Random(case).random()) / SIZES
    size = 8192 + int(share * 0.9 * room(truth))
    words = [sys.executable, "-m", "catzoo", *command(*CONFIGURATION, disk / "run")]
    places = {"disk": shlex.quote(str(disk)), "out": shlex.quote(str(tmp_path))}
    done = in_a_namespace(SCRIPT.format(size=size, train=shlex.join(words), **places))
    assert done.returncode == 0, done.stderr

    def said(name):
        return (tmp_path / name).read_text()

    steps = [int(name[5:]) for name in said("checkpoints").split() if name.startswith("step-")]
    print(f"\n{size} bytes: full after the checkpoints of {steps}")
    assert said("first.err").startswith(
        f"catzoo: error: {disk / 'run'}: cannot be written: No space left on device"
    )
    assert said("first.err").count("\n") == 1
    assert said("first.status").strip() == "2"
    assert (said("second.status").strip(), said("second.err")) == ("0", "")
    assert not steps or f"going on from step {max(steps):,}\n" in said("second.out")
    assert_same_runs(tmp_path / "run", truth)
