"""A study with Optuna's own functions on an agent of the zoo."""

from pathlib import Path

import optuna
import pytest

import catzoo
from catzoo.hparams import RecipeError
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.tuning import own_study
from studies_for_tests import TINY

SPACE = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def objective(folder, **settings):
    settings = {"steps": 200, "seeds": 2, "space": SPACE, "overrides": TINY, **settings}
    return catzoo.Objective("dqn", "CartPole-v1", folder=folder, **settings)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of two trials, the first of them the recipe as it is."""
    folder = tmp_path_factory.mktemp("studies") / "mine"
    what = objective(folder)
    made = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    made.enqueue_trial(what.defaults)
    made.optimize(what, n_trials=2)
    return folder, made


def test_a_trial_is_worth_the_mean_of_its_runs(study):
    folder, made = study
    first, second = made.trials
    assert first.params == {"optimizer.lr": 1e-3}
    for trial in (first, second):
        runs = [Run(path) for path in trial.user_attrs["runs"]]
        scores = [run.result()["mean_return"] for run in runs]
        assert trial.value == pytest.approx(sum(scores) / 2)
        assert list(trial.intermediate_values.values()) == scores
        assert [run.recipe().seed for run in runs] == [0, 1]
        assert {run.recipe().optimizer.lr for run in runs} == set(trial.params.values())
    assert not list(folder.rglob("checkpoints"))


def test_a_run_is_not_made_twice(study, monkeypatch):
    folder, made = study
    monkeypatch.setattr(own_study, "train_recipe", lambda *_: pytest.fail("a run began"))
    again = optuna.trial.FixedTrial(made.best_params)
    assert objective(folder)(again) == made.best_value
    assert again.user_attrs["runs"] == made.best_trial.user_attrs["runs"]


def test_the_recipe_of_values(study):
    folder, made = study
    recipe = objective(folder).recipe(made.best_params)
    (path, _) = made.best_trial.user_attrs["runs"]
    assert recipe == Run(path).recipe()
    assert objective(folder).recipe(made.best_params, "CartPole-v1") == recipe
    with pytest.raises(RecipeError, match="Acrobot-v1"):
        objective(folder).recipe(made.best_params, "Acrobot-v1")


def test_the_studys_pruner_ends_a_trial(tmp_path, monkeypatch):
    made = []

    def train_recipe(recipe, run):
        made.append(recipe.seed)
        return {"mean_return": -float(len(made)), "steps": recipe.steps}

    monkeypatch.setattr(own_study, "train_recipe", train_recipe)
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
    study.optimize(objective(tmp_path / "mine"), n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert made == [0, 1, 0]


def test_what_is_wrong_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(RecipeError, match="objective"):
        objective(tmp_path / "mine", objective="fastest")
    with pytest.raises(RecipeError, match="unknown key"):
        objective(tmp_path / "mine", space={"optimizer.rate": {"low": 1, "high": 2}})
    assert not Path(tmp_path / "mine").exists()
