"""The one loop that does jobs, so many at a time: starts them, looks at them, starts again what crashed.

Of what does a job it knows the methods of a `Backend` and of what that starts, no more.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from catzoo.zoo.launch.backends import AtWork, Backend
from catzoo.zoo.launch.jobs import AnyWork, Ending
from catzoo.zoo.system.signals import stops_raise

POLL = 0.1
"""Seconds between looks at the workers."""
LOOK = 1.0
"""Seconds between looks at what they have done."""
GRACE = 60.0
"""Seconds that an interrupted worker has to end by itself."""
RESTARTS = 2
"""Times that a job whose worker crashed or hung is started again, from its last checkpoint."""


def run_jobs(
    jobs: Iterator[AnyWork | None],
    backend: Backend,
    *,
    begin: Callable[[AnyWork, bool], None] = lambda *_: None,
    look: Callable[[AnyWork], bool | None] = lambda *_: None,
    end: Callable[[AnyWork, Ending, bool], None],
    refused: Callable[[AnyWork, OSError], None] | None = None,
) -> None:
    """Does jobs until none is at work and none comes.

    Args:
        jobs: asked for one when a worker is free, so that they may be decided on late; None: there is none
            before another has ended.
        backend: does them, so many at a time as it has places.
        begin: hears of a job before it starts, and whether it does so again, after a crash.
        look: looks how far a job is, every `LOOK` seconds; true: it is to be ended, as nobody wants it.
        end: hears how a job ended, and whether it will be started again.
        refused: hears why a job could not be started; without it that ends all.

    Raises:
        KeyboardInterrupt: after the workers have saved and ended; so is what the callbacks raise.
    """
    again: list[AnyWork] = []
    attempts: Counter[Path] = Counter()
    with crew_of_workers() as crew:
        while True:
            while len(crew) < backend.places() and (job := again.pop() if again else next(jobs, None)):
                attempts[job.log] += 1
                begin(job, attempts[job.log] > 1)
                try:
                    crew.append(backend.start(job))
                except OSError as error:  # such as a full disk
                    if refused is None:
                        raise
                    refused(job, error)
            if not crew:
                return
            for worker, ending in wait_for(crew, look):
                crew.remove(worker)
                restarts = ending.crashed and attempts[worker.job.log] <= RESTARTS
                if restarts:
                    again.append(worker.job)
                end(worker.job, ending, restarts)


@contextlib.contextmanager
def crew_of_workers() -> Iterator[list[AtWork]]:
    """A list of workers; none of them outlives the block. An error that ends it lets them save first."""
    crew: list[AtWork] = []
    with stops_raise():
        try:
            yield crew
        except BaseException:  # whatever it was, they may save what they have
            for worker in crew:
                worker.interrupt()
            deadline = time.monotonic() + GRACE
            for worker in crew:
                worker.wait(max(deadline - time.monotonic(), 0))
            raise
        finally:
            for worker in crew:
                worker.kill()
            for worker in crew:
                worker.wait()


def wait_for(crew: Sequence[AtWork], look: Callable[[AnyWork], bool | None]) -> list[tuple[AtWork, Ending]]:
    """Waits until some workers have ended, and returns them; looks at each of the others meanwhile."""
    looked = 0.0
    while True:
        if ended := [(worker, ending) for worker in crew if (ending := worker.ending())]:
            return ended
        if time.monotonic() - looked >= LOOK:
            looked = time.monotonic()
            for worker in crew:
                if look(worker.job):
                    worker.stop()
                worker.look_for_life(looked)
        time.sleep(POLL)
