"""The Fetch arm: episodes end with a success, an observation is one vector, and what is said without it."""

import ctypes.util
import importlib.metadata
import sys
from itertools import pairwise

import numpy as np
import pytest

from catzoo.agents.checkpoints.state_files import read_state, write_state
from catzoo.agents.collecting.simulators import restore_simulator, simulator_state
from catzoo.hparams import RecipeError
from catzoo.zoo.environments.making import make_env
from catzoo.zoo.environments.names import SETS
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.environments.selection import expand

pytestmark = pytest.mark.robots
REACH, PICK = "FetchReach-v4", "FetchPickAndPlace-v4"


@pytest.fixture
def robots():
    pytest.importorskip("gymnasium_robotics")


def straight(observation):
    """Towards the goal of a Reach."""
    return np.append(np.clip(15 * (observation[-3:] - observation[:3]), -1, 1), 0).astype(np.float32)


def test_it_is_the_packages_task_without_what_is_achieved(robots):
    import gymnasium as gym

    env, truth = make_env(PICK, 1), gym.make(PICK)
    observation, _ = env.reset(seed=3)
    wanted, _ = truth.reset(seed=3)
    action = np.array([0.3, -0.2, 0.1, 0.5], np.float32)
    for _ in range(5):
        whole = np.concatenate([wanted["observation"], wanted["desired_goal"]])
        assert observation.dtype == np.float32
        assert np.array_equal(observation[0], whole.astype(np.float32))
        observation, wanted = env.step(action[None])[0], truth.step(action)[0]


def test_an_episode_ends_with_its_first_success(robots):
    env = make_env(REACH, 1)
    observation, _ = env.reset(seed=0)
    said = []
    for _ in range(20):
        observation, reward, terminated, truncated, _ = env.step(straight(observation[0])[None])
        said.append((float(reward[0]), bool(terminated[0]), bool(truncated[0])))
        if terminated[0]:
            break
    assert 1 < len(said) < 20
    assert set(said[:-1]) == {(0.0, False, False)}
    assert said[-1] == (1.0, True, False)


def test_without_a_success_50_steps_truncate(robots):
    env = make_env(PICK, 1)
    env.reset(seed=0)
    ends = [env.step(np.zeros((1, 4), np.float32))[1:4] for _ in range(50)]
    assert [bool(truncated[0]) for *_, truncated in ends] == [False] * 49 + [True]
    assert not any(reward[0] or terminated[0] for reward, terminated, _ in ends)


@pytest.mark.parametrize("name", SETS["fetch-4"])
def test_it_goes_on_bit_for_bit(robots, name, tmp_path):
    env, other = make_env(name, 2), make_env(name, 2)
    env.action_space.seed(0)
    actions = [env.action_space.sample() * [0.3, 0.3, 0.3, 1] for _ in range(75)]
    env.reset(seed=3)
    other.reset(seed=8)
    for action in actions[:17]:
        env.step(action - [0, 0, 0.5, 0])  # down, where there is something to touch
    write_state(tmp_path, simulator_state(env))
    other.step(actions[0])
    restore_simulator(other, read_state(tmp_path))
    for action in actions:
        for own, again in zip(env.step(action)[:4], other.step(action)[:4], strict=True):
            assert np.array_equal(own, again)


@pytest.mark.skipif(ctypes.util.find_library("OSMesa") is None, reason="needs libosmesa6")
def test_a_camera_sees_the_same_episode_as_pictures(robots):
    env, blind = make_env(REACH, 1, {"camera": 48}), make_env(REACH, 1)
    assert env.single_observation_space.shape == (48, 48, 3)
    pictures = [env.reset(seed=0)[0]]
    numbers = blind.reset(seed=0)[0]
    for _ in range(3):
        assert np.array_equal(env.unwrapped.get_attr("numbers")[0], numbers[0])
        action = straight(numbers[0])[None]
        pictures.append(env.step(action)[0])
        numbers = blind.step(action)[0]
    assert pictures[0].dtype == np.uint8
    assert all((before != after).any() for before, after in pairwise(pictures))


@pytest.mark.parametrize("pixels", [8, 1_000, 64.0, True])
def test_a_camera_that_cannot_be_is_refused(robots, pixels):
    with pytest.raises(RecipeError, match=r"from 36 to 480|OSMesa"):
        make_env(REACH, 1, {"camera": pixels})


def test_names_and_protocol(robots):
    assert expand("fetch-4") == list(SETS["fetch-4"])
    assert REACH in expand("FetchReach*")
    assert protocol_of(REACH).name == "fetch-50"
    assert protocol_of(REACH, {"camera": 64}) != protocol_of(REACH)
    assert protocol_of("FetchReachDense-v4").name == "gymnasium"
    with pytest.raises(RecipeError, match="did you mean FetchReach-v4"):
        make_env("FetchReech-v4", 1)


def test_missing_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.10.0")
    monkeypatch.setitem(sys.modules, "gymnasium_robotics", None)
    with pytest.raises(RecipeError, match=r"pip install 'catzoo\[robots\]'"):
        make_env(REACH, 1)


def test_a_mujoco_that_it_does_not_work_with_is_named(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.17.0")
    with pytest.raises(RecipeError, match=r"3\.17\.0 is installed: the extras robots and dmc exclude each"):
        make_env(REACH, 1)
