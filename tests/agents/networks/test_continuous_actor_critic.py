"""The policy's density against torch's own, and critics side by side against critics one by one."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from catzoo.agents.networks.continuous_actor_critic import (
    ActorCritic,
    Critics,
    DeterministicActor,
    GaussianActor,
)
from catzoo.agents.networks.policies import SquashedGaussian
from catzoo.agents.networks.torsos import bronet
from catzoo.losses import LOSSES, make_value_loss

B, D, M = 5, 4, 3


def test_the_density_is_that_of_the_squashed_gaussian():
    generator = torch.Generator().manual_seed(0)
    mean, log_std, noise = (
        torch.randn(50, M, generator=generator, dtype=torch.float64) / 2 for _ in range(3)
    )
    action, log_density = SquashedGaussian(mean, log_std).sample(noise)
    normal = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform(cache_size=1))
    torch.testing.assert_close(log_density, normal.log_prob(action).sum(-1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(action, (mean + log_std.exp() * noise).tanh())
    assert torch.equal(SquashedGaussian(mean, log_std).mode, mean.tanh())


@pytest.mark.parametrize("mean", [-40.0, 40.0])
def test_the_density_at_the_end_of_the_range_is_finite(mean):
    before = torch.full((1, M), mean, requires_grad=True)
    action, log_density = SquashedGaussian(before, torch.zeros(1, M)).sample(torch.zeros(1, M))
    (gradient,) = torch.autograd.grad(log_density.sum(), before)
    assert action.abs().max() == 1
    assert log_density.isfinite().all()
    assert gradient[0].tolist() == pytest.approx([math.copysign(2.0, mean)] * M)


def test_the_density_integrates_to_one():
    policy = SquashedGaussian(torch.tensor([[0.3]]).double(), torch.tensor([[-0.5]]).double())
    noise = torch.linspace(-9, 9, 20_001, dtype=torch.float64)[:, None]
    wide = SquashedGaussian(policy.mean.expand(len(noise), 1), policy.log_std.expand(len(noise), 1))
    action, log_density = wide.sample(noise)
    assert torch.trapezoid(log_density.exp(), action[:, 0]).item() == pytest.approx(1, abs=1e-5)


def test_an_actor_keeps_its_deviation_within_bounds():
    actor = GaussianActor(D, M, [8])
    with torch.no_grad():
        actor.layers[-1].weight.mul_(1e4)
    log_std = actor(torch.randn(100, D)).log_std
    assert (log_std.min().item(), log_std.max().item()) == pytest.approx((-5, 2))


@pytest.mark.parametrize("layer_norm", [False, True])
def test_an_ensemble_is_as_its_critics_one_by_one(layer_norm):
    critics = Critics(D + M, 3, 7, [16, 8], layer_norm=layer_norm)
    with torch.no_grad():
        for parameter in critics.parameters():
            parameter.normal_()
    observation, action = torch.randn(B, D), torch.randn(B, M)
    outputs_EBK = critics(observation, action)
    assert outputs_EBK.shape == (3, B, 7)
    for e in range(3):
        x = torch.cat((observation, action), -1)
        for layer in critics.layers:
            if isinstance(layer, nn.ReLU):
                x = x.relu()
            elif hasattr(layer, "weight") and layer.weight.shape[1] > 1:
                x = x @ layer.weight[e] + layer.bias[e]
            else:
                x = nn.functional.layer_norm(x, x.shape[-1:], layer.weight[e, 0], layer.bias[e, 0])
        torch.testing.assert_close(outputs_EBK[e], x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_every_critic_begins_at_the_initial_value(name):
    loss = make_value_loss(name)
    critics = Critics(D + M, 4, loss.num_outputs, [16], initial_outputs=loss.initial_outputs(2.0))
    with torch.no_grad():
        critics.layers[-1].weight.zero_()
    values = loss.decode(critics(torch.randn(B, D), torch.randn(B, M)))
    torch.testing.assert_close(values, torch.full((4, B), 2.0), rtol=0, atol=0.02)


def test_critics_differ_from_the_start():
    critics = Critics(D + M, 2, 1, [16])
    one, other = critics(torch.randn(B, D), torch.randn(B, M))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_observations_of_any_shape_and_dtype(dtype):
    network = ActorCritic((2, 3), M, 5, hidden=[8], normalize=True)
    observation = torch.ones(B, 2, 3).to(dtype)
    assert network.seen(observation).shape == (B, 6)
    assert network.seen(observation).dtype == torch.float32
    assert network(observation).mode.shape == (B, M)


def test_a_deterministic_action_and_its_noise_stay_within_range():
    policy = DeterministicActor(D, M, [8])(torch.randn(B, D))
    assert policy.mode.abs().max() < 1
    action, density = policy.sample(torch.full((B, M), 0.1))
    torch.testing.assert_close(action, (policy.mode + 0.1).clamp(max=1))
    assert density is None
    assert torch.equal(policy.sample(torch.full((B, M), -9.0))[0], torch.full((B, M), -1.0))


def test_residual_critics_are_as_those_one_by_one():
    critics = Critics(D + M, 2, 7, [16, 16], body="bronet")
    with torch.no_grad():
        for parameter in critics.parameters():
            parameter.normal_(std=0.3)
    observation, action = torch.randn(B, D), torch.randn(B, M)
    outputs_EBK = critics(observation, action)
    for e in range(2):
        alone = Critics(D + M, 1, 7, [16, 16], body="bronet")
        own = dict(critics.named_parameters())
        with torch.no_grad():
            for name, parameter in alone.named_parameters():
                parameter.copy_(own[name][e : e + 1])
        torch.testing.assert_close(alone(observation, action)[0], outputs_EBK[e], rtol=1e-4, atol=1e-5)


def test_a_block_adds_to_what_it_is_given():
    layers = bronet(3, [8, 8])
    x = layers[:3](torch.randn(B, 3))
    for block in layers[3:]:
        added = block.layers(x)
        torch.testing.assert_close(block(x), x + added)
        assert added.abs().max() > 0
    assert len(layers) == 5
    with pytest.raises(ValueError, match=r"widths \[8, 4\]: bronet has blocks of one width"):
        bronet(3, [8, 4])


def test_an_actor_of_its_own_width():
    network = ActorCritic((D,), M, 1, hidden=[16, 16], actor_hidden=[8], body="bronet")
    assert network.actor.layers[0].weight.shape == (8, D)
    assert network.critic.layers[0].weight.shape == (2, D + M, 16)


def test_values_are_not_rounded_under_autocast():
    critics = Critics(D + M, 2, 1, [16], initial_outputs=torch.tensor([9.0]))
    observation, action = torch.randn(64, D), torch.randn(64, M)
    with torch.autocast("cpu", torch.bfloat16):
        values = critics(observation, action)
    assert values.dtype == torch.float32
    assert len(values.unique()) > 100  # in bf16 there are 16 numbers between 8 and 9
