"""An adaptive support at work: it follows the targets, values do not jump, and it is part of the weights."""

import copy

import pytest
import torch

from catzoo.agents import DQN, AtWork, Compute, QNetwork, SupportMonitor
from catzoo.agents import support_mover as module
from catzoo.agents.learning import adaptive_support
from catzoo.hparams import DQNRecipe, build
from catzoo.losses import HLGauss, make_value_loss


def agent_of(name="hl_gauss", **network):
    torch.manual_seed(0)
    ends = {"v_min": -1.0, "v_max": 1.0, "num_bins": 51} if name != "mse" else {}
    keys = {
        "steps": 4000,
        "rollout_length": 4,
        "learning_starts": 50,
        "updates_per_step": 0.5,
        "batch_size": 32,
        "gamma": 0.9,
        "replay": {"capacity": 1000},
        "optimizer": {"lr": 3e-3, "eps": 1e-8},
        "exploration": {"start": 1.0, "end": 0.1, "decay_steps": 100},
        "support": "adaptive",
        "value_loss": {"name": name, **ends},
    }
    recipe, loss = build(DQNRecipe, keys, where="test"), make_value_loss(name, **ends)
    begin = loss.initial_outputs(0.0)
    q_network = QNetwork((1,), 2, loss.num_outputs, hidden=(32,), initial_outputs=begin, **network)
    return DQN(q_network, loss, recipe)


def make(corridor, name="hl_gauss", *, overlap=False, **network):
    return AtWork(agent_of(name, **network), corridor((5, 7)), Compute(overlap=overlap))


def run(work, steps=2500):
    while work.steps < steps:
        work.iterate()
    work.close()
    return work


def ends(work):
    return tuple(work.agent.adaptive.ends.tolist())


@pytest.mark.parametrize("name", ["hl_gauss", "two_hot", "c51"])
def test_it_grows_until_the_values_of_a_corridor_fit_and_learns_them(corridor, name):
    work = run(make(corridor, name))
    values = work.agent.value_loss.decode(work.agent.network(torch.arange(5.0)[:, None])).amax(-1)
    expected = [0.0] * 8
    for t in reversed(range(7)):
        expected[t] = t + 1 + 0.9 * expected[t + 1] * (0.5 if t == 4 else 1.0)
    v_min, v_max = ends(work)
    assert v_min < min(expected[:7])
    assert max(expected) < v_max < 4 * max(expected)
    assert torch.allclose(values.detach(), torch.tensor(expected[:5]), atol=2.5)
    assert (v_min, v_max) == (work.agent.value_loss.support.v_min, work.agent.value_loss.support.v_max)


@pytest.mark.parametrize("options", [{}, {"dueling": True, "noisy": True}])
def test_no_decoded_value_jumps_in_either_network(corridor, options, monkeypatch):
    jumps = []
    move = module.SupportMover.move

    def watched(self, new, batches):
        networks, loss = (self.agent.network, self.agent.target), self.agent.value_loss
        states = torch.arange(7.0)[:, None]
        before = [loss.decode(network.eval()(states)) for network in networks]
        move(self, new, batches)
        after = [loss.decode(network(states)) for network in networks]
        jumps.extend(
            ((now - was).abs() / loss.support.bin_width).mean().item()
            for was, now in zip(before, after, strict=True)
        )
        self.agent.train()

    monkeypatch.setattr(module.SupportMover, "move", watched)
    monkeypatch.setattr(adaptive_support, "GROWTH", 2)  # more moves
    run(make(corridor, **options), 1500)
    assert len(jumps) >= 4
    assert max(jumps) < 0.5


def test_weights_bring_their_support_along(corridor):
    work = run(make(corridor), 1000)
    assert ends(work) != (-1.0, 1.0)
    other = agent_of()
    other.load_state_dict(work.agent.weights())
    states = torch.arange(7.0)[:, None]
    one, two = (agent.value_loss.decode(agent.network(states)) for agent in (work.agent, other))
    assert torch.equal(one, two)
    begun = other.value_loss.decode(other.network.head.initial_outputs)  # where a reset begins
    assert begun.item() == pytest.approx(0.0, abs=0.01 * (ends(work)[1] - ends(work)[0]))
    damaged = work.agent.weights()
    damaged["adaptive.ends"] = torch.tensor([1.0, float("nan")])
    with pytest.raises(ValueError, match="v_min must be below v_max"):
        other.load_state_dict(damaged)


def test_it_moves_while_nothing_is_collected(corridor, monkeypatch):
    moved = []
    move = module.SupportMover.move
    work = make(corridor, overlap=True)

    def watched(self, *arguments):
        under_way = work.feed.rollouts.under_way
        moved.append(under_way is None or under_way.done())
        move(self, *arguments)

    monkeypatch.setattr(module.SupportMover, "move", watched)
    run(work, 1000)
    assert moved
    assert all(moved)


def test_a_range_that_is_hardly_used_is_halved_after_a_while_and_not_for_ever(corridor):
    agent = agent_of()
    work = AtWork(agent, corridor((5, 7)))
    work.close()
    mover = work.mover
    mover.targets = torch.linspace(0.0, 0.001, 4096)
    spans, now = [], ends(work)
    for _ in range(20 * module.PATIENCE):
        new = mover._wanted(now)
        if new != now:
            spans.append(new[1] - new[0])
            now = new
    assert spans == [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]
    mover.targets = torch.linspace(-0.9, 0.9, 4096)
    assert all(mover._wanted((-1.0, 1.0)) == (-1.0, 1.0) for _ in range(2 * module.PATIENCE))


def test_one_target_in_a_thousand_moves_nothing_and_one_that_is_no_number_neither(corridor):
    work = make(corridor)
    work.close()
    work.mover.targets = torch.cat([torch.linspace(-0.5, 0.5, 4092), torch.full((4,), 100.0)])
    assert work.mover._wanted((-1.0, 1.0)) == (-1.0, 1.0)
    work.mover.targets[-40:] = 100.0
    assert work.mover._wanted((-1.0, 1.0))[1] > 100.0


def test_there_is_nothing_to_adapt_without_a_support_and_no_advice_with_one(corridor):
    work = make(corridor, "mse")
    assert work.agent.adaptive is None
    assert work.mover is None
    assert "mover" not in work.components()
    work.close()
    work = run(make(corridor), 1000)
    monitor = SupportMonitor(work.agent.value_loss, adaptive=True)
    row = monitor.look(work)
    assert (row["support/v_min"], row["support/v_max"]) == ends(work)
    monitor.report.add(torch.full((100,), 1e6).numpy(), [])
    assert monitor.advice() is None


def test_a_set_support_has_no_ends_among_its_weights():
    agent = agent_of()
    plain = copy.copy(agent.recipe)
    object.__setattr__(plain, "support", "set")
    assert "adaptive.ends" in agent.state_dict()
    assert "adaptive.ends" not in DQN(agent.network, HLGauss(-1, 1, 51), plain).state_dict()
