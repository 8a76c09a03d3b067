"""The learner moves parameters as Adam would, in every precision, and refuses a graph without a GPU."""

import pytest
import torch
from torch import nn

from catzoo.agents import DQN, Learner, QNetwork, Step, Transitions
from catzoo.hparams import DQNRecipe
from catzoo.losses import LOSSES, HLGauss, make_value_loss


def batch(size=8, seed=0, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    made = Transitions(
        torch.randn(size, 3, generator=generator),
        torch.randint(0, 2, (size,), generator=generator),
        torch.randn(size, generator=generator),
        torch.full((size,), 0.9),
        torch.randn(size, 3, generator=generator),
    )
    return Transitions(*(None if tensor is None else tensor.to(device) for tensor in made))


def agent(loss=None, **keys):
    torch.manual_seed(0)
    loss = loss or HLGauss(-5, 5, 21)
    return DQN(QNetwork((3,), 2, loss.num_outputs, hidden=(16,)), loss, DQNRecipe(**keys))


def steps(agent, lr):
    """The agent's own step, at another rate."""
    return [step._replace(lr=lr) for step in agent.steps()]


def test_one_step_is_adams():
    made = agent()
    twin = agent()
    learner = Learner(steps(made, 1e-2), eps=1e-5)
    reference = torch.optim.Adam(twin.network.parameters(), lr=1e-2, eps=1e-5)
    for seed in range(3):
        loss, td_error = learner.learn_once(batch(seed=seed))
        reference.zero_grad()
        expected, expected_error = twin.critic_loss(batch(seed=seed))
        expected.mean().backward()
        reference.step()
        assert torch.allclose(loss, expected.mean())
        assert torch.allclose(td_error, expected_error)
    for ours, theirs in zip(made.network.parameters(), twin.network.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("double", [False, True])
def test_every_loss_learns_a_batch(name, double):
    made = agent(make_value_loss(name), double=double)
    learner = Learner(steps(made, 3e-3), eps=1e-8)
    first = learner.learn_once(batch())[1].abs().mean()
    for _ in range(200):
        last = learner.learn_once(batch())[1].abs().mean()
    assert last < 0.5 * first


@pytest.mark.parametrize("limit", [0.01, 1e6])
def test_gradient_norm_is_clipped(limit):
    made, twin = agent(make_value_loss("mse")), agent(make_value_loss("mse"))
    learner = Learner(steps(made, 1e-3), eps=1.0, max_grad_norm=limit)
    reference = torch.optim.Adam(twin.network.parameters(), lr=1e-3, eps=1.0)
    learner.learn_once(batch())
    twin.critic_loss(batch())[0].mean().backward()
    assert nn.utils.clip_grad_norm_(twin.network.parameters(), limit) > 0.01
    reference.step()
    for ours, theirs in zip(made.network.parameters(), twin.network.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-7)


def test_autocast_keeps_parameters_and_loss_in_float32():
    made = agent()
    learner = Learner(steps(made, 1e-3), eps=1e-8, autocast=torch.bfloat16)
    loss, td_error = learner.learn_once(batch())
    assert loss.dtype == td_error.dtype == torch.float32
    assert all(parameter.dtype == torch.float32 for parameter in made.network.parameters())
    exact = agent().critic_loss(batch())[0].mean()
    assert torch.allclose(loss, exact, rtol=0.05)


def test_compiled_is_the_same_step():
    made, twin = agent(), agent()
    compiled = Learner(steps(made, 1e-2), eps=1e-5, compile=True)
    eager = Learner(steps(twin, 1e-2), eps=1e-5)
    for seed in range(2):
        assert torch.allclose(
            compiled.learn_once(batch(seed=seed))[0], eager.learn_once(batch(seed=seed))[0], atol=1e-5
        )


def test_state_round_trip_continues_the_same():
    made, twin = agent(), agent()
    learners = [Learner(steps(a, 1e-2), eps=1e-5) for a in (made, twin)]
    learners[0].learn_once(batch())
    twin.load_state_dict(made.state_dict())
    learners[1].load_state_dict(learners[0].state_dict())
    results = [learner.learn_once(batch(seed=1))[0] for learner in learners]
    assert torch.equal(*results)
    for ours, theirs in zip(made.network.parameters(), twin.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_graph_needs_a_gpu():
    with pytest.raises(ValueError, match="cuda_graph"):
        Learner(
            [Step("critic", lambda b: b, list(nn.Linear(1, 1).parameters()), 1e-3)], eps=1e-8, cuda_graph=True
        )


def burst(count, device="cpu"):
    columns = zip(*(batch(seed=seed, device=device) for seed in range(count)), strict=True)
    return Transitions(*(None if column[0] is None else torch.stack(column) for column in columns))


def test_a_burst_is_its_steps_in_order():
    made, twin = agent(), agent()
    at_once = Learner(steps(made, 1e-2), eps=1e-5)
    one_by_one = Learner(steps(twin, 1e-2), eps=1e-5)
    losses, td_error_KB = at_once.learn(burst(5))
    taken = [one_by_one.learn_once(batch(seed=seed)) for seed in range(5)]
    assert torch.equal(losses["critic"], torch.stack([loss for loss, _ in taken]))
    assert torch.equal(td_error_KB, torch.stack([error for _, error in taken]))


def test_rate_and_reset():
    made, twin = agent(), agent()
    changed = Learner(steps(made, 1e-2), eps=1e-5)
    changed.learn(burst(2))
    changed.reset()
    changed.set_lr(0.5)
    twin.load_state_dict(made.state_dict())
    fresh = Learner(steps(twin, 5e-3), eps=1e-5)
    for learner in (changed, fresh):
        learner.learn(burst(3))
    for ours, theirs in zip(made.network.parameters(), twin.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 7, 40])
def test_graphed_bursts_are_the_same_as_eager(count):
    made, twin = (agent().to("cuda") for _ in range(2))
    graphed = Learner(steps(made, 1e-3), eps=1e-5, cuda_graph=True)
    eager = Learner(steps(twin, 1e-3), eps=1e-5)
    for factor in (1.0, 1.0, 0.5):  # the last one with another learning rate, after the capture
        for learner in (graphed, eager):
            learner.set_lr(factor)
        ours, theirs = graphed.learn(burst(count, "cuda")), eager.learn(burst(count, "cuda"))
        assert torch.allclose(ours[0]["critic"], theirs[0]["critic"], atol=1e-4)
        assert torch.allclose(ours[1], theirs[1], atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("name", LOSSES)
def test_graphed_is_the_same_as_eager(name):
    made, twin = (agent(make_value_loss(name)).to("cuda") for _ in range(2))
    graphed = Learner(steps(made, 1e-3), eps=1e-5, cuda_graph=True)
    eager = Learner(steps(twin, 1e-3), eps=1e-5)
    for seed in range(8):
        inputs = batch(seed=seed, device="cuda")
        ours, theirs = graphed.learn_once(inputs), eager.learn_once(inputs)
        assert torch.allclose(ours[0], theirs[0], atol=1e-4)
        assert torch.allclose(ours[1], theirs[1], atol=1e-4)


def two_steps(made, every):
    """A critic, and beside it a step of its own that pulls the same parameters to zero."""

    def shrink(batch):
        squares = sum(parameter.square().sum() for parameter in made.network.parameters())
        return squares.expand(len(batch.action)), None

    parameters = list(made.network.parameters())
    return [
        Step("critic", made.critic_loss, parameters, 1e-2),
        Step("shrink", shrink, parameters, 1e-3, every),
    ]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_second_step_is_taken_at_its_updates_in_any_bursts(every):
    ends, losses = [], []
    for bursts in ([7], [1, 4, 2]):
        made = agent()
        learner, done, taken = Learner(two_steps(made, every), eps=1e-5), 0, []
        for size in bursts:
            columns = zip(*(batch(seed=done + index) for index in range(size)), strict=True)
            stacked = Transitions(*(None if one[0] is None else torch.stack(one) for one in columns))
            found, td_error_KB = learner.learn(stacked, done)
            assert td_error_KB.shape == (size, 8)
            assert len(found["critic"]) == size
            taken.append(found.get("shrink", torch.zeros(0)))
            done += size
        losses.append(torch.cat(taken))
        ends.append(torch.cat([parameter.detach().flatten() for parameter in made.network.parameters()]))
    assert len(losses[0]) == 7 // every
    assert torch.equal(*losses)
    assert torch.equal(*ends)


def test_the_state_of_several_steps_goes_on_the_same():
    ends = []
    for break_at in (None, 3):
        made = agent()
        learner = Learner(two_steps(made, 2), eps=1e-5)
        for update in range(6):
            if update == break_at:
                state, twin = learner.state_dict(), agent()
                twin.load_state_dict(made.state_dict())
                made, learner = twin, Learner(two_steps(twin, 2), eps=1e-5)
                learner.load_state_dict(state)
            learner.learn_once(batch(seed=update), update)
        ends.append(torch.cat([parameter.detach().flatten() for parameter in made.network.parameters()]))
    assert torch.equal(*ends)


def test_an_optimizer_moves_nothing_that_is_frozen():
    made = agent()
    made.network.torso.requires_grad_(False)
    before = {name: parameter.detach().clone() for name, parameter in made.network.named_parameters()}
    Learner(made.steps(), eps=1e-5).learn_once(batch())
    for name, parameter in made.network.named_parameters():
        assert torch.equal(parameter, before[name]) == name.startswith("torso.")
