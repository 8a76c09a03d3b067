"""Many collectors as one: the steps of one collector, the newest weights, and what follows a death."""

import math
import multiprocessing.spawn
import os
import signal
from functools import partial
from multiprocessing import resource_tracker

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import TransformReward

from catzoo.agents import DQN, AtWork, Checkpoints, Compute, QNetwork
from catzoo.agents.collecting import players
from catzoo.agents.collecting.collector_pool import ANEW, REPLACEMENTS, CollectorPool, PlayedElsewhere
from catzoo.agents.collecting.exploration import SampledActions
from catzoo.agents.collecting.players import ProcessPlayer, _apart
from catzoo.hparams import DQNRecipe, build
from catzoo.losses import HLGauss
from environments_for_tests import Corridor
from players_for_tests import LocalPlayer


@pytest.fixture(autouse=True)
def none_made():
    LocalPlayer.made.clear()


def corridors(number, fail_at=None):
    return gym.vector.SyncVectorEnv(
        [lambda: Corridor(5, fail_at=fail_at)] * number, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP
    )


BREAKS = []


def breaking(number):
    reward = math.nan if BREAKS.pop(0) else 1.0
    return gym.vector.SyncVectorEnv(
        [lambda: TransformReward(Corridor(5), lambda _: reward)] * number,
        autoreset_mode=gym.vector.AutoresetMode.SAME_STEP,
    )


def cartpoles(number):
    mode = gym.vector.AutoresetMode.SAME_STEP
    return gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")] * number, autoreset_mode=mode)


def agent_of(shape=(4,), **network):
    torch.manual_seed(0)
    loss = HLGauss(-10, 40, 21)
    keys = {
        "steps": 400, "rollout_length": 4, "learning_starts": 40, "updates_per_step": 0.25, "batch_size": 16,
        "replay": {"capacity": 500}, "target_update_every": 10, "log_every": 50, "n_step": 3,
        "exploration": {"start": 1.0, "end": 0.1, "decay_steps": 100},
    }  # fmt: skip
    recipe = build(DQNRecipe, keys, where="test")
    return DQN(QNetwork(shape, 2, loss.num_outputs, hidden=(32,), **network), loss, recipe)


def elsewhere(workers, make=cartpoles, envs=4, start=LocalPlayer):
    return PlayedElsewhere(make(1), envs, workers, make, start)


def pool_of(workers, **more):
    agent = agent_of()
    return agent, CollectorPool(elsewhere(workers, **more), agent, agent.network, rollout_length=6, seed=3)


def at_work(workers, env=None, overlap=False, **network):
    return AtWork(agent_of(**network), env or elsewhere(workers), Compute(overlap=overlap), seed=3)


def until(work, steps):
    while work.steps < steps:
        work.iterate()
    return work


def weights(agent):
    return torch.cat([parameter.detach().flatten().clone() for parameter in agent.network.parameters()])


def test_one_player_plays_what_a_collector_does():
    alone, played = (until(at_work(1, env), 300) for env in (cartpoles(4), elsewhere(1)))
    assert torch.equal(weights(alone.agent), weights(played.agent))
    assert list(alone.recent) == list(played.recent)
    assert (alone.steps, alone.updates) == (played.steps, played.updates)


def test_players_have_environments_and_streams_of_their_own_side_by_side():
    _, pool = pool_of(2)
    pool.policy.epsilon = 1.0
    steps = [pool.rollout() for _ in range(20)]
    assert steps[0].shape == (4, 6)
    assert len({tuple(row.flatten().tolist()) for row in steps[0]["observation"]}) == 4
    assert not torch.equal(steps[0]["action"][:2], steps[0]["action"][2:])
    assert not any(batch[ANEW].any() for batch in steps)
    episodes = pool.take_finished()
    assert {episode.env for episode in episodes} == {0, 1, 2, 3}
    assert pool.frames == 20 * 24
    ended = [episode.step for episode in episodes]
    assert ended == sorted(ended)
    done = torch.cat([batch["next", "done"].squeeze(-1) for batch in steps], 1)
    assert len(episodes) == int(done.sum())
    for episode in episodes:  # within the rollout in which it ended
        rollout = (episode.step - 1) // 24
        assert done[episode.env, rollout * 6 : rollout * 6 + 6].any()


def test_every_rollout_has_the_newest_weights():
    agent, pool = pool_of(2)
    with torch.no_grad():
        for parameter in agent.network.parameters():
            parameter.add_(1.0)
    pool.rollout()
    for made in LocalPlayer.made:
        theirs = made.player.network.state_dict()
        assert all(torch.equal(theirs[name], own) for name, own in agent.network.state_dict().items())


def test_a_player_that_dies_is_replaced_and_what_follows_begins_anew():
    _, pool = pool_of(2)
    pool.policy.epsilon = 1.0
    first = pool.rollout()
    LocalPlayer.made[1].dies = True
    steps = pool.rollout()
    assert steps[ANEW].any(1).tolist() == [False, False, True, True]
    assert steps[ANEW][2:, 0].all()
    assert pool.lost == 1
    assert pool.frames == 48
    assert not torch.equal(steps["observation"][2:, 0], first["observation"][2:, 0])  # other seeds
    for _ in range(REPLACEMENTS - 1):
        pool.players[0].dies = True
        pool.rollout()
    pool.players[0].dies = True
    with pytest.raises(RuntimeError, match=f"exit status -9, the {REPLACEMENTS + 1}th of this run"):
        pool.rollout()


def test_a_player_that_died_while_it_rested_is_replaced_at_a_checkpoint():
    _, pool = pool_of(2)
    pool.rollout()
    pool.players[1].dies = True
    assert pool.state_dict()["players"].keys() == {"0", "1"}
    assert pool.rollout()[ANEW].any(1).tolist() == [False, False, True, True]
    assert not pool.rollout()[ANEW].any()


def test_processes_do_not_run_the_script_that_started_them():
    with _apart():
        described = multiprocessing.spawn.get_preparation_data("player")
    assert not any(key.startswith("init_main") for key in described)


def test_noise_of_many_sizes_is_spread_over_the_whole():
    space = gym.spaces.Box(-1, 1, (1,), np.float32)
    whole, part = (SampledActions(torch.nn.Identity(), space, seed=1, spread=(0.4, 0.1)) for _ in range(2))
    part.place = (2, 4)
    part.random.standard_normal((2, 1), np.float32)  # what the first two draw
    torch.testing.assert_close(part._noise(2), whole._noise(4)[2:])


def test_waiting_steps_do_not_reach_into_an_episode_that_began_anew():
    work = at_work(2, elsewhere(2, make=corridors), shape=(1,))
    until(work, 120)
    work.feed.collector.players[1].dies = True
    cut = []
    work.feed.replay.cut = lambda: cut.append(work.steps)
    work.iterate()
    assert len(cut) == 1
    work.iterate()
    assert len(cut) == 1
    assert work.feed.row(work)["train/lost_collectors"] == 1


@pytest.mark.parametrize("overlap", [False, True])
def test_it_goes_on_bit_for_bit(tmp_path, overlap):
    whole = until(at_work(2, overlap=overlap, noisy=True), 360)
    first = until(at_work(2, overlap=overlap, noisy=True), 180)
    first.rest()
    Checkpoints(tmp_path, first, run="a").save()
    second = at_work(2, overlap=overlap, noisy=True)
    Checkpoints(tmp_path, second, run="a").restore()
    assert second.resumed
    until(second, 360)
    assert torch.equal(weights(whole.agent), weights(second.agent))
    assert list(whole.recent) == list(second.recent)
    for work in (whole, first, second):
        work.close()


def test_another_number_of_players_goes_on_with_new_episodes(tmp_path):
    first = until(at_work(2), 120)
    Checkpoints(tmp_path, first, run="a").save()
    second = at_work(4)
    Checkpoints(tmp_path, second, run="a").restore()
    assert not second.resumed
    assert second.feed.collector.frames == first.feed.collector.frames
    assert until(second, 200).steps >= 200


def test_environments_are_shared_evenly():
    with pytest.raises(ValueError, match="num_envs=4 cannot be shared evenly by 3 collectors"):
        elsewhere(3)


@pytest.fixture
def first_process(monkeypatch):
    """The next process is this one's first: what multiprocessing starts once is started with it."""
    tracker = resource_tracker.ResourceTracker()
    monkeypatch.setattr(resource_tracker, "ensure_running", tracker.ensure_running)
    monkeypatch.setattr(resource_tracker, "getfd", tracker.getfd)
    yield
    tracker._stop()


def test_processes_play_say_what_goes_wrong_and_may_die_or_hang(monkeypatch, first_process):
    agent = agent_of((1,))
    env = elsewhere(2, make=corridors, start=ProcessPlayer)
    pool = CollectorPool(env, agent, agent.network, rollout_length=6, seed=3)
    try:
        pool.policy.epsilon = 0.0
        for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):  # of a whole group: the learner hears it
            os.kill(pool.players[0].process.pid, stop)
        assert pool.rollout().shape == (4, 6)
        assert pool.lost == 0
        os.kill(pool.players[1].process.pid, signal.SIGKILL)
        steps = pool.rollout()
        assert steps[ANEW].any(1).tolist() == [False, False, True, True]
        monkeypatch.setattr(players, "HUNG", 0.5)
        monkeypatch.setattr(players, "POLL", 0.1)
        os.kill(pool.players[0].process.pid, signal.SIGSTOP)
        assert pool.rollout()[ANEW].any(1).tolist() == [True, True, False, False]
        monkeypatch.undo()
        pool.players[0].ask("nonsense")
        with pytest.raises(AttributeError, match="nonsense"):
            pool.players[0].answer()
        ended = [player.process for player in pool.players]
    finally:
        pool.shutdown()
    assert not any(process.is_alive() for process in ended)


def test_what_environments_raise_is_raised_here():
    agent = agent_of((1,))
    env = elsewhere(1, make=partial(corridors, fail_at=3))
    pool = CollectorPool(env, agent, agent.network, rollout_length=6, seed=3)
    with pytest.raises(RuntimeError, match="the corridor collapsed"):
        pool.rollout()


def test_players_answer_the_next_question_after_the_simulator_of_one_failed():
    BREAKS[:] = [False, True, False]  # the first is made for its spaces
    agent = agent_of((1,))
    pool = CollectorPool(elsewhere(2, make=breaking), agent, agent.network, rollout_length=6, seed=3)
    with pytest.raises(FloatingPointError, match="reward nan at step 2"):
        pool.rollout()
    first, second = pool.state_dict()["players"].values()
    assert (first["frames"], second["frames"]) == (0, 12)
