"""What plays: the schedule, the share of random actions, and a stream that can be restored."""

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from catzoo.agents import EpsilonGreedy, LinearSchedule, SampledActions
from catzoo.agents.networks.continuous_actor_critic import GaussianActor

SPACE = gym.spaces.Box(-1, 1, (2,), np.float32)


def policy(epsilon, seed=0):
    network = nn.Identity()
    made = EpsilonGreedy(network, lambda outputs: outputs, 4, seed=seed)
    made.epsilon = epsilon
    return made


def test_schedule():
    schedule = LinearSchedule(1.0, 0.1, begin=100, duration=200)
    values = [schedule(step) for step in (0, 99, 100, 300, 10_000)]
    assert np.allclose(values, [1.0, 1.0, 1.0, 0.1, 0.1])
    assert np.isclose(schedule(200), 0.55)
    assert np.isclose(LinearSchedule(1.0, 0.1, 5, 0)(5), 0.1)


def test_greedy_and_random_ends():
    outputs = torch.eye(4).repeat(500, 1)
    assert (policy(0.0)(outputs) == np.tile(np.arange(4), 500)).all()
    actions = policy(1.0)(outputs)
    assert np.bincount(actions, minlength=4).min() > 400


def test_share_of_random_actions():
    outputs = torch.zeros(20_000, 4)
    outputs[:, 0] = 1
    # a random action is the greedy one in a quarter of the cases
    assert abs((policy(0.2)(outputs) != 0).mean() - 0.15) < 0.01


def test_the_stream_goes_on_after_a_restore():
    outputs = torch.zeros(50, 4)
    first, second = policy(1.0, seed=1), policy(1.0, seed=2)
    first(outputs)
    second.set_extra_state(first.get_extra_state())
    assert (first(outputs) == second(outputs)).all()


def test_an_environment_of_the_same_seed_draws_other_numbers():
    environment, _ = gym.utils.seeding.np_random(3)
    assert (environment.random(20) != policy(1.0, seed=3).random.random(20)).all()


def test_sampled_actions_have_a_share_anywhere_and_a_stream_of_their_own():
    made, observation = SampledActions(GaussianActor(3, 2, [8]), SPACE, seed=1), torch.randn(2_000, 3)
    made.network.layers[-1].weight.data.zero_()
    made.network.layers[-1].bias.data[:] = torch.tensor([-9.0, -9.0, -99.0, -99.0])  # all but certain: -1
    actions = made(observation)
    assert actions.min() < -0.9
    assert actions.max() > 0.9
    assert abs(actions.mean()) < 0.05
    made.epsilon = 0.25
    assert abs((made(observation) > -0.99).all(axis=1).mean() - 0.25) < 0.03
    state = made.get_extra_state()
    first = made(observation)
    made.set_extra_state(state)
    assert (made(observation) == first).all()
