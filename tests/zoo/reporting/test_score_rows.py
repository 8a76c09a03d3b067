"""Scores carry the command that made them, and a run counts once."""

import shlex

import pytest

from catzoo.hparams import RECIPES, RecipeError, parse_override
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.cli.main import parse
from catzoo.zoo.reporting.score_rows import command_of, record
from catzoo.zoo.system.csv_rows import read_rows
from runs_for_tests import made


def test_a_run_counts_once(tmp_path):
    file = tmp_path / "scores.csv"
    runs = [made(tmp_path / str(seed), [1.0, 3.0], seed=seed).path for seed in (0, 1)]
    assert record(runs, file) == 2
    assert record(runs[:1], file) == 2
    row = read_rows(file)[0]
    assert (row["mean_return"], row["seed"], row["loss"], row["protocol"]) == (
        "2",
        "0",
        "c51",
        "classic-control",
    )
    assert row["command"] == "catzoo train dqn --env CartPole-v1 --loss c51 --seed 0"


def test_the_command_says_what_differs():
    recipe = find_recipe("dqn", "CartPole-v1", "mse", [{"gamma": 0.9, "steps": 7, "seed": 2}])
    assert command_of(recipe) == (
        "catzoo train dqn --env CartPole-v1 --loss mse --steps 7 --seed 2 gamma=0.9"
    )


@pytest.mark.parametrize(
    "overrides",
    [
        ["gamma=0.9", "reward_clip=null", f"network.hidden={[512] * 40}", "compute.precision=bf16",
         "eval.epsilon=0.25", "eval.episodes=3", "env_options={a: b c}"],
        ["support=auto"],
        ["support=adaptive"],
    ],
    ids=lambda overrides: overrides[0],
)  # fmt: skip
def test_the_command_makes_the_recipe(overrides):
    recipe = find_recipe("dqn", "CartPole-v1", "hl_gauss", [parse_override(text) for text in overrides])
    said = parse(shlex.split(command_of(recipe))[1:])
    again = find_recipe(
        said.agent, said.env, said.loss, [parse_override(text) for text in said.overrides], said.preset
    )
    assert again == recipe


@pytest.mark.parametrize("agent", RECIPES)
def test_every_agent_has_a_command(agent):
    assert command_of(find_recipe(agent, "CartPole-v1")).startswith(f"catzoo train {agent} --env CartPole-v1")


def test_presets_are_other_runs(tmp_path):
    for preset in ("atari-100k", "atari-100k-resets"):
        run = made(tmp_path / preset, [1.0], "ALE/Pong-v5", None, agent="rainbow", preset=preset)
        rows = record([run.path], tmp_path / "scores.csv")
    assert rows == 2


def test_unfinished_runs_are_refused(tmp_path):
    run = made(tmp_path / "run", [])
    with pytest.raises(RecipeError, match=r"no result\.json"):
        record([run.path], tmp_path / "scores.csv")
