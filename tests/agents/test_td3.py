"""TD3's two losses by their formulas, with every value loss; its targets, and how it plays."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from catzoo.agents import TD3, DeterministicActorCritic, make_learner
from catzoo.agents.at_work import Compute
from catzoo.hparams import RecipeError, TD3Recipe
from catzoo.losses import LOSSES, make_value_loss
from transitions_for_tests import B, D, M, batch_of

SPACE = gym.spaces.Box(-1, 1, (M,), np.float32)


def agent_of(loss="mse", **keys):
    torch.manual_seed(0)
    value_loss = make_value_loss(loss)
    network = DeterministicActorCritic((D,), M, value_loss.num_outputs, hidden=[16], layer_norm=True)
    return TD3(network, value_loss, TD3Recipe(agent="td3", **keys))


@pytest.mark.parametrize("pool", ["min", "mean"])
def test_the_critics_learn_from_the_target_actors_smoothed_action(pool):
    agent, batch = agent_of(pool=pool, smoothing=0.8, smoothing_clip=0.3), batch_of()
    with torch.no_grad():
        for parameter in agent.target_actor.parameters():
            parameter.add_(0.2)
    torch.manual_seed(2)
    loss, td_error = agent.critic_loss(batch)
    torch.manual_seed(2)
    noise = (0.8 * torch.randn(B, M)).clamp(-0.3, 0.3)
    action = (agent.target_actor(batch.next_observation).mode + noise).clamp(-1, 1)
    values = agent.target(batch.next_observation, action)[..., 0]
    target = batch.reward + batch.discount * (values.amin(0) if pool == "min" else values.mean(0))
    error = target - agent.network.critic(batch.observation, batch.action)[..., 0]
    torch.testing.assert_close(loss, error.square().sum(0))
    torch.testing.assert_close(td_error, error.abs().mean(0))
    torch.manual_seed(2)
    chosen, targets = agent.chosen_and_targets(batch)
    torch.testing.assert_close(targets, target)
    own = agent.network.critic(batch.observation, batch.action)[..., 0]
    torch.testing.assert_close(chosen[:, 0], own.mean(0))


@pytest.mark.parametrize("pool", ["min", "mean"])
def test_the_actor_climbs_the_first_critic_or_the_mean(pool):
    agent, batch = agent_of("hl_gauss", pool=pool), batch_of()
    loss, _ = agent.actor_loss(batch)
    each = agent.value_loss.decode(
        agent.network.critic(batch.observation, agent.network.actor(batch.observation).mode)
    )
    torch.testing.assert_close(loss, -(each[0] if pool == "min" else each.mean(0)))


@pytest.mark.parametrize("name", LOSSES)
def test_an_update_moves_all_that_learns_and_both_targets_by_tau(name):
    agent = agent_of(name, tau=0.25)
    learner, before = make_learner(agent, Compute()), agent.weights()
    learner.learn_once(batch_of(torch.rand(B)))
    after = agent.weights()
    assert all(not torch.equal(before[key], after[key]) for key in after)
    for target, source in (("target.", "network.critic."), ("target_actor.", "network.actor.")):
        for key in (key for key in after if key.startswith(target)):
            own = after[key.replace(target, source, 1)]
            torch.testing.assert_close(after[key], before[key] + 0.25 * (own - before[key]))


def test_the_actor_waits_for_its_turn():
    agent = agent_of(policy_delay=2)
    learner, before = make_learner(agent, Compute()), agent.weights()
    actor = [key for key in before if "actor" in key]
    learner.learn_once(batch_of(), updates=0)
    assert all(torch.equal(agent.weights()[key], before[key]) for key in actor)
    learner.learn_once(batch_of(), updates=1)
    assert not any(torch.equal(agent.weights()[key], before[key]) for key in actor)


def test_noise_explores_and_evaluation_has_none():
    agent = agent_of(noise=0.3, least_noise=0.01)
    policy = agent.policy(SPACE, seed=3)
    policy.epsilon = 0.0
    observation = torch.randn(D).expand(4, D)
    played = np.stack([policy(observation) for _ in range(500)])
    assert played.dtype == np.float32
    assert np.abs(played).max() <= 1
    deviation = played.std(0).mean(-1)  # of each environment
    assert deviation == pytest.approx(np.linspace(0.3, 0.01, 4), rel=0.15)
    agent.eval()
    assert np.array_equal(policy(observation), agent.act(observation).numpy())
    assert agent.appraise(observation)[0].shape == (4, 1, 1)


def test_the_least_noise_is_not_above_the_most():
    with pytest.raises(RecipeError, match=r"least_noise=0.5 must not be above noise=0.1"):
        agent_of(least_noise=0.5)
    with pytest.raises(RecipeError, match=r"least_noise=0.05 needs num_envs of 2 or more"):
        agent_of(least_noise=0.05, num_envs=1)
