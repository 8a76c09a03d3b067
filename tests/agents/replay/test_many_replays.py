"""Batches from several datasets: each has as much of them, filled up, with actions that mean the same."""

import pytest
import torch

from catzoo.agents import Dataset, ManyReplays, OfflineReplay
from datasets_for_tests import recorded, swings

SHAPE = (3,)


@pytest.fixture
def datasets(corridor, tmp_path):
    """Three, of very different sizes."""
    for name, number in (("small", 3), ("middle", 12), ("large", 60)):
        recorded(tmp_path / name, corridor, number=number, limit=6)
    return [Dataset(tmp_path / name) for name in ("small", "middle", "large")]


def joined(datasets, seed=0, **options):
    parts = [OfflineReplay(data, seed=seed + number, **options) for number, data in enumerate(datasets)]
    return ManyReplays(parts, SHAPE)


def game_of(datasets, index):
    """Which dataset each of the transitions' numbers is of."""
    ends = torch.tensor([len(data) for data in datasets]).cumsum(0)
    return torch.bucketize(index, ends, right=True)


def test_a_batch_has_as_much_of_each(datasets):
    replay = joined(datasets)
    for count in (1, 4, 2):
        game_KB = game_of(datasets, replay.sample(12, count)[1])
        assert all(torch.bincount(game_B, minlength=3).tolist() == [4, 4, 4] for game_B in game_KB)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_what_does_not_divide_evens_out(datasets, size):
    replay = joined(datasets)
    batches = torch.cat([game_of(datasets, replay.sample(size, count)[1]) for count in (1, 5, 3, 12)])
    each = torch.stack([torch.bincount(game_B, minlength=3) for game_B in batches])
    assert (each.amax(1) - each.amin(1) <= 1).all()
    assert each.sum(0).tolist() == [7 * size] * 3


def test_within_a_dataset_sampling_is_uniform(datasets):
    small = len(datasets[0])
    index = joined(datasets).sample(3 * small, 400)[1].flatten()
    count = torch.bincount(index[game_of(datasets, index) == 0], minlength=small)
    assert ((count - 400).abs() < 5 * 400**0.5).all()


@pytest.mark.parametrize("place", ["memory", "disk", "device"])
def test_rows_are_the_datasets_filled_up(datasets, place):
    numbers = [[0, 1], [1, 5], [4, 2]]
    datasets[1].action_numbers, datasets[2].action_numbers = numbers[1:]
    batches, index = joined(datasets, gamma=0.9, place=place, next_actions=True).sample(8, 6)
    assert batches.observation.shape == batches.next_observation.shape == (6, 8, *SHAPE)
    assert batches.weight is None
    whole = {name: torch.cat([data.columns[name] for data in datasets]) for name in datasets[0].columns}
    for name in ("observation", "next_observation"):
        column = getattr(batches, name)
        assert torch.equal(column[..., :1], whole[name][index])
        assert not column[..., 1:].any()
    assert torch.equal(batches.reward, whole["reward"][index])
    assert torch.equal(batches.discount, 0.9 * (~whole["terminated"][index]).float())
    table, game = torch.tensor(numbers), game_of(datasets, index)
    assert torch.equal(batches.action, table[game, whole["action"][index]])
    known = batches.discount > 0
    following = table[game, whole["next_action"][index].clamp(min=0)]
    assert torch.equal(batches.next_action[known], following[known])


def test_the_seed_decides_and_parts_draw_apart(datasets):
    one, again, other = (joined([datasets[2]] * 2, seed).sample(8, 3)[1] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    first, second = one.flatten()[::2], one.flatten()[1::2] - len(datasets[2])
    assert not torch.equal(first, second)


def test_it_goes_on_whatever_the_bursts_are(datasets):
    whole, first, second = joined(datasets), joined(datasets), joined(datasets, seed=9)
    expected = whole.sample(7, 10)[1]
    start = first.sample(7, 4)[1]
    second.load_state_dict(first.state_dict())
    assert torch.equal(torch.cat([start, second.sample(7, 6)[1]]), expected)


def test_other_datasets_are_refused(datasets):
    state = joined(datasets).state_dict()
    with pytest.raises(ValueError, match="it learned from another dataset"):
        joined(datasets[::-1]).load_state_dict(state)
    datasets[1].columns["observation"] = datasets[1].columns["observation"].double()
    with pytest.raises(ValueError, match=r"observations are of torch\.float32 and torch\.float64"):
        joined(datasets)


def test_actions_of_several_numbers_are_not_filled_up(tmp_path):
    data = swings(tmp_path)
    batches, index = ManyReplays([OfflineReplay(data)] * 2, (5,)).sample(8, 3)
    assert batches.observation.shape == (3, 8, 5)
    assert torch.equal(batches.action, data.columns["action"][index % len(data)])
