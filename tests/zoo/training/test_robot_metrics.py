"""Success of an agent from fixed starts, beside that of its data."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from catzoo.agents.replay import Dataset
from catzoo.zoo.training import robot_metrics
from catzoo.zoo.training.named_metrics import named_metrics
from catzoo.zoo.training.robot_metrics import AT_ONCE, STARTS, metrics
from datasets_for_tests import swings


class Starts:
    """Start number n of all reaches its goal in n steps, if that is at most 30; 50 steps truncate."""

    def __init__(self, protocol, num_envs):
        self.num_envs, self.made = num_envs, 0

    def reset(self, seed, options=None):
        asked = np.array([ORDER[one] for one in seed])
        if options is None:
            self.own, self.steps = asked, np.zeros(len(seed), int)
        else:
            anew = options["reset_mask"]
            assert anew.any()
            self.own, self.steps = np.where(anew, asked, self.own), np.where(anew, 0, self.steps)
        return np.zeros((len(seed), 13), np.float32), {}

    def step(self, action):
        assert action.shape == (self.num_envs, 4)
        self.made += 1
        self.steps += 1
        won = (self.steps == np.maximum(self.own, 1)) & (self.own <= 30)
        cut = ~won & (self.steps == 50)
        self.steps[won | cut] = 0  # the next episode
        return np.zeros((len(won), 13), np.float32), won.astype(float), won, cut, {}

    def close(self):
        pass


ORDER = {robot_metrics.stream_seed(0, f"start {number}"): number for number in range(STARTS)}


class Still(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network = torch.nn.Linear(1, 1)

    def act(self, observation):
        return torch.zeros(len(observation), 4)


def recipe(**keys):
    return SimpleNamespace(
        **{"env": "FetchReach-v4", "games": ["FetchReach-v4"], "env_options": {}, "dataset": None, **keys}
    )


def test_each_start_counts_once_and_only_its_first_episode(monkeypatch):
    monkeypatch.setattr(robot_metrics, "make_under", Starts)
    found = metrics(Still(), recipe())
    assert found == {"success": 0.31, "success_steps": pytest.approx((1 + sum(range(1, 31))) / 31)}
    assert named_metrics(Still(), recipe()) == found


@pytest.mark.parametrize("starts", [1, 7, 33])
def test_any_number_of_starts_is_played(monkeypatch, starts):
    monkeypatch.setattr(robot_metrics, "make_under", Starts)
    assert metrics(Still(), recipe(), starts)["success"] == min(starts, 31) / starts


def test_an_environment_that_is_done_takes_the_next_start():
    env = Starts(None, AT_ONCE)
    seeds = list(ORDER)[:31]
    steps = robot_metrics.play(Still(), env, seeds)
    assert steps.tolist() == [max(number, 1) for number in range(31)]
    assert env.made < 50  # one after the other in twenties they would take 19 + 30 steps and more


def test_environments_may_be_kept_between_evaluations(monkeypatch):
    monkeypatch.setattr(robot_metrics, "make_under", Starts)
    env = robot_metrics.make_starts(recipe())
    assert (
        metrics(Still(), recipe(), env=env)
        == metrics(Still(), recipe(), env=env)
        == metrics(Still(), recipe())
    )


def test_the_datas_own_success_stands_beside_it(monkeypatch, tmp_path):
    monkeypatch.setattr(robot_metrics, "make_under", Starts)
    dataset = swings(tmp_path)
    assert "data_success" not in metrics(Still(), recipe(dataset=str(tmp_path)))
    monkeypatch.setitem(dataset.manifest, "success", 0.4)
    monkeypatch.setattr("catzoo.agents.replay.Dataset", lambda folder: dataset)
    assert metrics(Still(), recipe(dataset=str(tmp_path)))["data_success"] == 0.4
    monkeypatch.setattr("catzoo.agents.replay.Dataset", Dataset)
    assert "data_success" not in metrics(Still(), recipe(dataset=str(tmp_path / "gone")))


def test_other_tasks_of_the_arm_have_none():
    assert metrics(Still(), recipe(env="FetchReachDense-v4")) == {}


@pytest.mark.robots
def test_still_arms_reach_what_is_reached_already():
    pytest.importorskip("gymnasium_robotics")
    found = metrics(Still(), recipe(), 12)
    assert found == metrics(Still(), recipe(), 12)
    assert found["success"] < 0.2
    assert found.get("success_steps", 1) == 1
