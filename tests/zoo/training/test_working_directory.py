"""Environments that make another folder the working directory: nothing of ours goes with them."""

import os
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.training.evaluate import evaluate
from catzoo.zoo.training.train import train
from catzoo.zoo.watch.film import watch
from tiny_runs_for_tests import tiny


class Goes(CartPoleEnv):
    """Where its files are, when it is made; deeper at every reset."""

    def __init__(self, render_mode=None):
        os.chdir(os.environ["ELSEWHERE"])
        super().__init__(render_mode=render_mode)

    def reset(self, *, seed=None, options=None):
        os.makedirs("deeper", exist_ok=True)
        os.chdir("deeper")
        return super().reset(seed=seed)

    def render(self):
        return np.zeros((16, 16, 3), np.uint8)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory, and an environment that leaves it."""
    gym.register("Goes-v0", entry_point=Goes, max_episode_steps=20)
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("ELSEWHERE", str(tmp_path / "elsewhere"))
    yield tmp_path / "here"
    del gym.registry["Goes-v0"]


def test_all_lies_where_it_was_asked_for(here):
    result = tiny("run", "record=1.0", env="Goes-v0", steps=200)
    assert result["run_dir"] == "run"
    assert tiny("run", "record=1.0", env="Goes-v0", steps=400)["steps"] == 400
    assert evaluate("run", episodes=2)["episodes"] == 2
    offline = ["dataset=run", "batch_size=16", "network.hidden=[8]", "eval.episodes=2", "eval.every=10"]
    train("cql", "Goes-v0", steps=20, run_dir="offline", overrides=offline)
    assert watch("run", "film.gif", max_steps=3)["out"] == "film.gif"
    assert Path.cwd() == here
    assert sorted(path.name for path in here.iterdir()) == ["film.gif", "offline", "run"]
    inside = {path.name for path in (here / "run").iterdir()}
    assert {
        Run("run").curve.name,
        "tensorboard",
        "checkpoints",
        "dataset",
        "weights-best.safetensors",
    } <= inside
    assert all(path.name == "deeper" for path in (here.parent / "elsewhere").rglob("*"))
