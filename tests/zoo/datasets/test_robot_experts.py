"""Scripted experts reach their goals; what they do follows from one observation."""

import numpy as np
import pytest

from catzoo.zoo.datasets.robot_experts import CLOSED, EXPERTS, OPEN
from catzoo.zoo.environments.making import make_env


def successes(name, episodes):
    env, found = make_env(name, 1), 0
    for seed in range(episodes):
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            action = EXPERTS[name](observation[0])
            observation, _, terminated, truncated, _ = env.step(action[None])
            over = bool(terminated[0] or truncated[0])
        found += bool(terminated[0])
    return found


@pytest.mark.robots
@pytest.mark.parametrize(
    ("name", "least"),
    [("FetchReach-v4", 12), ("FetchPickAndPlace-v4", 12), ("FetchPush-v4", 10), ("FetchSlide-v4", 6)],
)
def test_experts_reach_their_goals(name, least):
    """Of 100 starts 100, 100, 94 and 69."""
    pytest.importorskip("gymnasium_robotics")
    assert successes(name, 12) >= least


def seen(gripper, thing, goal, width=0.1):
    observation = np.zeros(28, np.float32)
    observation[:3], observation[3:6], observation[9:11], observation[-3:] = gripper, thing, width / 2, goal
    return observation


def test_the_gripper_closes_where_the_object_is_and_carries_what_it_holds():
    pick = EXPERTS["FetchPickAndPlace-v4"]
    cube, goal = [1.3, 0.7, 0.42], [1.3, 0.7, 0.8]
    assert pick(seen([1.0, 0.7, 0.6], cube, goal))[3] == OPEN
    closing = pick(seen(cube, cube, goal))
    assert np.array_equal(closing, np.array([0, 0, 0, CLOSED], np.float32))
    carrying = pick(seen(cube, cube, goal, width=0.05))
    assert np.array_equal(carrying, np.array([0, 0, 1, CLOSED], np.float32))


def test_a_push_goes_through_the_object_from_behind_it_only():
    push = EXPERTS["FetchPush-v4"]
    cube, goal = [1.3, 0.7, 0.42], [1.5, 0.7, 0.42]
    assert push(seen([1.2, 0.7, 0.42], cube, goal))[0] == 1
    before = push(seen([1.4, 0.7, 0.42], cube, goal))  # up, to get over it
    assert before[2] == 1
    assert before[0] == 0
