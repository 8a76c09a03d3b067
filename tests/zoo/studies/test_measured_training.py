"""Training that is measured on the way: bit for bit the same, however often it is interrupted."""

import dataclasses
import sys

import gymnasium as gym
import pytest
import torch
from gymnasium.wrappers import TransformReward

from catzoo.agents import AtWork
from catzoo.agents.collecting.simulators import simulator_state
from catzoo.zoo.environments.making import make_env
from catzoo.zoo.studies import measured_training as module
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.training_tasks import ON_ONE_THREAD
from catzoo.zoo.training.train import recipe_of

SMALL = {"num_envs": 10, "learning_starts": 50, "batch_size": 16}


def small_recipe():
    return recipe_of("dqn", "CartPole-v1", loss="hl_gauss", steps=400, overrides=[ON_ONE_THREAD, SMALL])


def weights(step, work):
    return [{"weights": float(sum(part.double().abs().sum() for part in work.agent.parameters()))}]


class KilledError(Exception):
    """In the place of a kill."""


def killed_at(kill, measure, folder, iterate=AtWork.iterate):
    """Trains up to a step, and dies there."""

    def iterate_or_die(work):
        if work.steps >= kill:
            raise KilledError
        iterate(work)

    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(AtWork, "iterate", iterate_or_die)
        with pytest.raises(KilledError):
            measured_training(small_recipe(), 4, measure, folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return measured_training(small_recipe(), 4, weights, tmp_path_factory.mktemp("whole"))


def test_steps_are_even_and_the_last_is_the_end(whole, tmp_path):
    assert [row["step"] for row in whole] == [100, 200, 300, 400]
    assert len({row["weights"] for row in whole}) == 4


@pytest.mark.parametrize("kills", [[250], [100], [150, 350]])
def test_killed_it_goes_on_and_gives_the_same_rows(whole, kills, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)
    measured_at = []

    def measure(step, work):
        measured_at.append(step)
        return weights(step, work)

    for kill in kills:
        killed_at(kill, measure, tmp_path)
    assert (tmp_path / "checkpoints").is_dir()
    assert measured_training(small_recipe(), 4, measure, tmp_path) == whole
    again = [step for step in set(measured_at) if measured_at.count(step) > 1]
    assert len(again) <= len(kills), "only what came after the last checkpoint is measured again"


def test_short_training_writes_no_checkpoints(tmp_path):
    measured_training(
        small_recipe(), 1, lambda step, work: [{"files": len(list(tmp_path.iterdir()))}], tmp_path
    )
    assert not list(tmp_path.iterdir())


def test_with_a_checkpoint_that_cannot_be_read_it_begins_again(whole, tmp_path):
    (tmp_path / "checkpoints/step-000000000100").mkdir(parents=True)
    assert measured_training(small_recipe(), 4, weights, tmp_path) == whole


class Unknown(gym.Wrapper):
    """What an environment hides of itself."""


@pytest.mark.parametrize("known", [True, False])
def test_rows_do_not_depend_on_kills_where_episodes_cannot_be_saved(known, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)

    def make():
        env = TransformReward(gym.make("CartPole-v1"), lambda reward: 2 * reward)
        return env if known else Unknown(env)

    gym.register("Doubled-v0", entry_point=make, disable_env_checker=True)
    try:
        assert (simulator_state(make_env("Doubled-v0", 1)) is not None) == known
        recipe = dataclasses.replace(small_recipe(), env="Doubled-v0")
        monkeypatch.setattr(sys.modules[__name__], "small_recipe", lambda: recipe)
        whole = measured_training(recipe, 4, weights, tmp_path / "whole")
        killed_at(250, weights, tmp_path / "cut")
        assert measured_training(recipe, 4, weights, tmp_path / "cut") == whole
    finally:
        del gym.registry["Doubled-v0"]


def test_a_measurement_that_draws_random_numbers_goes_on_as_well(tmp_path, monkeypatch):
    """A checkpoint has the streams of after the measurement, in which the training goes on."""
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)

    def measure(step, work):
        return [*weights(step, work), {"drawn": float(torch.rand(()))}]

    whole = measured_training(small_recipe(), 4, measure, tmp_path / "whole")
    killed_at(350, measure, tmp_path / "cut")
    assert measured_training(small_recipe(), 4, measure, tmp_path / "cut") == whole
