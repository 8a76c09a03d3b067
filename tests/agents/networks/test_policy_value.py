"""Policy and value: apart or on one torso, for both kinds of actions."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from catzoo.agents import PolicyValueNetwork
from catzoo.agents.networks.policies import Categorical, Gaussian
from catzoo.losses import LOSSES, make_value_loss

B, D, A, M, K = 7, 4, 3, 2, 11
SPACES = {"discrete": gym.spaces.Discrete(A), "continuous": gym.spaces.Box(-1, 1, (M,), np.float32)}


def network_of(kind="discrete", shape=(D,), outputs=K, **options):
    torch.manual_seed(0)
    return PolicyValueNetwork(shape, SPACES[kind], outputs, hidden=[16, 8], **options)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kind", SPACES)
def test_policy_and_value(kind, shared):
    network, observation = network_of(kind, shared=shared, activation="tanh"), torch.randn(B, D)
    policy, outputs = network.both(observation)
    assert outputs.shape == (B, K)
    assert torch.equal(outputs, network.outputs(observation))
    for one, other in zip(policy, network(observation), strict=True):
        assert torch.equal(one, other)
    assert isinstance(policy, Categorical if kind == "discrete" else Gaussian)
    assert policy[0].shape == (B, A if kind == "discrete" else M)
    if kind == "discrete":  # all actions are about as likely at first
        assert (policy.log_probs.exp() - 1 / A).abs().max() < 0.02
    else:
        assert policy.mean.abs().max() < 0.1
        assert torch.equal(policy.log_std, torch.zeros(B, M))


@pytest.mark.parametrize("shared", [False, True])
def test_what_is_apart_has_no_gradient_from_the_other(shared):
    network, observation = network_of(shared=shared), torch.randn(B, D)
    network.outputs(observation).square().sum().backward()
    touched = {name.split(".")[0] for name, one in network.named_parameters() if one.grad is not None}
    assert touched == {"value"}
    network.zero_grad()
    network(observation).log_probs[:, 0].sum().backward()
    torso = network.value.torso.layers[1].weight.grad
    assert (torso is not None and torso.abs().max() > 0) == shared


@pytest.mark.parametrize("name", LOSSES)
def test_values_begin_where_they_are_said_to(name):
    value_loss = make_value_loss(name)
    initial = value_loss.initial_outputs(0.0)
    network = network_of(outputs=value_loss.num_outputs, initial_outputs=initial)
    values = value_loss.decode(network.outputs(torch.zeros(1, D)))
    assert values.abs().max() < 0.5
    assert torch.equal(network.policy.head.linear.bias, torch.zeros(A))


def test_layers_begin_orthogonal():
    network = network_of()
    for part in (network.value, network.policy):
        weight = part.torso.layers[3].weight  # [8, 16]
        torch.testing.assert_close(weight @ weight.T, 2 * torch.eye(8), rtol=1e-4, atol=1e-4)


def test_images_and_a_shared_torso():
    network = network_of(shape=(10, 10, 4), shared=True)
    frames = torch.randint(0, 2, (B, 10, 10, 4)).bool()
    policy, outputs = network.both(frames)
    assert (policy.log_probs.shape, outputs.shape) == ((B, A), (B, K))
    own = {id(parameter) for parameter in network.parameters()}
    assert len(own) == len(list(network.value.parameters())) + 2  # the policy's head
    assert not any(key.startswith("policy.torso") for key in network.state_dict())
    with pytest.raises(ValueError, match=r"activation=tanh does not fit network.name=minatar_cnn"):
        network_of(shape=(10, 10, 4), activation="tanh")


def test_densities_are_float32_under_autocast():
    network, observation = network_of(shared=True), torch.randn(B, D)
    with torch.autocast("cpu", torch.bfloat16):
        policy, outputs = network.both(observation)
    assert (policy.log_probs.dtype, outputs.dtype) == (torch.float32, torch.float32)


def test_observations_are_scaled_before_both():
    network = network_of(normalize=True)
    seen = 50 + 3 * torch.randn(400, D)
    network.normalize.update(seen)
    plain = network_of()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("normalize")})
    scaled = (seen - seen.mean(0)) / seen.std(0, unbiased=False)
    torch.testing.assert_close(network.outputs(seen), plain.outputs(scaled), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(network(seen).log_probs, plain(scaled).log_probs, rtol=1e-3, atol=1e-4)
