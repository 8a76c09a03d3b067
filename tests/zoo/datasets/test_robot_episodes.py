"""Episodes of robots as a dataset: what its columns say, and that interruptions and workers change nothing.

All but the last test play a toy in place of the simulator: a gripper without a body.
"""

import ctypes.util
import filecmp
import json

import numpy as np
import pytest
import torch

from catzoo.agents.replay import Dataset, read_dataset
from catzoo.hparams import RecipeError
from catzoo.zoo.cli.main import main
from catzoo.zoo.datasets import robot_episodes
from catzoo.zoo.datasets.robot_episodes import Asked, make_robot_episodes
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.system.file_locks import held_path

REACH = "FetchReach-v4"


class Toy:
    """A Reach without a robot, as a vector environment of one."""

    limit = 12

    def __init__(self, *_):
        pass

    def reset(self, seed=None):
        random = np.random.default_rng(seed)
        self.gripper, self.goal, self.steps = np.zeros(3), random.uniform(-0.3, 0.3, 3), 0
        return self._seen(), {}

    def step(self, action):
        assert np.abs(action).max() <= 1
        self.gripper, self.steps = self.gripper + 0.05 * action[0, :3], self.steps + 1
        seen, won = self._seen(), np.linalg.norm(self.gripper - self.goal) < 0.05
        over = won or self.steps == self.limit
        info = {"final_obs": np.array([seen[0], None], dtype=object)} if over else {}
        if over:
            self.reset()
        return (seen if not over else self._seen(), None, np.array([won]), np.array([over and not won]), info)

    def close(self):
        pass

    def _seen(self):
        return np.concatenate([self.gripper, np.zeros(7), self.goal]).astype(np.float32)[None]


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(robot_episodes, "make_env", Toy)
    monkeypatch.setattr(robot_episodes, "CHUNK", 4)


def made(folder, **keys):
    return make_robot_episodes(REACH, folder, **{"episodes": 18, "noise": (0.3, 1.0), "seed": 5, **keys})


def same_files(one, other):
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    return filecmp.cmpfiles(one, other, names, shallow=False)[0] == names


def test_columns_are_those_of_the_episodes(toy, tmp_path):
    manifest = made(tmp_path)
    own = read_dataset(tmp_path).columns
    episode, ends = own["episode"], own["terminated"]
    lengths = torch.bincount(episode)
    assert len(lengths) == 18
    assert (episode.diff() >= 0).all()
    assert 0 < manifest["success"] < 1
    assert manifest["success"] == manifest["mean_return"] == float(ends.sum()) / 18
    won = lengths[episode[ends].long()]
    assert manifest["mean_length"] == pytest.approx(float(won.double().mean()))
    assert (lengths[[i for i in range(18) if i not in set(episode[ends].tolist())]] == Toy.limit).all()
    assert torch.equal(own["reward"], ends.float())
    last = torch.cat([episode.diff() > 0, torch.tensor([True])])
    following = own["next_observation"][:-1], own["observation"][1:]
    inner = ~last[:-1]
    assert torch.equal(following[0][inner], following[1][inner])
    assert torch.equal(own["next_action"][:-1][inner], own["action"][1:][inner])
    assert own["next_action"][last].isnan().all()
    for number in range(18):
        rows = episode == number
        reward, returns = own["reward"][rows], own["return_to_go"][rows]
        after = torch.cat([returns[1:], torch.zeros(1)])
        assert torch.allclose(returns, reward + 0.98 * after)


def test_noise_is_of_the_strength_that_is_asked_for(toy, tmp_path):
    clean, noisy = (made(tmp_path / str(level), noise=(level,)) for level in (0.0, 1.0))
    assert clean["success"] == 1.0 > noisy["success"]
    assert (read_dataset(tmp_path / "0.0").columns["action"][:, 3] == 0).all()
    levels = [robot_episodes.play(Asked(REACH, 1, (0.0, 1.0), 0, 0.98), Toy(), i)["action"] for i in (2, 3)]
    assert (levels[0][:, 3] == 0).all()
    assert (levels[1][:, 3] != 0).any()


def test_a_wrong_goal_is_on_the_other_side(toy, tmp_path):
    seen = np.arange(28, dtype=np.float32)
    mirrored = robot_episodes.other_side(seen)
    assert np.array_equal(mirrored[:-3], seen[:-3])
    assert np.allclose((mirrored[-3:-1] + seen[-3:-1]) / 2, seen[3:5])
    assert mirrored[-1] == seen[-1]
    made_of = {share: made(tmp_path / str(share), noise=(0.0,), wrong=share) for share in (0.0, 0.5, 1.0)}
    assert [made_of[share]["success"] for share in (0.0, 1.0)] == [1.0, 0.0]
    assert 0 < made_of[0.5]["success"] < 1


def test_an_interruption_changes_nothing(toy, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    made(whole)
    play = robot_episodes.play

    def killed(asked, env, number):
        if number == 10:
            raise KeyboardInterrupt
        return play(asked, env, number)

    monkeypatch.setattr(robot_episodes, "play", killed)
    with pytest.raises(KeyboardInterrupt):
        made(cut)
    assert sorted(path.name for path in (cut / "chunks").glob("*.npz")) == ["000000.npz", "000001.npz"]
    with pytest.raises(ValueError, match="no dataset there"):
        Dataset(cut)
    (cut / "chunks" / "000002.tmp").write_bytes(b"half of one")
    monkeypatch.setattr(robot_episodes, "play", play)
    with pytest.raises(RecipeError, match="holds a part of another dataset: env FetchReach-v4, episodes 18"):
        made(cut, seed=6)
    done = []
    made(cut, progress=lambda number, total: done.append((number, total)))
    assert done[-1] == (18, 18)
    assert same_files(whole, cut)


def test_a_finished_dataset_is_left_as_it_is(toy, tmp_path, monkeypatch):
    before = made(tmp_path)
    monkeypatch.setattr(robot_episodes, "play", None)
    assert made(tmp_path) == before
    with pytest.raises(RecipeError, match="holds another dataset"):
        made(tmp_path, episodes=19)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--env", "CartPole-v1"], "--env 'CartPole-v1': there are experts for FetchReach-v4"),
        (["--env", REACH, "--noise", "2"], "--noise 2.0: levels must be from 0 to 1"),
        (["--env", REACH, "--gamma", "-1"], "--gamma -1.0: must be from 0 to 1"),
        (["--env", REACH, "--episodes", "0"], "0 must be at least 1"),
    ],
)
def test_mistakes_are_one_line(toy, tmp_path, capsys, words, said):
    try:
        status = main(["data", "robots", *words, "--out", str(tmp_path / "out")])
    except SystemExit as error:  # argparse's own
        status = error.code
    err = capsys.readouterr().err
    assert status == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_is_one_line(toy, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match="file"):
        made(tmp_path / "file" / "out")


def test_a_folder_that_another_process_holds_is_one_line(toy, tmp_path):
    with held_path(tmp_path, "at work"), pytest.raises(RecipeError, match="another process is making this"):
        made(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK torn", b"\x93NUMPY"])
def test_a_damaged_chunk_is_one_line(toy, tmp_path, monkeypatch, content):
    write = robot_episodes._write
    monkeypatch.setattr(robot_episodes, "_write", None)
    with pytest.raises(TypeError):
        made(tmp_path)
    (tmp_path / "chunks" / "000001.npz").write_bytes(content)
    monkeypatch.setattr(robot_episodes, "_write", write)
    with pytest.raises(RecipeError, match=r"000001\.npz: damaged: delete it, and the same command makes it"):
        made(tmp_path)
    (tmp_path / "chunks" / "000001.npz").unlink()
    assert made(tmp_path)["episodes"] == 18


def test_the_command_says_what_was_made(toy, tmp_path, capsys):
    words = ["--env", REACH, "--episodes", "6", "--noise", "0", "--out", str(tmp_path)]
    assert main(["data", "robots", *words]) == 0
    assert "6 episodes, " in (out := capsys.readouterr().out)
    assert "1.000 succeed" in out


@pytest.mark.robots
def test_several_processes_make_the_same(tmp_path):
    pytest.importorskip("gymnasium_robotics")
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, workers in ((one, 1), (two, 2)):
        make_robot_episodes(REACH, folder, episodes=22, noise=(1.0,), workers=workers)
    assert same_files(one, two)


@pytest.mark.robots
@pytest.mark.skipif(ctypes.util.find_library("OSMesa") is None, reason="needs libosmesa6")
def test_a_camera_changes_what_is_observed_and_nothing_else(tmp_path):
    pytest.importorskip("gymnasium_robotics")
    blind, seeing = tmp_path / "blind", tmp_path / "seeing"
    for folder, camera in ((blind, None), (seeing, 40)):
        make_robot_episodes(REACH, folder, episodes=2, noise=(0.0,), wrong=1.0, camera=camera)
    numbers, pictures = (read_dataset(folder).columns for folder in (blind, seeing))
    assert set(numbers) == set(pictures)
    for name in set(numbers) - {"observation", "next_observation"}:
        assert torch.equal(numbers[name].nan_to_num(), pictures[name].nan_to_num())
    assert pictures["observation"].dtype == torch.uint8
    assert pictures["observation"].shape[1:] == (40, 40, 3)
    assert Dataset(seeing).manifest["protocol"] == protocol_of(REACH, {"camera": 40}).to_dict()


def test_a_dataset_of_before_there_were_cameras_goes_on(toy, tmp_path):
    made(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["asked"]["camera"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert made(tmp_path)["episodes"] == 18
    with pytest.raises(RecipeError, match="holds another dataset"):
        made(tmp_path, seed=6)
