"""Ctrl-C and SIGTERM while a run trains: the iteration ends, a checkpoint is saved, and the process stops."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from catzoo.zoo.signals import Stopped, in_main_thread

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping(pl.Callback):
    """Takes note of the first signal while Lightning trains; a second one stops at once.

    Signals reach the main thread only; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether training is to stop after this iteration."""
        return self.signum is not None

    def on_train_start(self, trainer: pl.Trainer, agent: Any) -> None:
        """Takes the signals over, Lightning's own handler of SIGTERM included."""
        if in_main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def on_train_end(self, trainer: pl.Trainer, agent: Any) -> None:
        """Gives them back."""
        self._give_back()

    def on_exception(self, trainer: pl.Trainer, agent: Any, exception: BaseException) -> None:
        """Gives them back."""
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            self._give_back()
            raise Stopped(signum)
        self.signum = signum
