"""The support monitor counts what is clipped and proposes a support that would hold it; the best is kept."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

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


def ends(advice, v_min=-10.0, v_max=10.0):
    """The support that an advice names."""
    named = dict(word.split("=") for word in advice.split(": try ")[1].split())
    return float(named.get("value_loss.v_min", v_min)), float(named.get("value_loss.v_max", v_max))


NUMBERS = st.floats(-12, 12, width=32) | st.floats(-(2.0**90), 2.0**90, width=32)


@given(
    st.lists(NUMBERS, max_size=300),
    st.lists(NUMBERS, max_size=50),
    st.sampled_from([(-10.0, 10.0), (0.0, 1e-6), (1e5, 1e5 + 10)]),
)
@example([11.0] * 100, [0.0] * 10_000, (-10.0, 10.0))  # more returns than targets
@example([1.05e5] * 20, [], (1e5, 1e5 + 10))
def test_advice_clips_less_and_moves_no_end_inwards(targets, returns, support):
    before = report(targets, returns, *support)
    advice = before.advice()
    if advice is None:
        assert sum(before.clipped()) <= 0.01
        return
    v_min, v_max = ends(advice, *support)
    assert v_min <= support[0] < support[1] <= v_max
    after = report(targets, returns, v_min, v_max).clipped()
    for old, new, end, own in zip(before.clipped(), after, (v_min, v_max), support, strict=True):
        assert (new < old and new <= 0.001) if end != own else old <= 0.001


@pytest.mark.parametrize("kind", [HLGauss, TwoHot, C51])
@pytest.mark.parametrize("support", [(0, 1), (-1, 0), (-0.3, 7.7), (1000, 1003)])
def test_a_target_at_an_end_is_not_beyond_it(kind, support):
    torch.manual_seed(0)
    loss, batch = kind(*support, 51), 1000
    outputs, action = torch.randn(batch, 2, 51), torch.zeros(batch).long()
    reward = torch.tensor(support, dtype=torch.float32).repeat(batch // 2)
    _, error = loss.td(outputs, action, outputs, reward, torch.zeros(batch))
    assert report(loss.decode(outputs[:, 0]) + error, (), *support).clipped() == (0.0, 0.0)


@pytest.mark.parametrize("value", [-10.0, 0.0, 10.0])
def test_one_return_and_no_other(value):
    assert report([value] * 100, [value] * 100).advice() is None


def test_no_end_that_a_recipe_refuses():
    assert ends(report([3e38] * 100).advice()) == (-10.0, 1e30)
    assert report([3e38] * 100, v_max=1e30).advice() is None


def test_a_sigma_on_symlogs_axis_stays_as_it_is():
    for spacing, sigma in (("uniform", 0.1), ("symexp", None)):
        monitor = SupportMonitor(HLGauss(-10, 10, 51, sigma=0.1, spacing=spacing), sigma=0.1)
        assert monitor.report.sigma == sigma


def test_a_given_sigma_widens_with_the_support():
    before = report([29.0] * 100)
    before.sigma = 0.5
    advice = before.advice()
    wider = (ends(advice)[1] + 10) / 20
    assert float(advice.split("value_loss.sigma=")[1]) == pytest.approx(0.5 * wider, rel=0.01)


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
