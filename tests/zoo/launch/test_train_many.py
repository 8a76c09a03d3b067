"""Many runs at once: refused before anything starts, killed and gone on with, one failure among others."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.cli.main import main
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.launch import job_loop, processes
from catzoo.zoo.launch.jobs import Ending, Job
from catzoo.zoo.launch.processes import threads_each
from catzoo.zoo.launch.train_many import train_many
from catzoo.zoo.reporting.finished_runs import gather
from catzoo.zoo.system.csv_rows import read_rows
from catzoo.zoo.system.machine import usable_cores
from jobs_for_tests import checks_here

pytestmark = pytest.mark.early
GAMES = '''
"""Games for a test: one that is slow enough to be interrupted, and one that breaks."""

import os
import time

import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv


class Slow(CartPoleEnv):
    def step(self, action):
        time.sleep(0.005)
        return super().step(action)


class Falling(CartPoleEnv):
    def step(self, action):
        raise RuntimeError(f"the pole broke, with {os.environ['OMP_NUM_THREADS']} threads")


gym.register("Slow-v0", entry_point=Slow, max_episode_steps=20)
gym.register("Falling-v0", entry_point=Falling)
'''
TINY = [
    "num_envs=4",
    "rollout_length=5",
    "learning_starts=200",
    "batch_size=16",
    "network.hidden=[8]",
    "log_every=100",
    "eval.episodes=2",
    "eval.every=0",
    "checkpoint_every=100",
    "compute.threads=64",
]
ENVS = "games_for_many:Slow-v0,CartPole-v1,games_for_many:Falling-v0"
SLOW = "dqn-games_for_many-Slow-v0-mse-s0"
CARTPOLE = "dqn-CartPole-v1-mse-s0"
FALLING = "dqn-games_for_many-Falling-v0-mse-s0"
WORDS = ["train", "dqn", "--env", ENVS, "--loss", "mse", "--steps", "600", "--workers", "2", *TINY]


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-m", "catzoo", *WORDS],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def held(path):
    """Whether a process is training in a run's folder."""
    if not path.exists():
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def until(condition, seconds=300.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """One command: its parent killed, then interrupted, then left alone."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "games_for_many.py").write_text(GAMES)
    slow, seen = folder / "runs" / SLOW, {"folder": folder}

    def saved():
        names = [path.name for path in (slow / "checkpoints").glob("step-*")]
        return max((int(name.split("-")[1]) for name in names), default=0)

    first = start(folder)
    until(lambda: saved() or first.poll() is not None)
    first.kill()
    first.communicate()
    until(lambda: not held(slow))  # the worker ends by itself
    seen["after the kill"] = saved()

    second = start(folder)
    until(lambda: (saved() > seen["after the kill"] and held(slow)) or second.poll() is not None)
    second.send_signal(signal.SIGINT)
    seen["interrupted"] = (*second.communicate(timeout=300), second.returncode)
    seen["held after the interruption"] = held(slow)
    seen["after the interruption"] = saved()

    third = start(folder)
    seen["finished"] = (*third.communicate(timeout=300), third.returncode)
    return seen


def test_the_workers_of_a_killed_parent_end(history):
    assert 0 < history["after the kill"] < 600


def test_ctrl_c_waits_for_the_workers_and_says_how_to_go_on(history):
    _, said, status = history["interrupted"]
    assert status == 130
    assert said == "catzoo: stopped; the same command goes on\n"
    assert not history["held after the interruption"]
    assert history["after the kill"] < history["after the interruption"] < 600


def test_the_same_command_finishes_every_run_once(history):
    runs = history["folder"] / "runs"
    for name in (SLOW, CARTPOLE):
        assert Run(runs / name).result()["steps"] == 600
    steps = [int(row["step"]) for row in read_rows(runs / SLOW / "metrics.csv")]
    assert steps == [100, 200, 300, 400, 500, 600]
    log = (runs / "logs" / f"{SLOW}.log").read_text()
    assert log.count("catzoo: stopped") == 1
    assert log.count("going on from step") == 2
    assert f"going on from step {history['after the interruption']}" in log


def test_a_run_that_fails_does_not_stop_the_others(history):
    said, errors, status = history["finished"]
    assert status == 1
    assert errors == ""
    share = max(usable_cores() // 2, 1)
    why = f"exit status 1: RuntimeError: the pole broke, with {share} threads"
    assert said.splitlines()[-1] == f"failed: {FALLING}: {why}; see runs/logs/{FALLING}.log"
    assert f"/3 begins: {FALLING}" in said
    assert f"{SLOW}: greedy return " in said
    assert "1 of 3 runs is not finished" in said


def test_workers_share_the_cores(history):
    share = max(usable_cores() // 2, 1)
    assert Run(history["folder"] / "runs" / SLOW).recipe().compute.threads == share


def test_finished_runs_are_only_counted(history, monkeypatch, capsys):
    monkeypatch.chdir(history["folder"])
    monkeypatch.setattr("catzoo.zoo.launch.processes.start", lambda *_: pytest.fail("a run began again"))
    envs = ["games_for_many:Slow-v0", "CartPole-v1"]
    done = train_many("dqn", envs, losses=["MSE"], steps=600, overrides=TINY)
    said = capsys.readouterr().out
    assert "2 of 2 runs are finished already" in said
    assert "keep their evaluation" not in said
    train_many("dqn", envs, losses=["MSE"], steps=600, overrides=[*TINY, "eval.episodes=7"])
    assert "finished runs keep their evaluation: catzoo eval" in capsys.readouterr().out
    assert "Scores" in said
    assert [result["env"] for result in done] == envs
    for row, result in zip(gather([result["run_dir"] for result in done]), done, strict=True):
        assert row["seeds"] == 1
        assert np.isclose(row["mean_return"], np.mean(result["returns"]))


@pytest.fixture
def refusing(monkeypatch):
    """Nothing may be trained; what can be is checked in this process."""
    monkeypatch.setattr("catzoo.zoo.launch.processes.start", lambda *_: pytest.fail("a run began"))
    with checks_here():
        yield


EXPERTS = "CartPole-v1: network.experts=2 does not fit"


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"seeds": 0}, "seeds=0: must be at least 1"),
        ({"workers": 0}, "workers=0: must be at least 1"),
        ({"seed": -1}, "seed=-1"),
        ({"agent": "a3c"}, "unknown agent 'a3c'"),
        ({"envs": "CartPole-v1,Acrobat-v1"}, "did you mean Acrobot-v1"),
        ({"envs": "CartPole-v1,Pendulum-v1"}, "discrete action space"),
        ({"losses": "mse,hlgau"}, "did you mean hl_gauss"),
        ({"losses": "mse,"}, "unknown loss ''"),
        ({"overrides": ["optimizer.lrr=1"]}, "did you mean optimizer.lr"),
        ({"losses": "hl_gauss,mse", "overrides": ["value_loss.sigma=1"]}, "does not apply to mse"),
        ({"steps": 0}, "steps=0"),
        ({"envs": "ALE/Pong-v5", "overrides": ["env_options={frameskip: abc}"]}, "env_options"),
        ({"wandb": "x"}, "catzoo[wandb]"),
        ({"envs": "atari-100k"}, "--env atari-26 --preset atari-100k"),
        ({"overrides": ["network.experts=2"]}, EXPERTS),
        ({"overrides": ["replay.capacity=10"]}, "replay.capacity=10 must be at least"),
        ({"overrides": ["life_loss_ends=true"]}, "has no lives to lose"),
    ],
)
def test_mistakes_are_refused_before_anything_starts(tmp_path, monkeypatch, refusing, keywords, words):
    monkeypatch.setitem(sys.modules, "wandb", None)
    arguments = {"agent": "dqn", "envs": "CartPole-v1,Acrobot-v1", **keywords}
    with pytest.raises(RecipeError) as caught:
        train_many(arguments.pop("agent"), arguments.pop("envs"), run_dir=tmp_path / "runs", **arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_the_checking_process_says_is_told_in_its_words(tmp_path):
    with pytest.raises(RecipeError, match=f"^{EXPERTS}[^\n]*$"):
        train_many("dqn", "CartPole-v1", run_dir=tmp_path / "runs", overrides=["network.experts=2"])
    assert list(tmp_path.iterdir()) == []


def saved(path, **changes):
    path.mkdir(parents=True)
    Run(path).save_recipe(find_recipe("dqn", "Acrobot-v1", "mse", [changes]))


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (
            lambda parent: saved(parent / "dqn-Acrobot-v1-mse-s1", gamma=0.5),
            "belongs to another recipe: gamma",
        ),
        (lambda parent: saved(parent), "is a run folder"),
        (lambda parent: parent.write_text("x"), "cannot be"),
        (lambda parent: (parent / "dqn-Acrobot-v1-mse-s1" / "x").mkdir(parents=True), "not a run folder"),
    ],
)
def test_folders_of_others_are_refused_before_anything_starts(tmp_path, refusing, prepare, words):
    prepare(tmp_path / "runs")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecipeError, match=words):
        train_many("dqn", "CartPole-v1,Acrobot-v1", losses="mse", seeds=2, run_dir=tmp_path / "runs")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_name_that_no_system_takes(tmp_path):
    with pytest.raises(RecipeError, match="cannot be used"):
        train_many("dqn", "CartPole-v1,Acrobot-v1", run_dir=tmp_path / ("x" * 300))


def test_two_runs_never_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("catzoo.zoo.launch.train_many.default_folder", lambda recipe, suffix: Path("same"))
    with pytest.raises(RecipeError, match="CartPole-v1 and Acrobot-v1 would share the folder"):
        train_many("dqn", "CartPole-v1,Acrobot-v1", run_dir=tmp_path)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """What would be trained, in order."""

    def plan(*arguments, **keywords):
        monkeypatch.setattr(
            "catzoo.zoo.launch.train_many.train_jobs",
            lambda jobs, todo, *_: {job.run.path: "not tried" for job in todo},
        )
        with checks_here():
            return train_many("dqn", *arguments, run_dir=tmp_path, progress=None, **keywords)

    return plan


def test_seeds_are_outermost(planned):
    runs = planned("CartPole-v1,Acrobot-v1", losses="hl_gauss,HLGauss,mse", seeds=2, seed=5)
    assert [(run["seed"], run["env"], run["loss"]) for run in runs] == [
        (seed, env, loss)
        for seed in (5, 6)
        for env in ("CartPole-v1", "Acrobot-v1")
        for loss in ("hl_gauss", "mse")
    ]
    assert {run["error"] for run in runs} == {"not tried"}
    assert Path(runs[0]["run_dir"]).name == "dqn-CartPole-v1-hl_gauss-s5"


def test_recipes_decide_what_is_not_said(planned):
    runs = planned(["CartPole-v1", "MountainCar-v0"], overrides=iter(["seed=3", {"gamma": 0.9}]))
    assert [(run["seed"], run["loss"], run["steps"]) for run in runs] == [
        (3, "hl_gauss", 100_000),
        (3, "hl_gauss", 500_000),
    ]


def test_one_run_without_the_new_options_is_trained_here(monkeypatch):
    calls = []
    monkeypatch.setattr("catzoo.zoo.training.train.train", lambda *_, **__: calls.append("here") or {})
    monkeypatch.setattr("catzoo.zoo.reporting.result_table.print_result", lambda result: None)
    monkeypatch.setattr(
        "catzoo.zoo.launch.train_many.train_many", lambda *_, **__: calls.append("there") or []
    )
    for more in ([], ["--workers", "2"], ["--seeds", "1"], ["--loss", "mse"], ["--loss", "mse,c51"]):
        assert main(["train", "dqn", "--env", "CartPole-v1", *more]) == 0
    assert main(["train", "dqn", "--env", "minatar-5"]) == 0
    assert calls == ["here", "there", "there", "here", "there", "there"]


def test_a_share_is_at_least_one_thread(monkeypatch):
    monkeypatch.setattr("catzoo.zoo.launch.processes.usable_cores", lambda: 8)
    assert [threads_each(workers) for workers in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]


def at_work(tmp_path, script, **more):
    """A worker on a run, which does something else."""
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0, **more)
    job = Job(find_recipe("dqn", "CartPole-v1"), Run(tmp_path), tmp_path / "log", {})
    return processes.Worker(job, process, 0)


def test_a_killed_worker_is_named(tmp_path):
    worker = at_work(tmp_path, "import time; time.sleep(60)")
    assert worker.ending() is None
    worker.kill()
    worker.wait()
    assert worker.ending() == Ending("killed by SIGKILL; out of memory?", crashed=True)


def test_a_worker_that_does_nothing_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.3)
    idle = at_work(tmp_path, "import time; time.sleep(60)")
    busy = at_work(tmp_path, "while True: sum(range(10**5))")
    end = time.monotonic() + 20
    while idle.ending() is None:
        for worker in (idle, busy):
            worker.look_for_life(time.monotonic())
        time.sleep(0.1)
        assert time.monotonic() < end
    assert busy.ending() is None
    busy.kill()
    busy.wait()
    assert idle.ending() == Ending("hung: no processor time for 0 s", crashed=True)
    assert busy.ending() == Ending("killed by SIGKILL; out of memory?", crashed=True)


CRASHING = """
import os, pathlib, signal
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv


class Crashing(CartPoleEnv):
    def step(self, action):
        count = pathlib.Path("crashes")
        if self.steps_left == 0 and len(count.read_text() if count.exists() else "") < 2:
            with count.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps_left -= 1
        return super().step(action)

    steps_left = 10


gym.register("Crashing-v0", Crashing, max_episode_steps=50)
"""


def test_a_run_whose_worker_crashes_is_started_again_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("crashing.py").write_text(CRASHING)
    said = []
    runs = train_many(
        "dqn", "crashing:Crashing-v0", losses="mse", steps=200, run_dir="runs", overrides=TINY,
        progress=said.append,
    )  # fmt: skip
    assert Path("crashes").read_text() == "xx"
    assert runs[0]["steps"] == 200
    assert sum("killed by SIGKILL" in line for line in said) == 2
    assert sum("begins again" in line for line in said) == 2


def ended(tmp_path, status):
    worker = at_work(tmp_path, f"raise SystemExit({status})")
    worker.wait()
    return worker.ending()


def test_a_worker_without_a_result_or_a_log_is_a_failure_and_no_crash(tmp_path):
    assert ended(tmp_path, 0) == Ending("ended without a result")
    (tmp_path / "result.json").write_text("{")
    assert ended(tmp_path, 0) == Ending("ended without a result")
    ending = ended(tmp_path, 1)
    assert "its log cannot be read" in ending.problem
    assert not ending.crashed


def test_the_end_of_a_long_log_is_read(tmp_path):
    (tmp_path / "log").write_text("ValueError: early\n" + "x" * processes.TAIL + "\nTypeError: late\nbye\n")
    assert ended(tmp_path, 3) == Ending("exit status 3: TypeError: late")


def test_a_run_that_cannot_be_started_is_one_failure(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("catzoo.zoo.launch.processes.start", full)
    monkeypatch.setattr("catzoo.zoo.launch.train_many.check_jobs", lambda *_: None)
    runs = train_many("dqn", "CartPole-v1,Acrobot-v1", run_dir=tmp_path, progress=None)
    assert len(runs) == 2
    assert all("No space left on device" in run["error"] for run in runs)


@pytest.mark.parametrize(("on_interrupt", "end"), [("SIG_DFL", signal.SIGINT), ("SIG_IGN", signal.SIGKILL)])
def test_no_worker_outlives_an_error(on_interrupt, end, tmp_path, monkeypatch):
    """It is asked to save and end, and made to if it does not."""
    monkeypatch.setattr(job_loop, "GRACE", 5.0 if end == signal.SIGINT else 0.2)
    script = (
        f"import signal, time; signal.signal(2, signal.{on_interrupt}); print(flush=True); time.sleep(60)"
    )
    worker = at_work(tmp_path, script, stdout=subprocess.PIPE)
    worker.process.stdout.readline()

    def fail():
        with job_loop.crew_of_workers() as working:
            working.append(worker)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert worker.process.poll() == -end
