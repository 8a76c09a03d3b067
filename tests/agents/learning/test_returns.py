"""Returns and advantages are what their definitions say, step by step, and what TorchRL's are."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchrl.objectives.value.functional import generalized_advantage_estimate, vtrace_advantage_estimate

from catzoo.agents import Rollout, q_lambda_returns
from catzoo.agents.learning.returns import (
    end_values,
    generalized_advantages,
    in_chunks,
    next_values,
    vtrace,
)

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


def rollout_of(data, envs=None, steps=None):
    """Random rewards, values and ends [N, T], in float64."""
    envs, steps = envs or data.draw(st.integers(1, 3)), steps or data.draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    reward, value, following, log_ratio = torch.randn(
        4, envs, steps, generator=generator, dtype=torch.float64
    )
    terminated, truncated = torch.rand(2, envs, steps, generator=generator) < 0.25
    return reward, terminated, terminated | truncated, value, following, log_ratio


def with_feature(*tensors):
    return [tensor.unsqueeze(-1) for tensor in tensors]


@settings(deadline=None)
@given(st.data())
def test_advantages_are_torchrls(data):
    reward, terminated, done, value, following, _ = rollout_of(data)
    lam = data.draw(st.sampled_from([0.0, 0.8, 1.0]))
    found = generalized_advantages(reward, terminated, done, value, following, GAMMA, lam)
    truth, _ = generalized_advantage_estimate(
        GAMMA, lam, *with_feature(value, following, reward, done, terminated)
    )
    torch.testing.assert_close(found, truth.squeeze(-1), rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(st.data())
def test_vtrace_is_torchrls(data):
    reward, terminated, done, value, following, log_ratio = rollout_of(data)
    target, advantage = vtrace(reward, terminated, done, value, following, log_ratio.exp(), GAMMA)
    truth, their_target = vtrace_advantage_estimate(
        GAMMA, *with_feature(log_ratio, torch.zeros_like(log_ratio)),
        *with_feature(value, following, reward, done, terminated),
    )  # fmt: skip
    torch.testing.assert_close(target, their_target.squeeze(-1), rtol=1e-6, atol=1e-6)
    # TorchRL goes on over an end inside of a rollout with the next episode's target.
    inside = ~done
    torch.testing.assert_close(advantage[inside], truth.squeeze(-1)[inside], rtol=1e-6, atol=1e-6)
    ends = (reward + GAMMA * ~terminated * following - value) * log_ratio.exp().clamp(max=1)
    torch.testing.assert_close(advantage[done], ends[done])


def test_vtrace_of_the_policy_itself_is_the_return_of_the_rollout():
    reward, value = torch.randn(2, 2, 6, dtype=torch.float64)
    end = torch.randn(2, 1, dtype=torch.float64)
    never = torch.zeros(2, 6, dtype=torch.bool)
    following = torch.cat([value[:, 1:], end], 1)
    target, advantage = vtrace(reward, never, never, value, following, torch.ones_like(value), GAMMA)
    expected = end[:, 0]
    for t in reversed(range(6)):
        expected = reward[:, t] + GAMMA * expected
        torch.testing.assert_close(target[:, t], expected)
        torch.testing.assert_close(advantage[:, t], expected - value[:, t])


def test_what_follows_an_end_is_valued_and_nothing_else():
    asked = []

    def value_of(observation):
        asked.extend(observation.flatten().tolist())
        return observation.flatten()

    following = torch.arange(10.0, 18.0).view(2, 4, 1)
    terminated = torch.tensor([[False, True, False, False], [False, False, False, True]])
    done = torch.tensor([[True, True, False, False], [False, False, False, True]])
    zeros = torch.zeros(2, 4)
    rollout = Rollout(zeros[..., None], zeros, zeros, terminated, done, following, ~done)
    ends = end_values(value_of, rollout)
    assert ends.tolist() == [[10, 0, 0, 13], [0, 0, 0, 0]]
    assert asked == [10, 13]
    value = torch.arange(8.0).view(2, 4)
    assert next_values(value, ends, done).tolist() == [[10, 0, 3, 13], [5, 6, 7, 0]]


def test_chunks_are_the_whole(monkeypatch):
    monkeypatch.setattr("catzoo.agents.learning.returns.CHUNK", 3)
    sizes = []

    def value_of(observation):
        sizes.append(len(observation))
        return observation.sum(-1)

    observation = torch.randn(8, 2)
    found = in_chunks(value_of, observation, torch.device("cpu"))
    assert torch.equal(found, observation.sum(-1))
    assert sizes == [3, 3, 2]
