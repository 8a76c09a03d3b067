"""Processes at work on runs, several at a time; none of them outlives the block that holds them."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from catzoo.zoo.launch.jobs import AnyWork
from catzoo.zoo.system.exit_status import NO_ROOM
from catzoo.zoo.system.machine import WORKERS, usable_cores
from catzoo.zoo.system.signals import sigterm_raises

POLL = 0.1
"""Seconds between looks at the processes."""
LOOK = 1.0
"""Seconds between looks at the metrics."""
TAIL = 65_536
"""Bytes at a log's end that are searched for what went wrong."""
GRACE = 60.0
"""Seconds that an interrupted worker has to end by itself."""
PATIENCE = 600.0
"""Seconds without processor time after which a worker hangs: on a lock, or an environment that waits."""
RESTARTS = 2
"""Times that a run whose worker crashed or hung is started again, from its last checkpoint."""


@dataclass
class Worker(Generic[AnyWork]):
    """A process at work on a job."""

    job: AnyWork
    process: subprocess.Popen[bytes]
    log_start: int
    """Bytes of the log that are from before."""
    hung: bool = False
    """Whether it was killed for doing nothing."""
    alive: tuple[float, float] = (0.0, math.inf)
    """Its processor time when that last grew, and when that was."""

    def look_for_life(self, now: float) -> None:
        """Kills a worker that has used no processor time for too long."""
        used = processor_seconds(self.process.pid)
        if used is None or used > self.alive[0] or self.alive[1] == math.inf:
            self.alive = (used or 0.0, now)
        elif now - self.alive[1] > PATIENCE:
            self.hung = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def crashed(self) -> bool:
        """Whether it was ended by a signal, so that another attempt may fare better."""
        return self.process.returncode is not None and self.process.returncode < 0

    @property
    def had_no_room(self) -> bool:
        """Whether the disk was full, so that no other attempt fares better until somebody makes room."""
        return self.process.returncode == NO_ROOM


def threads_each(workers: int) -> int:
    """Threads for each of so many workers, so that they do not fight for cores."""
    return max(usable_cores() // workers, 1)


@contextlib.contextmanager
def crew_of_workers() -> Iterator[list[Worker[Any]]]:
    """A list of workers; none of them outlives the block. An error that ends it lets them save first."""
    crew: list[Worker[Any]] = []
    try:
        with sigterm_raises():
            yield crew
    except BaseException:  # whatever it was, they may save what they have
        for worker in crew:
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + GRACE
        for worker in crew:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(deadline - time.monotonic(), 0))
        raise
    finally:
        for worker in crew:
            if worker.process.poll() is None:
                os.killpg(worker.process.pid, signal.SIGKILL)
                worker.process.wait()


def environment(threads: int, workers: int) -> dict[str, str]:
    """Of a process that shares the machine."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return {**os.environ, **limits, WORKERS: str(workers), "PYTHONUNBUFFERED": "1"}


def start(job: AnyWork, threads: int, workers: int) -> Worker[AnyWork]:
    """A process of its own for a job, with its output in the log."""
    with job.log.open("a", encoding="utf-8") as log:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        log.write(f"--- {now} {job.title()}\n")
        log.flush()
        start = log.tell()
        process = subprocess.Popen(
            job.command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(threads, workers),
            process_group=0,  # Ctrl-C on the terminal is for the parent, which passes it on
        )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died at once: its exit status will say so
        process.stdin.write(json.dumps(job.words(threads)).encode() + b"\n")
        process.stdin.flush()  # and left open: its end is the parent's
    return Worker(job, process, start)


def wait_for(
    crew: Sequence[Worker[AnyWork]], look: Callable[[Worker[AnyWork]], None]
) -> list[Worker[AnyWork]]:
    """Waits until some workers have ended, and returns them; looks at each of the others meanwhile."""
    looked = 0.0
    while True:
        ended = [worker for worker in crew if worker.process.poll() is not None]
        for worker in ended:
            assert worker.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                worker.process.stdin.close()
        if ended:
            return ended
        if time.monotonic() - looked >= LOOK:
            looked = time.monotonic()
            for worker in crew:
                look(worker)
                worker.look_for_life(looked)
        time.sleep(POLL)


def problem_of(worker: Worker[Any]) -> str | None:
    """Why a worker's job has no result, in a few words; None if it has."""
    status = worker.process.returncode
    if status == 0:
        return None if worker.job.has_result() else "ended without a result"
    if worker.hung:
        return f"hung: no processor time for {PATIENCE:.0f} s"
    if status < 0:
        known = -status in set(signal.Signals)
        name = signal.Signals(-status).name if known else f"signal {-status}"
        hint = "; out of memory?" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"
    try:
        with worker.job.log.open("rb") as log:
            log.seek(max(worker.log_start, log.seek(0, os.SEEK_END) - TAIL))
            text = log.read().decode(errors="replace")
    except OSError as error:
        text = f"its log cannot be read: {error}"
    return f"exit status {status}: {last_words(text) or 'no message'}"


def processor_seconds(pid: int) -> float | None:
    """Processor time that a process has used, its threads included; None where nobody can tell."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def last_words(text: str) -> str:
    """The line of a process's output that says what went wrong, or the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Libraries may have had something to say after the error.
    named = [line for line in lines if re.match(r"catzoo: |[\w.]*(Error|Exception)\b", line)]
    last = (named or lines or [""])[-1]
    return last.removeprefix("catzoo: ").removeprefix("error: ")[:200]
