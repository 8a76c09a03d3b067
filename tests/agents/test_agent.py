"""One iteration: collect, store, learn at the replay ratio; and Lightning's loop is the bare loop."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torchrl.checkpoint import CheckpointError

from catzoo.agents import DQN, AtWork, Checkpoints, Evaluation, LightningAgent, QNetwork
from catzoo.agents.checkpoints import checkpoints as module
from catzoo.hparams import DQNRecipe, build
from catzoo.losses import HLGauss


def make(corridor, seed=0, total_steps=400, **changes):
    torch.manual_seed(seed)
    loss = HLGauss(-10, 40, 21)
    keys = {
        "steps": total_steps,
        "rollout_length": 4,
        "learning_starts": 50,
        "updates_per_step": 0.25,
        "batch_size": 16,
        "replay": {"capacity": 500},
        "target_update_every": 10,
        "log_every": 50,
        "exploration": {"start": 1.0, "end": 0.1, "decay_steps": 100},
    }
    recipe = build(DQNRecipe, keys | changes, where="test")
    agent = DQN(QNetwork((1,), 2, loss.num_outputs, hidden=(32,)), loss, recipe)
    return AtWork(agent, corridor((5, 7)), seed=seed)


def fit(work, *callbacks, logger=False):
    pl.Trainer(
        max_epochs=1, logger=logger, callbacks=list(callbacks), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
    ).fit(LightningAgent(work))  # fmt: skip


def weights(work):
    return torch.cat([parameter.flatten() for parameter in work.agent.network.parameters()])


def test_the_replay_ratio_is_kept_without_a_burst(corridor):
    work = make(corridor)
    while work.steps < 400:
        before = work.updates
        work.iterate()
        assert work.updates - before <= 2
        assert work.updates == max(int((work.steps - 50) * 0.25), 0)


def test_no_updates_are_owed_for_steps_that_wait_for_their_return(corridor):
    work = make(corridor, learning_starts=0, n_step=6)
    for _ in range(3):
        work.iterate()
        # Two environments: the first return of each is whole after 6 steps.
        assert work.updates == int(max(work.steps - 10, 0) * 0.25)


def test_random_until_learning_starts(corridor):
    work = make(corridor)
    work.iterate()
    assert work.feed.collector.policy.epsilon == 1.0
    assert work.updates == 0


def test_lightning_runs_the_same_loop(corridor):
    ours, bare = make(corridor), make(corridor)
    torch.manual_seed(7)
    fit(ours)
    torch.manual_seed(7)
    while bare.steps < bare.total_steps:
        bare.iterate()
    assert ours.steps == bare.steps == 400
    assert ours.updates == bare.updates
    assert torch.equal(weights(ours), weights(bare))


def test_same_seed_same_run(corridor):
    runs = []
    for _ in range(2):
        work = make(corridor, seed=3)
        fit(work)
        runs.append(weights(work))
    assert torch.equal(*runs)


def test_target_network_is_copied_on_its_schedule(corridor):
    work = make(corridor)
    copies = 0
    while work.steps < 400:
        before = work.updates
        work.iterate()
        copies += work.updates // 10 - before // 10
        same = torch.equal(torch.cat([p.flatten() for p in work.agent.target.parameters()]), weights(work))
        assert same == (work.updates % 10 == 0)
    assert copies == work.updates // 10 > 5
    assert not any(parameter.requires_grad for parameter in work.agent.target.parameters())


def test_it_learns_values_of_a_corridor(corridor):
    work = make(corridor, total_steps=8000, optimizer={"lr": 3e-3, "eps": 1e-8}, gamma=0.5)
    fit(work)
    states = torch.arange(7.0)[:, None]
    values = work.agent.value_loss.decode(work.agent.network(states)).amax(-1).detach()
    expected = [0.0] * 8  # from the end backwards; the shorter corridor ends half of the visits to state 4
    for t in reversed(range(7)):
        expected[t] = t + 1 + 0.5 * expected[t + 1] * (0.5 if t == 4 else 1.0)
    assert torch.allclose(values, torch.tensor(expected[:7]), atol=1.5)


def test_metrics_are_the_documented_ones(corridor):
    work = make(corridor)
    fit(work)
    assert set(work.metrics) == {
        "train/return", "train/length", "train/episodes", "train/loss", "train/td_error", "train/epsilon",
        "train/updates", "train/policy_age", "time/steps_per_second",
    }  # fmt: skip
    assert all(np.isfinite(value) for value in work.metrics.values())


def test_evaluations_come_at_their_steps(corridor):
    steps, work = [], make(corridor)
    fit(work, Evaluation(100, lambda agent: steps.append(work.steps) or [1.0]))
    assert [step // 100 for step in steps] == [1, 2, 3, 4]


def test_only_weights_are_in_the_state(corridor):
    work = make(corridor)
    assert {name.split(".")[0] for name in work.agent.state_dict()} == {"network", "target"}


@pytest.mark.parametrize("n_step", [1, 3])
def test_a_checkpoint_restores_everything_but_the_simulators(corridor, tmp_path, n_step):
    work = make(corridor, n_step=n_step)
    fit(work)
    Checkpoints(tmp_path, work).save()
    expected = torch.rand(3)
    other = make(corridor, seed=9, n_step=n_step)
    assert Checkpoints(tmp_path, other).restore() == work.steps
    assert torch.equal(torch.rand(3), expected)
    assert other.updates == work.updates
    assert torch.equal(weights(work), weights(other))
    assert len(other.feed.replay) == len(work.feed.replay)
    assert list(other.recent) == list(work.recent)
    assert other.num_episodes == work.num_episodes
    other.total_steps = 600
    fit(other)
    assert other.updates == int((other.steps - 50) * 0.25)


def test_the_newest_readable_checkpoint_is_taken(corridor, tmp_path):
    work = make(corridor)
    checkpoints = Checkpoints(tmp_path, work, keep=2)
    steps = []
    for total in (100, 200, 300):
        work.total_steps = total
        fit(work)
        checkpoints.save()
        steps.append(work.steps)
    kept = sorted(path.name for path in tmp_path.glob("step-*"))
    assert len(kept) == 2
    (tmp_path / kept[-1] / "manifest.json").write_text("{")
    assert Checkpoints(tmp_path, make(corridor)).restore() == steps[1]


def test_a_checkpoint_of_another_version_says_so(corridor, tmp_path, monkeypatch):
    work = make(corridor)
    fit(work)
    monkeypatch.setattr(module, "FORMAT", 1)
    Checkpoints(tmp_path, work).save()
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="of format 1, this version reads 3"):
        Checkpoints(tmp_path, make(corridor)).restore()


def test_no_checkpoint_is_no_error(corridor, tmp_path):
    assert Checkpoints(tmp_path / "none", make(corridor)).restore() is None
