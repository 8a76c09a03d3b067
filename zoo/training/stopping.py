"""Ctrl-C and SIGTERM while a run trains: the iteration ends, a checkpoint is saved, and the process stops."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

import lightning.pytorch as pl

from catzoo.zoo.system.signals import Stopped, in_main_thread

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping(pl.Callback):
    """Takes note of the first signal inside its `with` block; a second one stops at once.

    The block goes from before Lightning's loop to after the last checkpoint, so that no signal falls between.
    Signals reach the main thread only; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._last: int | None = None
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether training is to stop after this iteration."""
        return self.signum is not None

    def __enter__(self) -> Stopping:
        """Takes the signals over, but for those that this process was told to ignore."""
        if in_main_thread():
            handlers = {number: signal.getsignal(number) for number in SIGNALS}
            self._before = {n: handler for n, handler in handlers.items() if handler != signal.SIG_IGN}
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives them back. A second signal's exception is its own, whatever Lightning made of it."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, KeyboardInterrupt) and self._last is not None:
            raise Stopped(self._last) from None

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Takes the signals from Lightning, which has its own handler of SIGTERM by now."""
        self._take()

    def _take(self) -> None:
        for number in self._before:
            signal.signal(number, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            self._last = signum
            raise Stopped(signum)
        self.signum = signum
