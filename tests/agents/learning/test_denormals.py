"""While an agent learns, denormal numbers are zero; before and after, they are what the program wants."""

import contextlib

import pytest
import torch

from catzoo.agents import Transitions
from catzoo.agents.learning.denormals import denormals_are_zero
from catzoo.agents.learning.learner import Learner, Step

CAN = torch.set_flush_denormal(False)


def denormal():
    return float(torch.tensor(1e-38, dtype=torch.float32) * 1e-3)


@pytest.mark.skipif(not CAN, reason="this processor has no such mode")
@pytest.mark.parametrize("before", [False, True])
def test_the_programs_own_mode_comes_back(before):
    torch.set_flush_denormal(before)
    try:
        with contextlib.suppress(KeyError), denormals_are_zero():
            assert denormal() == 0
            raise KeyError
        assert (denormal() == 0) == before
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.skipif(not CAN, reason="this processor has no such mode")
def test_moments_of_a_weight_without_gradient_do_not_linger():
    weight = torch.nn.Parameter(torch.ones(2))

    def loss_of(batch):
        return batch.reward * weight[0], batch.reward

    learner = Learner([Step("critic", loss_of, [weight], 1e-3)], eps=1e-8)
    learner.optimizers[0].first[0][1] = 1.2e-38  # the smallest that is none, and shrinks
    learner.learn_once(Transitions(*[torch.ones(4)] * 5))
    assert learner.optimizers[0].first[0][1] == 0
    assert denormal() > 0
