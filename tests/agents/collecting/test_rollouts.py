"""Collecting ahead: rollouts by weights one burst old, and the same run whatever the timing."""

import time
from types import SimpleNamespace

import pytest
import torch

from catzoo.agents import DQN, AtWork, Checkpoints, Compute, QNetwork
from catzoo.agents.feeds.playing_feed import PlayingFeed
from catzoo.hparams import DQNRecipe, build
from catzoo.losses import HLGauss


def make(corridor, *, overlap=True, seed=0, env=None, **network):
    torch.manual_seed(seed)
    loss = HLGauss(-10, 40, 21)
    keys = {
        "steps": 400,
        "rollout_length": 4,
        "learning_starts": 40,
        "updates_per_step": 0.25,
        "batch_size": 16,
        "replay": {"capacity": 500},
        "target_update_every": 10,
        "log_every": 50,
        "exploration": {"start": 1.0, "end": 0.1, "decay_steps": 100},
    }
    recipe = build(DQNRecipe, keys, where="test")
    agent = DQN(QNetwork((1,), 2, loss.num_outputs, hidden=(32,), **network), loss, recipe)
    return AtWork(agent, env or corridor((5, 7)), Compute(overlap=overlap), seed=seed)


def run(work):
    while work.steps < work.total_steps:
        work.iterate()


def weights(network):
    return torch.cat([parameter.detach().flatten().clone() for parameter in network.parameters()])


@pytest.mark.parametrize("noisy", [False, True])
def test_timing_does_not_change_the_run(corridor, noisy):
    ends = []
    for pause in (0.0, 0.002):
        work = make(corridor, noisy=noisy)
        rollout = work.feed.collector.rollout

        def slow(rollout=rollout, pause=pause):
            time.sleep(pause)
            return rollout()

        work.feed.collector.rollout = slow
        while work.steps < 200:
            work.iterate()
            time.sleep(0.001 - pause / 2)
        work.close()
        ends.append((weights(work.agent.network), work.updates, list(work.recent)))
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1:] == ends[1][1:]


def test_a_rollout_was_collected_by_the_weights_of_one_burst_ago(corridor):
    work = make(corridor)
    used = []  # weights that acted, rollout by rollout
    rollout = work.feed.collector.rollout
    work.feed.collector.rollout = lambda: (
        used.append(weights(work.feed.collector.policy.network)) or rollout()
    )
    had = []  # the learner's before each iteration
    while work.steps < 200:
        had.append(weights(work.agent.network))
        work.iterate()
        assert work.feed.rollouts.policy_age in (0, 2)
    work.close()
    assert work.feed.rollouts.policy_age == 2
    assert torch.equal(used[0], had[0])
    for i in range(1, len(had)):
        assert torch.equal(used[i], had[i - 1])


def test_on_demand_has_no_age(corridor):
    work = make(corridor, overlap=False)
    while work.steps < 200:
        work.iterate()
    assert work.metrics["train/policy_age"] == 0
    assert work.feed.collector.policy.network is work.agent.network


def test_counts_are_of_what_was_learned_from(corridor):
    work = make(corridor)
    for i in range(1, 6):
        work.iterate()
        assert work.steps == 8 * i
        assert work.num_episodes == sum(episode.step <= work.steps for episode in work.finished)
    work.close()


def test_a_crash_of_the_environment_reaches_the_caller(corridor):
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    from environments_for_tests import Corridor

    env = SyncVectorEnv([lambda: Corridor(50, fail_at=20)], autoreset_mode=AutoresetMode.SAME_STEP)
    work = make(corridor, env=env)
    work.total_steps = 80
    with pytest.raises(RuntimeError, match="the corridor collapsed"):
        run(work)
    work.close()


def test_a_checkpoint_is_taken_at_rest_and_goes_on(corridor, tmp_path):
    work = make(corridor)
    while work.steps < 200:
        work.iterate()
    Checkpoints(tmp_path, work).save()
    other = make(corridor, seed=3)
    assert Checkpoints(tmp_path, other).restore() == 200
    assert other.feed.collector.frames == 208  # the rollout that was collected ahead is kept
    while other.steps < 400:
        other.iterate()
    assert other.updates == int((other.steps - 40) * 0.25)
    for made in (work, other):
        made.close()


def test_an_environment_that_hangs_keeps_nobody_from_leaving():
    import threading

    from catzoo.agents.collecting.rollouts import Helper

    helper, release = Helper("hangs"), threading.Event()
    stuck = helper.submit(release.wait)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "hangs")
    with pytest.raises(TimeoutError):
        stuck.result(0.05)
    release.set()
    assert stuck.result(5)
    failed = helper.submit(lambda: 1 / 0)
    assert isinstance(failed.exception(5), ZeroDivisionError)
    helper.end()


def test_closing_waits_for_a_rollout_but_not_for_ever(corridor, monkeypatch):
    work = make(corridor)
    work.iterate()
    assert work.feed.rollouts.has_rested(5)
    work.feed.rollouts.under_way = type(work.feed.rollouts.under_way)()  # that never ends
    assert not work.feed.rollouts.has_rested(0.01)
    monkeypatch.setattr("catzoo.agents.feeds.playing_feed.PATIENCE", 0.01)
    shut = []
    monkeypatch.setattr(work.feed.collector, "shutdown", lambda: shut.append(True))
    work.close()
    assert not shut


@pytest.mark.parametrize("waits", [True, False])
def test_episodes_of_a_rollout_that_waits_are_not_begun_anew(waits):
    begun = []
    feed = SimpleNamespace(rollouts=SimpleNamespace(cut=lambda: waits), begin_anew=lambda: begun.append(1))
    PlayingFeed.cut(feed)
    assert bool(begun) != waits
