"""The backend of this machine: a job in a process of its own, started, looked at, interrupted, killed."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from catzoo.zoo.launch.jobs import COMMAND, AnyWork, Ending, Needs
from catzoo.zoo.system.exit_status import NO_ROOM, last_words
from catzoo.zoo.system.machine import WORKERS, usable_cores

TAIL = 65_536
"""Bytes at a log's end that are searched for what went wrong."""
PATIENCE = 600.0
"""Seconds without processor time after which a worker hangs: on a lock, or an environment that waits."""


@dataclass(frozen=True)
class Processes:
    """A process for each job, so many at a time; the cores are shared out among them. See `Backend`."""

    workers: int

    def places(self) -> int:
        """See `Backend`."""
        return self.workers

    def limited(self, jobs: int) -> Processes:
        """See `Backend`."""
        return Processes(min(self.workers, jobs))

    def start(self, job: AnyWork) -> Worker[AnyWork]:
        """See `Backend`."""
        return start(job, threads_each(self.workers), self.workers)

    def check(self, words: Sequence[Mapping[str, Any]], needs: Needs) -> str | None:
        """See `Backend`."""
        return check(words, threads_each(self.workers), self.workers)


@dataclass
class Worker(Generic[AnyWork]):
    """A process at work on a job."""

    job: AnyWork
    process: subprocess.Popen[bytes]
    log_start: int
    """Bytes of the log that are from before."""
    stopped: bool = False
    """Whether it was killed because nobody wants its result."""
    hung: bool = False
    """Whether it was killed for doing nothing."""
    alive: tuple[float, float] = (0.0, math.inf)
    """Its processor time when that last grew, and when that was."""

    def ending(self) -> Ending | None:
        """How it ended; None while it is at work."""
        status = self.process.poll()
        if status is None:
            return None
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        if self.stopped:
            return Ending(None)
        return Ending(self._problem(status), crashed=status < 0, no_room=status == NO_ROOM)

    def look_for_life(self, now: float) -> None:
        """Kills it if it has used no processor time for too long."""
        used = processor_seconds(self.process.pid)
        if used is None or used > self.alive[0] or self.alive[1] == math.inf:
            self.alive = (used or 0.0, now)
        elif now - self.alive[1] > PATIENCE:
            self.hung = True
            self.kill()

    def interrupt(self) -> None:
        """Asks it to save and end."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, seconds: float | None = None) -> None:
        """Waits until it has ended, or so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def stop(self) -> None:
        """Ends it at once, as its job is not wanted any more."""
        self.stopped = True
        self.kill()

    def kill(self) -> None:
        """Ends it at once, and the processes that it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def _problem(self, status: int) -> str | None:
        """Why its job has no result, in a few words; None if it has."""
        if status == 0:
            return None if self.job.has_result() else "ended without a result"
        if self.hung:
            return f"hung: no processor time for {PATIENCE:.0f} s"
        if status < 0:
            known = -status in set(signal.Signals)
            name = signal.Signals(-status).name if known else f"signal {-status}"
            hint = "; out of memory?" if name == "SIGKILL" else ""
            return f"killed by {name}{hint}"
        try:
            with self.job.log.open("rb") as log:
                log.seek(max(self.log_start, log.seek(0, os.SEEK_END) - TAIL))
                text = log.read().decode(errors="replace")
        except OSError as error:
            text = f"its log cannot be read: {error}"
        return f"exit status {status}: {last_words(text) or 'no message'}"


def threads_each(workers: int) -> int:
    """Threads for each of so many workers, so that they do not fight for cores."""
    return max(usable_cores() // workers, 1)


def environment(threads: int, workers: int) -> dict[str, str]:
    """Of a process that shares the machine."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    output = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}  # whatever the terminal's is
    return {**os.environ, **limits, **output, WORKERS: str(workers)}


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


def check(words: Sequence[Mapping[str, Any]], threads: int, workers: int) -> str | None:
    """Builds runs in a process, see `worker`; why one cannot be built, None if all can."""
    done = subprocess.run(
        [*COMMAND, "check"],
        input=json.dumps(words) + "\n",
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=environment(threads, workers),
        check=False,
    )
    if not done.returncode:
        return None
    return last_words(done.stderr) or f"a check ended with status {done.returncode}"


def processor_seconds(pid: int) -> float | None:
    """Processor time that a process has used, its threads included; None where nobody can tell."""
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)
