"""The loop over jobs: who is started when, who is started again, who is stopped, and what ends it."""

import os
import signal

import pytest

import scripts_for_tests
from catzoo.zoo.launch import job_loop
from catzoo.zoo.launch.job_loop import RESTARTS, run_jobs
from catzoo.zoo.launch.jobs import Ending
from catzoo.zoo.launch.processes import Processes
from catzoo.zoo.system.exit_status import NO_ROOM
from catzoo.zoo.system.signals import Stopped
from scripts_for_tests import Script


class Told(scripts_for_tests.Told):
    """Has them done by processes."""

    def run(self, workers, **more):
        heard = {"begin": self.begin, "end": self.end} | more
        run_jobs(iter(self.waiting), Processes(workers), **heard)
        return self.said


def begun(said):
    return [name for name, *what in said if what == ["begins"]]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(job_loop, "POLL", 0.01)
    monkeypatch.setattr(job_loop, "LOOK", 0.02)


def test_jobs_begin_in_order_and_never_too_many_at_a_time(tmp_path):
    told = Told(tmp_path, **dict.fromkeys("abcde", "import time; time.sleep(0.05)"))
    said = told.run(2)
    assert begun(said) == list("abcde")
    assert [what[0] for _, *what in said if len(what) == 2] == [Ending(None)] * 5
    assert told.most == 2


def test_every_job_has_its_share_of_the_cores_and_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr("catzoo.zoo.launch.processes.usable_cores", lambda: 8)
    Told(tmp_path, a="import os; print(input(), os.environ['OMP_NUM_THREADS'])").run(3)
    assert (tmp_path / "a.log").read_text().splitlines()[1:] == ['{"threads": 2} 2']


def test_what_comes_next_may_be_decided_late(tmp_path):
    told = Told(tmp_path, a="", b="")
    first, second = told.waiting

    def jobs():
        yield first
        while told.at_work:
            yield None
        yield second

    run_jobs(jobs(), Processes(4), begin=told.begin, end=told.end)
    assert told.said == [
        ("a", "begins"), ("a", Ending(None), False), ("b", "begins"), ("b", Ending(None), False)
    ]  # fmt: skip


def test_what_crashes_is_started_again_at_once_and_not_for_ever(tmp_path):
    crash = Ending("killed by SIGKILL; out of memory?", crashed=True)
    assert Told(tmp_path, a="import os; os.kill(os.getpid(), 9)", b="").run(1) == [
        ("a", "begins"),
        *[("a", crash, True), ("a", "again")] * RESTARTS,
        ("a", crash, False),
        ("b", "begins"),
        ("b", Ending(None), False),
    ]
    assert (tmp_path / "a.log").read_text().count("---") == 1 + RESTARTS


@pytest.mark.parametrize(("status", "no_room"), [(1, False), (NO_ROOM, True)])
def test_what_fails_is_not_started_again(status, no_room, tmp_path):
    said = Told(tmp_path, a=f"print('ValueError: no'); raise SystemExit({status})").run(1)
    assert said[1:] == [("a", Ending(f"exit status {status}: ValueError: no", no_room=no_room), False)]


def test_a_job_that_nobody_wants_any_more_is_ended_at_once(tmp_path):
    told = Told(tmp_path, a="import time; time.sleep(60)", b="import time; time.sleep(0.3)")
    said = told.run(2, look=lambda job: job.name == "a")
    assert said[2:] == [("a", Ending(None), False), ("b", Ending(None), False)]


@pytest.fixture
def startless(tmp_path):
    """Jobs of which the second one's log cannot be written."""
    told = Told(tmp_path, a="", x="", b="")
    told.waiting[1] = Script("x", "", tmp_path / "missing")
    return told


def test_a_job_that_cannot_be_started_ends_all(startless):
    with pytest.raises(FileNotFoundError):
        startless.run(1)
    assert begun(startless.said) == ["a", "x"]


def test_a_job_that_cannot_be_started_need_not_end_all(startless):
    refused = []
    said = startless.run(1, refused=lambda job, error: refused.append((job.name, type(error))))
    assert begun(said) == ["a", "x", "b"]
    assert refused == [("x", FileNotFoundError)]


@pytest.mark.parametrize(
    ("how", "error"),
    [
        (lambda: 1 / 0, ZeroDivisionError),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), Stopped),
        (lambda: os.kill(os.getpid(), signal.SIGUSR1), Stopped),
    ],
)
def test_an_error_and_a_signal_end_all_once_the_workers_have_saved(how, error, tmp_path):
    script = """
import time
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("saved")
"""
    with pytest.raises(error):
        Told(tmp_path, a=script).run(1, look=lambda job: how() if "ready" in job.log.read_text() else None)
    assert (tmp_path / "a.log").read_text().splitlines()[-1] == "saved"


def test_a_warning_that_comes_again_leaves_the_workers_time_to_save(tmp_path):
    script = """
import os, signal, time
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    for _ in range(3):
        os.kill(os.getppid(), signal.SIGXCPU)
    print("saved")
"""

    def warn(job):
        if "ready" in job.log.read_text():
            os.kill(os.getpid(), signal.SIGXCPU)

    with pytest.raises(Stopped):
        Told(tmp_path, a=script).run(1, look=warn)
    assert (tmp_path / "a.log").read_text().splitlines()[-1] == "saved"
