"""Batches from a dataset: its transitions, its noise, and a random stream that goes on."""

import pytest
import torch

from catzoo.agents import Dataset, OfflineReplay
from datasets_for_tests import recorded


@pytest.fixture
def data(corridor, tmp_path):
    recorded(tmp_path / "data", corridor, number=30, limit=6)
    return Dataset(tmp_path / "data")


@pytest.mark.parametrize("place", ["memory", "disk", "device"])
def test_batches_are_its_transitions(data, place):
    batches, index = OfflineReplay(data, gamma=0.9, place=place, reward_clip=2.5).sample(16, 3)
    assert batches.observation.shape == (3, 16, 1)
    for name in ("observation", "action", "next_observation"):
        assert torch.equal(getattr(batches, name), data.columns[name][index])
    assert torch.equal(batches.reward, data.columns["reward"][index].clamp(max=2.5))
    assert torch.equal(batches.discount, 0.9 * (~data.columns["terminated"][index]).float())
    assert batches.next_action is batches.weight is None


def test_sampling_is_uniform(data):
    count = torch.bincount(OfflineReplay(data).sample(len(data), 400)[1].flatten(), minlength=len(data))
    assert ((count - 400).abs() < 5 * 400**0.5).all()


def test_next_actions_are_known_or_not_needed(data):
    replay = OfflineReplay(data, next_actions=True)
    out_of_time = (data.columns["next_action"] < 0) & ~data.columns["terminated"]
    assert len(replay) == len(data) - int(out_of_time.sum()) < len(data)
    batches, index = replay.sample(64, 20)
    assert not out_of_time[index].any()
    known = batches.discount > 0
    assert torch.equal(batches.next_action[known], batches.next_observation[known][:, 0].long() % 2)
    assert (batches.next_action >= 0).all()


def test_noise_is_drawn_once_and_comes_after_clipping(data):
    plain, noisy, again, other = (
        OfflineReplay(data, reward_clip=1.0, reward_noise=eta, seed=seed)
        for eta, seed in ((0.0, 1), (0.5, 1), (0.5, 1), (0.5, 2))
    )
    noise = noisy.columns["reward"] - plain.columns["reward"]
    assert noise.min() >= 0
    assert noise.max() <= 0.5
    assert abs(noise.mean() - 0.25) < 4 * 0.5 / (12 * len(data)) ** 0.5
    assert noise.std() > 0.1
    assert torch.equal(noisy.columns["reward"], again.columns["reward"])
    assert not torch.equal(noisy.columns["reward"], other.columns["reward"])
    assert torch.equal(plain.sample(8)[1], noisy.sample(8)[1])  # the batches are the same


def test_its_stream_is_its_own_and_goes_on(data):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    replay, other = OfflineReplay(data, seed=1), OfflineReplay(data, seed=2)
    replay.sample(4, 2)
    other.load_state_dict(replay.state_dict())
    assert torch.equal(replay.sample(4, 2)[1], other.sample(4, 2)[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_another_datasets_state_is_refused(data, corridor, tmp_path):
    recorded(tmp_path / "other", corridor, 0.5, number=30, limit=6)
    with pytest.raises(ValueError, match="it learned from another dataset"):
        OfflineReplay(data).load_state_dict(OfflineReplay(Dataset(tmp_path / "other")).state_dict())


def test_wrong_arguments(data, corridor, tmp_path):
    with pytest.raises(ValueError, match="must be one of memory, disk, device"):
        OfflineReplay(data, place="shelf")
    recorded(tmp_path / "short", corridor, length=2, number=20, limit=1)
    with pytest.raises(ValueError, match="no transition with a next action"):
        OfflineReplay(Dataset(tmp_path / "short"), next_actions=True)
