"""Rewards and observations that float32 cannot hold end a rollout in one line."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from catzoo.agents import VectorCollector
from catzoo.agents.collecting.finite import check_finite
from environments_for_tests import Left

NAN, INF = float("nan"), float("inf")


class Odd(gym.Env):
    """Gives one reward and one observation at its third step, and ordinary ones at others."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, reward, seen, kind):
        self.reward, self.seen = reward, seen
        self.observation_space = gym.spaces.Box(0, 1, (1,), kind)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(1, self.observation_space.dtype), {}

    def step(self, action):
        self.t += 1
        odd = self.t == 3
        seen = np.array([self.seen if odd else 0], self.observation_space.dtype)
        return seen, self.reward if odd else 1, self.t == 5, False, {}


@pytest.fixture
def rollout():
    """Ten steps of each of two environments."""

    def collect(reward=0.0, seen=0.0, kind=np.float32, mode=AutoresetMode.SAME_STEP):
        gym.register("Odd-v0", lambda: Odd(reward, seen, kind), disable_env_checker=True)
        env = gym.vector.SyncVectorEnv([lambda: gym.make("Odd-v0")] * 2, autoreset_mode=mode)
        return VectorCollector(env, Left(), frames_per_batch=20).rollout()

    yield collect
    del gym.registry["Odd-v0"]


@pytest.mark.parametrize("reward", [NAN, INF, -INF, 1e300, -1e39])
def test_a_reward_is_refused_with_its_step_and_value(rollout, reward):
    with pytest.raises(FloatingPointError) as caught:
        rollout(reward)
    assert str(caught.value).startswith(f"Odd-v0: reward {reward} at step 6: must be")


@pytest.mark.parametrize("reward", [7, True, np.float32(3e38), 1e-300, 2**24 + 1, np.int64(-5)])
def test_what_float32_holds_is_kept(rollout, reward):
    assert rollout(reward)["next", "reward"][0, 2].item() == np.float32(reward)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("seen", [NAN, INF])
def test_an_observation_is_refused(rollout, seen, mode):
    with pytest.raises(FloatingPointError, match=f"Odd-v0: observation {seen} at step 6"):
        rollout(seen=seen, mode=mode)


def test_whole_numbers_need_no_look(rollout):
    assert rollout(seen=2**62, kind=np.int64)["observation"][0, 3].item() == 2**62


class Answered(Odd):
    """Its reward is what the action makes of it: NaN after an observation of NaN."""

    def step(self, action):
        seen, _, *rest = super().step(action)
        return seen, NAN if self.t > 3 else 1.0, *rest


def test_what_was_first_is_told():
    gym.register("Answered-v0", lambda: Answered(0, NAN, np.float32), disable_env_checker=True)
    env = gym.vector.SyncVectorEnv(
        [lambda: gym.make("Answered-v0")] * 2, autoreset_mode=AutoresetMode.SAME_STEP
    )
    with pytest.raises(FloatingPointError, match="Answered-v0: observation nan at step 6"):
        VectorCollector(env, Left(), frames_per_batch=20).rollout()
    del gym.registry["Answered-v0"]


def test_one_of_several_games_is_named(monkeypatch):
    env = gym.make_vec("CartPole-v1", 4)
    monkeypatch.setattr(env, "names", ["a", "b"], raising=False)
    given = np.zeros((2, 4))
    given[1, 3] = NAN
    with pytest.raises(FloatingPointError, match=r"^b: reward nan at step 8: must be"):
        check_finite(env, "reward", given, [4, 8])
