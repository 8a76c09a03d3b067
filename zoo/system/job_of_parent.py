"""A process at work for another one, which writes the job on standard input and holds that open."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from catzoo.zoo.system.exit_status import exit_status, status_of


def take_job() -> Any:
    """Reads the job, and from then on ends this process and its children when the parent is gone."""
    with open(0, "rb", buffering=0, closefd=False) as stream:
        job = json.loads(stream.readline())
    alive = os.dup(0)
    # Whoever asks a question of standard input gets an end of file, and not the thread's bytes.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    return job


def _end_with(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    if os.getpgrp() == os.getpid():  # environments may have processes of their own
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def hear_ctrl_c() -> None:
    """Has SIGINT interrupt this process: a shell may have told it to ignore that, and Ray blocks it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def work_on(do: Callable[..., object], command: str) -> int:
    """Does the job that it takes; returns the exit status that `catzoo COMMAND` would, or `NO_ROOM`."""
    hear_ctrl_c()
    job = take_job()
    return exit_status(lambda: status_of(lambda: do(**job)), command)
