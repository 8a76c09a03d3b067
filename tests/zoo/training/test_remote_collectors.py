"""Runs whose environments are played elsewhere: every agent that plays, what is refused, and going on."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from catzoo.hparams import RecipeError
from catzoo.zoo.training import remote_collectors
from catzoo.zoo.training.train import recipe_of, train
from players_for_tests import LocalPlayer

TINY = ["num_envs=4", "rollout_length=8", "batch_size=16", "eval.episodes=2", "network.hidden=[16]",
        "compute.threads=1"]  # fmt: skip
REPLAY = ["replay.capacity=500", "learning_starts=64"]


@pytest.fixture
def local(monkeypatch):
    """Players in this process."""
    monkeypatch.setattr(remote_collectors, "ProcessPlayer", LocalPlayer)
    LocalPlayer.made.clear()


@pytest.mark.parametrize(
    ("agent", "env", "more"),
    [
        ("dqn", "CartPole-v1", REPLAY),
        ("rainbow", "MinAtar/Breakout", [*REPLAY, "network.width=0.1"]),
        ("pqn", "CartPole-v1", []),
        ("ppo", "CartPole-v1", []),
        ("impala", "CartPole-v1", ["compute.overlap=true"]),
        ("sac", "Pendulum-v1", REPLAY),
        ("td3", "Pendulum-v1", REPLAY),
    ],
)
def test_every_agent_that_plays(local, tmp_path, agent, env, more):
    overrides = [*(word for word in TINY if "hidden" not in word or "MinAtar" not in env), *more]
    result = train(
        agent, env, steps=200, run_dir=tmp_path / "run", overrides=[*overrides, "collect.workers=2"]
    )
    assert result["episodes"] == 2
    assert len(LocalPlayer.made) == 2
    assert all(made.closed for made in LocalPlayer.made)


def test_a_run_goes_on_bit_for_bit(local, tmp_path):
    def run(folder, steps):
        words = [*TINY, *REPLAY, "collect.workers=2", "checkpoint_every=64"]
        return train("dqn", "CartPole-v1", steps=steps, run_dir=tmp_path / folder, overrides=words)

    whole = run("whole", 300)
    run("parts", 150)
    assert run("parts", 300)["returns"] == whole["returns"]
    one, other = (load_file(tmp_path / folder / "weights.safetensors") for folder in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("numbers", [(2, 1), (1, 2), (2, 4)])
def test_another_number_of_collectors_goes_on_with_new_episodes(local, tmp_path, capsys, numbers):
    for steps, workers in zip((150, 300), numbers, strict=True):
        words = [*TINY, *REPLAY, f"collect.workers={workers}", "checkpoint_every=64"]
        result = train("dqn", "CartPole-v1", steps=steps, run_dir=tmp_path / "run", overrides=words)
    assert result["steps"] == 300
    assert "going on from step 1" in (said := capsys.readouterr().out)
    assert "with new episodes" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["collect.workers=3"], "num_envs=4 cannot be shared evenly by 3 collectors"),
        (["collect.workers=many"], "must be a number of processes, or ray:N"),
        (["collect.workers=0"], "collect.workers=0: must be at least 1"),
        (["collect.workers=ray:0"], "must be a number of processes, or ray:N"),
        (["collect.workers=2", "support=adaptive"], "collect.workers=1 goes with it"),
    ],
)
def test_what_cannot_be_is_one_line(local, tmp_path, words, message):
    with pytest.raises(RecipeError, match=message):
        train("dqn", "CartPole-v1", steps=100, run_dir=tmp_path / "run", overrides=[*TINY, *REPLAY, *words])
    assert not (tmp_path / "run").exists()


def test_without_ray_a_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RecipeError, match=r"pip install 'catzoo\[ray\]'"):
        train("dqn", "CartPole-v1", steps=100, run_dir=tmp_path / "run",
              overrides=[*TINY, *REPLAY, "collect.workers=ray:2"])  # fmt: skip


def test_games_of_one_run_have_as_many_environments_with_every_collector(local):
    recipe = recipe_of(
        "dqn", "MinAtar/Breakout+MinAtar/Freeway", overrides=["collect.workers=2", "num_envs=6"]
    )
    with pytest.raises(RecipeError, match="shared evenly by 2 collectors, each with all 2 games"):
        remote_collectors.played_elsewhere(recipe, None)


def test_the_recipe_says_it_in_its_file(local, tmp_path):
    result = train("dqn", "CartPole-v1", steps=100, run_dir=tmp_path / "run",
                   overrides=[*TINY, *REPLAY, "collect.workers=2", "log_every=32"])  # fmt: skip
    assert "workers: 2" in (tmp_path / "run" / "recipe.yaml").read_text()
    assert "time/waiting" in (tmp_path / "run" / "metrics.csv").read_text()
    assert json.loads((tmp_path / "run" / "result.json").read_text())["steps"] == result["steps"] == 100
