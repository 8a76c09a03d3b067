"""Processes that help another one, and end with it."""

from __future__ import annotations

import os
import signal
import threading
import time


def end_with_parent() -> None:
    """Has this process end soon after the one that started it, however that ended; Ctrl-C is for that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
