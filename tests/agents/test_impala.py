"""IMPALA's loss by its formula, its segments, and that it learns with every value loss."""

from typing import NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from catzoo.agents import IMPALA, AtWork, PolicyValueNetwork, Segments, make_learner
from catzoo.agents.at_work import Compute
from catzoo.agents.learning.returns import vtrace
from catzoo.hparams import IMPALARecipe, build
from catzoo.losses import LOSSES, CategoricalLoss, make_value_loss

B, T, D, A, M = 5, 6, 3, 4, 2
SPACES = {"discrete": gym.spaces.Discrete(A), "continuous": gym.spaces.Box(-1, 1, (M,), np.float32)}


def agent_of(loss="mse", kind="discrete", shared=True, **keys):
    torch.manual_seed(0)
    value_loss = make_value_loss(loss)
    network = PolicyValueNetwork((D,), SPACES[kind], value_loss.num_outputs, hidden=[16], shared=shared)
    return IMPALA(network, value_loss, build(IMPALARecipe, {"agent": "impala", **keys}, where="test"))


def batch_of(kind="discrete", valid=None):
    generator = torch.Generator().manual_seed(1)
    observation = torch.randn(B, T, D, generator=generator)
    action = torch.arange(B * T).view(B, T) % A
    if kind == "continuous":
        action = torch.randn(B, T, M, generator=generator)
    log_prob, reward, end_value = torch.randn(3, B, T, generator=generator)
    terminated, truncated = torch.rand(2, B, T, generator=generator) < 0.2
    valid = torch.ones(B, T, dtype=torch.bool) if valid is None else valid
    done = terminated | truncated
    return Segments(observation, action, log_prob / 2 - 1.5, reward, terminated, done, end_value, valid)


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("name", ["mse", "hl_gauss"])
def test_policy_gradient_value_and_entropy(kind, name):
    agent, batch = agent_of(name, kind, value_coef=0.25, entropy_coef=0.3, gamma=0.9), batch_of(kind)
    loss, error = agent.critic_loss(batch)
    flat = batch.observation.flatten(0, 1)
    policy, outputs = agent.network(flat), agent.network.outputs(flat)
    log_prob = policy.log_prob(batch.action.flatten(0, 1)).view(B, T)
    with torch.no_grad():
        value = agent.value_loss.decode(outputs).view(B, T)
        following = torch.cat([value[:, 1:], batch.end_value[:, -1:]], 1)
        following = torch.where(batch.done, batch.end_value, following)
        ratio = (log_prob - batch.log_prob).exp()
        target, advantage = vtrace(batch.reward, batch.terminated, batch.done, value, following, ratio, 0.9)
    value_loss = agent.value_loss(outputs, target.flatten()).view(B, T)
    expected = -advantage * log_prob + 0.25 * value_loss - 0.3 * policy.entropy().view(B, T)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(error, target - value)
    torch.testing.assert_close(agent.chosen_and_targets(batch)[1], target.flatten())


def test_resets_weigh_nothing():
    valid = torch.ones(B, T, dtype=torch.bool)
    valid[:, 2] = False
    agent, batch = agent_of(), batch_of(valid=valid)
    done = batch.done.clone()
    done[:, 1] = True  # as the step before a reset is
    batch = batch._replace(done=done)
    loss, error = agent.critic_loss(batch)
    assert loss[:, 2].abs().max() == error[:, 2].abs().max() == 0
    torch.testing.assert_close(
        loss.mean(), agent.critic_loss(batch._replace(valid=~valid | True))[0][valid].mean()
    )
    reward = batch.reward.clone()
    reward[:, 2] = 1e3
    torch.testing.assert_close(agent.critic_loss(batch._replace(reward=reward))[0], loss)
    assert len(agent.chosen_and_targets(batch)[1]) == valid.sum()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_an_update_moves_everything(name, shared):
    agent = agent_of(name, shared=shared)
    learner, before = make_learner(agent, Compute()), agent.weights()
    learner.learn_once(batch_of())
    after = agent.weights()
    assert [key for key in after if torch.equal(before[key], after[key])] == []


def corridor_of(corridor, loss="mse", mode=AutoresetMode.SAME_STEP, **changes):
    torch.manual_seed(0)
    support = {"v_min": -5.0, "v_max": 25.0, "num_bins": 61}
    value_loss = make_value_loss(loss, **(support if issubclass(LOSSES[loss], CategoricalLoss) else {}))
    keys = {
        "agent": "impala", "steps": 400, "rollout_length": 8, "batch_size": 8, "gamma": 0.5,
        "optimizer": {"lr": 3e-3, "eps": 1e-8}, "entropy_coef": 0.0,
    }  # fmt: skip
    network = PolicyValueNetwork((1,), gym.spaces.Discrete(2), value_loss.num_outputs, hidden=(32,))
    agent = IMPALA(network, value_loss, build(IMPALARecipe, keys | changes, where="test"))
    return AtWork(agent, corridor((5, 7), None, mode), seed=0)


@pytest.mark.parametrize("name", ["mse", "c51"])
def test_it_learns_the_values(corridor, name):
    work = corridor_of(corridor, name)
    while work.steps < 8_000:
        work.iterate()
    expected = [0.0] * 8
    for t in reversed(range(7)):  # half of the visits to state 4 end there
        expected[t] = t + 1 + 0.5 * expected[t + 1] * (0.5 if t == 4 else 1.0)
    outputs = work.agent.network.outputs(torch.arange(4.0)[:, None])
    values = work.agent.value_loss.decode(outputs).detach()
    torch.testing.assert_close(values, torch.tensor(expected[:4]), rtol=0.2, atol=0.5)


@pytest.mark.parametrize(("batch_size", "shape"), [(8, (2, 1, 8)), (16, (1, 2, 8))])
def test_minibatches_are_whole_environments(corridor, batch_size, shape):
    work, seen = corridor_of(corridor, batch_size=batch_size), []
    work.learn = seen.append
    work.iterate()
    (batches,) = seen
    assert batches.reward.shape == shape
    starts = batches.observation[:, :, 0].flatten().tolist()
    assert set(starts) == {0.0}
    states = {tuple(row) for row in batches.observation.flatten(0, 1)[..., 0].tolist()}
    assert states == {(0, 1, 2, 3, 4, 0, 1, 2), (0, 1, 2, 3, 4, 5, 6, 0)}


class Numbers(NamedTuple):
    """What stands for the steps of a rollout."""

    number: torch.Tensor


def test_environments_come_in_another_order_each_time(corridor):
    feed, steps = corridor_of(corridor, batch_size=8).feed, torch.arange(4)[:, None].expand(4, 4)
    torch.manual_seed(0)
    orders = set()
    for _ in range(20):
        (batches,) = feed.minibatches(Numbers(steps), torch.ones(4, 4, dtype=torch.bool))
        orders.add(tuple(batches.number[..., 0].flatten().tolist()))
    assert len(orders) > 5
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)


def test_reset_steps_are_marked(corridor):
    work, seen = corridor_of(corridor, mode=AutoresetMode.NEXT_STEP, batch_size=16), []
    work.learn = seen.append
    work.iterate()
    assert (~seen[0].valid).sum(-1).tolist() == [[1, 1]]


def test_a_row_tells_how_far_the_policies_are_apart(corridor):
    work = corridor_of(corridor, log_every=16, batch_size=16)
    work.iterate()
    assert 0 < work.metrics["train/entropy"] <= np.log(2) + 1e-6
    assert work.metrics["train/kl"] >= -1e-7


@pytest.mark.parametrize(("batch_size", "shape"), [(6, (2, 1, 8)), (2, (2, 1, 8)), (12, (1, 2, 8))])
def test_no_environment_is_left_out(corridor, batch_size, shape):
    work, seen = corridor_of(corridor, batch_size=batch_size), []
    work.learn = seen.append
    work.iterate()
    assert seen[0].reward.shape == shape
    assert len({tuple(row) for row in seen[0].observation.flatten(0, 1)[..., 0].tolist()}) == 2
