"""The scale of returns: statistics that do not depend on how they come in, and on nothing but returns."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catzoo.agents.collecting.collector import VectorCollector
from catzoo.agents.learning.return_scale import ReturnScale, RunningReturns
from catzoo.hparams.recipe import AUTO_END
from environments_for_tests import Left


def scale_of(*pieces):
    scale = ReturnScale()
    for piece in pieces:
        scale.update(piece)
    return scale


RETURNS = st.lists(st.floats(-1e4, 1e4, width=32, allow_subnormal=False), min_size=2, max_size=50)


@given(RETURNS, st.integers(0, 50))
def test_it_is_the_deviation_or_a_share_of_the_largest_however_they_come(returns, cut):
    returns = torch.tensor(returns)
    whole, pieces = scale_of(returns), scale_of(returns[:cut], returns[cut:])
    wanted = max(returns.double().std(correction=0).item(), returns.abs().max().item() / AUTO_END) or 1.0
    assert whole().item() == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    assert pieces().item() == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    assert (returns / whole()).abs().max() <= AUTO_END * (1 + 1e-5)


@given(RETURNS, st.floats(1e-3, 1e3))
def test_scaled_returns_know_no_unit(returns, factor):
    returns = torch.tensor(returns)
    if returns.abs().max() < 1e-3:
        return
    one, other = scale_of(returns), scale_of(returns * factor)
    assert torch.allclose(returns / one(), returns * factor / other(), rtol=1e-3, atol=1e-3)


def test_before_anything_was_seen_it_is_one():
    assert ReturnScale()() == 1.0
    assert scale_of(torch.zeros(5), torch.zeros(0))() == 1.0
    assert set(ReturnScale().state_dict()) == {"count", "mean", "squares", "largest"}


def test_running_returns_of_episodes_over_rollouts(corridor):
    env = corridor((3, 10))
    collector = VectorCollector(env, Left(), frames_per_batch=8)
    running = RunningReturns(2, 0.5)
    seen = torch.cat([running.add(collector.rollout()).view(2, 4) for _ in range(2)], dim=1)
    assert seen[0].tolist() == [1, 2.5, 4.25, 1, 2.5, 4.25, 1, 2.5]  # r + G / 2, from 0 after three steps
    assert seen[1, :4].tolist() == [1, 2.5, 4.25, 6.125]
    other = RunningReturns(2, 0.5)
    other.load_state_dict(running.state_dict())
    rollout = collector.rollout()
    assert torch.equal(other.add(rollout), running.add(rollout))
    running.begin()
    assert running.returns_N.tolist() == [0, 0]


def test_rewards_are_clipped_first_and_resets_are_no_steps(corridor):
    from gymnasium.vector import AutoresetMode

    env = corridor((2, 10), mode=AutoresetMode.NEXT_STEP)
    collector = VectorCollector(env, Left(), frames_per_batch=8)
    seen = RunningReturns(2, 1.0, reward_clip=1.0).add(collector.rollout())
    assert seen.tolist() == [1, 2, 1, 1, 2, 3, 4]  # two steps, a reset, one step; four steps
