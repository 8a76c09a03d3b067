"""Noisy layers: the noise's moments, its source, evaluation, and what a step may do with them."""

import copy

import pytest
import torch
import torch.nn.functional as F

from catzoo.agents.networks import NoisyLinear, QNetwork, is_noisy, set_noise_generator

MEAN_SQUARE_F = (2 / torch.pi) ** 0.5
"""E f(e)^2 = E |e| of a standard normal e."""


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = NoisyLinear(6, 4)
    with torch.no_grad():
        layer.weight_sigma.uniform_(0.1, 0.5)
        layer.bias_sigma.uniform_(0.1, 0.5)
    return layer


def test_it_starts_as_in_the_paper():
    torch.manual_seed(0)
    layer = NoisyLinear(400, 300)
    for mean in (layer.weight, layer.bias):
        assert 0.9 / 20 < mean.abs().max() <= 1 / 20
    assert layer.weight.std().item() == pytest.approx(1 / 20 / 3**0.5, rel=0.02)
    for sigma in (layer.weight_sigma, layer.bias_sigma):
        assert torch.allclose(sigma, torch.tensor(0.5 / 20))


def test_outputs_have_the_moments_of_factorised_noise(layer):
    """E y = mu x + mu_b; Var y_o = v^2 sum_i (s_oi x_i)^2 + v s_b^2, for v = E f^2, as f is odd."""
    inputs = torch.randn(1, 6)
    with torch.no_grad():
        draws = torch.cat([layer(inputs) for _ in range(20_000)])
        mean = F.linear(inputs, layer.weight, layer.bias)[0]
        weights = (layer.weight_sigma * inputs).square().sum(1)
        variance = MEAN_SQUARE_F**2 * weights + MEAN_SQUARE_F * layer.bias_sigma.square()
    assert torch.allclose(draws.mean(0), mean, atol=5 * (variance.max() / 20_000).sqrt().item())
    assert torch.allclose(draws.var(0), variance, rtol=0.06)


def test_the_noise_is_factorised(layer):
    """Weights mu + s f(e_o) f(e_i), biases mu + s f(e_o): what a draw adds has rank one."""
    with torch.no_grad():
        layer.weight_sigma.fill_(1)
        layer.bias_sigma.fill_(1)
        outputs = layer(torch.cat([torch.eye(6), torch.zeros(1, 6)]))
    noise_O = outputs[-1] - layer.bias
    noise_OI = (outputs[:-1] - outputs[-1]).T - layer.weight
    noise_I = noise_OI[0] / noise_O[0]
    assert torch.allclose(noise_OI, torch.outer(noise_O, noise_I), atol=1e-5)


def test_one_draw_serves_the_batch_and_each_forward_draws(layer):
    inputs = torch.randn(1, 6).expand(8, 6)
    first, second = layer(inputs), layer(inputs)
    torch.testing.assert_close(first, first[:1].expand(8, 4))  # rows may be summed in another order
    assert not torch.allclose(first, second)


def test_evaluation_acts_by_the_means(layer):
    inputs = torch.randn(5, 6)
    layer.eval()
    assert torch.equal(layer(inputs), F.linear(inputs, layer.weight, layer.bias))


def test_a_generator_of_its_own_leaves_the_global_stream_alone(layer):
    inputs = torch.randn(5, 6)
    set_noise_generator(layer, torch.Generator().manual_seed(7))
    state = torch.get_rng_state()
    first = layer(inputs)
    assert torch.equal(torch.get_rng_state(), state)
    set_noise_generator(layer, torch.Generator().manual_seed(7))
    assert torch.equal(layer(inputs), first)
    set_noise_generator(layer, None)
    torch.manual_seed(3)
    globally = layer(inputs)
    torch.manual_seed(3)
    assert torch.equal(layer(inputs), globally)
    assert not torch.equal(torch.get_rng_state(), state)


def test_generators_reach_every_noisy_layer():
    network = QNetwork((4,), 2, 3, dueling=True, noisy=True)
    generator = torch.Generator()
    set_noise_generator(network, generator)
    noisy = [module for module in network.modules() if isinstance(module, NoisyLinear)]
    assert len(noisy) == 4
    assert all(module.generator is generator for module in noisy)
    assert is_noisy(network)
    assert not is_noisy(QNetwork((4,), 2, 3))


def test_a_copy_draws_and_learns_by_itself(layer):
    twin = copy.deepcopy(layer)
    inputs = torch.randn(5, 6)
    torch.manual_seed(1)
    first = layer(inputs)
    torch.manual_seed(1)
    assert torch.equal(twin(inputs), first)
    twin.reset_parameters()
    assert not torch.equal(twin.weight, layer.weight)


def test_every_parameter_has_the_gradient_of_the_formula(layer):
    """By finite differences in float64, under one and the same draw."""
    layer = layer.double()
    inputs = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)

    def outputs(inputs, *parameters):
        torch.manual_seed(2)
        return torch.func.functional_call(
            layer, dict(zip(dict(layer.named_parameters()), parameters, strict=True)), inputs
        )

    assert torch.autograd.gradcheck(outputs, (inputs, *layer.parameters()))


def test_autocast_computes_in_half_precision(layer):
    inputs = torch.randn(5, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.manual_seed(1)
        half = layer(inputs)
    torch.manual_seed(1)
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), layer(inputs), atol=0.05)


def test_it_compiles_as_one_graph(layer):
    """And goes on drawing: compiled code must not have frozen its first noise."""
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    inputs = torch.randn(5, 6)
    first, second = compiled(inputs), compiled(inputs)
    assert not torch.allclose(first, second)
    layer.eval()
    assert torch.allclose(compiled(inputs), F.linear(inputs, layer.weight, layer.bias), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("torso", "options"),
    [
        ("nature_cnn", {"noisy": True, "layer_norm": True}),
        ("nature_cnn", {"noisy": True, "experts": 4}),
        ("resnet18", {"noisy": True}),
        ("transformer", {"noisy": True}),
    ],
)
def test_noisy_networks_compile_with_the_real_backend(torso, options):
    network = QNetwork((4, 84, 84), 3, 5, torso=torso, width=0.25, **options)
    compiled = torch.compile(network, fullgraph=True)
    frames = torch.randint(0, 255, (4, 4, 84, 84), dtype=torch.uint8)
    outputs = compiled(frames)
    torch.autograd.grad(outputs.square().sum(), list(network.parameters()))
    assert not torch.allclose(outputs, compiled(frames))
    network.eval()
    assert torch.allclose(compiled(frames), network(frames), atol=1e-4)
