"""Being told to stop while a run trains: the iteration ends, a checkpoint is saved, and the process stops."""

from __future__ import annotations

import contextlib
import signal
from types import FrameType, TracebackType
from typing import Any

import lightning.pytorch as pl
import torch

from catzoo.agents.learning.data_parallel import ALONE, Ranks
from catzoo.zoo.system.signals import STOPPING, WARNINGS, Stopped, handling


class Stopping(pl.Callback):
    """Takes note of the first signal of `STOPPING` inside its `with` block; the same again stops at once.

    Not another one: a batch system may warn before it ends a job, or tell this process as well as the parent
    that passes it on. A warning may come every second, and never stops at once.

    The block goes from before Lightning's loop to after the last checkpoint, so that no signal falls between.
    Signals reach the main thread only; elsewhere this does nothing.

    Args:
        ranks: the learners of the run, which stop together.
    """

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self.ranks = ranks
        self.signum: int | None = None
        self._heard: set[int] = set()
        self._last: int | None = None
        self._handling = contextlib.ExitStack()
        self._taken: list[int] = []

    def __call__(self) -> bool:
        """Whether training is to stop after this iteration."""
        return self.signum is not None

    def agreed(self) -> bool:
        """The same, of any of the learners: what one was told, all were."""
        if self.ranks.count > 1:
            self.signum = int(self.ranks.largest(torch.tensor(self.signum or 0))) or None
        return self()

    def __enter__(self) -> Stopping:
        """Takes the signals over, but for those that this process was told to ignore."""
        self._taken = self._handling.enter_context(handling(self._note, STOPPING))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives them back. A second signal's exception is its own, whatever Lightning made of it."""
        self._handling.close()
        if isinstance(error, KeyboardInterrupt) and self._last is not None:
            raise Stopped(self._last) from None

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Takes the signals from Lightning, which has its own handler of SIGTERM by now."""
        for number in self._taken:
            signal.signal(number, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum in self._heard and signum not in WARNINGS:
            self._last = signum
            raise Stopped(signum)
        self._heard.add(signum)
        self.signum = self.signum or signum
