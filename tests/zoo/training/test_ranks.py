"""Runs of several learners: they go on bit for bit, end together, and are refused in one line."""

import csv
import dataclasses
import json
import os
import sys
import threading
import time

import psutil
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from catzoo.hparams import LostLearnerError, RecipeError, share_of
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.training import ranks
from catzoo.zoo.training.train import recipe_of, train_recipe
from tiny_runs_for_tests import TINY

pytestmark = pytest.mark.early
TWO = ("compute.devices=2", "compute.device=cpu", "compute.threads=1", "replay.prioritized=true", "n_step=2")


def recipe(*said, steps=800, agent="dqn", env="CartPole-v1"):
    return recipe_of(agent, env, steps=steps, overrides=[*TINY, *TWO, *said])


def kill_the_other_at(run_dir, step):
    """Kills this process's only child once there is a checkpoint of so many steps or more."""
    while not any(int(path.name[5:]) >= step for path in run_dir.glob("checkpoints/step-*")):
        time.sleep(0.001)
    for child in psutil.Process().children():
        if "rank_worker" in " ".join(child.cmdline()):
            child.kill()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two learners that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, train_recipe(recipe(), Run(folder))


def test_the_first_writes_for_all(whole):
    folder, result = whole
    assert result["compute"]["devices"] == 2
    with (folder / "episodes.csv").open() as file:
        episodes = [(int(row["step"]), int(row["length"])) for row in csv.DictReader(file)]
    steps = [step for step, _ in episodes]
    assert steps == sorted(steps)
    # All but those that were open at the end, of four environments.
    assert 800 - 4 * 200 < sum(length for _, length in episodes) <= steps[-1] + 20
    with (folder / "metrics.csv").open() as file:
        counts = [row["train/episodes"] for row in csv.DictReader(file) if row["train/episodes"]]
    assert 0 < int(counts[-1]) <= len(episodes)
    (checkpoint,) = (folder / "checkpoints").glob("step-0000000008*")
    assert (checkpoint / "ranks/1/manifest.json").is_file()
    assert json.loads((checkpoint / "seal.json").read_text().splitlines()[1])["ranks"] == 2
    assert list(folder.glob("checkpoints/.*")) == []


def test_one_that_dies_ends_all_and_the_same_command_goes_on_bit_for_bit(whole, tmp_path):
    killer = threading.Thread(target=kill_the_other_at, args=(tmp_path / "run", 200))
    killer.start()
    with pytest.raises(LostLearnerError, match="learner 1 of 2 has ended: killed by SIGKILL; the"):
        train_recipe(recipe(), Run(tmp_path / "run"))
    killer.join()
    assert not dist.is_initialized()
    train_recipe(recipe(), Run(tmp_path / "run"))
    expected, found = (load_file(folder / "weights.safetensors") for folder in (whole[0], tmp_path / "run"))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    one, other = ((folder / "episodes.csv").read_bytes() for folder in (whole[0], tmp_path / "run"))
    assert one == other


def test_another_number_of_learners_goes_on(whole, capsys):
    folder, _ = whole  # the last test to use it
    result = train_recipe(recipe("compute.devices=1", steps=1000), Run(folder))
    assert "with new episodes, dealt out from 2 learners to 1" in capsys.readouterr().out
    assert result["steps"] == 1000
    assert result["compute"]["devices"] == 1
    assert not list(folder.glob("checkpoints/step-*1[0-9][0-9][0-9]/ranks"))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("compute.devices=4096", r"compute.devices=4096: this machine has \d+ cores"),
        ("batch_size=17", "batch_size=17 cannot be shared evenly by compute.devices=2 learners"),
        ("num_envs=3", "num_envs=3 cannot be shared"),
        ("replay.capacity=101", "replay.capacity=101 cannot be shared"),
        ("record=0.5", "record does not go with many learners"),
        ("compute.cuda_graph=true", "compute.cuda_graph=true does not go with many learners"),
        ("compute.device=cuda:0", "compute.device=cuda:0 is one device"),
        ("compute.launcher=torchrun", "compute.launcher=torchrun: this process was not started by it"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, said, message):
    many = ["num_envs=4096", "batch_size=4096", "replay.capacity=8192"] if "4096" in said else []
    with pytest.raises(RecipeError, match=message):
        train_recipe(recipe(said, *many), Run(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_launcher_needs_many_learners():
    with pytest.raises(RecipeError, match=r"compute\.launcher=slurm goes with many learners"):
        share_of(recipe("compute.devices=1", "compute.launcher=slurm"))


def test_a_launcher_that_started_others_than_asked_for(monkeypatch):
    said = {
        "RANK": "0", "WORLD_SIZE": "3", "MASTER_ADDR": "here", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "1",
    }  # fmt: skip
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match=r"compute\.devices=2, and torchrun has started 3"):
        ranks._given_place(recipe("compute.launcher=torchrun"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert ranks._given_place(recipe("compute.launcher=torchrun")) == (0, 2, "here", 1, True)


def test_learners_that_disagree_are_refused(tmp_path):
    store, place = dist.HashStore(), ranks.Place(0, 2, ranks.HERE, 0, True)
    first, second = (ranks._said(recipe(said), Run(tmp_path)) for said in ("gamma=0.9", "gamma=0.8"))
    store.set("learner 1", json.dumps(second))
    with pytest.raises(RecipeError, match=r"learner 1 was asked for .*: gamma is 0\.8, there 0\.9"):
        ranks._meet(store, place, first, [])


def test_one_that_never_comes(monkeypatch, tmp_path):
    monkeypatch.setattr(ranks, "COMING", 0.0)
    place = ranks.Place(0, 2, ranks.HERE, 0, True)
    with pytest.raises(LostLearnerError, match="learner 1 has not come within 0 s"):
        ranks._meet(dist.HashStore(), place, {}, [])


def test_one_that_cannot_begin_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; print('catzoo: error: no such thing'); sys.exit(2)"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with pytest.raises(LostLearnerError, match="learner 1 of 2 has ended: no such thing;"):
        train_recipe(recipe(), Run(tmp_path / "run"))


def test_the_share_of_a_learner():
    whole = recipe("batch_size=32", "num_envs=8", "replay.capacity=1000")
    own = share_of(whole)
    assert (own.batch_size, own.num_envs, own.replay.capacity) == (16, 4, 500)
    same = {"batch_size": 32, "num_envs": 8, "replay": whole.replay}
    assert dataclasses.replace(own, **same) == whole
