"""A study from the command to the recipe that it found, with its runs in this process."""

import json
import os
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.cli.main import parse
from catzoo.zoo.folders.recipe_sources import read_source, recipes_from
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.folders.study_folder import StudyFolder
from catzoo.zoo.launch import processes
from catzoo.zoo.statistics.normalisation import Scale, scale_of, scales
from catzoo.zoo.system.file_locks import held_path
from catzoo.zoo.training.train import train
from catzoo.zoo.tuning import study_plan
from catzoo.zoo.tuning.confirmation import verdict
from catzoo.zoo.tuning.objective import run_score, trial_score
from catzoo.zoo.tuning.tune import _closing, tune
from faults.runs_for_tests import assert_same_weights
from jobs_for_tests import jobs_here
from studies_for_tests import TINY, TINY_STUDY, numbers

WHOLE = TINY_STUDY | {"loss": "hl_gauss", "trials": 4, "confirm": 2}
"""Of the finished study that tests share."""


@pytest.fixture(scope="module", autouse=True)
def _here():
    with jobs_here():
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study, made in one go."""
    folder = tmp_path_factory.mktemp("studies") / "whole"
    return StudyFolder(folder), tune("dqn", "CartPole-v1", study_dir=folder, **WHOLE)


def test_what_comes_out(study):
    folder, found = study
    rows = numbers(folder.path)
    assert sorted(rows) == list(range(4)) == list(range(found["trials"]))
    best = max((float(row["value"]), -number) for number, row in rows.items() if row["state"] == "complete")
    assert (found["best"]["value"], found["best"]["number"]) == (pytest.approx(best[0], rel=1e-5), -best[1])
    assert found["default"]["value"] == pytest.approx(np.mean(found["default"]["seeds"]))
    assert float(rows[0]["optimizer.lr"]) == 1e-3
    stamp = yaml.safe_load(folder.best.read_text())["catzoo"]["study"]
    assert (stamp["trial"], stamp["trials"]) == (found["best"]["number"], 4)
    assert {path.stem for path in folder.pictures.iterdir()} >= {"history", "slices", "bins_and_sigma"}
    assert not list(folder.trials.rglob("checkpoints"))
    assert found["verdict"]["words"] == json.loads(folder.verdict.read_text())["words"]


def test_the_same_command_does_nothing_twice(study, monkeypatch):
    folder, found = study
    monkeypatch.setattr(processes, "start", lambda *_: pytest.fail("a run began"))
    assert tune("dqn", "CartPole-v1", study_dir=folder.path, **WHOLE) == found


def test_a_trial_can_be_trained_again_bit_for_bit(study, tmp_path):
    folder, found = study
    number = found["best"]["number"]
    for source, trial in ((folder.best, number), (f"{folder.path}:0", 0), (f"{folder.path}:3", 3)):
        run = Run(tmp_path / f"{trial}-{Path(str(source)).suffix}")
        result = train(source=source, run_dir=run.path)
        there = Run(folder.trial(trial) / f"{trial:04d}-CartPole-v1-s0")
        assert result["returns"] == there.result()["returns"]
        assert run.episodes.read_bytes() == there.episodes.read_bytes()
        assert_same_weights(run.path, there.path)


def test_another_seed_of_it(study):
    folder, _ = study
    (own,) = read_source(f"{folder.path}:2")
    (asked,) = recipes_from(folder.path / "trials/0002/0002-CartPole-v1-s0", said=[{"seed": 9}])
    assert (own.suffix, own.recipe.seed, asked.recipe.seed) == ("-trial2", 0, 9)
    assert own.recipe.optimizer == asked.recipe.optimizer


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"objective": "auc"}, "objective is final, asked for auc"),
        ({"seeds": 3}, "seeds is"),
        ({"space": "bins"}, "space.optimizer.lr"),
        ({"overrides": [*TINY, "gamma=0.9"]}, "overrides.gamma is not set, asked for 0.9; choose"),
        ({"loss": "mse"}, "loss is hl_gauss, asked for mse"),
        ({"steps": 500}, "another study: steps is 400, asked for 500; choose"),
        ({"sampler": "tpee"}, "unknown sampler 'tpee': .*; did you mean tpe"),
        ({"sampler": "random"}, "sampler is tpe"),
    ],
)
def test_a_study_of_other_settings_is_refused(study, how, words):
    before = study[0].settings_file.read_bytes()
    with pytest.raises(RecipeError, match=words):
        tune("dqn", "CartPole-v1", study_dir=study[0].path, **WHOLE | how)
    assert study[0].settings_file.read_bytes() == before


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"objective": "finall"}, "did you mean final"),
        ({"aggregate": "median"}, "must be one of mean, iqm"),
        ({"sampler": "tpee"}, "did you mean tpe"),
        ({"pruner": "wilcoxn"}, "did you mean wilcoxon"),
        ({"space": "bin"}, "did you mean bins"),
        ({"space": {}}, "nothing to vary"),
        ({"space": "x" * 300}, "longer than 240 bytes"),
        ({"study_dir": "y" * 300}, "longer than 240 bytes"),
        ({"out": "z" * 300}, "longer than 240 bytes"),
        ({"objective": "best", "overrides": ["eval.every=0"]}, "eval.every=0 of 400 steps on CartPole-v1"),
        ({"objective": "best"}, "there is one: set eval.every=40, or take final"),
        ({"trials": 0}, "trials=0: must be at least 1"),
        ({"overrides": ["seed=3"]}, "seed is not an override of a study"),
        ({"storage": "/nowhere/at/all/journal"}, "cannot be used"),
        ({"overrides": ["num_env=3"]}, "did you mean num_envs"),
        ({"out": "/"}, "is a folder: name a file"),
        ({"out": "/dev/null/best.yaml"}, "cannot be written: "),
    ],
)
def test_what_is_refused_before_anything_is_trained(how, words, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "start", lambda *_: pytest.fail("a run began"))
    monkeypatch.setattr("catzoo.zoo.tuning.tune.check_jobs", lambda *_: None)
    asked = {"loss": "hl_gauss", "trials": 2, "study_dir": tmp_path / "new" / "study", **TINY_STUDY, **how}
    with pytest.raises(RecipeError, match=words) as error:
        tune("dqn", "CartPole-v1", **asked)
    assert "\n" not in str(error.value)
    StudyFolder(tmp_path / "new" / "study").check({})  # the right command finds no study
    assert not list(tmp_path.iterdir())


def test_a_study_of_a_recipe_that_has_changed_is_refused(study, monkeypatch):
    def other(agent, env, loss, said, preset):
        return find_recipe(agent, env, loss, [{"target_update_every": 7}, *said], preset)

    monkeypatch.setattr("catzoo.zoo.tuning.study_plan.find_recipe", other)
    with pytest.raises(RecipeError, match=r"target_update_every is 50, asked for 7"):
        tune("dqn", "CartPole-v1", study_dir=study[0].path, **WHOLE)


def test_runs_of_a_study_in_another_storage_are_not_taken_for_its_own(study, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(study[0].path, folder)
    (folder / "study.journal").unlink()
    with pytest.raises(RecipeError, match="its runs are of a study that is not in"):
        tune("dqn", "CartPole-v1", study_dir=folder, **WHOLE)


def test_a_study_goes_on_with_other_threads_and_says_what_the_space_varies(study, tmp_path):
    folder, lines = tmp_path / "whole", []
    shutil.copytree(study[0].path, folder)
    again = WHOLE | {"overrides": [*TINY, "compute.threads=2"]}
    assert tune("dqn", "CartPole-v1", study_dir=folder, **again)["best"] == study[1]["best"]
    pinned = WHOLE | {
        "overrides": [*TINY, "optimizer.lr=2e-3"],
        "trials": 1,
        "confirm": 0,
        "progress": lines.append,
    }
    tune("dqn", "CartPole-v1", study_dir=tmp_path / "other", **pinned)
    assert "optimizer.lr: as said in trial 0 alone, as the space varies it" in lines


def test_a_journal_elsewhere_serves_one_process_at_a_time(tmp_path):
    journal = tmp_path / "shared.journal"
    journal.touch()
    asked = TINY_STUDY | {"loss": "mse", "trials": 1, "storage": journal}
    with (
        held_path(journal, "tuning with this journal"),
        pytest.raises(RecipeError, match=r"shared\.journal: another process is tuning with this journal"),
    ):
        tune("dqn", "CartPole-v1", study_dir=tmp_path / "study", **asked)


def test_a_source_without_recipes_is_refused(tmp_path):
    (tmp_path / "best.yaml").write_text("recipes: []\n")
    with pytest.raises(RecipeError, match="recipes"):
        read_source(tmp_path / "best.yaml")


def test_environments_without_a_common_scale_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="MountainCar-v0: no random and reference score"):
        tune("dqn", "CartPole-v1,MountainCar-v0", study_dir=tmp_path / "study", **TINY_STUDY)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes").touch()
    with pytest.raises(RecipeError, match="is not a study"):
        tune("dqn", "CartPole-v1", study_dir=tmp_path, **TINY_STUDY)


def test_a_trial_whose_objective_is_not_a_number_fails_alone(tmp_path, monkeypatch):
    def score(run, result, objective):
        if run.path.name == "0001-CartPole-v1-s0":
            raise ValueError("final is nan")
        return run_score(run, result, objective)

    monkeypatch.setattr(study_plan, "run_score", score)
    found = tune(
        "dqn", "CartPole-v1", loss="mse", trials=3, study_dir=tmp_path / "s", **TINY_STUDY | {"seeds": 1}
    )
    rows = numbers(tmp_path / "s")
    assert [rows[number]["state"] for number in range(3)] == ["complete", "failed", "complete"]
    assert "final is nan" in rows[1]["error"]
    assert found["best"]["number"] != 1


def test_several_environments_are_put_on_one_scale(tmp_path):
    found = tune(
        "dqn", "CartPole-v1,Acrobot-v1", loss="mse", trials=1, study_dir=tmp_path / "s", **TINY_STUDY
    )
    expected = []
    for seed in (0, 1):
        for env in ("CartPole-v1", "Acrobot-v1"):
            result = Run(tmp_path / f"s/trials/0000/0000-{env}-s{seed}").result()
            expected.append(scale_of(env)(result["mean_return"]))
    assert found["best"]["value"] == pytest.approx(np.mean(expected))
    assert [one.recipe.env for one in read_source(tmp_path / "s" / "best.yaml")] == [
        "CartPole-v1",
        "Acrobot-v1",
    ]
    with pytest.raises(RecipeError, match="name one with --env"):
        train(source=tmp_path / "s" / "best.yaml")


def test_no_environment_is_imported_for_a_strangers_recipe(study, tmp_path):
    content = yaml.safe_load(study[0].best.read_text())
    content["env"] = "some_package:Env-v0"
    (tmp_path / "best.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RecipeError, match="imports some_package: if you know it, name the environment"):
        train(source=tmp_path / "best.yaml")
    with pytest.raises(RecipeError, match="its loss is hl_gauss, not mse"):
        train(source=study[0].best, loss="mse")
    with pytest.raises(RecipeError, match="no trial 77: it has 0 to 3"):
        train(source=f"{study[0].path}:77")


def test_a_verdict():
    low, high = [[1.0], [2.0], [3.1]], [[10.0], [11.0], [12.0]]
    assert "it held" in verdict(high, low, "mean")["words"]
    assert "not decided" in verdict([[10.0], [1.0]], [[2.0], [5.0]], "mean")["words"]
    assert "a loss" in verdict(low, high, "mean")["words"]
    assert verdict([[2.0]], [[1.0]], "mean")["interval_95"] is None


def test_a_verdict_is_in_the_studys_own_aggregate():
    best = [[1.0, 3.0], [2.0, 4.0], [3.0, 100.0]]
    default = [[0.0, 1.0], [1.0, 2.0], [2.0, 1.5]]
    found = verdict(best, default, "iqm")
    assert found["gain"] == pytest.approx(trial_score(best, "iqm") - trial_score(default, "iqm"))
    low, high = found["interval_95"]
    assert low < found["gain"] < high
    assert found["gain"] < 2  # the outlier is trimmed
    assert found["best"] == [2.0, 3.0, 51.5]


def test_a_trials_score():
    assert trial_score([[1.0], [2.0], [6.0]], "mean") == 3
    assert trial_score([[0.0], [1.0], [2.0], [100.0]], "iqm") == 1.5


def test_scales():
    assert Scale(-10, 10)(0) == 0.5
    assert all(scale.reference > scale.random for scale in scales().values())
    assert sum(env.startswith("ALE/") for env in scales()) == 57


def test_the_best_of_several_environments_is_trained_by_the_command_in_the_end(tmp_path):
    folder, plan = StudyFolder(tmp_path), SimpleNamespace(recipes={"CartPole-v1": None, "Acrobot-v1": None})
    lines = _closing(plan, folder, None, None, str(folder.journal)).splitlines()[1:3]
    assert [parse(shlex.split(line.split("   ")[0])[1:]).seeds for line in lines] == [1, 1]


@pytest.mark.parametrize("env", ["CartPole-v1", "my_package:MyEnv-v0"])
@pytest.mark.parametrize("name", ["my study", "-x", "it's [b] $HOME:7"])
def test_the_commands_in_the_end_can_be_pasted(name, env, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, plan = StudyFolder(f"./{name}"), SimpleNamespace(recipes={env: None})
    _, *lines = _closing(plan, folder, None, None, str(folder.journal)).splitlines()
    best, trial, dashboard = (shlex.split(line.split("   ")[0]) for line in lines)
    assert parse(best[1:]).source == os.path.join("./" * name.startswith("-") + name, "best.yaml")
    assert os.path.normpath(parse(trial[1:]).source) == f"{name}:0"
    # What the file would import has to be named.
    assert parse(best[1:]).env == parse(trial[1:]).env == (env if ":" in env else None)
    assert list(map(os.path.normpath, parse(dashboard[1:]).folders)) == [str(folder.journal)]
