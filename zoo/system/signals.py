"""Being asked to stop, as an exception. Imports nothing heavy."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """Asked to stop.

    Args:
        signum: by which signal.
        step: agent steps that are saved.
    """

    def __init__(self, signum: int, step: int | None = None) -> None:
        super().__init__(signum)
        self.signum, self.step = signum, step


def in_main_thread() -> bool:
    """Whether signals reach this thread; they reach no other."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Makes SIGTERM an exception, as Ctrl-C is one, for a process that has others to stop."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Stopped(signum)

    if not in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
