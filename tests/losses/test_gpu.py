"""On a GPU: the same numbers as on the CPU, no host sync, and everything inside a CUDA graph."""

import pytest
import torch

from catzoo.losses import LOSSES, make_value_loss

pytestmark = pytest.mark.gpu


def step(loss, device, batch=32, actions=6):
    generator = torch.Generator().manual_seed(0)
    outputs, following, online = (
        torch.randn(batch, actions, loss.num_outputs, generator=generator).to(device) for _ in range(3)
    )
    action = torch.randint(0, actions, (batch,), generator=generator).to(device)
    reward = torch.randn(batch, generator=generator).to(device)
    discount = torch.full((batch,), 0.99, device=device)
    return outputs.requires_grad_(), action, following, reward, discount, online


def run(loss, inputs):
    *inputs, online = inputs
    losses, error = loss.td(*inputs, next_online_outputs=online)
    (gradient,) = torch.autograd.grad(losses.sum(), inputs[0])
    return losses.detach(), error, gradient


@pytest.mark.parametrize("name", LOSSES)
def test_as_on_the_cpu(name):
    loss = make_value_loss(name)
    expected = run(loss, step(loss, "cpu"))
    got = run(loss.to("cuda"), step(loss, "cuda"))
    for ours, theirs in zip(got, expected, strict=True):
        assert torch.allclose(ours.cpu(), theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_no_host_sync(name):
    loss = make_value_loss(name).to("cuda")
    inputs = step(loss, "cuda")
    run(loss, inputs)
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(loss, inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", LOSSES)
def test_inside_a_cuda_graph(name):
    loss = make_value_loss(name).to("cuda")
    inputs = step(loss, "cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            expected = run(loss, inputs)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = run(loss, inputs)
    graph.replay()
    torch.cuda.synchronize()
    for ours, theirs in zip(got, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
