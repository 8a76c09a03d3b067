"""A run killed at any moment, and started again by the same command, is the run that was not killed."""

import random
import signal
import time
from collections import Counter

import pytest

from catzoo.agents.checkpoints.seal import verify
from catzoo.zoo.system.csv_rows import newest_row
from faults.runs_for_tests import LONG, assert_same_runs, command, run_here, saved_steps, start

pytestmark = pytest.mark.early
CONFIGURATIONS = {
    "dqn, CartPole": ("dqn", "CartPole-v1", "mse", 2000, "eval.every=500"),
    "dqn, Breakout": ("dqn", "MinAtar/Breakout", "huber", 1200, "network.hidden=[8]"),
    "rainbow, CartPole": ("rainbow", "CartPole-v1", "c51", 2000, "eval.every=1000"),
    "rainbow, Asterix": ("rainbow", "MinAtar/Asterix", "hl_gauss", 1200, "network.hidden=[8]"),
    "pqn, CartPole": ("pqn", "CartPole-v1", "two_hot", 3000, "compute.overlap=true"),
    "pqn, Freeway": ("pqn", "MinAtar/Freeway", "softmax_mse", 1200, "env_options={max_episode_steps: 70}"),
    "sac, Pendulum": ("sac", "Pendulum-v1", "quantile", 1500, "eval.every=1000"),
    "ppo, Pendulum": ("ppo", "Pendulum-v1", "one_hot", 2000, "eval.every=1000"),
    "sac, Hopper": ("sac", "Hopper-v5", "hl_gauss", 1500),
    "ppo, HalfCheetah": ("ppo", "HalfCheetah-v5", "mse", 2000, "env_options={max_episode_steps: 90}"),
}
"""Agent, environment, loss (each at least once), steps (at full length twice as many), overrides."""
MUJOCO = ["sac, Hopper", "ppo, HalfCheetah"]
SHORT = ["rainbow, CartPole", "pqn, Freeway", "sac, Pendulum", "ppo, Pendulum", *MUJOCO]
CHOSEN = [
    pytest.param(name, marks=[pytest.mark.simulators] * (name in MUJOCO))
    for name in (CONFIGURATIONS if LONG else SHORT)
]
KILLS = 20 if LONG else 2
PATIENCE = 300.0
"""Seconds after which a process that does not get on is a failure."""


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The folder of a configuration's uninterrupted run."""
    made = {}

    def folder(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("truth") / "run"
            run_here(words_of(name, made[name]))
        return made[name]

    return folder


def steps_of(name):
    """How long a configuration is trained."""
    return CONFIGURATIONS[name][3] * (2 if LONG else 1)


def words_of(name, run_dir):
    """A configuration's command."""
    agent, env, loss, _, *more = CONFIGURATIONS[name]
    return command(agent, env, loss, steps_of(name), run_dir, *more)


def touched(path, since):
    """Whether a file or folder is there and was written to since then."""
    try:
        return path.stat().st_mtime_ns > since
    except FileNotFoundError:
        return False


def is_saving(run_dir, since):
    """Whether a checkpoint is being written, or was when the process died."""
    return any(touched(path, since) for path in (run_dir / "checkpoints").glob(".*"))


def has_come_to(run_dir, step, since):
    """Whether the process that was started then has logged a step."""
    metrics = run_dir / "metrics.csv"  # at first with rows of the process before it
    return touched(metrics, since) and int(newest_row(metrics, "step").get("step", 0)) >= step


def wait(process, condition, *arguments):
    """Waits until a condition holds, or the process has ended."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and not condition(*arguments):
        assert time.monotonic() < until
        time.sleep(0.002)


def kill_once(words, run_dir, aim, step, chance):
    """Starts the command and kills it after `step`; returns what it was at, or None if it had finished."""
    since = time.time_ns()
    process = start(words)
    wait(process, has_come_to, run_dir, step, since)
    if aim == "saving":
        wait(process, is_saving, run_dir, since)
    elif aim == "closing":
        wait(process, touched, run_dir / "weights.safetensors", since)
    time.sleep(chance.uniform(0, {"training": 0.3, "saving": 0.05, "closing": 0.5}[aim]))
    process.kill()
    errors = process.communicate()[1]
    if process.returncode == 0:
        return None
    assert process.returncode == -signal.SIGKILL, errors
    if touched(run_dir / "weights.safetensors", since):
        return "closing"
    return "saving" if is_saving(run_dir, since) else "training"


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("name", CHOSEN)
def test_killed_again_and_again(name, seed, truth, tmp_path):
    if name in MUJOCO:
        pytest.importorskip("mujoco")
    chance = random.Random(f"{name} {seed}")
    run_dir = tmp_path / "run"
    words = words_of(name, run_dir)
    steps = sorted(chance.uniform(0, 0.8) * steps_of(name) for _ in range(KILLS))
    aims = [("training", "saving")[number % 2] for number in range(KILLS)]
    if LONG:
        aims[-1] = "closing"
    found = [kill_once(words, run_dir, aim, step, chance) for aim, step in zip(aims, steps, strict=True)]
    print(f"\n{name}: killed while {dict(Counter(found))}")
    assert None not in found[:-1]  # else the run is too short for so many kills
    assert not LONG or {"training", "saving"} <= set(found)
    run_here(words)
    assert_same_runs(run_dir, truth(name))


def test_asked_to_stop(truth, tmp_path):
    name, run_dir = "rainbow, CartPole", tmp_path / "run"
    words = words_of(name, run_dir)
    for signum, status, further in ((signal.SIGTERM, 143, 700), (signal.SIGINT, 130, 300)):
        since, step = time.time_ns(), max([0, *saved_steps(run_dir)]) + further
        process = start(words)
        wait(process, has_come_to, run_dir, step, since)
        process.send_signal(signum)
        said = process.communicate(timeout=PATIENCE)[1]
        newest = saved_steps(run_dir)[-1]
        assert newest >= step
        assert said == f"catzoo: stopped at step {newest:,}, which is saved; the same command goes on\n"
        assert process.returncode == status
        assert verify(run_dir / "checkpoints" / f"step-{newest:012d}")["step"] == newest
    run_here(words)
    assert_same_runs(run_dir, truth(name))
