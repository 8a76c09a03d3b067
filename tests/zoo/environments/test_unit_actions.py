"""An agent's actions lie within -1 and 1, whatever the environment's bounds are."""

import gymnasium as gym
import numpy as np
import pytest

from catzoo.agents.collecting.collector import VectorCollector
from catzoo.zoo.environments.making import make_env
from environments_for_tests import Left


class Echo(gym.Env):
    """Observes the action that it was given."""

    def __init__(self, low, high, dtype=np.float32):
        self.action_space = gym.spaces.Box(np.array(low, dtype), np.array(high, dtype), dtype=dtype)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, self.action_space.shape, np.float64)

    def reset(self, *, seed=None, options=None):
        return np.zeros(self.action_space.shape), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return action.astype(np.float64), float(action[0]), False, False, {}


@pytest.fixture
def echo():
    gym.register("Echo-v0", entry_point=Echo)
    yield lambda low, high, **more: make_env("Echo-v0", 2, {"low": low, "high": high, **more})
    del gym.registry["Echo-v0"]


def seen(env, *actions):
    env.reset(seed=0)
    return env.step(np.array(actions, np.float32))[0].tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_become_one(echo, dtype):
    env = echo([-0.5, 0.0], [0.5, 10.0], dtype=dtype)
    assert env.single_action_space == gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    assert env.action_space.shape == (2, 2)
    assert seen(env, [-1, -1], [1, 1]) == [[-0.5, 0.0], [0.5, 10.0]]
    assert seen(env, [0, 0], [0.5, 0.5]) == [[0.0, 5.0], [0.25, 7.5]]


def test_what_lies_outside_is_clipped(echo):
    env = echo([-2.0, 0.3], [2.0, 0.7])
    assert seen(env, [-7, -7], [3, 1.0001]) == np.float32([[-2.0, 0.3], [2.0, 0.7]]).tolist()


def test_bounds_that_are_one_already_change_no_bit(echo):
    env = echo([-1.0] * 3, [1.0] * 3)
    actions = np.random.default_rng(0).uniform(-1, 1, (2, 3)).astype(np.float32)
    assert seen(env, *actions) == actions.tolist()


def test_the_widest_bounds_do_not_overflow(echo):
    most = np.finfo(np.float32).max
    assert seen(echo([-most], [most]), [-1], [1]) == [[-most], [most]]


def test_pendulum_gets_its_torque():
    env = make_env("Pendulum-v1", 2)
    assert env.single_action_space == gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    env.reset(seed=0)
    env.step(np.array([[0.25], [-9.0]], np.float32))
    assert [one.unwrapped.last_u for one in env.envs] == [0.5, -2.0]


def test_an_environment_keeps_its_name_in_what_is_said_of_it(echo):
    class Middle(Left):
        def forward(self, observation):
            return np.full((len(observation), 1), np.nan, np.float32)

    Echo.step, step = lambda self, action: (np.zeros(1), np.nan, False, False, {}), Echo.step
    try:
        with pytest.raises(FloatingPointError, match=r"^Echo-v0: reward nan at step 2:"):
            VectorCollector(echo([-1.0], [1.0]), Middle(), frames_per_batch=4).rollout()
    finally:
        Echo.step = step
