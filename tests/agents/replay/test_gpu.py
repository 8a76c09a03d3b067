"""On a GPU: the same samples, and nothing waits for it."""

import pytest
import torch

from catzoo.agents.checkpoints import Journal
from catzoo.agents.checkpoints.checkpoints import ReplayFiles
from catzoo.agents.replay import Priorities, Replay, SumTree
from rollouts_for_tests import Stacks

pytestmark = pytest.mark.gpu


@pytest.fixture
def cuda():
    yield torch.device("cuda")
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("store", ["whole", "frames"])
@pytest.mark.parametrize("priorities", [None, Priorities()])
def test_sampling_waits_for_nothing(cuda, store, priorities):
    replay = Replay(500, store=store, place="device", device=cuda, priorities=priorities, n_step=3)
    env = Stacks(0, envs=4, stack=4, frame=(84, 84), levels=200)
    for _ in range(20):
        replay.add(env.rollout(16))
    replay.sample(32, 4, cuda)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    batch, index = replay.sample(32, 4, cuda)
    replay.update_priority(index, torch.rand(4, 32, device=cuda))
    torch.cuda.set_sync_debug_mode("default")
    assert batch.observation.shape == (4, 32, 4, 84, 84)
    assert batch.observation.device.type == "cuda"
    stored = replay[index.flatten()]
    assert torch.equal(stored["observation"], batch.observation.flatten(0, 1))


def test_the_device_holds_what_the_host_would(cuda):
    env = Stacks(0, envs=3, stack=4)
    on_gpu = Replay(50, store="frames", place="device", device=cuda)
    on_cpu = Replay(50, store="frames")
    for _ in range(40):
        rollout = env.rollout(5)
        on_gpu.add(rollout)
        on_cpu.add(rollout)
    assert len(on_gpu) == len(on_cpu)
    live = torch.arange(on_cpu.window.first, on_cpu.window.count) % 50
    assert (on_gpu[live.to(cuda)].cpu() == on_cpu[live]).all()


def test_a_parallel_sum_never_leads_to_a_leaf_of_zero(cuda):
    torch.manual_seed(0)
    tree = SumTree(300_000, cuda)
    leaves = torch.rand(300_000, dtype=torch.float64, device=cuda)
    leaves *= torch.rand(300_000, device=cuda) > 0.7
    tree.set(torch.arange(300_000, device=cuda), leaves)
    for _ in range(20):
        index, probability = tree.sample(100_000)
        assert (leaves[index] > 0).all()
    torch.testing.assert_close(probability, (leaves / leaves.sum())[index], rtol=1e-9, atol=0)


@pytest.mark.parametrize("store", ["whole", "frames"])
def test_a_checkpoint_of_a_device(cuda, store, tmp_path):
    def make():
        return Replay(50, store=store, place="device", device=cuda, priorities=Priorities())

    replay, other = make(), make()
    replay.add(Stacks(0).rollout(20))
    journal = Journal(tmp_path / "journal", replay.rings())
    journal.spill(everything=True)
    ReplayFiles(journal).save(replay, tmp_path / "saved")
    read = Journal(tmp_path / "read", other.rings())
    read.digests = {segment.name: segment.digest for segment in journal.all()}
    ReplayFiles(read).load(other, tmp_path / "saved")
    torch.manual_seed(0)
    ours, _ = replay.sample(8, 2, cuda)
    torch.manual_seed(0)
    theirs, _ = other.sample(8, 2, cuda)
    assert torch.equal(ours.observation, theirs.observation)
    assert torch.equal(ours.weight, theirs.weight)
