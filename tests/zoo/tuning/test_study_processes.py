"""A study of processes: its runs' and its own, interrupted and killed; some with a database between them."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from catzoo.hparams.tuning.storage import open_storage
from catzoo.zoo.launch import processes
from catzoo.zoo.tuning import trial_scheduler
from catzoo.zoo.tuning.tune import tune
from faults.runs_for_tests import LONG
from jobs_for_tests import checks_here, jobs_here, start_here
from studies_for_tests import TINY, TINY_STUDY, numbers

pytestmark = pytest.mark.early
TRIALS, SEEDS = (4, 2) if LONG else (3, 1)


def launch(folder, cwd, *more):
    words = ["tune", "dqn", "--env", "CartPole-v1", "--loss", "hl_gauss", "--trials", str(TRIALS)]
    words += ["--seeds", str(SEEDS), "--steps", "400", "--confirm", "0", "--study-dir", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-m", "catzoo", *words, *more, *TINY],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def at_work(folder):
    """How many of a study's runs have logged something."""
    return len(list(folder.glob("trials/*/*/metrics.csv")))


def until(process, condition):
    """Waits for it, or for the process to end."""
    deadline = time.monotonic() + 500
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def test_asked_to_stop_and_killed_at_random_moments_it_is_the_same_study(tmp_path):
    with jobs_here():
        asked = TINY_STUDY | {"loss": "hl_gauss", "trials": TRIALS, "seeds": SEEDS}
        tune("dqn", "CartPole-v1", study_dir=tmp_path / "straight", **asked)
    chance, folder = random.Random(1), tmp_path / "whole"
    process = launch(folder, tmp_path)
    until(process, lambda: at_work(folder))
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 143
    assert said.splitlines()[-1] == "catzoo: stopped; the same command goes on"
    for _ in range(5 if LONG else 1):
        before = at_work(folder)
        process = launch(folder, tmp_path)
        until(process, lambda before=before: at_work(folder) > before)
        time.sleep(chance.uniform(0, 1))
        process.kill()
        process.communicate()
    (folder / "trials.csv").unlink(missing_ok=True)
    process = launch(folder, tmp_path)
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert numbers(folder) == numbers(tmp_path / "straight")


def test_a_run_that_loses_is_ended_in_its_middle(tmp_path, monkeypatch):
    worth = {0: 5.0, 1: 6.0, 2: 7.0, 3: 8.0, 4: 1.0}

    def progress(run, steps, mark):
        return worth[int(run.path.name[:4])] + mark / 100

    def begin(job, *more):
        """The last one alone is to be seen at work."""
        return (start if job.run.path.name.startswith("0004") else start_here)(job, *more)

    start = processes.start
    monkeypatch.setattr(processes, "start", begin)
    monkeypatch.setattr(trial_scheduler, "progress_at", progress)
    asked = TINY_STUDY | {"seeds": 1, "overrides": [*TINY, "log_every=16"]}
    with checks_here():
        tune("dqn", "CartPole-v1", loss="mse", trials=5, study_dir=tmp_path / "s", pruner="median", **asked)
    rows = numbers(tmp_path / "s")
    assert [rows[number]["state"] for number in range(5)] == ["complete"] * 4 + ["pruned"]
    assert int(rows[4]["steps"]) < 400


@pytest.fixture
def postgres():
    """The URL of a PostgreSQL server of our own."""
    pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed")
    as_user = []
    if os.getuid() == 0:  # it refuses to be root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    with tempfile.TemporaryDirectory(prefix="postgres-") as home:  # pytest's folders are closed to others
        if as_user:
            shutil.chown(home, "postgres")
        tools, data = found[-1].parent, f"{home}/data"
        options = f"-c listen_addresses= -c unix_socket_directories={home} -c fsync=off"
        control = [*as_user, tools / "pg_ctl", "-D", data, "-w"]
        for words in (
            [*as_user, tools / "initdb", "-D", data, "-U", "zoo", "-A", "trust"],
            [*control, "-o", options, "-l", f"{home}/log", "start"],
        ):
            subprocess.run(words, check=True, capture_output=True)
        yield f"postgresql+psycopg://zoo@/postgres?host={home}"
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


def test_postgresql_with_three_workers_one_of_them_killed(postgres, tmp_path):
    with ThreadPoolExecutor(3) as pool:  # all of them make the tables
        assert len(list(pool.map(open_storage, [postgres] * 3))) == 3
    folder = tmp_path / "shared"
    asked = ("--workers", "3", "--storage", postgres)
    process = launch(folder, tmp_path, *asked)
    until(process, lambda: at_work(folder) >= 3)
    process.kill()
    process.communicate()
    again = launch(folder, tmp_path, *asked)
    said, _ = again.communicate(timeout=900)
    assert again.returncode == 0, said
    assert sorted(numbers(folder)) == list(range(TRIALS))
    assert {row["state"] for row in numbers(folder).values()} <= {"complete", "pruned"}
    assert open_storage(postgres).get_all_studies()[0].study_name == "shared"
