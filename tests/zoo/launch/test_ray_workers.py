"""Jobs on a Ray cluster of two nodes: done, lost and done again, interrupted, brought back, refused."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from catzoo.agents.collecting.collector_pool import ANEW, CollectorPool
from catzoo.hparams import RecipeError
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.launch import job_loop, ray_cluster, ray_workers
from catzoo.zoo.launch.backends import opened
from catzoo.zoo.launch.job_loop import run_jobs
from catzoo.zoo.launch.jobs import Ending, Needs
from catzoo.zoo.launch.train_many import train_many
from catzoo.zoo.system.signals import Stopped
from catzoo.zoo.training.build import build_agent
from catzoo.zoo.training.remote_collectors import on_ray, played_elsewhere
from catzoo.zoo.training.train import recipe_of
from catzoo.zoo.tuning.tune import tune
from jobs_for_tests import jobs_here
from players_for_tests import LocalPlayer
from scripts_for_tests import Script, Told
from tiny_runs_for_tests import TINY

pytest.importorskip("ray")
pytestmark = pytest.mark.early
TESTS = Path(__file__).parents[2]
QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 4,
}
COUNTING = """
import os, sys, time
from pathlib import Path
from catzoo.hparams import RecipeError
from catzoo.zoo.system.job_of_parent import hear_ctrl_c, take_job
from catzoo.zoo.system.file_locks import held_path
hear_ctrl_c(); take_job()
folder = Path(sys.argv[1]); folder.mkdir(exist_ok=True); rows = folder / "rows"
try:
    with held_path(folder, "counting"):
        done = len(rows.read_text().split()) if rows.exists() else 0
        print("goes on from", done, "pid", os.getpid(), "in", folder, flush=True)
        for count in range(done, 40):
            with rows.open("a") as file:
                file.write(f"{count}\\n")
            time.sleep(0.05)
except KeyboardInterrupt:
    print("saved", flush=True)
"""
"""A job that goes on from what it wrote, and holds its folder, as a run does."""


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of a core each on this machine, whose processes find the tests' modules."""
    import ray
    from ray.cluster_utils import Cluster

    with (
        tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as place,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", place)
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))
        (Path(place) / "ray").mkdir()
        made = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": QUICK},
        )
        made.add_node(num_cpus=1)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(job_loop, "LOOK", 0.05)


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def ends(pid):
    """Whether a process is no more, but for its name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def run(cluster, told, *, bring_back=False, workers=None, **more):
    with opened(workers, cluster.address, told.waiting, bring_back=bring_back) as backend:
        run_jobs(iter(told.waiting), backend, **{"begin": told.begin, "end": told.end} | more)
    return told.said


def read(file):
    return file.read_text() if file.exists() else ""


def pids(log):
    return [int(line.split()[5]) for line in log.read_text().splitlines() if line.startswith("goes on")]


def test_runs_on_a_cluster_are_those_of_processes_bit_for_bit(cluster, tmp_path, monkeypatch):
    asked = {"agent": "dqn", "envs": "CartPole-v1", "losses": "mse", "steps": 400, "progress": None}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("catzoo.zoo.launch.train_many.check_jobs", lambda *_: None)
    with jobs_here():
        train_many(**asked, run_dir="here", overrides=[*TINY, "compute.threads=1"])
    train_many(**asked, run_dir="there", overrides=TINY, cluster=cluster.address)
    train_many(**asked, run_dir="back", overrides=TINY, cluster=cluster.address, bring_back=True)
    runs = [tmp_path / name / "dqn-CartPole-v1-mse-s0" for name in ("here", "there", "back")]
    made = [[(run / file).read_bytes() for file in ("episodes.csv", "recipe.yaml")] for run in runs]
    assert made[0] == made[1] == made[2]
    first, *others = (load_file(run / "weights.safetensors") for run in runs)
    assert all(torch.equal(other[key], value) for key, value in first.items() for other in others)
    assert [json.loads((run / "result.json").read_text())["steps"] for run in runs] == [400] * 3
    (log,) = (tmp_path / "back" / "logs").iterdir()
    assert log.read_text().count("--- ") == 1
    assert len(list((tmp_path / "back").iterdir())) == 2


@pytest.mark.slow
def test_a_ray_is_started_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr("catzoo.zoo.launch.train_many.check_jobs", lambda *_: None)
    (run,) = train_many("dqn", "CartPole-v1", losses="mse", steps=400, run_dir=tmp_path / "runs",
                        overrides=TINY, cluster="auto", progress=None)  # fmt: skip
    assert run["steps"] == 400


def test_what_cannot_be_trained_is_found_on_the_cluster(cluster, tmp_path):
    with pytest.raises(RecipeError, match=r"^CartPole-v1: network\.experts=2 does not fit[^\n]*$"):
        train_many(
            "dqn", "CartPole-v1", run_dir=tmp_path / "runs", overrides=["network.experts=2"],
            cluster=cluster.address,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_dies_loses_no_job_and_doubles_none(cluster, tmp_path):
    told = Told(tmp_path, **dict.fromkeys("abc", COUNTING))
    doomed = next(iter(cluster.worker_nodes))
    raylet = doomed.all_processes["raylet"][0].process
    killed = []

    def kill(job):
        """Once two are at work; nobody buries the raylet, so that its processes do not hear of its end."""
        if (
            not killed
            and all((tmp_path / name / "rows").exists() for name in told.at_work)
            and told.most == 2
        ):
            killed.extend(told.at_work)
            raylet.send_signal(signal.SIGKILL)

    try:
        said = run(cluster, told, look=kill)
    finally:
        cluster.remove_node(doomed)
        cluster.add_node(num_cpus=1)
    ((lost, ending, _),) = (what for what in said if what[1:] and what[-1] is True)
    assert ending.crashed
    assert "died" in ending.problem
    assert lost in killed
    assert sorted(name for name, *what in said if what == [Ending(None), False]) == list("abc")
    for name in "abc":
        rows = (tmp_path / name / "rows").read_text().split()
        assert rows == [str(count) for count in range(40)]
        assert len(pids(tmp_path / f"{name}.log")) == 1 + (name == lost)


def test_what_crashes_there_is_started_again_and_what_fails_is_not(cluster, tmp_path):
    told = Told(
        tmp_path, a="import os; os.kill(os.getpid(), 9)", b="print('ValueError: no'); raise SystemExit(1)"
    )
    said = run(cluster, told, workers=1)
    crash = Ending("killed by SIGKILL; out of memory?", crashed=True)
    assert [what[1:] for what in said if len(what) == 3] == [
        (crash, True),
        (crash, True),
        (crash, False),
        (Ending("exit status 1: ValueError: no"), False),
    ]
    assert told.most == 1


def test_a_signal_lets_jobs_save_wherever_they_are(cluster, tmp_path):
    told = Told(tmp_path, a=COUNTING, b=COUNTING, c="")

    def stop(job):
        if all("1" in read(tmp_path / name / "rows") for name in "ab"):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        run(cluster, told, look=stop)
    for name in "ab":
        assert (tmp_path / f"{name}.log").read_text().splitlines()[-1] == "saved"
        assert 0 < len((tmp_path / name / "rows").read_text().split()) < 40


def test_a_job_that_nobody_wants_is_ended_there(cluster, tmp_path):
    told = Told(tmp_path, a=COUNTING)
    said = run(cluster, told, look=lambda job: (tmp_path / "a" / "rows").exists())
    assert said[1:] == [("a", Ending(None), False)]
    assert len((tmp_path / "a" / "rows").read_text().split()) < 40


def test_jobs_end_with_the_command_that_was_killed(cluster, tmp_path):
    script = f"""
from pathlib import Path
from catzoo.zoo.launch.backends import opened
from catzoo.zoo.launch.job_loop import run_jobs
from scripts_for_tests import Script
from test_of_cluster import COUNTING
jobs = [Script("a", COUNTING.replace("range(done, 40)", "range(done, 4000)"), Path({str(tmp_path)!r}))]
with opened(None, {cluster.address!r}, jobs) as backend:
    run_jobs(iter(jobs), backend, end=print)
"""
    (tmp_path / "test_of_cluster.py").write_text(f"COUNTING = {COUNTING!r}\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    driver = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path})
    until(lambda: (tmp_path / "a" / "rows").exists() or driver.poll() is not None)
    driver.kill()
    driver.wait()
    (pid,) = pids(tmp_path / "a.log")
    until(lambda: ends(pid))


def test_what_is_brought_back_goes_on_from_what_was_here(cluster, tmp_path):
    told = Told(tmp_path, a=COUNTING + '\n(folder / "gone").unlink()', b="raise SystemExit('ValueError: no')")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "rows").write_text("".join(f"{count}\n" for count in range(39)))
    (tmp_path / "a" / "gone").touch()
    (tmp_path / "a.log").write_text("before\n")
    said = run(cluster, told, bring_back=True)
    assert ("a", Ending(None), False) in said
    assert ("b", Ending("exit status 1: ValueError: no"), False) in said
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["rows"]
    assert len((tmp_path / "a" / "rows").read_text().split()) == 40
    before, _, goes_on = (tmp_path / "a.log").read_text().splitlines()
    assert (before, goes_on[:16]) == ("before", "goes on from 39 ")
    there = Path(goes_on.split()[-1])
    assert not there.is_relative_to(tmp_path)
    until(lambda: not there.exists())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.log", "b", "b.log"]


def refusal(tmp_path, address, needs=Needs(), **more):  # noqa: B008 — it is frozen
    job = Script("a", "", tmp_path / "runs", needs)
    with pytest.raises(RecipeError) as caught, opened(None, address, [job], **more):
        pass
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (Needs(2), "compute.threads=2: no node of the cluster has so many cores: the most that one has is 1"),
        (Needs(1, 0.5), "compute.gpus=0.5: no node of the cluster has so many GPUs"),
        (Needs(1, 0, 1e5), "compute.memory=100000: no node of the cluster has so many GB of memory"),
    ],
)
def test_more_than_any_node_has_is_refused(cluster, tmp_path, needs, words):
    assert words in refusal(tmp_path, cluster.address, needs)


def test_a_folder_that_nodes_do_not_share_is_refused(cluster, tmp_path, monkeypatch):
    ask = ray_cluster._ask
    monkeypatch.setattr(ray_cluster, "_ask", lambda nodes, token: ask(nodes, token and f"{token}x"))
    said = refusal(tmp_path, cluster.address)
    assert f"does not share {tmp_path}" in said
    assert "--bring-back" in said


def test_other_versions_are_refused(cluster, tmp_path, monkeypatch):
    from ray._private import utils

    with monkeypatch.context() as patch:
        patch.setattr(ray_cluster, "__version__", "0.0.1")
        assert "this is 0.0.1: use the same" in refusal(tmp_path, cluster.address)
    with monkeypatch.context() as patch:
        patch.setattr(utils, "compute_version_info", lambda: ("2.0.0", "3.11.99"))
        said = refusal(tmp_path, cluster.address)
    assert "this process (Ray: 2.0.0, Python: 3.11.99)" in said


def test_a_node_without_catzoo_is_refused(tmp_path, monkeypatch):
    node = {"NodeManagerHostname": "n1", "NodeManagerAddress": "10.0.0.2"}
    answer = {"problem": "ModuleNotFoundError: No module named 'catzoo'"}
    monkeypatch.setattr(ray_cluster, "_ask", lambda nodes, token: [answer])
    with pytest.raises(RecipeError, match=r"^node n1 \(10.0.0.2\) cannot import catzoo: ModuleNotFoundError"):
        ray_cluster.check_nodes([node], None)
    monkeypatch.setattr(ray_cluster, "_ask", lambda nodes, token: [None])
    with pytest.raises(RecipeError, match=r"n1 .* does not answer"):
        ray_cluster.check_nodes([node], None)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_where_no_ray_answers_is_refused(tmp_path, address):
    assert refusal(tmp_path, address).startswith(f"--cluster {address}: no Ray answers there")


def test_what_is_no_address_is_refused(tmp_path):
    assert "must be auto, HOST:PORT or ray://HOST:PORT" in refusal(tmp_path, "nonsense")


def test_without_ray_a_line_says_how_to_have_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refusal(tmp_path, "auto") == "Ray is not installed: pip install 'catzoo[ray]'"


def test_bringing_back_needs_a_cluster_and_a_pruner_that_waits(tmp_path):
    assert refusal(tmp_path, None, bring_back=True).startswith("--bring-back is for runs on a cluster")
    with pytest.raises(RecipeError, match="--pruner median looks at runs while they train"):
        tune("dqn", "CartPole-v1", study_dir=tmp_path / "s", cluster="auto", bring_back=True, pruner="median")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("needs", "places"),
    [(Needs(1), 8), (Needs(3), 2), (Needs(1, 0.25), 4), (Needs(1, 1, 20), 1), (Needs(1, 2), 0)],
)
def test_room_is_what_all_resources_have_room_for(needs, places):
    node = {"Resources": {"CPU": 8.0, "GPU": 1.0, "memory": 30e9}}
    assert ray_cluster.places_on(node, needs) == places


def test_a_run_without_gpus_of_its_own_takes_one_where_there_are_any():
    node = {"Resources": {"CPU": 8.0, "GPU": 1.0, "memory": 30e9}}
    assert ray_cluster.settled(Needs(1, None), [node]).gpus == 1
    assert ray_cluster.settled(Needs(1, None), [{"Resources": {"CPU": 8.0}}]).gpus == 0
    four = {"Resources": {"CPU": 8.0, "GPU": 4.0, "memory": 30e9}}
    assert ray_cluster.settled(Needs(1, None, devices=2), [four]).gpus == 2


def test_a_job_waits_for_the_folder_of_a_lost_one(tmp_path):
    holder = "import sys; from pathlib import Path; from catzoo.zoo.system.file_locks import held_path\n"
    holder += f"with held_path(Path({str(tmp_path)!r}), 'x'): print(flush=True); sys.stdin.read(); print(1)"
    process = subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    ray_workers.wait_for_the_lost(tmp_path, 0.3)
    assert process.poll() is None  # given up on
    process.stdin.close()
    ray_workers.wait_for_the_lost(tmp_path, 60)
    assert process.wait(60) == 0


def test_collectors_play_there_what_they_play_here(cluster):
    import ray

    recipe = recipe_of("dqn", "CartPole-v1", overrides=["num_envs=4", "collect.workers=2"])
    with ray_cluster.joined(cluster.address):
        pools = []
        for where in (on_ray(2), {"start": LocalPlayer}):
            env = played_elsewhere(recipe, protocol_of("CartPole-v1"))
            env.start, env.put = where["start"], where.get("put")
            agent = build_agent(recipe, env)
            pools.append(CollectorPool(env, agent, agent.network, rollout_length=5, seed=3))
        there, here = (pool.rollout() for pool in pools)
        assert torch.equal(there["observation"], here["observation"])
        assert torch.equal(there["action"], here["action"])
        ray.kill(pools[0].players[1].actor)
        assert pools[0].rollout()[ANEW].any(1).tolist() == [False, False, True, True]
        for pool in pools:
            pool.shutdown()
