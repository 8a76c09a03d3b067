"""PPO's losses by their formulas, its labels, and that it learns with every value loss."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from catzoo.agents import PPO, Advantages, AtWork, PolicyValueNetwork, make_learner
from catzoo.agents.at_work import Compute
from catzoo.hparams import PPORecipe, RecipeError, ValueLossConfig, build
from catzoo.losses import LOSSES, CategoricalLoss, make_value_loss

B, D, A, M = 32, 3, 4, 2
SPACES = {"discrete": gym.spaces.Discrete(A), "continuous": gym.spaces.Box(-1, 1, (M,), np.float32)}
LINE = gym.spaces.Discrete(2)
"""Actions of a corridor."""


def agent_of(loss="mse", kind="discrete", shared=False, **keys):
    torch.manual_seed(0)
    value_loss = make_value_loss(loss)
    network = PolicyValueNetwork((D,), SPACES[kind], value_loss.num_outputs, hidden=[16], shared=shared)
    return PPO(network, value_loss, build(PPORecipe, {"agent": "ppo", **keys}, where="test"))


def batch_of(kind="discrete"):
    generator = torch.Generator().manual_seed(1)
    observation = torch.randn(B, D, generator=generator)
    action = torch.arange(B) % A if kind == "discrete" else torch.randn(B, M, generator=generator)
    log_prob, advantage, returns = torch.randn(3, B, generator=generator)
    return Advantages(observation, action, log_prob / 2 - 1.5, advantage, returns)


@pytest.mark.parametrize("kind", SPACES)
def test_the_policy_climbs_the_clipped_surrogate(kind):
    agent, batch = agent_of(kind=kind, clip=0.1, entropy_coef=0.3), batch_of(kind)
    loss, error = agent.policy_loss(batch)
    policy = agent.network(batch.observation)
    ratio = (policy.log_prob(batch.action) - batch.log_prob).exp()
    advantage = (batch.advantage - batch.advantage.mean()) / (batch.advantage.std(correction=0) + 1e-8)
    gain = torch.stack([ratio * advantage, ratio.clamp(0.9, 1.1) * advantage]).amin(0)
    torch.testing.assert_close(loss, -gain - 0.3 * policy.entropy())
    assert error is None


@pytest.mark.parametrize("name", LOSSES)
def test_the_value_is_fitted_to_the_returns(name):
    agent, batch = agent_of(name), batch_of()
    loss, error = agent.critic_loss(batch)
    outputs = agent.network.outputs(batch.observation)
    torch.testing.assert_close(loss, agent.value_loss(outputs, batch.returns))
    torch.testing.assert_close(error, batch.returns - agent.value_loss.decode(outputs))
    assert not error.requires_grad
    chosen, targets = agent.chosen_and_targets(batch)
    assert torch.equal(chosen, outputs)
    assert torch.equal(targets, batch.returns)


def test_one_step_for_a_torso_that_is_shared():
    agent, batch = agent_of("hl_gauss", shared=True, value_coef=0.25), batch_of()
    (step,) = agent.steps()
    loss, error = step.loss(batch)
    torch.testing.assert_close(loss, agent.policy_loss(batch)[0] + 0.25 * agent.critic_loss(batch)[0])
    torch.testing.assert_close(error, agent.critic_loss(batch)[1])
    assert len(step.parameters) == len(list(agent.network.parameters()))


@pytest.mark.parametrize("kind", SPACES)
def test_steps_of_their_own_move_everything_once(kind):
    agent = agent_of("hl_gauss", kind, optimizer={"lr": 1e-3, "actor_lr": 2e-3, "max_grad_norm": 0.5})
    steps = agent.steps()
    assert [(step.name, step.lr) for step in steps] == [("critic", 1e-3), ("policy", 2e-3)]
    moved = [id(parameter) for step in steps for parameter in step.parameters]
    assert sorted(moved) == sorted(id(parameter) for parameter in agent.network.parameters())
    learner, before = make_learner(agent, Compute()), agent.weights()
    learner.learn_once(batch_of(kind))
    after = agent.weights()
    assert [key for key in after if torch.equal(before[key], after[key])] == []


def corridor_of(corridor, loss="mse", mode=AutoresetMode.SAME_STEP, normalize=False, **changes):
    torch.manual_seed(0)
    support = {"v_min": -5.0, "v_max": 25.0, "num_bins": 61}
    given = support if issubclass(LOSSES[loss], CategoricalLoss) else {}
    value_loss = make_value_loss(loss, **given)
    keys = {
        "agent": "ppo", "steps": 400, "rollout_length": 8, "batch_size": 8, "epochs": 2, "gamma": 0.5,
        "gae_lambda": 0.8, "optimizer": {"lr": 3e-3, "eps": 1e-8}, "entropy_coef": 0.0,
    }  # fmt: skip
    network = PolicyValueNetwork((1,), LINE, value_loss.num_outputs, hidden=(32,), normalize=normalize)
    agent = PPO(network, value_loss, build(PPORecipe, keys | changes, where="test"))
    return AtWork(agent, corridor((5, 7), None, mode), seed=0)


def seen_by(work):
    """The minibatches of an iteration that nothing is learned from."""
    seen = []
    work.learn = seen.append
    work.iterate()
    return seen


@pytest.mark.parametrize("name", ["mse", "hl_gauss", "quantile"])
def test_it_learns_the_values(corridor, name):
    work = corridor_of(corridor, name, epochs=4)
    while work.steps < 4_000:
        work.iterate()
    expected = [0.0] * 8
    for t in reversed(range(7)):  # half of the visits to state 4 end there
        expected[t] = t + 1 + 0.5 * expected[t + 1] * (0.5 if t == 4 else 1.0)
    values = work.agent.values(torch.arange(4.0)[:, None]).detach()
    torch.testing.assert_close(values, torch.tensor(expected[:4]), rtol=0.2, atol=0.5)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_labels_are_those_of_the_episodes(corridor, mode):
    work = corridor_of(corridor, mode=mode, gae_lambda=1.0, epochs=1)
    batches = seen_by(work)[0]
    for state, target in zip(batches.observation.flatten(), batches.returns.flatten(), strict=True):
        whole = [sum(0.5**k * (state + k + 1) for k in range(int(end - state))) for end in (5, 7)]
        open_end = state <= 2  # the rollout's end cuts an episode at state 3 or 1, or 2 and 0
        assert open_end or min(abs(target - value) for value in whole if value > 0) < 1e-5
    value = work.agent.values(batches.observation.flatten(0, 1)).view_as(batches.returns)
    torch.testing.assert_close(batches.advantage, batches.returns - value)


@pytest.mark.parametrize("normalize", [False, True])
def test_densities_are_those_of_the_policy_that_played(corridor, normalize):
    work, apart = corridor_of(corridor, normalize=normalize), []

    def compare(batches):
        policy = work.agent.network(batches.observation.flatten(0, 1))
        apart.append(policy.log_prob(batches.action.flatten()) - batches.log_prob.flatten())

    work.iterate()
    work.learn = compare
    work.iterate()
    assert torch.stack(apart).abs().max() < 1e-5


def test_a_row_tells_how_the_policy_moved(corridor):
    work = corridor_of(corridor, log_every=16)
    work.iterate()
    row = work.metrics
    assert 0 < row["train/entropy"] <= np.log(2) + 1e-6
    assert row["train/kl"] >= -1e-7
    assert 0 <= row["train/clipped"] <= 1
    assert "train/epsilon" not in row
    assert {"train/loss", "train/policy_loss"} <= set(row)


def test_it_samples_with_densities_and_is_judged_by_the_mode():
    agent, observation = agent_of(), torch.randn(400, D)
    policy = agent.policy(SPACES["discrete"], seed=3)
    policy.epsilon = 0.0
    action, columns = policy(observation)
    truth = agent.network(observation).log_prob(torch.from_numpy(action)).detach().numpy()
    np.testing.assert_allclose(columns["log_prob"], truth, rtol=1e-5)
    assert len(set(action.tolist())) == A
    agent.eval()
    assert np.array_equal(policy(observation), agent.act(observation).numpy())
    policy.epsilon = 1.0
    assert np.bincount(policy(observation), minlength=A).min() > 60
    outputs, best = agent.appraise(observation)
    assert (outputs.shape, best.shape) == ((400, 1, 1), (400,))
    assert torch.equal(agent.outputs_of(observation, best), outputs[:, 0])


def test_a_support_that_adapts_is_refused():
    with pytest.raises(RecipeError, match="support=adaptive does not go with ppo"):
        PPORecipe(agent="ppo", support="adaptive", value_loss=ValueLossConfig(v_min=-1.0, v_max=1.0))


def test_a_minibatch_of_one_step_has_no_advantage():
    agent, batch = agent_of(entropy_coef=0.0), batch_of()
    loss, _ = agent.policy_loss(Advantages(*(column[:1] for column in batch)))
    assert loss.item() == 0.0


def test_minibatches_of_one_step_are_refused():
    with pytest.raises(RecipeError, match="batch_size=1: advantages are standardised"):
        agent_of(batch_size=1)


def test_a_rate_of_its_own_needs_a_step_of_its_own():
    with pytest.raises(RecipeError, match=r"optimizer.actor_lr=0.1 does not go with network.shared=true"):
        agent_of(network={"shared": True}, optimizer={"actor_lr": 0.1})
