"""Chunks of a dataset, made by processes that end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from catzoo.hparams import RecipeError


def each_chunk(make: Callable[[int], object], chunks: Sequence[int], workers: int) -> Iterator[int]:
    """Makes chunks, and yields how many are made, after each.

    Args:
        make: makes the chunk of a number, whole or not at all; it and what it holds can be pickled.
        chunks: the numbers.
        workers: processes; with one everything happens in this one.

    Raises:
        RecipeError: a process was killed; so is what `make` raises.
    """
    if workers == 1 or len(chunks) < 2:
        for done, chunk in enumerate(chunks, 1):
            make(chunk)
            yield done
        return
    context, others = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    with ProcessPoolExecutor(min(workers, len(chunks)), context, end_with_parent) as pool:
        waiting = [pool.submit(make, chunk) for chunk in chunks]
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                future.result()
                yield done
        except BrokenProcessPool:
            raise RecipeError("a worker was killed; out of memory? The same command goes on") from None
        except BaseException:
            # A worker is at most a chunk from its end, and nobody waits for what it finds.
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def end_with_parent() -> None:
    """Has this process end soon after the one that started it, however that ended; Ctrl-C is for that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
