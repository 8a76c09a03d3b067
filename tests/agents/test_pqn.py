"""PQN: its targets, its minibatches, and that it learns with every value loss."""

from typing import NamedTuple

import pytest
import torch
from gymnasium.vector import AutoresetMode

from catzoo.agents import PQN, AtWork, Checkpoints, QNetwork
from catzoo.hparams import PQNRecipe, build
from catzoo.losses import LOSSES, CategoricalLoss, HLGauss, make_value_loss


def make(
    corridor, loss=None, seed=0, mode=AutoresetMode.SAME_STEP, rollout_length=8, anneal=False, **changes
):
    torch.manual_seed(seed)
    loss = loss or HLGauss(-10, 40, 21)
    keys = {
        "steps": 400,
        "rollout_length": rollout_length,
        "batch_size": 8,
        "epochs": 2,
        "gamma": 0.5,
        "log_every": 50,
        "exploration": {"start": 1.0, "end": 0.1, "decay_steps": 500},
        "optimizer": {"lr": 3e-3, "eps": 1e-8, "max_grad_norm": 10.0, "anneal": anneal},
    }
    network = QNetwork((1,), 2, loss.num_outputs, hidden=(32,), layer_norm=True)
    agent = PQN(network, loss, build(PQNRecipe, keys | changes, where="test"))
    return AtWork(agent, corridor((5, 7), None, mode), seed=seed)


class Numbered(NamedTuple):
    number: torch.Tensor


def values_of_the_corridor():
    """Discounted returns from states 0 to 6 at gamma 0.5, where half of the visits to state 4 end there."""
    expected = [0.0] * 8
    for t in reversed(range(7)):
        expected[t] = t + 1 + 0.5 * expected[t + 1] * (0.5 if t == 4 else 1.0)
    return torch.tensor(expected[:7])


@pytest.mark.parametrize("name", LOSSES)
def test_it_learns_the_values_with_every_loss(corridor, name):
    support = {"v_min": -5.0, "v_max": 25.0, "num_bins": 61}
    loss = make_value_loss(name, **(support if issubclass(LOSSES[name], CategoricalLoss) else {}))
    work = make(corridor, loss, epochs=4)
    while work.steps < 2_000:
        work.iterate()
    states = torch.arange(7.0)[:, None]
    values = work.agent.value_loss.decode(work.agent.network(states)).amax(-1).detach()
    assert torch.allclose(values[:4], values_of_the_corridor()[:4], atol=0.8)


def test_every_step_is_learned_from_once_an_epoch(corridor):
    work = make(corridor, epochs=3)
    seen = []
    work.learn = lambda batches: seen.append(batches)
    work.iterate()
    assert [tuple(batches.returns.shape) for batches in seen] == [(2, 8)] * 3
    for batches in seen:
        states = batches.observation.flatten().sort().values
        # two corridors of 5 and 7 cells, eight steps of each
        assert states.tolist() == sorted([0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 0])


def test_targets_of_lambda_one_are_the_returns(corridor):
    work = make(corridor, q_lambda=1.0)
    seen = []
    work.learn = lambda batches: seen.append(batches)
    work.iterate()
    batches = seen[0]
    for state, target in zip(batches.observation.flatten(), batches.returns.flatten(), strict=True):
        # a finished episode's discounted return from that state: of the short corridor or of the long one
        whole = [sum(0.5**k * (state + k + 1) for k in range(int(end - state))) for end in (5, 7)]
        open_end = state <= 2  # the rollout's end cuts an episode at state 3 or 1
        assert open_end or min(abs(target - value) for value in whole if value > 0) < 1e-5


def test_reset_steps_are_no_transitions(corridor):
    work = make(corridor, mode=AutoresetMode.NEXT_STEP, batch_size=1, epochs=1)
    seen = []
    work.learn = lambda batches: seen.append(batches)
    work.iterate()
    assert seen[0].returns.numel() == work.steps == 8 - 1 + 8 - 1  # each corridor spends one step on a reset


def test_a_rollout_with_reset_steps_still_fills_its_batches(corridor):
    work = make(corridor, mode=AutoresetMode.NEXT_STEP, batch_size=16, epochs=1)
    seen = []
    work.learn = lambda batches: seen.append(batches)
    work.iterate()
    assert seen[0].returns.shape == (1, 16)
    pairs = list(zip(seen[0].observation.flatten().tolist(), seen[0].returns.flatten().tolist(), strict=True))
    assert len(set(pairs)) >= 14 - 4  # 14 transitions, of which the corridors share a few; two come twice


@pytest.mark.parametrize(("size", "number"), [(12, 2), (11, 2), (7, 3), (5, 4)])
def test_every_step_is_learned_from_where_batches_do_not_divide_them(corridor, size, number):
    work = make(corridor, batch_size=size, epochs=1)
    (batch,) = work.feed.minibatches(
        Numbered(torch.arange(16).view(2, 8)), torch.ones(2, 8, dtype=torch.bool)
    )
    assert batch.number.shape == (number, size)
    assert set(batch.number.flatten().tolist()) == set(range(16))


def test_a_rollout_of_reset_steps_alone_has_no_batches(corridor):
    work = make(corridor)
    assert not list(work.feed.minibatches(Numbered(torch.zeros(2, 8)), torch.zeros(2, 8, dtype=torch.bool)))


def test_rewards_are_clipped_for_learning(corridor):
    work = make(corridor, reward_clip=1.0, gamma=0.0)
    seen = []
    work.learn = lambda batches: seen.append(batches)
    work.iterate()
    assert (seen[0].returns == 1.0).all()


def test_the_learning_rate_falls_to_zero(corridor):
    work = make(corridor, anneal=True)
    rates = []
    while work.steps < work.total_steps:
        work.iterate()
        rates.append(work.learner.optimizers[0].lr)
    assert rates == pytest.approx([3e-3 * (1 - 16 * i / 400) for i in range(len(rates))], abs=1e-12)


def test_a_batch_larger_than_a_rollout_is_refused(corridor):
    with pytest.raises(ValueError, match="batch_size=17 is more than the 16 steps"):
        make(corridor, batch_size=17)


def test_a_checkpoint_restores_it(corridor, tmp_path):
    work = make(corridor)
    while work.steps < 200:
        work.iterate()
    Checkpoints(tmp_path, work).save()
    other = make(corridor, seed=5)
    assert Checkpoints(tmp_path, other).restore() == work.steps
    assert other.updates == work.updates
    for ours, theirs in zip(work.agent.network.parameters(), other.agent.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
