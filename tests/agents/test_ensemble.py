"""An ensemble: each member makes the updates of its separate run, and knows nothing of the others."""

import functools

import pytest
import torch
from gymnasium.vector import AutoresetMode

from catzoo.agents import DQN, Ensemble, LinearSchedule, NotFiniteError, Priorities, QNetwork, TrainingOptions
from catzoo.losses import HLGauss, make_value_loss

SEEDS = (0, 1, 2)


def make(corridor, seed, *, loss="hl_gauss", mode=AutoresetMode.SAME_STEP, double=True, steps=300, **changes):
    torch.manual_seed(seed)
    value_loss = HLGauss(-10, 40, 21) if loss == "hl_gauss" else make_value_loss(loss)
    options = TrainingOptions(
        **{
            "n_step": 3,
            "learning_starts": 50,
            "updates_per_step": 0.25,
            "batch_size": 16,
            "replay": {"capacity": 500},
            "target_update_every": 10,
            "log_every": 50,
            "exploration": LinearSchedule(1.0, 0.1, 50, 100),
            **changes,
        }
    )
    agent = DQN(QNetwork((1,), 2, value_loss.num_outputs, hidden=(32,)), value_loss, options, double=double)
    agent.attach(corridor((5 + seed, 7), mode=mode), rollout_length=4, seed=seed)
    agent.total_steps = steps
    return agent


def alone(agent, iterate=None):
    while agent.steps < agent.total_steps:
        (iterate or agent.iterate)()
    return agent


def together(corridor, seeds=SEEDS, group=None, **changes):
    ensemble = Ensemble([functools.partial(make, corridor, seed, **changes) for seed in seeds], group)
    while ensemble.playing():
        ensemble.iterate()
    return ensemble


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def assert_same_run(member, agent):
    assert (member.steps, member.updates, member.num_episodes) == (
        agent.steps,
        agent.updates,
        agent.num_episodes,
    )
    assert member.updates > 50
    assert list(member.recent) == list(agent.recent)
    assert len(member.replay) == len(agent.replay)
    for name in ("network", "target"):
        assert torch.allclose(
            weights(getattr(member, name)), weights(getattr(agent, name)), rtol=1e-3, atol=1e-4
        )
    assert member.metrics.keys() == agent.metrics.keys()
    assert member.metrics["train/loss"] == pytest.approx(agent.metrics["train/loss"], rel=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mode": AutoresetMode.NEXT_STEP},
        {"loss": "c51", "double": False},
        {"loss": "mse", "n_step": 1},
        {"reset_every": 20},
        {"anneal": True},
        {"learner": {"lr": 1e-3, "eps": 1e-8, "max_grad_norm": 0.1}},
    ],
    ids=str,
)
def test_a_member_is_its_separate_run_to_rounding(corridor, changes):
    ensemble = together(corridor, **changes)
    for seed, member in zip(SEEDS, ensemble.members, strict=True):
        # As the ensemble's makers do, the run begins where making it has left torch's stream.
        assert_same_run(member, alone(make(corridor, seed, **changes)))


def test_members_that_lose_steps_to_resets_owe_other_numbers_of_updates(corridor):
    ensemble = Ensemble(
        [functools.partial(make, corridor, seed, mode=AutoresetMode.NEXT_STEP) for seed in SEEDS]
    )
    counts = []
    while ensemble.playing():
        ensemble.iterate()
        counts.append(tuple(member.updates for member in ensemble.members))
    assert any(len(set(updates)) > 1 for updates in counts)
    assert all(member.updates_due() <= 0 for member in ensemble.members)


def test_a_member_does_not_know_the_others(corridor):
    some, others, apart = (
        together(corridor, (1, 0, 2)),
        together(corridor, (9, 1)),
        together(corridor, (8, 9, 1), group=2),
    )
    assert [len(ensemble.groups) for ensemble in (some, others, apart)] == [1, 1, 2]
    assert_same_run(some.members[0], others.members[1])
    assert_same_run(some.members[0], apart.members[2])
    assert not torch.allclose(weights(some.members[0].network), weights(some.members[1].network), atol=1e-2)


def test_torchs_own_stream_is_left_alone(corridor):
    ensemble = Ensemble([functools.partial(make, corridor, seed) for seed in SEEDS])
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    while ensemble.playing():
        ensemble.iterate()
    assert torch.equal(torch.rand(3), expected)


def test_who_is_done_first_rests(corridor):
    makers = [functools.partial(make, corridor, seed, steps=150 + 50 * seed) for seed in SEEDS]
    ensemble = Ensemble(makers)
    assert ensemble.playing() == [0, 1, 2]
    while ensemble.playing():
        ensemble.iterate()
    for seed, member in zip(SEEDS, ensemble.members, strict=True):
        assert member.steps == alone(make(corridor, seed, steps=150 + 50 * seed)).steps


def test_a_members_loss_that_is_not_finite_names_it(corridor):
    ensemble = Ensemble([functools.partial(make, corridor, seed) for seed in SEEDS])
    with torch.no_grad():
        next(ensemble.members[1].network.parameters()).fill_(torch.nan)
    with pytest.raises(NotFiniteError) as caught:
        alone(ensemble.members[0], ensemble.iterate)
    assert ensemble.culprit == 1
    assert caught.value.update == 1
    assert weights(ensemble.members[0].network).isfinite().all()


def test_what_cannot_learn_together_is_refused_and_closed(corridor, monkeypatch):
    closed = []
    monkeypatch.setattr(DQN, "close", lambda agent: closed.append(agent))
    makers = [
        functools.partial(make, corridor, 0),
        functools.partial(make, corridor, 1, priorities=Priorities()),
    ]
    with pytest.raises(ValueError, match="an ensemble takes no prioritised replay"):
        Ensemble(makers)
    assert len(closed) == 2
