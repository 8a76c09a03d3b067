"""How a command ends: its exit status, and one line for what went wrong."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable

from catzoo.hparams import NoRoomError, RecipeError
from catzoo.zoo.system.streams import STDERR

NEEDED = {
    "PIL", "ale_py", "gymnasium", "imageio", "imageio_ffmpeg", "jinja2", "lightning", "matplotlib",
    "numpy", "optuna", "psutil", "rich", "safetensors", "scipy", "sqlalchemy", "tensorboard",
    "tensordict", "torch", "torchrl", "yaml",
}  # fmt: skip
"""Modules of the packages that commands need, and `catzoo.losses` does not."""
NO_ROOM = 75
"""Exit status where the disk was full, and the job can go on when it is not: EX_TEMPFAIL of sysexits.h."""


def exit_status(action: Callable[[], int | None], command: str) -> int:
    """Does something, and says in one line what went wrong; returns the exit status of `command`."""
    try:
        return action() or 0
    except RecipeError as error:
        print(f"catzoo: error: {error}", file=STDERR)
        return 2
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in NEEDED:
            raise
        what = f"{missing} is missing: {command} needs the packages that --no-deps leaves out"
        print(f"catzoo: error: {what}; install catzoo without it", file=STDERR)
        return 2
    except FloatingPointError as error:
        print(f"catzoo: error: {error}", file=STDERR)
        return 1
    except KeyboardInterrupt as stop:
        step = getattr(stop, "step", None)
        where = "" if step is None else f" at step {step:,}, which is saved"
        goes_on = "; the same command goes on" if command in ("train", "tune", "reproduce") else ""
        print(f"catzoo: stopped{where}{goes_on}", file=STDERR)
        return 128 + getattr(stop, "signum", signal.SIGINT)


def status_of(work: Callable[[], object]) -> int:
    """Works; returns the exit status: 0, or `NO_ROOM`."""
    try:
        work()
    except NoRoomError as error:
        with contextlib.suppress(OSError):  # there may be none for the log either
            print(f"catzoo: error: {error}", file=STDERR)
        return NO_ROOM
    return 0


def last_words(text: str) -> str:
    """The line of a process's output that says what went wrong, or the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Libraries may have had something to say after the error.
    named = [line for line in lines if re.match(r"catzoo: |[\w.]*(Error|Exception)\b", line)]
    last = (named or lines or [""])[-1]
    return last.removeprefix("catzoo: ").removeprefix("error: ")[:1_000]
