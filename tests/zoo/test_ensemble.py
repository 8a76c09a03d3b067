"""`train_ensemble`: a folder for each seed, as `train` would leave it."""

import contextlib
import dataclasses
import functools
import json

import pytest
import torch

from catzoo.agents import DQN, Ensemble
from catzoo.hparams import RecipeError
from catzoo.zoo import stopping
from catzoo.zoo.build import build_trainer
from catzoo.zoo.ensemble import train_ensemble
from catzoo.zoo.environments import stream_seed
from catzoo.zoo.evaluation import evaluate
from catzoo.zoo.rows import read_rows
from catzoo.zoo.runs import Run
from catzoo.zoo.scores import score_of
from catzoo.zoo.training import recipe_of, train

TINY = [
    "num_envs=4",
    "rollout_length=5",
    "learning_starts=100",
    "batch_size=16",
    "updates_per_step=0.1",
    "network.hidden=[8]",
    "log_every=100",
    "eval.episodes=8",
    "eval.every=200",
    "eval.interim_episodes=4",
    "checkpoint_every=200",
]
SEEDS = (4, 5)


def recipe(*more, env="CartPole-v1", steps=400):
    return recipe_of("dqn", env, steps=steps, overrides=[*TINY, *more])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Results and runs of an ensemble, and of the same seeds one by one."""
    folder = tmp_path_factory.mktemp("runs")
    together, apart = ([Run(folder / f"{name}-{seed}") for seed in SEEDS] for name in ("together", "apart"))
    results = train_ensemble(recipe(), SEEDS, [run.path for run in together])
    for seed, run in zip(SEEDS, apart, strict=True):
        train("dqn", "CartPole-v1", steps=400, seed=seed, run_dir=run.path, overrides=TINY)
    return results, together, apart


def test_a_folder_is_what_train_leaves(trained):
    results, together, apart = trained
    for result, run, other in zip(results, together, apart, strict=True):
        assert {path.name for path in run.path.iterdir()} == {path.name for path in other.path.iterdir()}
        assert json.loads(run.result_file.read_text()) == result == run.result()
        expected = other.result()
        assert result.keys() == expected.keys()
        same = ("agent", "env", "loss", "seed", "steps", "returns", "train_return", "protocol", "policy")
        assert {key: result[key] for key in same} == {key: expected[key] for key in same}
        assert run.episodes.read_text() == other.episodes.read_text()
        assert result["compute"]["ensemble"] == 2


def test_metrics_are_those_of_the_separate_run(trained):
    for run, other in zip(*trained[1:], strict=True):
        rows, expected = read_rows(run.metrics), read_rows(other.metrics)
        assert [row.keys() for row in rows] == [row.keys() for row in expected]
        for row, wanted in zip(rows, expected, strict=True):
            for name in row.keys() - {"time/steps_per_second"}:
                assert bool(row[name]) == bool(wanted[name])
                if row[name]:
                    assert float(row[name]) == pytest.approx(float(wanted[name]), rel=1e-3, abs=1e-5)


def test_a_game_of_images_is_the_separate_run_too():
    pytest.importorskip("minatar")
    small = ["learning_starts=64", "batch_size=16", "target_update_every=10", "network.width=0.25"]
    said = [*small, "dueling=true", "replay.capacity=1000", "compute.device=cpu"]
    plain = recipe_of("dqn", "MinAtar/Breakout", steps=300, overrides=said)
    seeded = [dataclasses.replace(plain, seed=seed) for seed in SEEDS]
    ensemble = Ensemble([functools.partial(build_trainer, one) for one in seeded])
    with contextlib.closing(ensemble):
        while ensemble.playing():
            ensemble.iterate()
    for one, member in zip(seeded, ensemble.members, strict=True):
        with contextlib.closing(build_trainer(one)) as agent:
            while agent.steps < agent.total_steps:
                agent.iterate()
        assert member.updates == agent.updates > 50
        for name, weight in agent.weights().items():
            assert torch.allclose(member.weights()[name], weight, rtol=1e-3, atol=1e-5), name


def test_other_commands_take_it(trained):
    results, together, _ = trained
    for seed, result, run in zip(SEEDS, results, together, strict=True):
        assert run.recipe() == dataclasses.replace(recipe(), seed=seed)
        assert evaluate(run.path)["returns"] == result["returns"]
        assert evaluate(run.path, best=True)["episodes"] == 8
        assert score_of(run)["mean_return"] == f"{result['mean_return']:.2f}"


def test_train_goes_on_with_a_seed_and_an_ensemble_with_the_rest(tmp_path):
    folders = [tmp_path / str(seed) for seed in SEEDS]
    train_ensemble(recipe(), SEEDS, folders)
    alone = train("dqn", "CartPole-v1", steps=500, seed=5, run_dir=folders[1], overrides=TINY)
    expected = train("dqn", "CartPole-v1", steps=500, seed=4, run_dir=tmp_path / "other", overrides=TINY)
    results = train_ensemble(recipe(steps=500), SEEDS, folders)
    assert [result["steps"] for result in results] == [500, 500]
    assert results[1]["returns"] == alone["returns"]
    assert results[0]["returns"] == expected["returns"]


def test_an_interruption_leaves_checkpoints_of_all(tmp_path, monkeypatch):
    folders, iterate, made = [tmp_path / str(seed) for seed in SEEDS], Ensemble.iterate, []
    real = stopping.Stopping
    monkeypatch.setattr(stopping, "Stopping", lambda: made.append(real()) or made[-1])

    def interrupted(ensemble):
        playing = iterate(ensemble)
        if ensemble.members[0].steps > 250:
            made[-1].signum = 2
        return playing

    monkeypatch.setattr(Ensemble, "iterate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_ensemble(recipe(), SEEDS, folders)
    monkeypatch.undo()
    for folder in folders:
        assert not Run(folder).result_file.exists()
        assert any((folder / "checkpoints").glob("step-0000000002*"))
    results = train_ensemble(recipe(), SEEDS, folders)
    expected = train("dqn", "CartPole-v1", steps=400, seed=4, run_dir=tmp_path / "other", overrides=TINY)
    assert results[0]["returns"] == expected["returns"]


def test_a_loss_that_is_not_finite_is_its_members(tmp_path, monkeypatch):
    take = DQN._take
    seeds = [stream_seed(seed, "train CartPole-v1") for seed in SEEDS]

    def poisoned(member, rollout, episodes):
        if member.collector._seed == seeds[1]:
            rollout["next", "reward"].fill_(float("nan"))
        take(member, rollout, episodes)

    monkeypatch.setattr(DQN, "_take", poisoned)
    with pytest.raises(
        FloatingPointError, match=r"b: the loss is nan at step \d+, update 1: the batch is in"
    ):
        train_ensemble(recipe(), SEEDS, [tmp_path / "a", tmp_path / "b"])
    assert (tmp_path / "b" / "not_finite.safetensors").exists()
    assert not (tmp_path / "a" / "not_finite.safetensors").exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["noisy=true"], "noisy=true: not with several seeds"),
        (["replay.prioritized=true"], "replay.prioritized=true: not"),
        (["replay.store=frames"], "replay.store=frames: not"),
        (["compute.compile=true"], "compute.compile=true: not"),
        (["compute.overlap=true"], "compute.overlap=true: not"),
        (["record=0.5"], "record=0.5: not"),
        (["replay.capacity=100000000000"], "seeds=2 of them need"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(tmp_path, said, message):
    with pytest.raises(RecipeError, match=message) as caught:
        train_ensemble(recipe(*said), SEEDS, [tmp_path / "a", tmp_path / "b"])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_seeds_and_folders_are_each_once(tmp_path):
    with pytest.raises(RecipeError, match="at least one"):
        train_ensemble(recipe(), [])
    with pytest.raises(RecipeError, match="each once"):
        train_ensemble(recipe(), [1, 1], [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(RecipeError, match="each once"):
        train_ensemble(recipe(), [1, 2], [tmp_path / "a", tmp_path / "a"])
    with pytest.raises(RecipeError, match="one for each of 2 seeds"):
        train_ensemble(recipe(), [1, 2], [tmp_path / "a"])
    with pytest.raises(RecipeError, match="agent=pqn"):
        train_ensemble(recipe_of("pqn", "CartPole-v1"), [1, 2])
    assert not list(tmp_path.iterdir())
