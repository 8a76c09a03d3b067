"""Being asked to stop, as an exception. Imports nothing heavy."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

WARNINGS = frozenset(
    getattr(signal, name) for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU") if hasattr(signal, name)
)
"""What batch systems send before they end a job, perhaps every second, and a terminal when it closes."""
STOPPING = (signal.SIGINT, signal.SIGTERM, *sorted(WARNINGS))
"""What a run saves and stops for."""


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
def stops_raise() -> Iterator[None]:
    """Makes each of `STOPPING` an exception, as Ctrl-C is one, for a process that has others to stop.

    One stop is enough: batch systems warn every second, or send one signal after another. Only the same
    SIGINT or SIGTERM again is another.
    """
    heard: set[int] = set()

    def stop(signum: int, frame: FrameType | None) -> None:
        counts = not heard or (signum in heard and signum not in WARNINGS)
        heard.add(signum)
        if counts:
            raise Stopped(signum)

    with handling(stop, STOPPING):
        yield


@contextmanager
def handling(handler: Callable[[int, FrameType | None], None], numbers: Iterable[int]) -> Iterator[list[int]]:
    """Has `handler` called for some signals; yields those that it is called for.

    Not those that this process was told to ignore; outside of the main thread, which no signal reaches, none.
    """
    found = {number: signal.getsignal(number) for number in numbers} if in_main_thread() else {}
    before = {number: known for number, known in found.items() if known not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield list(before)
    finally:
        for number, known in before.items():
            signal.signal(number, known)
