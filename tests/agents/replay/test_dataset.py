"""Recording a share of the transitions, and reading them back: all of them right, and none twice."""

import json
import os

import pytest
import torch
from gymnasium.vector import AutoresetMode
from tensordict import TensorDict

from catzoo.agents import Dataset, DatasetError, Recorder, read_dataset
from catzoo.agents.checkpoints.state_files import read_state, write_state
from datasets_for_tests import recorded, rollouts, same
from rollouts_for_tests import Stacks


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("length", [1, 6])
def test_every_transition_is_what_the_environment_did(corridor, tmp_path, mode, length):
    recorder = recorded(tmp_path, corridor, mode=mode, length=length, number=60 // length, limit=6)
    data = read_dataset(tmp_path)
    now, following, next_action = (
        data.columns[name].flatten() for name in ("observation", "next_observation", "next_action")
    )
    assert torch.equal(following, now + 1)
    assert torch.equal(data.columns["reward"], following)
    assert torch.equal(data.columns["action"], now.long() % 2)
    terminated = data.columns["terminated"]
    assert (following[terminated] == 5).all()  # the longer corridor's time is up before its end
    over = terminated | (following == 6)
    assert torch.equal(next_action, torch.where(over, -1, following.long() % 2))
    resets = 0 if mode == AutoresetMode.SAME_STEP else sum(
        int((~rollout["collector", "mask"]).sum())
        for rollout, _ in rollouts(corridor, mode=mode, length=length, number=60 // length, limit=6)
    )  # fmt: skip
    assert len(data) == recorder.seen
    # The last step of each environment waits, unless it was a reset.
    assert 120 - resets - 2 <= len(data) <= 120 - resets


def test_tensordict_reads_it_too(tmp_path):
    env, recorder = Stacks(0), Recorder(tmp_path, 0.5, num_actions=9, about={"env": "stacks"})
    for _ in range(10):
        recorder.add(env.rollout(5))
    recorder.publish()
    ours, theirs = Dataset(tmp_path), TensorDict.load_memmap(tmp_path)
    assert theirs.shape == (len(ours),)
    assert (theirs == ours.tensordict()).all()
    assert ours.columns["observation"].dtype == torch.uint8
    assert ours.manifest["env"] == "stacks"
    assert ours.observation_shape == (3, 2, 4)
    assert ours.nbytes == sum(file.stat().st_size for file in tmp_path.glob("*.memmap"))


def test_the_share_is_uniform(corridor, tmp_path):
    share, number = 0.3, 400
    whole = recorded(tmp_path / "all", corridor, number=number)
    part = recorded(tmp_path / "part", corridor, share, number=number)
    assert part.seen == whole.count == whole.seen
    sigma = (whole.count * share * (1 - share)) ** 0.5
    assert abs(part.count - share * whole.count) < 4 * sigma
    for column in ("observation", "terminated", "next_action"):
        values, total = Dataset(tmp_path / "all").columns[column].flatten().unique(return_counts=True)
        kept = torch.stack([(Dataset(tmp_path / "part").columns[column] == value).sum() for value in values])
        assert ((kept - share * total).abs() < 4 * (total * share * (1 - share)).sqrt()).all()


def test_the_seed_decides_what_is_kept(corridor, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        recorded(tmp_path / name, corridor, 0.5, seed)
    one, again, other = (Dataset(tmp_path / name) for name in ("one", "again", "other"))
    assert same(one, again)
    assert len(one) != len(other) or not same(one, other)


def test_the_score_is_that_of_the_episodes(corridor, tmp_path):
    recorded(tmp_path, corridor, 0.5)
    scores = [score for _, ended in rollouts(corridor) for score in ended]
    manifest = Dataset(tmp_path).manifest
    assert manifest["episodes"] == len(scores) > 10
    assert manifest["mean_return"] == pytest.approx(sum(scores) / len(scores))


@pytest.mark.parametrize("lost", [0, 1, 4])
def test_what_a_checkpoint_does_not_count_is_recorded_again(corridor, tmp_path, lost):
    steps = rollouts(corridor, number=12)
    whole = recorded(tmp_path / "whole", corridor, 0.5, number=12)
    first = Recorder(tmp_path / "run", 0.5, num_actions=2)
    for rollout, scores in steps[:6]:
        first.add(rollout, scores)
    write_state(tmp_path / "state", first.state_dict())
    for rollout, scores in steps[6 : 6 + lost]:
        first.add(rollout, scores)
    if lost > 1:
        first.publish()  # it died between this and the checkpoint
    first.close()
    second = Recorder(tmp_path / "run", 0.5, num_actions=2, seed=9)
    second.load_state_dict(read_state(tmp_path / "state"))
    for rollout, scores in steps[6:]:
        second.add(rollout, scores)
        read_dataset(tmp_path / "run")  # of the last manifest, at any time
    second.publish()
    assert second.manifest() == whole.manifest()
    assert same(Dataset(tmp_path / "run"), Dataset(tmp_path / "whole"))


def test_a_start_without_a_checkpoint_begins_anew(corridor, tmp_path):
    recorded(tmp_path, corridor, number=20)
    recorded(tmp_path, corridor, 0.5, number=5)
    recorded(tmp_path / "other", corridor, 0.5, number=5)
    assert same(Dataset(tmp_path), Dataset(tmp_path / "other"))


def test_steps_that_wait_when_episodes_are_cut_have_no_next_action(corridor, tmp_path):
    recorder = Recorder(tmp_path, 1.0, num_actions=2)
    for rollout, _ in rollouts(corridor, number=2, length=3):
        recorder.add(rollout)
        recorder.cut()
    recorder.publish()
    columns = Dataset(tmp_path).columns
    assert columns["observation"].flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert columns["next_action"].tolist() == [1, 1, 0, 0, -1, -1, 0, 0, -1, 1]
    assert columns["terminated"].tolist() == [False] * 8 + [True, False]


def test_lost_rows_are_noticed(corridor, tmp_path):
    recorder = recorded(tmp_path, corridor)
    state = recorder.state_dict()
    recorder.close()
    os.truncate(tmp_path / "reward.memmap", 8)
    with pytest.raises(ValueError, match="the recorded dataset has lost rows: reward"):
        recorder.load_state_dict(state)


def test_nothing_is_written_before_there_is_something(tmp_path):
    recorder = Recorder(tmp_path / "data", 0.5, num_actions=2)
    assert recorder.state_dict()["count"] == 0
    recorder.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_is_above_0_and_at_most_1(tmp_path, share):
    with pytest.raises(ValueError, match="must be above 0 and at most 1"):
        Recorder(tmp_path, share, num_actions=2)


def test_it_is_found_in_a_runs_folder_and_read_only(corridor, tmp_path):
    recorded(tmp_path / "dataset", corridor)
    for path in (tmp_path / "dataset").iterdir():
        path.chmod(0o444)
    data = Dataset(tmp_path)
    assert data.folder == tmp_path / "dataset"
    before = (tmp_path / "dataset" / "reward.memmap").read_bytes()
    data.columns["reward"][:] = 7.0
    assert (tmp_path / "dataset" / "reward.memmap").read_bytes() == before


def altered(**changes):
    """Overwrites keys of a manifest."""

    def change(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))

    return change


def column(name, **changes):
    """Overwrites what a manifest says of a column."""

    def change(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["columns"][name] |= changes
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return change


def flipped(name):
    """Changes one byte in the middle of a column."""

    def change(folder):
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return change


@pytest.mark.usefixtures("at_the_bottom")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no dataset there"),
        (lambda folder: (folder / "manifest.json").write_text('{"format"'), "damaged: not JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "damaged: not JSON"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff"), "damaged: not JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "not a manifest"),
        (altered(format=3), "dataset format '3', this version reads 1 and 2"),
        (altered(count=-1), "count is no count"),
        (altered(count=1.5), "count is no count"),
        (altered(count=0), "holds nothing"),
        (altered(count=10**12), "missing or torn"),
        (altered(num_actions=None), "num_actions is no count"),
        (altered(num_actions=1), "actions beyond 1"),
        (altered(columns={}), "columns must be observation, action"),
        (column("action", dtype="torch.float32"), "action is of another kind"),
        (column("reward", shape=[2]), "reward is of another kind"),
        (column("observation", shape=[2**40]), "observation is of another kind"),
        (column("observation", dtype="torch.nothing"), "observation is of another kind"),
        (column("observation", shape=[1, 1]), "next_observation is of another shape"),
        (column("reward", crc32=1), r"reward\.memmap is damaged"),
        (lambda folder: (folder / "action.memmap").unlink(), r"action\.memmap is missing or torn"),
        (lambda folder: os.truncate(folder / "action.memmap", 100), r"action\.memmap is missing or torn"),
        (flipped("observation.memmap"), r"observation\.memmap is damaged"),
        (flipped("terminated.memmap"), r"terminated\.memmap is damaged"),
    ],
)
def test_damage_is_one_line(corridor, tmp_path, damage, words):
    recorded(tmp_path, corridor)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=words) as error:
        read_dataset(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["nowhere", "file", "x" * 5000, "nul\0"])
def test_what_is_no_folder_is_one_line(tmp_path, path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match=r"no dataset there|longer than|one line"):
        Dataset(tmp_path / path)
