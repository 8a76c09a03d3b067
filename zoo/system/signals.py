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
    """Makes each of `STOPPING` an exception, as Ctrl-C is one, for a process that has others to stop."""
    heard: set[int] = set()

    def stop(signum: int, frame: FrameType | None) -> None:
        again = signum in WARNINGS and bool(heard)  # one stop is enough; a batch system warns every second
        heard.add(signum)
        if not again:
            raise Stopped(signum)

    with handling(stop, [number for number in STOPPING if number != signal.SIGINT]):
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
