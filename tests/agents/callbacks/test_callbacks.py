"""The support monitor counts what is clipped and proposes a support that would hold it; the best is kept."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from catzoo.agents import DQN, BestWeights, QNetwork, SupportMonitor, SupportReport, Transitions
from catzoo.hparams import DQNRecipe
from catzoo.losses import C51, MSE, HLGauss, TwoHot


def report(targets, returns=(), v_min=-10.0, v_max=10.0):
    return SupportReport(v_min, v_max, np.asarray(targets, dtype=np.float32), np.asarray(returns, float))


def test_shares():
    assert report([-11, 0, 5, 11, 12]).clipped() == (0.2, 0.4)
    assert SupportReport(0, 1).clipped() == (0.0, 0.0)


def test_both_ends_count_together():
    assert report([-11.0] * 8 + [0.0] * 984 + [11.0] * 8).advice() is not None


def test_no_advice_when_the_support_fits():
    assert report([0.0] * 995 + [11.0] * 5).advice() is None


def test_advice_holds_what_was_seen():
    advice = report([9.0] * 90 + [10.9] * 10, returns=[99.0] * 20).advice()
    assert "10.0% of the targets rose above v_max=10" in advice
    assert "\n" not in advice
    assert "v_min" not in advice.split("try")[1]
    assert 99 <= float(advice.split("value_loss.v_max=")[1]) <= 120


def test_advice_for_both_ends():
    advice = report([-20.0] * 10 + [0.0] * 80 + [30.0] * 10).advice()
    assert float(advice.split("value_loss.v_min=")[1].split()[0]) <= -20
    assert float(advice.split("value_loss.v_max=")[1]) >= 30


class Work:
    """As much of an agent at work as the monitor looks at."""

    recent = ()

    def __init__(self, agent, last_batch):
        self.agent, self.last_batch = agent, last_batch


def test_noise_is_not_in_the_targets_and_the_random_stream_is_left_alone():
    loss = HLGauss(-1, 1, 11)
    agent = DQN(QNetwork((3,), 2, loss.num_outputs, noisy=True), loss, DQNRecipe())
    batch = Transitions(
        torch.randn(64, 3), torch.zeros(64).long(), torch.zeros(64), torch.ones(64), torch.randn(64, 3)
    )
    work = Work(agent, batch)
    state = torch.get_rng_state()
    monitor = SupportMonitor(loss)
    row = monitor.look(work)
    assert row == monitor.look(work)
    assert row["support/below"] == row["support/above"] == 0.0  # a value is never outside its own support
    assert torch.equal(torch.get_rng_state(), state)
    assert agent.network.training
    assert agent.target.training


@pytest.mark.parametrize("loss", [HLGauss(-1, 1, 11), TwoHot(-1, 1, 11), C51(-1, 1, 11)])
def test_it_reads_the_targets_of_the_last_batch(loss):
    agent = DQN(QNetwork((3,), 2, loss.num_outputs), loss, DQNRecipe())
    reward = torch.tensor([-5.0, 0.0, 5.0, 5.0])
    batch = Transitions(torch.randn(4, 3), torch.zeros(4).long(), reward, torch.zeros(4), torch.randn(4, 3))
    work = Work(agent, batch)
    monitor = SupportMonitor(loss)
    row = monitor.look(work)
    assert (row["support/below"], row["support/above"]) == (0.25, 0.5)
    assert 0 < row["support/low_mass"] < 1
    assert monitor.advice().count("value_loss.") == 2


def test_regression_has_nothing_to_watch():
    monitor = SupportMonitor(MSE())
    assert monitor.report is None
    assert monitor.advice() is None


def best_after(scores, weights):
    """The callback after an agent has had mean returns and weights in turn."""

    class Stub:
        steps = 0

        def recent_return(self):
            return scores[self.steps - 1]

        @property
        def agent(self):
            return SimpleNamespace(weights=lambda: {"w": torch.tensor(weights[self.steps - 1])})

    best, work = BestWeights(1), Stub()
    for work.steps in range(1, len(scores) + 1):
        best.act(work)
    return best


def test_the_best_weights_are_kept():
    best = best_after([None, 1.0, 3.0, 3.0, 2.0], [10, 11, 12, 13, 14])
    assert (best.score, best.steps, int(best.weights["w"])) == (3.0, 3, 12)
    again = BestWeights(1)
    again.load_state_dict(best.state_dict())
    assert (again.score, again.steps, int(again.weights["w"])) == (3.0, 3, 12)


def test_without_an_episode_nothing_is_best():
    assert best_after([None], [10]).weights == {}
