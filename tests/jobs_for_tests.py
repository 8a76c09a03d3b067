"""Jobs of many runs, each done to its end in this process when it is started: no process, the same runs."""

from contextlib import contextmanager, redirect_stdout

import pytest

from catzoo.zoo.launch import processes, worker
from catzoo.zoo.launch.jobs import Ending
from catzoo.zoo.training.train import train


class Done:
    """What the loop sees of a worker that has ended."""

    def __init__(self, job):
        self.job = job

    def ending(self):
        return Ending(None if self.job.has_result() else "ended without a result")

    def kill(self):
        pass

    def wait(self, seconds=None):
        pass


def start_here(job, threads, workers):
    """In the place of `processes.start`; an error of the run is raised."""
    with job.log.open("a", encoding="utf-8") as log, redirect_stdout(log):
        train(**job.words(threads))
    return Done(job)


def check_here(words, threads, workers):
    """In the place of `processes.check`; an error is raised."""
    worker._check(list(words))


@contextmanager
def checks_here():
    """What can be trained is checked in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "check", check_here)
        yield


@contextmanager
def jobs_here():
    """So are runs trained."""
    with checks_here(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "start", start_here)
        yield
