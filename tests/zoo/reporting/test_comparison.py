"""What a report compares: groups that are the same on every environment, nothing mixed, nothing silent."""

import shutil

import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.reporting.comparison import compare_runs
from catzoo.zoo.reporting.finished_runs import named
from runs_for_tests import made


def labels(folder):
    return [group.label for group in compare_runs(folder).groups]


def test_groups_are_in_the_zoos_order_and_runs_in_that_of_seeds(tmp_path):
    for number, (agent, loss, seed) in enumerate(
        [("rainbow", "c51", 0), ("dqn", "hl_gauss", 2), ("dqn", "mse", 0), ("dqn", "hl_gauss", 1)]
    ):
        made(tmp_path / str(number), [1.0], loss=loss, agent=agent, seed=seed)
    comparison = compare_runs(tmp_path)
    assert [group.label for group in comparison.groups] == ["DQN · MSE", "DQN · HL-Gauss", "Rainbow · C51"]
    assert (comparison.envs, comparison.protocol) == (["CartPole-v1"], "classic-control")
    assert comparison.steps == {"CartPole-v1": 100_000}
    runs = comparison.runs[comparison.groups[1], "CartPole-v1"]
    assert [run.path.name for run, _ in runs] == ["3", "1"]
    assert len(comparison.everyone()) == 4


def test_a_recipe_has_one_name_on_every_environment(tmp_path):
    """Against each environment's own recipe, whose learning rates differ."""
    for env in ("ALE/Pong-v5", "ALE/Qbert-v5"):
        for name, changes in (("own", {}), ("other", {"optimizer": {"lr": 0.01}})):
            made(tmp_path / env[4:] / name, [1.0], env, "mse", **changes)
    # Nothing varies on this one, and still it belongs to the second group.
    made(tmp_path / "third", [1.0], "ALE/Boxing-v5", "mse", optimizer={"lr": 0.01})
    comparison = compare_runs(tmp_path)
    own, other = comparison.groups
    assert (own.label, other.label) == ("DQN · MSE", "DQN · MSE, optimizer.lr=0.01")
    assert (own, "ALE/Boxing-v5") not in comparison.runs
    assert len(comparison.runs) == 5


def test_changes_on_one_environment_alone_are_no_secret(tmp_path):
    made(tmp_path / "one", [1.0], "CartPole-v1", "mse")
    made(tmp_path / "other", [1.0], "Acrobot-v1", "mse", optimizer={"lr": 0.5})
    assert labels(tmp_path) == ["DQN · MSE", "DQN · MSE, optimizer.lr=0.5"]


def test_changes_on_every_environment_alike_need_no_name(tmp_path):
    for env in ("CartPole-v1", "Acrobot-v1"):
        made(tmp_path / env, [1.0], env, "mse", optimizer={"lr": 0.5})
    assert labels(tmp_path) == ["DQN · MSE"]


def test_a_value_that_is_the_zoos_on_one_environment_and_not_on_another_splits_no_group(tmp_path):
    rate = find_recipe("dqn", "CartPole-v1", "hl_gauss").optimizer.lr
    assert rate != find_recipe("dqn", "Acrobot-v1", "hl_gauss").optimizer.lr
    for env in ("CartPole-v1", "Acrobot-v1"):
        made(tmp_path / env, [1.0], env, "hl_gauss", optimizer={"lr": rate})
    assert labels(tmp_path) == ["DQN · HL-Gauss"]


def test_two_names_of_one_game_are_one_environment(tmp_path):
    for seed, env in enumerate(("MinAtar/Breakout", "MinAtar/Breakout-v1")):
        made(tmp_path / str(seed), [1.0], env, "mse", seed=seed)
    comparison = compare_runs(tmp_path)
    assert comparison.envs == ["MinAtar/Breakout-v1"]
    assert len(comparison.groups) == 1
    assert len(comparison.everyone()) == 2


def test_presets_are_named_without_all_that_they_set(tmp_path):
    for preset in ("atari-100k", "atari-100k-resets"):
        made(tmp_path / preset, [1.0], "ALE/Pong-v5", "c51", agent="rainbow", preset=preset)
    assert labels(tmp_path) == ["Rainbow · C51, preset atari-100k", "Rainbow · C51, preset atari-100k-resets"]


def test_long_names_are_numbered(tmp_path):
    made(tmp_path / "own", [1.0])
    made(tmp_path / "other", [1.0], gamma=0.9, n_step=7, batch_size=64, optimizer={"lr": 0.5})
    comparison = compare_runs(tmp_path)
    assert [group.label for group in comparison.groups] == ["DQN · C51", "DQN · C51, recipe 1"]
    assert comparison.groups[1].recipe == "batch_size=64 gamma=0.9 n_step=7 optimizer.lr=0.5"


def test_recipes_that_differ_late_in_a_long_value_are_apart(tmp_path):
    for name, last in (("one", 64), ("other", 65)):
        made(tmp_path / name, [1.0], network={"hidden": [512] * 40 + [last]})
    comparison = compare_runs(tmp_path)
    assert [len(runs) for runs in comparison.runs.values()] == [1, 1]
    assert [group.label for group in comparison.groups] == ["DQN · C51, recipe 1", "DQN · C51, recipe 2"]


def test_what_does_not_count_is_named(tmp_path):
    made(tmp_path / "a", [1.0])
    made(tmp_path / "b", [], seed=1)
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    comparison = compare_runs(tmp_path)
    assert comparison.unfinished == [tmp_path / "b"]
    assert comparison.copies == [tmp_path / "c"]
    assert len(comparison.everyone()) == 1


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({}, {"env": "MinAtar/Breakout"}, ["one is classic-control", "other is minatar-sticky"]),
        ({}, {"steps": 7}, ["lengths on CartPole-v1", "one has 100,000 steps", "other has 7"]),
        (
            {"env": "ALE/Pong-v5"},
            {"env": "ALE/Pong-v5", "env_options": {"repeat_action_probability": 0.1}},
            ["on ALE/Pong-v5", "repeat_action_probability is 0.25 in", "0.1 in"],
        ),
        (
            {"env": "ALE/Pong-v5"},
            {"env": "ALE/Qbert-v5", "env_options": {"repeat_action_probability": 0.0}},
            ["one is atari-sticky", "other is atari-deterministic"],
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(one, other, words, tmp_path):
    for name, about in (("one", one), ("other", other)):
        made(tmp_path / name, [1.0], seed=1, **about)
    with pytest.raises(RecipeError) as refusal:
        compare_runs([tmp_path / "one", tmp_path / "other"])
    said = str(refusal.value)
    assert all(word in said for word in (*words, str(tmp_path / "one"), str(tmp_path / "other")))
    assert "\n" not in said


def test_other_lengths_on_other_environments_are_fine(tmp_path):
    made(tmp_path / "a", [1.0], steps=7)
    made(tmp_path / "b", [1.0], "Acrobot-v1", steps=8)
    assert compare_runs(tmp_path).steps == {"Acrobot-v1": 8, "CartPole-v1": 7}


def test_nothing_finished(tmp_path):
    for seed in range(7):
        made(tmp_path / str(seed), [], seed=seed)
    with pytest.raises(RecipeError, match=r"no run is finished: .*0, .*4 and 2 more"):
        compare_runs(tmp_path)


def test_a_loss_that_only_its_author_has(tmp_path):
    """Its recipe cannot be built here; its scores can be compared all the same."""
    for seed in range(2):
        run = made(tmp_path / str(seed), [1.0], loss="mse", seed=seed)
        text = run.recipe_file.read_text()
        run.recipe_file.write_text(text.replace("name: mse", "name: my_loss"))
        run.save_result({**run.result(), "loss": "my_loss"})
    with pytest.raises(RecipeError):
        Run(tmp_path / "0").recipe()
    assert labels(tmp_path) == ["DQN · my_loss"]


def test_names():
    assert named(range(3)) == "0, 1, 2"
    assert named(range(9), most=2) == "0, 1 and 7 more"
