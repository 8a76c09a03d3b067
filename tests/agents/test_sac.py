"""SAC's three losses by their formulas, with every value loss; its targets, and how it plays."""

import dataclasses
import math

import gymnasium as gym
import numpy as np
import pytest
import torch

from catzoo.agents import SAC, ActorCritic, make_learner
from catzoo.agents.at_work import Compute
from catzoo.agents.support_mover import chosen_and_targets
from catzoo.hparams import CollectingComputeConfig, NetworkConfig, RecipeError, SACRecipe, ValueLossConfig
from catzoo.losses import LOSSES, make_value_loss
from transitions_for_tests import B, D, M, batch_of

SPACE = gym.spaces.Box(-1, 1, (M,), np.float32)


def agent_of(loss="mse", **keys):
    torch.manual_seed(0)
    value_loss = make_value_loss(loss)
    network = ActorCritic((D,), M, value_loss.num_outputs, num_critics=3, hidden=[16], layer_norm=True)
    return SAC(network, value_loss, SACRecipe(agent="sac", **keys))


@pytest.mark.parametrize("pool", ["min", "mean"])
def test_the_critics_learn_the_soft_target(pool):
    agent, batch = agent_of(alpha=0.2, pool=pool), batch_of()
    torch.manual_seed(2)
    loss, td_error = agent.critic_loss(batch)
    torch.manual_seed(2)
    action, log_prob = agent.network(batch.next_observation).sample()
    values = agent.target(batch.next_observation, action)[..., 0]
    following = values.amin(0) if pool == "min" else values.mean(0)
    target = batch.reward + batch.discount * (following - 0.2 * log_prob)
    error = target - agent.network.critic(batch.observation, batch.action)[..., 0]
    torch.testing.assert_close(loss, error.square().sum(0))
    torch.testing.assert_close(td_error, error.abs().mean(0))
    torch.manual_seed(2)
    torch.testing.assert_close(agent.chosen_and_targets(batch)[1], target)


def test_a_c51_target_moves_every_atom_by_the_entropy():
    agent, batch = agent_of("c51", alpha=0.5), batch_of()
    torch.manual_seed(2)
    loss, _ = agent.critic_loss(batch)
    torch.manual_seed(2)
    action, log_prob = agent.network(batch.next_observation).sample()
    following = agent.value_loss.pool(agent.target(batch.next_observation, action)).softmax(-1)
    centers = agent.value_loss.support.centers
    reward = batch.reward - batch.discount * 0.5 * log_prob
    atoms = (reward[:, None] + batch.discount[:, None] * centers).clamp(centers[0], centers[-1])
    share = (1 - (atoms[..., None] - centers).abs() / (centers[1] - centers[0])).clamp(0)
    label = (following[..., None] * share).sum(1)
    log_probs = agent.network.critic(batch.observation, batch.action).log_softmax(-1)
    torch.testing.assert_close(loss, -(label * log_probs).sum(-1).sum(0), rtol=1e-4, atol=1e-4)


def test_weights_multiply_the_loss_and_not_the_error():
    agent, weight = agent_of("hl_gauss"), torch.rand(B)
    results = []
    for batch in (batch_of(), batch_of(weight)):
        torch.manual_seed(2)
        results.append(agent.critic_loss(batch))
    torch.testing.assert_close(results[1][0], results[0][0] * weight)
    assert torch.equal(results[1][1], results[0][1])


@pytest.mark.parametrize("pool", ["min", "mean"])
def test_the_actor_goes_by_what_the_critics_are_pooled_to(pool):
    agent, batch = agent_of(alpha=0.3, pool=pool), batch_of()
    torch.manual_seed(2)
    loss, _ = agent.actor_loss(batch)
    torch.manual_seed(2)
    action, log_prob = agent.network(batch.observation).sample()
    values = agent.network.critic(batch.observation, action)[..., 0]
    pooled = values.amin(0) if pool == "min" else values.mean(0)
    torch.testing.assert_close(loss, 0.3 * log_prob - pooled)


@pytest.mark.parametrize(("wanted", "rises"), [(50.0, True), (-50.0, False), (None, None)])
def test_the_temperature_rises_where_entropy_is_missing(wanted, rises):
    agent, batch = agent_of(target_entropy=wanted), batch_of()
    torch.manual_seed(2)
    agent.actor_loss(batch)
    loss, _ = agent.temperature_loss(batch)
    (gradient,) = torch.autograd.grad(loss.mean(), agent.log_alpha)
    if rises is None:
        torch.manual_seed(2)
        _, log_prob = agent.network(batch.observation).sample()
        torch.testing.assert_close(gradient, -0.01 * (log_prob - M).mean())
    else:
        assert (gradient < 0) == rises


@pytest.mark.parametrize("pool", ["min", "mean"])
@pytest.mark.parametrize("name", LOSSES)
def test_an_update_moves_all_that_learns_and_the_target_by_tau(name, pool):
    agent = agent_of(name, pool=pool, tau=0.25)
    learner, before = make_learner(agent, Compute()), agent.weights()
    learner.learn_once(batch_of())
    after = agent.weights()
    moved = {key for key in after if not torch.equal(before[key], after[key])}
    assert {key for key in after if key.startswith(("network.", "target."))} <= moved
    assert "log_alpha" in moved
    for key in (key for key in after if key.startswith("target.")):
        own = after[key.replace("target.", "network.critic.", 1)]
        torch.testing.assert_close(after[key], before[key] + 0.25 * (own - before[key]))


def test_the_policy_waits_for_its_turn():
    agent = agent_of(policy_delay=2)
    learner, before = make_learner(agent, Compute()), agent.weights()
    learner.learn_once(batch_of(), updates=0)
    assert torch.equal(agent.weights()["log_alpha"], before["log_alpha"])
    learner.learn_once(batch_of(), updates=1)
    assert not torch.equal(agent.weights()["log_alpha"], before["log_alpha"])


def test_the_actors_own_rate():
    recipe = agent_of().recipe
    agent = agent_of(optimizer=dataclasses.replace(recipe.optimizer, lr=1e-3, actor_lr=2e-4))
    assert [step.lr for step in agent.steps()] == [1e-3, 2e-4, 1e-3]
    assert [step.lr for step in agent_of().steps()] == [recipe.optimizer.lr] * 3


def test_it_plays_samples_and_is_judged_by_the_mode():
    agent, observation = agent_of(), torch.randn(400, D)
    policy = agent.policy(SPACE, seed=3)
    policy.epsilon = 0.0
    one, two = policy(observation), policy(observation)
    assert one.shape == (400, M)
    assert one.dtype == np.float32
    assert not np.array_equal(one, two)
    agent.eval()
    assert np.array_equal(policy(observation), agent.act(observation).numpy())
    outputs, action = agent.appraise(observation)
    assert (outputs.shape, action.shape) == ((400, 1, 1), (400, M))


def test_values_that_are_watched_are_the_mean_of_the_critics():
    agent, batch = agent_of("hl_gauss"), batch_of()
    outputs = agent.outputs_of(batch.observation, batch.action)
    each = agent.value_loss.decode(agent.network.critic(batch.observation, batch.action))
    torch.testing.assert_close(agent.value_loss.decode(outputs), each.mean(0), rtol=1e-4, atol=1e-4)


def test_a_row_tells_the_temperature():
    assert agent_of(alpha=0.3).row(None) == {"train/alpha": pytest.approx(0.3)}
    assert math.log(0.3) == pytest.approx(agent_of(alpha=0.3).log_alpha.item())


def test_whoever_looks_at_the_targets_changes_nothing():
    agent, batch = agent_of("hl_gauss"), batch_of()
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    chosen, targets = chosen_and_targets(agent, batch)
    assert torch.equal(torch.rand(3), expected)
    assert (chosen.shape, targets.shape) == ((B, agent.value_loss.num_outputs), (B,))


def test_the_density_is_float32_under_autocast():
    agent, batch = agent_of("hl_gauss"), batch_of()
    with torch.autocast("cpu", torch.bfloat16):
        action, log_prob = agent.network(batch.observation).sample()
        losses = [loss(batch)[0] for loss in (agent.critic_loss, agent.actor_loss, agent.temperature_loss)]
    assert {tensor.dtype for tensor in (action, log_prob, *losses)} == {torch.float32}


@pytest.mark.parametrize(
    "said",
    [
        {"support": "adaptive"}, {"record": 0.5}, {"network": NetworkConfig(name="impala")},
        {"network": NetworkConfig(experts=2)}, {"network": NetworkConfig(pixels=True)},
        {"compute": CollectingComputeConfig(channels_last=True)},
    ],
)  # fmt: skip
def test_keys_that_do_not_go_with_it(said):
    with pytest.raises(RecipeError, match="does not go with sac"):
        SACRecipe(agent="sac", value_loss=ValueLossConfig(v_min=-1.0, v_max=1.0), **said)


def test_weight_decay_is_not_for_the_temperature():
    agent = agent_of(optimizer=dataclasses.replace(agent_of().recipe.optimizer, weight_decay=0.5))
    decays = [optimizer.weight_decay for optimizer in make_learner(agent, Compute()).optimizers]
    assert decays == [0.5, 0.5, 0.0]
