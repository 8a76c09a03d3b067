"""Float actions of any shape, and columns that a policy adds, from the collector to replay and dataset."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn

from catzoo.agents import Dataset, OfflineReplay, Recorder, Replay, VectorCollector
from catzoo.agents.collecting.rollouts import OnDemand
from catzoo.agents.feeds.dataset_feed import check_spaces


class Arm(gym.Env):
    """Observation t, reward the sum of the action; an episode has `length` steps, the last one terminal."""

    observation_space = gym.spaces.Box(-1e6, 1e6, (1,), np.float64)
    action_space = gym.spaces.Box(-10, 10, (2, 3), np.float64)

    def __init__(self, length):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1), {}

    def step(self, action):
        self.t += 1
        assert action.shape == (2, 3)
        return np.full(1, float(self.t)), float(action.sum()), self.t >= self.length, False, {}


class Telling(nn.Module):
    """Acts by the observation, and says with what probability."""

    def forward(self, observation):
        action = np.stack([np.full((2, 3), float(o) - 1.5, np.float32) for o in observation[:, 0]])
        return action, {"log_prob": -observation[:, 0].numpy().astype(np.float32)}


@pytest.fixture
def collector():
    arms = [lambda length=length: Arm(length) for length in (3, 5)]
    env = SyncVectorEnv(arms, autoreset_mode=AutoresetMode.SAME_STEP)
    made = VectorCollector(env, Telling(), frames_per_batch=16)
    yield made
    made.shutdown()


def test_the_batch_has_what_the_policy_said(collector):
    rollout = collector.rollout()
    assert rollout.shape == (2, 8)
    assert (rollout["action"].shape, rollout["action"].dtype) == ((2, 8, 2, 3), torch.float32)
    state = rollout["observation"][..., 0]
    assert torch.equal(rollout["action"][..., 0, 0], state.float() - 1.5)
    assert torch.equal(rollout["log_prob"], -state.float())
    assert torch.equal(rollout["next", "reward"][..., 0], rollout["action"].sum((-2, -1)))


@pytest.mark.parametrize("n_step", [1, 3])
def test_replay_keeps_actions_and_columns_of_the_first_step(collector, n_step, tmp_path):
    replay = Replay(100, n_step=n_step, observation_shape=(1,), action_shape=(2, 3))
    for _ in range(3):
        replay.add(collector.rollout())
    rows = replay[:]
    assert len(rows) == 48 - 2 * (n_step - 1)
    assert torch.equal(rows["action"][:, 1, 2], rows["observation"][:, 0].float() - 1.5)
    assert torch.equal(rows["log_prob"], -rows["observation"][:, 0].float())
    batches, _ = replay.sample(4, 2)
    assert batches.action.shape == (2, 4, 2, 3)
    # And what a checkpoint holds of it is the same.
    again = Replay(100, n_step=n_step, observation_shape=(1,), action_shape=(2, 3))
    saved = replay.records.rows(0, replay.records.count)
    again.restore(replay.state_dict(), lambda: again.records.put(0, saved))
    assert (again[:] == rows).all()
    other = Replay(100, n_step=n_step, observation_shape=(1,), action_shape=(6,))
    with pytest.raises(ValueError, match=r"the saved action is of shape \[2, 3\]"):
        other.restore(replay.state_dict(), lambda: other.records.put(0, saved))


def test_a_rollout_that_waits_is_saved_with_its_columns(collector):
    source = OnDemand(collector, nn.Linear(1, 1))
    source.pending = (collector.rollout(), [])
    restored = OnDemand(collector, nn.Linear(1, 1))
    restored.load_state_dict(source.state_dict())
    assert (restored.pending[0] == source.pending[0]).all()
    assert restored.pending[0].shape == (2, 8)


def test_a_dataset_has_them_too(collector, tmp_path):
    recorder = Recorder(tmp_path, 1.0, num_actions=0)
    for _ in range(3):
        recorder.add(collector.rollout())
    recorder.publish()
    recorder.close()
    dataset = Dataset(tmp_path)
    dataset.verify()
    check_spaces(dataset, collector.env)
    assert dataset.columns["action"].shape[1:] == (2, 3)
    known = ~dataset.columns["next_action"].isnan().flatten(1).any(1)
    assert torch.equal(known, ~dataset.columns["terminated"])  # an arm is never cut
    following = dataset.columns["next_observation"][known, 0].float() - 1.5
    assert torch.equal(dataset.columns["next_action"][known, 0, 0], following)
    replay = OfflineReplay(dataset, next_actions=True)
    batch = replay.sample(64)[0].at(0)
    assert batch.next_action.isfinite().all()
    assert (batch.next_action < 0).any()  # a negative action is not a missing one


def test_a_dataset_of_other_actions_is_refused(collector, tmp_path):
    recorder = Recorder(tmp_path, 1.0, num_actions=0)
    recorder.add(collector.rollout())
    recorder.publish()
    recorder.close()
    env = gym.make_vec("CartPole-v1", 1)
    with pytest.raises(ValueError, match=r"its observations are \[1\], not \[4\]"):
        check_spaces(Dataset(tmp_path), env)
    env.single_observation_space = collector.env.single_observation_space
    with pytest.raises(ValueError, match=r"its actions are \[2, 3\], not \[\]"):
        check_spaces(Dataset(tmp_path), env)
