"""A run that was interrupted is, bit for bit, the one that was not."""

import shutil
from functools import cache

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchrl.checkpoint import CheckpointError

from catzoo.agents import Checkpoints, NotFiniteError
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.train import recipe_of

SMALL = [
    "num_envs=4", "rollout_length=4", "batch_size=8", "network.hidden=[16]", "log_every=48", "steps=600",
    "compute.threads=1",
]  # fmt: skip
REPLAY = ["learning_starts=60", "updates_per_step=0.25", "replay.capacity=300"]
OWN = {"pqn": [], "sac": REPLAY, "td3": REPLAY, "ppo": [], "impala": []}
COPYING = [*REPLAY, "target_update_every=7"]
KINDS = {
    "dqn": ("dqn", "CartPole-v1", "hl_gauss", []),
    "dqn, not savable": ("dqn", "corridors", "mse", []),
    "rainbow": ("rainbow", "CartPole-v1", "c51", ["reset_every=40"]),
    "rainbow, ahead": ("rainbow", "CartPole-v1", "two_hot", ["compute.overlap=true"]),
    "rainbow, on images": ("rainbow", "MinAtar/Breakout", "hl_gauss", ["network.hidden=[8]"]),
    "adaptive": ("rainbow", "CartPole-v1", "two_hot", ["support=adaptive", "reset_every=40"]),
    "adaptive, ahead": ("pqn", "CartPole-v1", "hl_gauss", ["support=adaptive", "compute.overlap=true"]),
    "pqn": ("pqn", "MinAtar/Freeway", "softmax_mse", ["optimizer.anneal=true"]),
    "pqn, ahead": ("pqn", "CartPole-v1", "huber", ["compute.overlap=true"]),
    "sac": ("sac", "Pendulum-v1", "hl_gauss", ["policy_delay=3"]),
    "sac, ahead": ("sac", "Pendulum-v1", "c51", ["compute.overlap=true"]),
    "td3": ("td3", "Pendulum-v1", "two_hot", ["num_envs=2", "least_noise=0.01", "noise=0.4"]),
    "ppo": ("ppo", "Pendulum-v1", "hl_gauss", ["normalize.observation=true", "batch_size=4"]),
    "ppo, ahead": ("ppo", "MinAtar/Breakout", "mse", ["compute.overlap=true", "network.width=0.2"]),
    "impala, many games": ("impala", "MinAtar/Breakout+MinAtar/Freeway", "mse", ["network.width=0.2"]),
    "impala, ahead": ("impala", "CartPole-v1", "c51", ["compute.overlap=true"]),
}


def make(kind):
    agent, env, loss, more = KINDS[kind]
    said = [*SMALL, *OWN.get(agent, COPYING), *more]
    return build_trainer(recipe_of(agent, env, loss=loss, seed=3, overrides=said))


def iterate(work, iterations):
    """What each iteration came to: counts, the episodes, and the metrics without the clock."""
    trace = []
    for _ in range(iterations):
        work.iterate()
        metrics = {name: value for name, value in work.metrics.items() if not name.startswith("time/")}
        trace.append((work.steps, work.updates, work.take_finished(), metrics))
    return trace


def weights(work):
    return torch.cat([tensor.flatten().double() for tensor in work.agent.weights().values()])


@cache
def straight(kind):
    """The trace and the weights of the run that was not interrupted."""
    work = make(kind)
    trace = iterate(work, 30)
    work.close()
    return trace, weights(work)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "not savable" not in kind])
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_it_goes_on_bit_for_bit(kind, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    done, trace, work = 0, [], make(kind)
    for moment in sorted(data.draw(st.lists(st.integers(1, 29), min_size=1, max_size=3, unique=True))):
        trace += iterate(work, moment - done)
        Checkpoints(folder, work).save()
        iterate(work, data.draw(st.integers(0, 3)))  # lost, and done again
        work.close()
        torch.rand(3)
        work, done = make(kind), moment
        assert Checkpoints(folder, work).restore() == work.steps
    trace += iterate(work, 30 - done)
    work.close()
    truth, ends_with = straight(kind)
    assert trace == truth
    assert torch.equal(weights(work), ends_with)


@pytest.mark.parametrize("overlap", [False, True])
def test_new_episodes_lose_no_step_and_no_count(corridor, overlap, monkeypatch, tmp_path):
    monkeypatch.setattr("catzoo.zoo.training.build.build_training_env", lambda *_, **__: corridor((11, 13)))
    monkeypatch.setitem(KINDS, "corridor", ("dqn", "CartPole-v1", "mse", ["n_step=3", "num_envs=2"]))
    if overlap:
        KINDS["corridor"][3].append("compute.overlap=true")
    work = make("corridor")
    iterate(work, 20)
    Checkpoints(tmp_path, work).save()
    other = make("corridor")
    Checkpoints(tmp_path, other).restore()
    assert not other.feed.collector.resumed
    assert other.steps == work.steps == 160
    iterate(other, 5)
    assert other.steps == 200
    other.feed.rollouts.rest()
    assert other.feed.collector.frames == (208 if overlap else 200)
    # What waits for its n-step return, two steps of each, is not a transition yet; nothing else is missing.
    assert len(other.feed.replay) == 200 - 4
    rewards = sorted(other.feed.replay[:]["observation"].flatten().tolist())
    lengths = [episode.length for episode in other.finished]
    assert len(rewards) == 196
    assert set(lengths) <= {11, 13}
    for one in (work, other):
        one.close()


@pytest.mark.parametrize("ahead", ["false", "true"])
def test_atari_loses_no_transition_and_no_count(ahead, monkeypatch, tmp_path):
    more = [f"compute.overlap={ahead}", "n_step=3", "num_envs=2", "network.hidden=[16]", "network.width=0.25"]
    monkeypatch.setitem(KINDS, "pong", ("rainbow", "ALE/Pong-v5", "hl_gauss", more))
    work = make("pong")
    for moment in (80, 160):
        while work.steps < moment:
            work.iterate()
        Checkpoints(tmp_path, work).save()
        other = make("pong")
        assert Checkpoints(tmp_path, other).restore() == work.steps == moment
        assert not other.feed.collector.resumed
        assert other.updates == work.updates
        live = torch.arange(work.feed.replay.window.first, work.feed.replay.window.count)
        assert (other.feed.replay[live] == work.feed.replay[live]).all()
        work.close()
        work = other
    while work.steps < 240:
        work.iterate()
    # Two steps of each environment wait for their n-step return, and those before a cut came in with it.
    assert work.feed.replay.records.count == 240 - 4
    assert work.updates == (240 - 60) // 4
    work.close()


def test_another_runs_checkpoints_are_not_loaded(tmp_path):
    work = make("dqn")
    iterate(work, 3)
    Checkpoints(tmp_path, work, run="dqn CartPole-v1 seed 3").save()
    with pytest.raises(CheckpointError, match="another run's"):
        Checkpoints(tmp_path, make("dqn"), run="dqn CartPole-v1 seed 4").restore()


def test_older_ones_go_and_unreadable_ones_are_passed_over(tmp_path):
    work = make("dqn")
    checkpoints, steps = Checkpoints(tmp_path, work, keep=2), []
    for _ in range(4):
        iterate(work, 2)
        newest = checkpoints.save()
        steps.append(work.steps)
    assert checkpoints.steps() == steps[-2:]
    (newest / "manifest.json").write_text("{")
    other = make("dqn")
    again = Checkpoints(tmp_path, other)
    assert again.restore() == steps[-2]
    assert "manifest.json is missing or torn" in again.passed_over[0]
    iterate(other, 2)
    again.save()  # in its place
    assert again.steps() == steps[-2:]
    assert Checkpoints(tmp_path, make("dqn")).restore() == steps[-1]


def test_a_checkpoint_under_another_name_is_refused(tmp_path):
    work = make("dqn")
    iterate(work, 2)
    Checkpoints(tmp_path, work).save().rename(tmp_path / "step-000000000500")
    with pytest.raises(CheckpointError, match="of another step"):
        Checkpoints(tmp_path, make("dqn")).restore()


def test_a_disk_that_is_full_leaves_the_last_one_whole(tmp_path, monkeypatch):
    work = make("rainbow")
    checkpoints = Checkpoints(tmp_path, work)
    iterate(work, 8)
    checkpoints.save()
    steps = work.steps
    iterate(work, 8)
    calls = iter(range(100))

    def full(*arguments, **keywords):
        if next(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(*arguments, **keywords)

    from catzoo.agents.checkpoints import state_files

    real = state_files.write_state
    monkeypatch.setattr(state_files, "write_state", full)  # of the adapter of all but the replay
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save()
    monkeypatch.undo()
    assert checkpoints.steps() == [steps]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert Checkpoints(tmp_path, make("rainbow")).restore() == steps


def test_a_loss_that_is_not_a_number_is_never_saved(tmp_path):
    work = make("dqn")
    iterate(work, 4)
    with torch.no_grad():
        next(work.agent.network.parameters()).fill_(torch.nan)
    before = work.updates
    while work.updates == before:
        work.iterate()
    with pytest.raises(
        NotFiniteError, match=f"the loss is nan at step {work.steps}, update {before + 1}"
    ) as caught:
        Checkpoints(tmp_path, work).save()
    assert caught.value.batch.observation.shape == (8, 4)
    assert Checkpoints(tmp_path, work).steps() == []


def test_a_copied_folder_needs_no_links(tmp_path):
    work = make("rainbow, on images")
    iterate(work, 12)
    Checkpoints(tmp_path / "a", work).save()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    truth = iterate(work, 3)
    other = make("rainbow, on images")
    assert Checkpoints(tmp_path / "b", other).restore() == other.steps == 192
    assert iterate(other, 3) == truth


def test_only_what_a_save_leaves_is_cleared_away(tmp_path):
    kept = [tmp_path / name for name in (".ssh", ".config", "notes", "step-7")]
    left = [tmp_path / name for name in (".saving", ".saving.stage-1", ".step-000000000016")]
    for folder in (*kept, *left):
        folder.mkdir()
    (tmp_path / ".saved").symlink_to(tmp_path / "notes")
    work = make("dqn")
    iterate(work, 3)
    Checkpoints(tmp_path, work).save()
    assert all(folder.exists() for folder in (*kept, tmp_path / ".saved"))
    assert not any(folder.exists() for folder in left)


def test_streams_of_devices_that_are_not_here_are_left_out():
    from catzoo.agents.checkpoints.checkpoints import _Streams

    state = _Streams().state_dict()
    torch.rand(1)
    expected = torch.rand(3)
    _Streams().load_state_dict({**state, "torch_cuda": [torch.zeros(16, dtype=torch.uint8)] * 9})
    torch.rand(1)
    assert torch.equal(torch.rand(3), expected)
    name, key, _, *rest = state["numpy"]
    for twister in ((name, key, 60_000_000, *rest), (name, key[:5], 3, *rest)):
        with pytest.raises(ValueError, match="cannot be one"):
            _Streams().load_state_dict({**state, "numpy": twister})


def test_too_many_open_files_are_no_fault_of_a_checkpoint(tmp_path, monkeypatch):
    work = make("dqn")
    iterate(work, 3)
    Checkpoints(tmp_path, work).save()

    def fail(*_, **__):
        raise OSError(24, "Too many open files")

    checkpoints = Checkpoints(tmp_path, make("dqn"))
    monkeypatch.setattr(checkpoints.checkpoint, "load", fail)
    with pytest.raises(OSError, match="Too many"):
        checkpoints.restore()


def test_unreadable_ones_go_before_whole_ones(tmp_path):
    work = make("dqn")
    checkpoints = Checkpoints(tmp_path, work, keep=2)
    iterate(work, 2)
    first = checkpoints.save()
    iterate(work, 2)
    torn = checkpoints.save()
    (torn / "manifest.json").unlink()
    other = make("dqn")
    again = Checkpoints(tmp_path, other, keep=2)
    assert again.restore() == int(first.name[5:])
    iterate(other, 3)
    newest = again.save()
    assert [path.name for path in sorted(tmp_path.glob("step-*"))] == [first.name, newest.name]


def test_rows_of_another_shape_are_not_loaded(tmp_path):
    work = make("dqn")
    iterate(work, 10)
    rows = work.feed.replay.records.rows(0, 20)
    work.feed.replay.records.begin(20)
    rows["observation"] = rows["observation"].repeat(1, 1000)
    with pytest.raises(ValueError, match="the saved observation is of shape"):
        work.feed.replay.records.put(0, rows)


def test_what_the_monitor_looks_at_is_saved(tmp_path):
    work = make("dqn")
    iterate(work, 10)
    Checkpoints(tmp_path, work).save()
    other = make("dqn")
    Checkpoints(tmp_path, other).restore()
    for own, restored in zip(work.last_batch, other.last_batch, strict=True):
        assert (own is None) == (restored is None)
        assert own is None or torch.equal(own, restored)
