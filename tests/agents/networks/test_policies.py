"""Policies to sample from, against torch's own distributions."""

import numpy as np
import pytest
import torch
from torch import distributions

from catzoo.agents.networks.policies import Categorical, Gaussian

B, A, M = 6, 5, 3


@pytest.fixture
def logits():
    return torch.randn(B, A, generator=torch.Generator().manual_seed(0)) * 2


def test_a_categorical_is_torchs(logits):
    policy, theirs = Categorical(logits.log_softmax(-1)), distributions.Categorical(logits=logits)
    action = torch.arange(B) % A
    torch.testing.assert_close(policy.log_prob(action), theirs.log_prob(action))
    torch.testing.assert_close(policy.entropy(), theirs.entropy())
    assert torch.equal(policy.mode, logits.argmax(-1))


def test_a_categorical_is_drawn_in_its_proportions(logits):
    policy = Categorical(logits[:1].log_softmax(-1).expand(20_000, A))
    noise = torch.from_numpy(np.random.default_rng(0).random(20_000, np.float32))
    action, log_prob = policy.sample(noise)
    share = torch.bincount(action, minlength=A) / len(action)
    torch.testing.assert_close(share, logits[0].softmax(-1), rtol=0, atol=0.012)
    assert torch.equal(log_prob, policy.log_prob(action))


@pytest.mark.parametrize("noise", [0.0, 1 - 2**-24])
def test_the_ends_of_the_noise_are_actions_that_can_be(noise):
    never = -float("inf")
    log_probs = torch.tensor([[never, 0.3, 0.1, never], [0.5, never, never, 0.2]]).log_softmax(-1)
    action, log_prob = Categorical(log_probs).sample(torch.full((2,), noise))
    assert action.tolist() == ([1, 0] if noise == 0 else [2, 3])
    assert log_prob.isfinite().all()


def test_a_gaussian_is_torchs():
    generator = torch.Generator().manual_seed(1)
    mean, log_std, noise = torch.randn(3, B, M, generator=generator)
    policy = Gaussian(mean, log_std)
    theirs = distributions.Independent(distributions.Normal(mean, log_std.exp()), 1)
    action, log_prob = policy.sample(noise)
    torch.testing.assert_close(action, mean + log_std.exp() * noise)
    torch.testing.assert_close(log_prob, theirs.log_prob(action))
    torch.testing.assert_close(policy.entropy(), theirs.entropy())
    assert torch.equal(policy.mode, mean.clamp(-1, 1))
