"""Q(lambda) returns are what their definition says, step by step."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catzoo.agents import q_lambda_returns

GAMMA = 0.9


def by_definition(reward, terminated, done, value, lam, t):
    """The mixture of all n-step returns from t, written out."""
    if terminated[t]:
        return reward[t]
    if done[t] or t == len(reward) - 1:
        return reward[t] + GAMMA * value[t]
    following = by_definition(reward, terminated, done, value, lam, t + 1)
    return reward[t] + GAMMA * ((1 - lam) * value[t] + lam * following)


@settings(deadline=None)
@given(st.data())
def test_they_are_their_definition(data):
    envs, steps = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 7))
    lam = data.draw(st.sampled_from([0.0, 0.65, 1.0]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    reward, value = torch.randn(2, envs, steps, generator=generator, dtype=torch.float64)
    terminated, truncated = torch.rand(2, envs, steps, generator=generator) < 0.25
    done = terminated | truncated
    found = q_lambda_returns(reward, terminated, done, value, GAMMA, lam)
    for i in range(envs):
        for t in range(steps):
            expected = by_definition(reward[i], terminated[i], done[i], value[i], lam, t)
            assert abs(found[i, t] - expected) < 1e-12


def test_lambda_one_is_the_discounted_return_of_a_whole_episode():
    reward = torch.tensor([[1.0, 2.0, 4.0, 8.0]])
    end = torch.tensor([[False, False, True, False]])
    found = q_lambda_returns(reward, end, end, torch.full((1, 4), 100.0), 0.5, 1.0)
    assert found.tolist() == [[1 + 1 + 1, 2 + 2, 4, 8 + 50]]


def test_a_truncated_step_bootstraps_from_its_own_last_observation():
    reward, value = torch.ones(1, 2), torch.tensor([[10.0, 1000.0]])
    terminated, done = torch.tensor([[False, False]]), torch.tensor([[True, False]])
    assert q_lambda_returns(reward, terminated, done, value, 0.5, 0.9)[0, 0] == 1 + 0.5 * 10
