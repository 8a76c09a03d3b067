"""One agent on a dataset of each game: found in any order, filled up, with actions that mean the same."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.datasets import find_datasets, folders_in
from catzoo.zoo.training.train import recipe_of, train
from datasets_for_tests import OFFLINE, damaged, swings
from positions_for_tests import written_positions
from tiny_runs_for_tests import tiny

TWO = "CartPole-v1+Acrobot-v1"
GAMES = "MinAtar/Breakout+MinAtar/Freeway"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of runs that recorded: of each of two tasks, and of both."""
    folder = tmp_path_factory.mktemp("runs")
    for name, env in (("cartpole", "CartPole-v1"), ("acrobot", "Acrobot-v1"), ("both", TWO)):
        tiny(folder / name, "record=1.0", env=env, steps=200)
    return folder


@pytest.fixture(scope="module")
def games(tmp_path_factory):
    """The same of two of MinAtar's games, and of one under all of MinAtar's actions."""
    pytest.importorskip("minatar")
    folder = tmp_path_factory.mktemp("games")
    more = ["record=1.0", "eval.episodes=1", "eval.share=0.1", "learning_starts=40"]
    for name, env, own in (
        ("breakout", "MinAtar/Breakout", []),
        ("freeway", "MinAtar/Freeway", []),
        ("all-actions", "MinAtar/Breakout", ["env_options={use_minimal_action_set: false}"]),
    ):
        tiny(folder / name, *more, *own, env=env, steps=80)
    return folder


def named(folder, names):
    """Names of runs, with + between them, as they are in a folder."""
    return "+".join(str(folder / name) for name in names.split("+"))


def recipe(env, folder, names, *more):
    return recipe_of("cql", env, overrides=[*OFFLINE, f"dataset={named(folder, names)}", *more])


def found(*args):
    own = recipe(*args)
    return find_datasets(own, protocol_of(own.env, own.env_options))


@pytest.mark.parametrize("names", ["breakout+freeway", "freeway+breakout"])
def test_in_any_order_they_are_the_games_and_their_actions_mean_the_same(games, names):
    work = build_trainer(recipe(GAMES, games, names, "batch_size=64", "bootstrap=sarsa"))
    batches, _ = work.feed.replay.sample(64, 4)
    assert batches.observation.shape == (4, 64, 10, 10, 7)
    breakout, freeway = (batches.at((slice(None), slice(first, None, 2))) for first in (0, 1))
    assert breakout.observation[..., 3].any()
    assert not breakout.observation[..., 4:].any()
    assert freeway.observation[..., 4:].any()
    for one, numbers in ((breakout, {0, 1, 3}), (freeway, {0, 2, 4})):
        assert set(one.action.unique().tolist()) == numbers
        assert set(one.next_action.unique().tolist()) == numbers
    work.iterate()
    work.close()


def test_what_was_recorded_under_all_actions_stays(games):
    breakout, freeway = found(GAMES, games, "all-actions+freeway")
    assert breakout.action_numbers is None
    assert breakout.num_actions == 6
    assert list(freeway.action_numbers) == [0, 2, 4]
    with pytest.raises(RecipeError, match="under another protocol: use_minimal_action_set 'False', not 'No"):
        found("MinAtar/Breakout", games, "all-actions")


def test_a_dataset_of_both_games_is_one_of_the_run(runs, tmp_path):
    (both,) = found(TWO, runs, "both")
    assert both.action_numbers is None
    train("cql", TWO, run_dir=tmp_path, steps=20, overrides=[*OFFLINE, f"dataset={runs / 'both'}"])


def test_a_run_has_a_score_for_each_game_and_goes_on_bit_for_bit(runs, tmp_path):
    own = [*OFFLINE, "checkpoint_every=50", f"dataset={named(runs, 'acrobot+cartpole')}"]
    result = train("cql", TWO, run_dir=tmp_path / "whole", steps=150, overrides=own)
    assert {game: score["episodes"] for game, score in result["games"].items()} == {
        "CartPole-v1": 2,
        "Acrobot-v1": 2,
    }
    for steps in (70, 150):
        train("cql", TWO, run_dir=tmp_path / "parts", steps=steps, overrides=own)
    whole, parts = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())


@pytest.mark.parametrize(
    ("env", "names", "more", "words"),
    [
        (TWO, "cartpole", [], "none is of Acrobot-v1: name one for each game, with + between two"),
        (TWO, "cartpole+cartpole", [], "cartpole: a second one of CartPole-v1"),
        (TWO, "cartpole+acrobot+cartpole", [], "cartpole: a second one of CartPole-v1"),
        (TWO, "both+cartpole", [], "both: it is of 'CartPole-v1+Acrobot-v1', not of CartPole-v1+Acrobot-v1"),
        (
            "CartPole-v1+MountainCar-v0",
            "acrobot+cartpole",
            [],
            "'Acrobot-v1', not of CartPole-v1+MountainCar",
        ),
        ("Acrobot-v1+CartPole-v1", "both", [], "it is of 'CartPole-v1+Acrobot-v1', not of Acrobot-v1+Cart"),
        (TWO, "cartpole+nowhere", [], "nowhere: no dataset there"),
        ("CartPole-v1", "cartpole+acrobot", [], "it is of 'Acrobot-v1', not of CartPole-v1"),
        (
            TWO,
            "cartpole+acrobot",
            ["env_options={max_episode_steps: 9}"],
            "protocol: max_episode_steps 'None'",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(runs, tmp_path, env, names, more, words):
    with pytest.raises(RecipeError) as error:
        train("cql", env, run_dir=tmp_path / "run",
              overrides=[*OFFLINE, *more, f"dataset={named(runs, names)}"])  # fmt: skip
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_game_with_other_actions_is_refused(games, tmp_path):
    copy = shutil.copytree(games / "breakout", tmp_path / "copy")
    damaged(copy, num_actions=4)
    with pytest.raises(RecipeError, match="copy: it has 4 actions, not 3"):
        found(GAMES, tmp_path, f"copy+{games / 'freeway'}")


def test_folders_with_a_plus_in_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a", "b", "a+b", "c++"):
        (tmp_path / name).mkdir()
    for names, folders in (
        ("a", ["a"]),
        ("a+b", ["a+b"]),
        ("b+a", ["b", "a"]),
        ("b+a+b", ["b", "a+b"]),
        ("c+++a", ["c++", "a"]),
        ("~/b+~/a", ["~/b", "~/a"]),
        ("no+where", ["no", "where"]),
        ("nul\0+" + "x" * 5000, ["nul\0", "x" * 5000]),
    ):
        assert folders_in(names) == folders


def test_several_tasks_with_continuous_actions_are_one_line(tmp_path):
    env = "Pendulum-v1+MountainCarContinuous-v0"
    for name in env.split("+"):
        swings(tmp_path / name, env=name)
    overrides = [f"dataset={named(tmp_path, env)}", "compute.device=cpu"]
    with pytest.raises(RecipeError, match="several datasets need an agent that learns discrete actions"):
        build_trainer(recipe_of("q_transformer", env, overrides=overrides))


def test_of_two_datasets_of_positions_none_is_left_out(tmp_path):
    for name in ("one", "two"):
        written_positions(tmp_path / name, 4)
    own = recipe_of("chess", "chess/random", overrides=[f"dataset={named(tmp_path, 'one+two')}"])
    with pytest.raises(RecipeError, match="chess learns from one dataset, and 2 are named"):
        find_datasets(own, protocol_of(own.env, own.env_options))


def test_continuous_actions_are_not_recorded(tmp_path):
    own = recipe_of("ppo", "Pendulum-v1", overrides=["record=0.5", "compute.device=cpu"])
    with pytest.raises(RecipeError, match=r"record=0\.5: Pendulum-v1 has continuous .* `catzoo data robots`"):
        build_trainer(own, dataset=tmp_path / "data")
