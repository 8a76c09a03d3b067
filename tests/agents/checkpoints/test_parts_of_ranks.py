"""The part of each learner in a checkpoint, and how parts go to another number of learners."""

from pathlib import Path

import pytest
import torch

from catzoo.agents import Checkpoints, Compute
from catzoo.agents.checkpoints.parts_of_ranks import is_of_rank, of_rank, place_of
from catzoo.agents.learning.data_parallel import Ranks
from catzoo.hparams import RecipeError
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.train import recipe_of

SMALL = [
    "num_envs=4", "rollout_length=4", "batch_size=8", "network.hidden=[16]", "steps=600", "compute.threads=1",
    "learning_starts=32", "updates_per_step=0.25", "replay.capacity=200", "n_step=3", "double=false",
]  # fmt: skip


class Pretended(Ranks):
    """One of several learners, without the others."""

    def __init__(self, rank, count):
        self.rank, self.count = rank, count

    def gathered(self, said):
        return [said] * self.count


def make(rank=0, count=1, *said, agent="rainbow", env="CartPole-v1"):
    recipe = recipe_of(agent, env, seed=3, overrides=[*SMALL, f"compute.devices={count}", *said])
    return build_trainer(recipe, compute=Compute(ranks=Pretended(rank, count)))


def rows_of(work):
    """What a replay can be sampled from, oldest first, with priorities."""
    replay = work.feed.replay
    count, capacity = replay.records.count, replay.capacity
    slots = torch.arange(max(count - capacity, 0), count) % capacity
    rows = replay[slots]
    columns = [rows[name].reshape(len(slots), -1).double() for name in sorted(rows.keys())]
    return torch.cat([*columns, replay.sampler.tree.get(slots)[:, None].double()], 1)


def test_where_parts_lie():
    assert (of_rank("journal", 0), of_rank("journal", 2)) == ("journal", "journal-2")
    assert (place_of(0), place_of(2)) == (Path(), Path("ranks/2"))
    assert is_of_rank("ranks/2/manifest.json", 2)
    assert not is_of_rank("ranks/2/manifest.json", 0)
    assert is_of_rank("components/0001-learner/state.json", 0)
    assert not is_of_rank("components/0001-learner/state.json", 1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of one learner, whose replay has gone round, and the learner."""
    folder, work = tmp_path_factory.mktemp("saved"), make()
    for _ in range(20):
        work.iterate()
    assert work.feed.replay.records.count > 200
    Checkpoints(folder, work).save()
    return folder, work


def test_two_learners_have_together_what_one_had(saved):
    folder, one = saved
    expected, works = rows_of(one), [make(rank, 2) for rank in range(2)]
    for work in works:
        checkpoints = Checkpoints(folder, work)
        assert checkpoints.restore() == one.steps
        assert checkpoints.dealt_from == 1
        assert (work.steps, work.updates) == (one.steps, one.updates)
        assert not work.resumed
        theirs = one.agent.state_dict()
        assert all(torch.equal(own, theirs[name]) for name, own in work.agent.state_dict().items())
    assert torch.equal(rows_of(works[1]), expected[1::2])
    assert torch.equal(rows_of(works[0]), expected[::2])
    waiting = [work.feed.replay.n_step.waiting for work in works]
    whole = one.feed.replay.n_step.waiting
    assert torch.equal(torch.cat([own["observation"] for own in waiting]), whole["observation"])
    assert all(own["next", "done"][:, -1].all() for own in waiting)  # cut


def test_what_lies_in_frames_is_not_dealt_out(tmp_path):
    said = ("replay.store=frames", "network.width=0.1", "replay.capacity=400")
    work = make(0, 1, *said, agent="dqn", env="ALE/Pong-v5")
    work.iterate()
    Checkpoints(tmp_path, work).save()
    with pytest.raises(RecipeError, match=r"replay.store=frames cannot be dealt out: go on with .*devices=1"):
        Checkpoints(tmp_path, make(0, 2, *said, agent="dqn", env="ALE/Pong-v5")).restore()
