"""Meta-World's tasks: places by the seed, an end with the success, and what is said without the package."""

import sys

import gymnasium as gym
import numpy as np
import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.datasets.robot_episodes import make_robot_episodes
from catzoo.zoo.environments.making import make_env
from catzoo.zoo.environments.meta_world import scripted_policy
from catzoo.zoo.environments.names import SETS
from catzoo.zoo.environments.protocols import protocol_of

REACH = "metaworld/reach-v3"


@pytest.fixture
def meta_world():
    pytest.importorskip("metaworld")


def play(env, seed, policy):
    observation, _ = env.reset(seed=seed)
    rewards, ends = [], []
    for _ in range(300):
        action = np.clip(policy(observation[0]), -1, 1).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action[None])
        rewards.append(float(reward[0]))
        ends.append((bool(terminated[0]), bool(truncated[0])))
        if any(ends[-1]):
            return rewards, ends
    raise AssertionError("no end")


def test_a_seed_repeats_its_places_and_a_reset_draws_others(meta_world):
    env = make_env(REACH, 1)
    first, _ = env.reset(seed=3)
    later, _ = env.reset()
    again, _ = env.reset(seed=3)
    assert first.shape == (1, 39)
    assert first.dtype == np.float32
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0, -3:], later[0, -3:])


def test_an_episode_ends_with_its_success_or_after_200_steps(meta_world):
    env = make_env(REACH, 1)
    rewards, ends = play(env, 1, scripted_policy(REACH))
    assert 20 < len(rewards) < 100
    assert (sum(rewards), rewards[-1], ends[-1]) == (1.0, 1.0, (True, False))
    rewards, ends = play(env, 1, lambda observation: np.zeros(4))
    assert (len(rewards), sum(rewards), ends[-1]) == (200, 0.0, (False, True))


def test_its_own_experts_make_datasets(meta_world, tmp_path):
    made = make_robot_episodes(REACH, tmp_path / "data", episodes=4, noise=[0.0])
    assert (made["success"], made["episodes"]) == (1.0, 4)
    with pytest.raises(RecipeError, match="is for the Fetch arm"):
        make_robot_episodes(REACH, tmp_path / "wrong", episodes=4, wrong=0.5)


def test_a_wrong_task_is_one_line(meta_world):
    with pytest.raises(RecipeError, match=r"metaworld/reach-v2; did you mean metaworld/reach-v3"):
        make_env("metaworld/reach-v2", 1)
    assert all(game in gym.registry for game in SETS["metaworld-10"])


def test_without_the_package_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "metaworld.env_dict", None)
    with pytest.raises(RecipeError, match=r"pip install 'catzoo\[metaworld\]'"):
        make_env(REACH, 1)
    assert protocol_of(REACH).name == "metaworld-200"
