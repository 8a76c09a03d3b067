"""Datasets in the zoo: a run records one and is the same run, another learns from it, mistakes are a line."""

import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import load_file

from catzoo.agents import Checkpoints, Dataset
from catzoo.hparams import NoRoomError, RecipeError
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.csv_rows import read_rows
from catzoo.zoo.training import datasets
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.evaluate import evaluate
from catzoo.zoo.training.memory_checks import check_datasets
from catzoo.zoo.training.train import recipe_of, train
from catzoo.zoo.training.weights import load_agent
from datasets_for_tests import OFFLINE, damaged, same

TINY = [
    "num_envs=4", "rollout_length=5", "learning_starts=100", "batch_size=16", "network.hidden=[8]",
    "log_every=100", "eval.every=0", "eval.episodes=4", "checkpoint_every=200",
]  # fmt: skip


def online(run_dir, *more, agent="dqn", **keywords):
    return train(agent, "CartPole-v1", run_dir=run_dir, overrides=[*TINY, *more], **keywords)


def offline(run_dir, *more, data, env="CartPole-v1", **keywords):
    said = [*OFFLINE, *more, *([] if data is None else [f"dataset={data}"])]
    return train("cql", env, run_dir=run_dir, overrides=said, **keywords)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "data"
    online(folder, "record=0.5", steps=600, seed=2)
    return folder


def test_recording_changes_nothing_in_a_run(data, tmp_path):
    online(tmp_path / "plain", steps=600, seed=2)
    for name, tensor in load_file(tmp_path / "plain" / "weights.safetensors").items():
        assert torch.equal(tensor, load_file(data / "weights.safetensors")[name]), name
    assert Run(data).result()["returns"] == Run(tmp_path / "plain").result()["returns"]
    assert not (tmp_path / "plain" / "dataset").exists()


def test_the_manifest_says_where_it_is_from(data):
    dataset = Dataset(data)
    dataset.verify()
    manifest = dataset.manifest
    assert (manifest["env"], manifest["seed"], manifest["share"]) == ("CartPole-v1", 2, 0.5)
    assert manifest["protocol"]["name"] == "classic-control"
    assert manifest["recipe"] == Run(data).recipe().to_dict()
    assert 590 <= manifest["steps"] <= 620  # a step of each environment waits for its next action
    assert abs(len(dataset) - 300) < 4 * (600 * 0.25) ** 0.5
    returns = [float(row["return"]) for row in read_rows(data / "episodes.csv")]
    assert manifest["episodes"] == len(returns)
    assert manifest["mean_return"] == pytest.approx(sum(returns) / len(returns))


@pytest.mark.parametrize("agent", ["dqn", "pqn"])
@pytest.mark.parametrize("overlap", ["false", "true"])
def test_a_continued_run_records_nothing_twice(tmp_path, agent, overlap):
    more = [*TINY, "record=0.5", f"compute.overlap={overlap}", "steps=1000"]
    if agent == "pqn":
        more.remove("learning_starts=100")
    recipe = recipe_of(agent, "CartPole-v1", overrides=more)

    def begun(name):
        made = build_trainer(recipe, dataset=tmp_path / name / "dataset")
        return made, Checkpoints(tmp_path / name / "checkpoints", made)

    for name, moments in (("whole", ()), ("killed", (5, 12))):
        made, checkpoints = begun(name)
        for iteration in range(20):
            if iteration in moments:
                checkpoints.save()
                made.iterate()  # lost
                made.close()
                made, checkpoints = begun(name)
                assert checkpoints.restore() == made.steps > 0
                assert made.resumed
            made.iterate()
        checkpoints.save()
        made.close()
    whole, killed = (Dataset(tmp_path / name) for name in ("whole", "killed"))
    assert whole.manifest == killed.manifest
    assert same(whole, killed)
    killed.verify()


def test_a_longer_run_records_more(tmp_path):
    online(tmp_path / "run", "record=1.0", steps=200)
    first = Dataset(tmp_path / "run")
    before = first.columns["observation"].clone()
    online(tmp_path / "run", "record=1.0", steps=400)
    longer = Dataset(tmp_path / "run")
    longer.verify()
    assert len(first) == first.manifest["steps"] > 190
    assert len(longer) == longer.manifest["steps"] > 390
    assert torch.equal(longer.columns["observation"][: len(before)], before)


def test_an_offline_run_is_a_run(data, tmp_path):
    result = offline(tmp_path / "run", data=data, steps=200, loss="c51")
    run = Run(tmp_path / "run")
    assert (result["agent"], result["steps"], result["episodes"]) == ("cql", 200, 4)
    assert evaluate(run.path)["returns"] == result["returns"]
    rows = read_rows(run.metrics)
    assert [row["step"] for row in rows if row["eval/return"]] == ["100", "200"]
    assert [row["step"] for row in rows] == ["50", "100", "150", "200"]
    assert all(row["step"] == row["train/updates"] for row in rows)
    assert "support/above" in rows[-1]
    recipe, _ = load_agent(run.path)
    assert (recipe.cql_weight, recipe.bootstrap, recipe.double) == (0.1, "max", True)
    assert (run.path / "learning_curve.png").exists()


@pytest.mark.parametrize("preset", [None, "sarsa"])
def test_a_continued_offline_run_is_the_same_bit_for_bit(data, tmp_path, preset):
    offline(tmp_path / "whole", "reward_noise=0.3", data=data, steps=300, preset=preset)
    for steps in (130, 300):
        offline(tmp_path / "parts", "reward_noise=0.3", data=data, steps=steps, preset=preset)
    whole, parts = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())


def test_the_preset_sarsa(data):
    made = build_trainer(recipe_of("cql", "CartPole-v1", preset="sarsa", overrides=[f"dataset={data}"]))
    recipe = made.recipe
    assert (recipe.bootstrap, recipe.cql_weight, recipe.double) == ("sarsa", 0.0, False)
    assert made.feed.replay.sample(4)[0].next_action is not None
    made.close()


def test_minatar_records_and_learns(tmp_path):
    pytest.importorskip("minatar")
    small = ["record=0.5", "num_envs=4", "eval.every=0", "eval.episodes=1", "network.hidden=[8]"]
    train("dqn", "MinAtar/Breakout", steps=300, run_dir=tmp_path / "data", overrides=small)
    dataset = Dataset(tmp_path / "data")
    assert dataset.observation_shape == (10, 10, 4)
    assert dataset.columns["observation"].dtype == torch.bool
    train("cql", "MinAtar/Breakout", steps=20, run_dir=tmp_path / "run",
          overrides=[*small[2:], f"dataset={tmp_path / 'data'}"])  # fmt: skip
    assert Run(tmp_path / "run").result()["steps"] == 20


@pytest.mark.parametrize(
    ("more", "keywords", "changes", "words"),
    [
        ([], {"data": None}, {}, "cql learns from a dataset: name one with dataset=DIR"),
        ([], {"data": "nowhere"}, {}, "nowhere: no dataset there"),
        ([], {"env": "Acrobot-v1"}, {}, "it is of 'CartPole-v1', not of Acrobot-v1"),
        (["env_options={sutton_barto_reward: true}"], {}, {}, "under another protocol: sutton_barto_reward"),
        ([], {}, {"format": 7}, "dataset format '7', this version reads 1"),
        ([], {}, {"count": 10**9}, "missing or torn"),
        ([], {}, {"num_actions": 1}, "holds actions beyond 1"),
        ([], {}, {"num_actions": 3}, "it has 3 actions, not 2"),
        (["bootstrap=min"], {}, {}, "must be one of max, sarsa"),
        (["reward_noise=-1"], {}, {}, "at least 0"),
        (["n_step=3"], {}, {}, "n_step does not apply to cql"),
        (["replay.capacity=5"], {}, {}, "replay.capacity does not apply to cql"),
        (["record=0.1"], {}, {}, "record does not apply to cql"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(data, tmp_path, more, keywords, changes, words):
    copy = shutil.copytree(data, tmp_path / "copy")
    damaged(copy, **changes)
    with pytest.raises(RecipeError) as error:
        offline(tmp_path / "run", *more, **{"data": copy, **keywords})
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_changed_column_is_one_line(data, tmp_path):
    copy = shutil.copytree(data, tmp_path / "copy")
    content = bytearray((copy / "dataset" / "reward.memmap").read_bytes())
    content[0] ^= 1
    (copy / "dataset" / "reward.memmap").write_bytes(content)
    with pytest.raises(RecipeError, match=r"reward\.memmap is damaged"):
        offline(tmp_path / "run", data=copy)


def test_too_little_memory_is_one_line(data, monkeypatch):
    recipe, one = recipe_of("cql", "CartPole-v1", overrides=[f"dataset={data}"]), Dataset(data)
    for number in (1, 3):
        room = number * one.nbytes
        monkeypatch.setattr("catzoo.zoo.training.memory_checks.usable_memory", lambda room=room: room)
        check_datasets(recipe, [one] * number, torch.device("cpu"))
        with pytest.raises(RecipeError, match=r"transitions need .* GB are free .*replay\.place=disk"):
            check_datasets(recipe, [one] * (number + 1), torch.device("cpu"))
    on_disk = dataclasses.replace(recipe, replay=dataclasses.replace(recipe.replay, place="disk"))
    check_datasets(on_disk, [one] * 4, torch.device("cpu"))


def test_too_little_disk_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10_000}))
    with pytest.raises(RecipeError, match=r"record=0.5 of 10000 steps needs .* lower record"):
        online(tmp_path / "run", "record=0.5", steps=10_000)
    assert not list(tmp_path.iterdir())


def test_other_agents_take_no_dataset(data, tmp_path):
    for agent in ("dqn", "rainbow", "pqn"):
        with pytest.raises(RecipeError, match=f"dataset does not apply to {agent}"):
            train(agent, "CartPole-v1", run_dir=tmp_path / "run", overrides=[f"dataset={data}"])


def test_an_offline_run_without_a_first_checkpoint_begins_again(data, tmp_path, monkeypatch):
    """An iteration may pass several times `checkpoint_every` before the first one is saved."""

    def full(self):
        raise OSError(28, "No space left on device")

    own = ("checkpoint_every=20", "log_every=50")
    with monkeypatch.context() as disk:
        disk.setattr("catzoo.agents.Checkpoints.save", full)
        with pytest.raises(NoRoomError, match="the same command goes on"):
            offline(tmp_path / "run", *own, data=data, steps=200)
    assert offline(tmp_path / "run", *own, data=data, steps=200)["steps"] == 200
