"""Prioritised sampling: frequencies, weights, updates, and what must never come."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, ReplayBuffer, TensorDictReplayBuffer

from catzoo.agents.replay import HostSumTree, Priorities, Prioritized, SumTree

TREES = [SumTree, HostSumTree]
# 0.999 quantile of chi-square at n degrees of freedom, Wilson and Hilferty's approximation.
CHI_SQUARE = {n: n * (1 - 2 / (9 * n) + 3.09 * (2 / (9 * n)) ** 0.5) ** 3 for n in (9, 99, 699)}


def make_tree(kind, leaves, **options):
    tree = kind(len(leaves), **options)
    tree.set(torch.arange(len(leaves)), torch.as_tensor(leaves, dtype=torch.float64))
    return tree


def assert_consistent(tree):
    below = tree.levels[0]
    for above in (*tree.levels[1:], tree.root):
        sums = below.view(-1, tree.fan_out).sum(1)
        torch.testing.assert_close(above[: len(sums)], sums, rtol=1e-14, atol=0)
        below = above
    torch.testing.assert_close(tree.total, tree.leaves.sum(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize(("size", "fan_out"), [(10, 2), (100, 8), (700, 4)])
def test_frequencies_follow_priorities(kind, size, fan_out):
    torch.manual_seed(0)
    leaves = torch.rand(size, dtype=torch.float64) ** 4 + 1e-3
    tree = make_tree(kind, leaves, fan_out=fan_out, widest=3)
    draws = 200 * size
    # Single draws: strata would make the frequencies better than chance.
    share = torch.rand(draws, dtype=torch.float64)
    index, probability = tree._find(share)
    expected = draws * leaves / leaves.sum()
    count = torch.bincount(index, minlength=size)
    assert ((count - expected) ** 2 / expected).sum() < CHI_SQUARE[size - 1]
    torch.testing.assert_close(probability, (leaves / leaves.sum())[index], rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", TREES)
def test_a_call_is_stratified_and_its_parts_are_not_sorted(kind):
    torch.manual_seed(0)
    tree = make_tree(kind, torch.ones(1000), fan_out=8, widest=16)
    index, _ = tree.sample(1000)
    assert index.sort().values.tolist() == list(range(1000)), "one of each stratum"
    parts = index.view(10, 100).double().mean(1)
    assert (parts - 499.5).abs().max() < 5 * 1000 / 12**0.5 / 10
    assert parts.std() > 5


@pytest.mark.parametrize("kind", TREES)
@settings(max_examples=200, deadline=None)
@given(data=st.data(), size=st.integers(1, 70), fan_out=st.integers(2, 9), widest=st.integers(1, 9))
def test_sums_are_sums_and_zero_never_comes(kind, data, size, fan_out, widest):
    magnitude = st.sampled_from([0.0, 0.0, 1e-30, 1e-9, 0.1, 1.0, 1 / 3, 7e8])
    tree = kind(size, fan_out=fan_out, widest=widest)
    truth = torch.zeros(size, dtype=torch.float64)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20))
        value = data.draw(st.lists(magnitude, min_size=len(index), max_size=len(index)))
        for i, v in zip(index, value, strict=True):
            truth[i] = v
        # Duplicates carry the same value: which of two wins is not defined.
        tree.set(torch.tensor(index), truth[index])
        assert torch.equal(tree.leaves, truth)
        assert_consistent(tree)
    if truth.sum() > 0:
        index, _ = tree.sample(64)
        assert (truth[index] > 0).all()
        corners = truth.cumsum(0) / truth.sum()
        below = torch.nextafter(corners, torch.zeros_like(corners))
        share = torch.cat([corners, below, torch.tensor([0.0, 1.0], dtype=torch.float64)]).clamp(0, 1)
        index, _ = tree._find(share)
        assert ((index >= 0) & (index < size)).all()
        assert (truth[index] > 0).all()


@pytest.mark.parametrize("kind", TREES)
def test_a_loaded_tree_is_the_same_to_the_last_bit(kind):
    leaves = torch.rand(1000, dtype=torch.float64)
    tree, other, wider = (kind(1000, fan_out=fan_out, widest=20) for fan_out in (8, 8, 16))
    for index in torch.randperm(1000).split(7):
        tree.set(index, leaves[index])
    for one in (other, wider):
        one.load(tree.leaves, tree.sums)
        assert torch.equal(one.leaves, leaves)
        assert_consistent(one)
    assert torch.equal(other.sums, tree.sums)


def test_both_trees_find_the_same():
    torch.manual_seed(0)
    leaves = torch.rand(5000, dtype=torch.float64) * (torch.rand(5000) > 0.3)
    share = torch.rand(3000, dtype=torch.float64)
    found = [make_tree(kind, leaves, fan_out=8, widest=20)._find(share)[0] for kind in TREES]
    assert torch.equal(*found)


def make_sampler(size=50, kind=HostSumTree, **options):
    sampler = Prioritized(size, Priorities(**options))
    sampler.tree = kind(size)
    sampler.extend(torch.arange(size))
    storage = LazyTensorStorage(size)
    storage.set(range(size), TensorDict({"x": torch.arange(size)}, [size]))
    return sampler, storage


@pytest.mark.parametrize("kind", TREES)
def test_weights_are_the_formula(kind):
    sampler, storage = make_sampler(kind=kind, alpha=0.7, beta=0.6, eps=0.01)
    td_error = torch.randn(50)
    sampler.update_priority(torch.arange(50), td_error)
    index, info = sampler.sample(storage, 40)
    priority = (td_error.double().abs() + 0.01) ** 0.7
    truth = (50 * priority / priority.sum()) ** -0.6
    torch.testing.assert_close(info["priority_weight"], truth[index], rtol=1e-12, atol=0)
    sampler.beta, sampler.live = 1.0, 40
    index, info = sampler.sample(storage, 40)
    truth = (40 * priority / priority.sum()) ** -1.0
    torch.testing.assert_close(info["priority_weight"], truth[index], rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", TREES)
def test_a_new_transition_gets_the_largest_priority_so_far(kind):
    sampler, _ = make_sampler(kind=kind, alpha=0.5, eps=1e-3)
    assert sampler.tree.leaves.unique().tolist() == [1.0]
    sampler.update_priority(torch.tensor([3, 4]), torch.tensor([-9.0, 2.0]))
    sampler.update_priority(torch.tensor([3]), torch.tensor([0.1]))
    sampler.extend(torch.tensor([7]))
    sampler.add(8)
    truth = torch.tensor([0.101**0.5, 2.001**0.5, 9.001**0.5, 9.001**0.5], dtype=torch.float64)
    torch.testing.assert_close(sampler.tree.leaves[[3, 4, 7, 8]], truth, rtol=1e-7, atol=0)


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_errors_that_are_not_finite_count_as_the_largest(kind, bad):
    sampler, storage = make_sampler(kind=kind, alpha=1.0, eps=1e-3)
    sampler.update_priority(torch.tensor([1, 2, 3]), torch.tensor([bad, 5.0, 0.5]))
    torch.testing.assert_close(
        sampler.tree.leaves[1:4], torch.tensor([5.001, 5.001, 0.501], dtype=torch.float64)
    )
    sampler.update_priority(torch.tensor([6]), torch.tensor([bad]))
    assert sampler.tree.leaves[6] == sampler.max_priority
    assert float(sampler.max_priority) == pytest.approx(5.001)
    assert_consistent(sampler.tree)
    assert sampler.sample(storage, 20)[1]["priority_weight"].isfinite().all()


@pytest.mark.parametrize("kind", TREES)
def test_what_is_forgotten_stays_so_until_it_is_overwritten(kind):
    sampler, storage = make_sampler(kind=kind)
    gone = torch.arange(0, 50, 2)
    sampler.forget(gone)
    sampler.update_priority(torch.arange(50), torch.full((50,), 3.0))
    assert (sampler.sample(storage, 200)[0] % 2 == 1).all()
    sampler.extend(torch.tensor([0]))
    assert 0 in sampler.sample(storage, 200)[0]


@pytest.mark.parametrize("kind", TREES)
def test_duplicates_leave_sums_right(kind):
    sampler, _ = make_sampler(kind=kind)
    index = torch.tensor([5, 5, 5, 6, 6])
    sampler.update_priority(index, torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert_consistent(sampler.tree)


@pytest.mark.parametrize("kind", TREES)
def test_capacity_one(kind):
    sampler, storage = make_sampler(1, kind=kind)
    index, info = sampler.sample(storage, 3)
    assert index.tolist() == [0, 0, 0]
    assert info["priority_weight"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "options", [{"eps": 0.0}, {"alpha": -1.0}, {"beta": -0.1}, {"eps": 1e-200}, {"alpha": float("nan")}]
)
def test_exponents_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Priorities(**{"alpha": 1.0} | options)


def test_nothing_stored_is_said():
    sampler = Prioritized(5)
    with pytest.raises(RuntimeError, match="nothing can be sampled"):
        sampler.sample(LazyTensorStorage(5), 2)


def test_priorities_that_are_all_zero_are_said():
    sampler, storage = make_sampler(5)
    sampler.forget(torch.arange(5))
    with pytest.raises(RuntimeError, match="every priority is 0"):
        sampler.sample(storage, 2)


def test_it_is_a_sampler_of_torchrl_and_survives_a_checkpoint(tmp_path):
    def make():
        return ReplayBuffer(
            storage=LazyTensorStorage(30), sampler=Prioritized(30, Priorities()), batch_size=16
        )

    buffer, other = make(), make()
    buffer.extend(TensorDict({"x": torch.arange(20)}, [20]))
    buffer.update_priority(torch.arange(20), torch.randn(20))
    buffer.sampler.beta = 0.9
    buffer.dumps(tmp_path / "buffer")
    (tmp_path / "buffer" / "prefetch.pkl").unlink()  # TorchRL's own
    other.loads(tmp_path / "buffer")
    state = make()
    state.load_state_dict(buffer.state_dict())
    assert json.loads((tmp_path / "buffer/sampler/priorities.json").read_text())["beta"] == 0.9
    samples = []
    for one in (buffer, other, state):
        torch.manual_seed(5)
        data, info = one.sample(return_info=True)
        samples.append((data["x"], info["priority_weight"]))
        one.extend(TensorDict({"x": torch.tensor([99])}, [1]))
        assert np.isclose(one.sampler.tree.leaves[20], buffer.sampler.max_priority)
    for x, weight in samples[1:]:
        assert torch.equal(x, samples[0][0])
        assert torch.equal(weight, samples[0][1])


def test_torchrls_tensordict_buffer_takes_it_too():
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(30), sampler=Prioritized(30, Priorities(alpha=0.7)), batch_size=16
    )
    buffer.extend(TensorDict({"x": torch.arange(10)}, [10]))
    sample = buffer.sample()
    buffer.update_priority(sample["index"], torch.full((16,), 7.0))
    buffer.extend(TensorDict({"x": torch.arange(10)}, [10]))
    leaves = buffer.sampler.tree.leaves[:20]
    truth = torch.ones(20, dtype=torch.float64)
    truth[10:] = truth[sample["index"]] = 7.001**0.7
    torch.testing.assert_close(leaves, truth, rtol=1e-6, atol=0)


def test_another_capacity_is_refused():
    with pytest.raises(ValueError, match="50 slots, not 40"):
        Prioritized(40).load_state_dict(make_sampler(50)[0].state_dict())
