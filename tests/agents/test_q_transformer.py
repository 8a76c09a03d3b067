"""Q-Transformer: its regulariser's fixed point, Bellman over dimensions, choices, bounds, cloning.

Legend: S states, B batch, D dimensions, N bins, K outputs per value.
"""

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from catzoo.agents import ActionTransformer, Checkpoints, QTransformer, Transitions
from catzoo.agents.learning.targets import copy_parameters
from catzoo.agents.replay.bounded_replay import BoundedReplay
from catzoo.hparams import QTransformerRecipe, RecipeError, ValueLossConfig
from catzoo.hparams.components import ObservingNormalizeConfig
from catzoo.losses import LOSSES, CategoricalLoss, make_value_loss
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.train import recipe_of
from datasets_for_tests import swings

SUPPORT = {"v_min": -0.1, "v_max": 1.1, "num_bins": 61}


class Table(nn.Module):
    """Outputs of its own for every state, prefix and bin, in place of an `ActionTransformer`."""

    normalize = None

    def __init__(self, states, dimensions, bins, outputs):
        super().__init__()
        self.num_dimensions, self.num_bins = dimensions, bins
        self.outputs = nn.ParameterList(
            torch.randn(states, bins**i, bins, outputs, dtype=torch.float64) for i in range(dimensions)
        )

    def seen(self, observation):
        return observation

    def values(self, state, prefix):
        place, found = torch.zeros_like(state), []
        for i in range(prefix.shape[1] + 1):
            found.append(self.outputs[i][state, place])
            if i < prefix.shape[1]:
                place = place * self.num_bins + prefix[:, i]
        return torch.stack(found, 1)

    forward = values


def made(name="mse", states=1, dimensions=1, bins=4, **keys):
    torch.manual_seed(0)
    loss = make_value_loss(name, **(SUPPORT if issubclass(LOSSES[name], CategoricalLoss) else {}))
    recipe = QTransformerRecipe(agent="q_transformer", **{"monte_carlo_bound": False, **keys})
    return QTransformer(Table(states, dimensions, bins, loss.num_outputs), loss.double(), recipe)


def steps(agent, state, bins, reward, discount=None, following=None, returns=None):
    none = torch.zeros(len(state), dtype=torch.float64)
    return Transitions(
        state, agent.centers_of(bins).double(), reward.double(), none if discount is None else discount,
        state if following is None else following, return_to_go=none if returns is None else returns,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["mse", "hl_gauss", "two_hot", "c51"])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_the_conservative_term_comes_to_value_times_density(name, alpha):
    agent = made(name, conservative=alpha)
    taken = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])  # and never the last bin
    worth = torch.tensor([0.9, 0.5, 1.0, 0.7], dtype=torch.float64)
    batch = steps(agent, torch.zeros(10, dtype=torch.int64), taken[:, None], worth[taken])
    share = torch.bincount(taken, minlength=4) / 10
    pull = alpha * (1 - share) / 3
    wanted = share * worth / (share + pull)
    outputs, loss = agent.network.outputs[0], agent.value_loss
    with torch.no_grad():
        if isinstance(loss, CategoricalLoss):  # where the labels are mixed as the two terms weigh them
            labels = share[:, None] * loss.encode(worth) + pull[:, None] * loss.encode(0 * worth)
            outputs[0, 0] = (labels / (share + pull)[:, None]).clamp(min=1e-30).log()
        else:
            outputs[0, 0, :, 0] = wanted
    assert torch.allclose(loss.decode(outputs.detach()[0, 0]), wanted, atol=2e-3)
    # Both terms are convex: where the gradient is none is the one lowest place.
    there = torch.autograd.grad(agent.critic_loss(batch)[0].mean(), outputs)[0]
    with torch.no_grad():
        outputs += 0.1 * torch.randn_like(outputs)
    beside = torch.autograd.grad(agent.critic_loss(batch)[0].mean(), outputs)[0]
    assert there.norm() < 1e-6 < 1e-3 < beside.norm()


def test_bellman_goes_over_dimensions_and_then_in_time():
    """The data take every action in every state; the truth is value iteration over whole actions."""
    states, dimensions, bins, gamma = 3, 3, 2, 0.5
    agent = made(states=states, dimensions=dimensions, bins=bins, conservative=0.0)
    every = torch.cartesian_prod(torch.arange(states), *[torch.arange(bins)] * dimensions)
    state, chosen = every[:, 0], every[:, 1:]
    random = torch.Generator().manual_seed(1)
    reward = torch.rand(len(every), generator=random, dtype=torch.float64)
    following = torch.randint(states, (len(every),), generator=random)
    discount = gamma * (torch.rand(len(every), generator=random) < 0.8).double()
    truth = torch.zeros(states, bins**dimensions, dtype=torch.float64)
    for _ in range(200):
        truth = (reward + discount * truth.amax(1)[following]).view(states, -1)
    batch = steps(agent, state, chosen, reward, discount, following)
    optimizer = torch.optim.SGD(agent.network.parameters(), lr=1.0)
    for _ in range(120):
        optimizer.zero_grad()
        # The gradient of MSE, divided by how many rows an entry has, is a whole step to the mean target.
        agent.critic_loss(batch)[0].sum().backward()
        for i, outputs in enumerate(agent.network.outputs):
            outputs.grad /= 2 / dimensions * bins ** (dimensions - 1 - i)
        optimizer.step()
        copy_parameters(agent.network, agent.target)
    for i, outputs in enumerate(agent.network.outputs):
        best = truth.view(states, bins**i, bins, -1).amax(-1)
        assert torch.allclose(outputs.detach()[..., 0], best, atol=1e-6), i
    assert torch.equal(agent.bins_of(agent.act(torch.arange(states))), chosen[truth.argmax(1)])


def test_no_target_is_below_what_the_data_had():
    agent = made(dimensions=2, monte_carlo_bound=True)
    for outputs in agent.target.outputs:
        nn.init.constant_(outputs, 0.4)
    state, bins = torch.zeros(2, dtype=torch.int64), torch.tensor([[0, 1], [2, 3]])
    returns = torch.tensor([0.9, 0.1], dtype=torch.float64)
    batch = steps(agent, state, bins, torch.zeros(2), torch.full((2,), 0.5).double(), returns=returns)
    wanted = torch.tensor([[0.9, 0.9], [0.4, 0.2]], dtype=torch.float64)
    assert torch.allclose(agent.targets(batch, bins), wanted)


def test_cloning_is_the_cross_entropy_of_the_datas_bins():
    agent = made(dimensions=2, learn="cloning", value_loss=ValueLossConfig(name="mse"))
    state, bins = torch.zeros(2, dtype=torch.int64), torch.tensor([[0, 1], [2, 3]])
    loss_B, _ = agent.critic_loss(steps(agent, state, bins, torch.zeros(2)))
    logits = agent.network(state, bins[:, :1])[..., 0]
    wanted = -logits.log_softmax(-1).gather(-1, bins[..., None]).mean((1, 2))
    assert torch.allclose(loss_B, wanted)


def small(**options):
    torch.manual_seed(0)
    return ActionTransformer((5,), 3, 4, 2, size=8, num_heads=2, torso="mlp", hidden=(8,), **options)


def test_a_dimension_is_told_those_before_it_only():
    network, observation = small(), torch.randn(2, 5)
    prefix = torch.tensor([[0, 1], [2, 3]])
    outputs = network(observation, prefix)
    assert outputs.shape == (2, 3, 4, 2)
    assert torch.allclose(network(observation, prefix[:, :1]), outputs[:, :2], atol=1e-6)
    other = network(observation, torch.tensor([[0, 2], [2, 0]]))
    assert torch.allclose(other[:, :2], outputs[:, :2], atol=1e-6)
    assert not torch.allclose(other[:, 2], outputs[:, 2], atol=1e-3)
    # The same bin of another dimension is another token.
    swapped = network(observation, torch.tensor([[1, 0], [3, 2]]))
    assert not torch.allclose(swapped[:, 2], outputs[:, 2], atol=1e-3)


def test_an_image_is_a_token_too():
    torch.manual_seed(0)
    network = ActionTransformer((10, 10, 4), 3, 4, 2, size=8, num_heads=2, width=0.1)
    outputs = network(torch.rand(2, 10, 10, 4), torch.tensor([[0], [1]]))
    assert outputs.shape == (2, 2, 4, 2)
    assert not torch.equal(outputs[0, 0], outputs[1, 0])


def test_values_begin_where_they_should_and_images_are_not_scaled():
    begins = torch.tensor([0.3, -0.7])
    assert torch.equal(small(initial_outputs=begins).head.linear.bias, begins.repeat(4))
    with pytest.raises(ValueError, match="does not go with images"):
        ActionTransformer((4, 84, 84), 3, 4, 2, size=8, num_heads=2, normalize=True)


def test_bins_and_their_centers():
    agent = made(bins=4)
    action = torch.tensor([[-1.0], [-0.51], [-0.01], [0.2], [0.99], [1.0]])
    bins = agent.bins_of(action)
    assert bins[:, 0].tolist() == [0, 0, 1, 2, 3, 3]
    assert agent.centers_of(torch.arange(4)).tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert torch.equal(agent.bins_of(agent.centers_of(bins)), bins)


def test_what_plays_is_greedy_or_anywhere():
    agent = made(states=3, dimensions=2)
    policy = agent.policy(gym.spaces.Box(-1, 1, (2,), np.float32), seed=1)
    states = torch.arange(3)
    policy.epsilon = 0.0
    assert np.array_equal(policy(states), agent.act(states).numpy())
    outputs_B1K, action = agent.appraise(states)
    assert torch.equal(outputs_B1K[:, 0], agent.outputs_of(states, action))
    policy.epsilon = 1.0
    anywhere = policy(states)
    assert anywhere.dtype == np.float32
    assert (np.abs(anywhere) <= 1).all()
    assert len(np.unique(anywhere)) == 6


def work_on(folder, *said, loss="hl_gauss"):
    overrides = [f"dataset={folder}", "batch_size=8", "steps=60", "bins=4", "network.size=8", "log_every=10",
                 "network.hidden=[8]", "compute.device=cpu", *said]  # fmt: skip
    return build_trainer(recipe_of("q_transformer", "Pendulum-v1", loss=loss, overrides=overrides))


def trained(work, iterations):
    for _ in range(iterations):
        work.iterate()
    return torch.cat([tensor.flatten().double() for tensor in work.agent.weights().values()])


@pytest.mark.parametrize("name", ["hl_gauss", "mse"])
def test_an_interrupted_run_is_the_one_that_was_not(tmp_path, name):
    swings(tmp_path / "data")
    whole, first, second = (work_on(tmp_path / "data", loss=name) for _ in range(3))
    wanted = trained(whole, 5)
    trained(first, 2)
    Checkpoints(tmp_path / "checkpoints", first).save()
    Checkpoints(tmp_path / "checkpoints", second).restore()
    assert torch.equal(trained(second, 3), wanted)


def test_observations_are_scaled_by_the_datas_moments_in_both_networks(tmp_path):
    dataset = swings(tmp_path)
    work = work_on(tmp_path)
    norm = work.agent.network.normalize
    assert torch.allclose(norm.mean, dataset.columns["observation"].mean(0), atol=1e-6)
    assert work.agent.target.normalize is norm
    before = [parameter.clone() for parameter in work.agent.target.parameters()]
    trained(work, 1)
    assert any((a != b).any() for a, b in zip(before, work.agent.target.parameters(), strict=True))


def test_returns_come_with_the_batches_and_must_fit(tmp_path):
    dataset = swings(tmp_path / "a")
    replay = BoundedReplay(dataset, gamma=0.98)
    batches, index = replay.sample(4, 2)
    assert torch.equal(batches.return_to_go, dataset.columns["return_to_go"][index])
    with pytest.raises(ValueError, match=r"gamma=0.9: the returns of .* are discounted by 0.98"):
        BoundedReplay(dataset, gamma=0.9)
    with pytest.raises(RecipeError, match=r"gamma=0\.9: the returns of"):
        work_on(tmp_path / "a", "gamma=0.9")
    for wrong in (torch.zeros(96, 2), torch.zeros(96, dtype=torch.int64)):
        swings(tmp_path / "b", return_to_go=wrong)
        with pytest.raises(RecipeError, match="return_to_go must be one float32 number in each row"):
            work_on(tmp_path / "b")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"reward_clip": 1.0}, "reward_clip does not go with q_transformer"),
        ({"normalize": ObservingNormalizeConfig(reward=True)}, "normalize.reward does not go with"),
        ({"learn": "cloning", "value_loss": ValueLossConfig()}, "value_loss.name=mse, and not hl_gauss"),
    ],
)
def test_keys_that_do_not_go_together(keys, words):
    with pytest.raises(RecipeError, match=words):
        QTransformerRecipe(agent="q_transformer", **keys)


def test_heads_divide_the_size():
    with pytest.raises(RecipeError, match=r"network\.num_heads=3 must divide network\.size=64"):
        recipe_of("q_transformer", "Pendulum-v1", overrides=["network.num_heads=3"])
