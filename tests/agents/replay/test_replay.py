"""The replay that agents use: what goes in comes out, sampled, saved and sized as it says."""

import pytest
import torch
from gymnasium.vector import AutoresetMode

from catzoo.agents import Transitions, VectorCollector
from catzoo.agents.checkpoints import Journal
from catzoo.agents.checkpoints.checkpoints import ReplayFiles
from catzoo.agents.checkpoints.seal import digest
from catzoo.agents.replay import Priorities, Replay, replay_bytes
from environments_for_tests import Left
from rollouts_for_tests import Stacks

CPU = torch.device("cpu")


def test_batches_are_stored_transitions(corridor):
    collector = VectorCollector(corridor((4, 6), mode=AutoresetMode.SAME_STEP), Left(), frames_per_batch=20)
    replay = Replay(1000, gamma=0.9)
    replay.add(collector.rollout())
    batch, index = replay.sample(16, 3, CPU)
    assert isinstance(batch, Transitions)
    assert batch.weight is None
    assert index.shape == (3, 16)
    assert batch.observation.shape == (3, 16, 1)
    assert torch.equal(batch.reward, batch.observation[..., 0] + 1)
    assert torch.equal(batch.next_observation, batch.observation + 1)
    assert set(batch.discount.flatten().tolist()) <= {0.0, float(torch.tensor(0.9))}
    assert torch.equal(replay[index.flatten()]["reward"], batch.reward.flatten())


@pytest.mark.parametrize("store", ["whole", "frames"])
@pytest.mark.parametrize("time", [1, 5, 30])
def test_the_oldest_transitions_are_overwritten(store, time):
    env, replay = Stacks(0, envs=2, end=0.1), Replay(8, store=store)
    for _ in range(9):
        rollout = env.rollout(time)
        replay.add(rollout)
    assert len(replay) == 8
    # No slot is written twice at once: on a GPU either could win.
    assert replay.buffer.write_count == 9 * min(8, 2 * time)
    seen = set(replay.sample(300, 1, CPU)[0].reward.flatten().tolist())
    rewards = replay.buffer[:]["reward"].tolist()
    assert seen == set(rewards)
    newest = rollout["next", "reward"][..., 0].T.flatten()[-8:].tolist()
    assert set(newest) <= set(rewards)


def test_every_slot_is_as_likely():
    torch.manual_seed(0)
    replay = Replay(10, store="frames")
    env = Stacks(0, envs=2, end=0.1)
    for _ in range(7):
        replay.add(env.rollout(2))
    count = torch.bincount(replay.sample(1000, 20, CPU)[1].flatten(), minlength=10)
    assert ((count - 2000) ** 2 / 2000).sum() < 27.9  # chi-square, 9 degrees of freedom, 0.999


def test_weights_are_divided_by_the_largest_of_each_batch():
    torch.manual_seed(0)
    replay = Replay(100, priorities=Priorities(alpha=1.0, beta=1.0, eps=0.1))
    replay.add(Stacks(0, end=0).rollout(50))
    replay.update_priority(torch.arange(100), torch.rand(100) * 5)
    batch, index = replay.sample(8, 6, CPU)
    priority = replay.sampler.tree.leaves[index]
    truth = (1 / priority) / (1 / priority).amax(1, keepdim=True)
    assert batch.weight.dtype == torch.float32
    torch.testing.assert_close(batch.weight, truth.float())
    assert batch.weight.amax(1).tolist() == [1.0] * 6
    replay.set_beta(0.0)
    assert replay.sample(8, 2, CPU)[0].weight.unique().tolist() == [1.0]


def test_priorities_decide_what_is_sampled():
    replay = Replay(100, priorities=Priorities(alpha=1.0, eps=1e-6))
    replay.add(Stacks(0, end=0).rollout(50))
    error = torch.zeros(2, 50)
    error[1, 7] = 1.0
    replay.update_priority(torch.arange(100).view(2, 50), error)
    assert (replay.sample(20, 2, CPU)[1] == 57).float().mean() > 0.9


def test_a_uniform_replay_takes_priorities_and_does_nothing():
    replay = Replay(100)
    replay.add(Stacks(0).rollout(5))
    replay.update_priority(torch.arange(5), torch.rand(5))
    replay.set_beta(0.5)
    assert replay.sample(5, 1, CPU)[0].weight is None


@pytest.mark.parametrize("store", ["whole", "frames"])
def test_cut_ends_the_episodes_that_are_open(store):
    env, replay = Stacks(0, envs=1, end=0, levels=200), Replay(100, store=store, n_step=3, gamma=0.5)
    first = env.rollout(4)
    replay.add(first)
    replay.cut()
    env.reset()
    replay.add(env.rollout(4))
    stored = replay[:]
    assert stored["discount"].tolist() == [0.125, 0.125, 0.25, 0.5, 0.125, 0.125]
    for i in (2, 3):
        assert torch.equal(stored["next_observation"][i], first["next", "observation"][0, -1])


def test_nothing_stored_is_an_error():
    with pytest.raises(RuntimeError, match=r"empty|nothing"):
        Replay(5).sample(2, 1, CPU)
    with pytest.raises(RuntimeError, match=r"empty|nothing"):
        Replay(5, store="frames", priorities=Priorities()).sample(2, 1, CPU)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 0}, "capacity=0"),
        ({"store": "frame"}, "store='frame' must be one of whole, frames"),
        ({"place": "gpu"}, "place='gpu' must be one of memory, disk, device"),
        ({"place": "disk"}, "needs a folder"),
        ({"n_step": 0}, "n=0"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Replay(**{"capacity": 5} | options)


def make(store, place, prioritized, folder, capacity=30, n_step=3):
    return Replay(
        capacity,
        n_step=n_step,
        store=store,
        place=place,
        folder=folder,
        priorities=Priorities() if prioritized else None,
    )


def save(replay, folder):
    journal = Journal(folder / "journal", replay.rings(), segment_bytes=300)
    journal.spill(everything=True)
    ReplayFiles(journal).save(replay, folder / "saved")


def load(replay, folder):
    journal = Journal(folder / "another journal", replay.rings())
    journal.digests = {path.name: digest(path) for path in (folder / "saved" / "rows").iterdir()}
    ReplayFiles(journal).load(replay, folder / "saved")


@pytest.mark.parametrize("store", ["whole", "frames"])
@pytest.mark.parametrize("place", ["memory", "disk", "device"])
@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize("turns", [3, 40])
@pytest.mark.filterwarnings("ignore:last_cursor is None")
def test_a_checkpoint_holds_everything(store, place, prioritized, turns, tmp_path, monkeypatch):
    monkeypatch.setattr("catzoo.agents.replay.replay_buffer.ring_size", lambda capacity: capacity + 6)
    env = Stacks(0, envs=2, stack=2, end=0.5)
    replay = make(store, place, prioritized, tmp_path / "a")
    other = make(store, place, prioritized, tmp_path / "b")
    for _ in range(turns):
        replay.add(env.rollout(2))
        replay.update_priority(torch.randint(30, (4,)), torch.randn(4))
    save(replay, tmp_path)
    kinds = {path.suffix for path in tmp_path.joinpath("saved").rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors"}
    other.add(Stacks(7, envs=2, stack=2).rollout(4))  # all of which is replaced
    for twice in range(2):
        load(other, tmp_path)
        assert len(other) == len(replay) > 0
        torch.manual_seed(twice)
        ours, index = replay.sample(8, 2, CPU)
        torch.manual_seed(twice)
        theirs, same = other.sample(8, 2, CPU)
        assert torch.equal(index, same)
        for name in Transitions._fields:
            if getattr(ours, name) is None:
                assert getattr(theirs, name) is None
            else:
                assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
        other.cut()  # touches neither the checkpoint nor what comes of loading it again
    load(other, tmp_path)
    for _ in range(20):
        rollout = env.rollout(2)
        for one in (replay, other):
            one.add(rollout)
        live = (
            torch.arange(len(replay))
            if store == "whole"
            else torch.arange(replay.window.first, replay.window.count)
        )
        assert len(other) == len(replay)
        assert (replay[live % 30] == other[live % 30]).all()
        if store == "frames":
            assert other.frames.count == replay.frames.count


@pytest.mark.parametrize("store", ["whole", "frames"])
def test_a_checkpoint_before_the_first_transition(store, tmp_path):
    env, replay, other = Stacks(0), make(store, "memory", True, None), make(store, "memory", True, None)
    replay.add(env.rollout(1))
    assert not len(replay)
    save(replay, tmp_path)
    load(other, tmp_path)
    rollout = env.rollout(6)
    for one in (replay, other):
        one.add(rollout)
    assert (replay[:] == other[:]).all()


def test_another_kind_of_replay_is_refused(tmp_path):
    replay = make("whole", "memory", True, None)
    replay.add(Stacks(0).rollout(9))
    save(replay, tmp_path)
    for other, message in (
        (make("frames", "memory", True, None), "store=whole, this one store=frames"),
        (make("whole", "memory", False, None), "prioritized=True, this one prioritized=False"),
        (make("whole", "memory", True, None, capacity=31), "capacity=30, this one capacity=31"),
        (make("whole", "memory", True, None, n_step=1), "n_step=3, this one n_step=1"),
    ):
        with pytest.raises(ValueError, match=message):
            load(other, tmp_path)


def tensors_of(replay):
    yield from replay.buffer._storage._storage.values()
    if replay.prioritized:
        yield from (*replay.sampler.tree.levels, replay.sampler.tree.root)
    if replay.frames is not None:
        yield from (replay.frames.frames, replay.frames.table)
        yield torch.from_numpy(replay.frames.oldest)
        yield torch.from_numpy(replay.window.needs)


@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize("store", ["whole", "frames"])
@pytest.mark.parametrize("shape", [(4, 84, 84), (2, 6, 7)])
def test_the_size_is_known_beforehand(store, prioritized, shape):
    replay = make(store, "memory", prioritized, None, capacity=1000)
    stack, *frame = shape
    replay.add(Stacks(0, stack=stack, frame=tuple(frame)).rollout(5))
    real = sum(tensor.nbytes for tensor in tensors_of(replay))
    estimate = replay_bytes(1000, shape, 1, store=store, prioritized=prioritized)
    assert abs(estimate / real - 1) < 0.01


def test_whole_observations_of_any_kind_are_counted():
    assert replay_bytes(1000, (4,), 4) == 1000 * (2 * 16 + 16)


def test_disk_means_files(tmp_path):
    for store in ("whole", "frames"):
        replay = make(store, "disk", False, tmp_path / store, capacity=100, n_step=1)
        replay.add(Stacks(0, frame=(40, 40), levels=200).rollout(9))
        size = sum(file.stat().st_size for file in (tmp_path / store).rglob("*") if file.is_file())
        assert size >= 100 * 40 * 40
