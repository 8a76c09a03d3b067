"""Studies in trouble: full disks, storages that stop answering, spaces without a recipe, half a folder."""

import json

import pytest
import yaml
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import OperationalError

from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.folders.recipe_sources import read_source, recipes_from
from catzoo.zoo.folders.run_recipe import stamped
from catzoo.zoo.folders.study_folder import StudyFolder
from catzoo.zoo.launch import processes
from catzoo.zoo.launch.jobs import PYTHON
from catzoo.zoo.system.csv_rows import read_rows
from catzoo.zoo.system.exit_status import NO_ROOM
from catzoo.zoo.tuning.confirmation import standing_verdict
from catzoo.zoo.tuning.outcome import _best_protocols
from catzoo.zoo.tuning.study_plan import make_plan
from catzoo.zoo.tuning.tune import tune
from catzoo.zoo.tuning.tuning_pictures import _history
from jobs_for_tests import checks_here, jobs_here

TINY = {
    "steps": 300, "seeds": 1, "confirm": 0, "progress": None, "loss": "mse", "trials": 1,
    "overrides": [
        "num_envs=4", "rollout_length=4", "batch_size=8", "network.hidden=[16]", "log_every=100",
        "learning_starts=60", "replay.capacity=300", "eval.episodes=2",
    ],
}  # fmt: skip

HOW = {
    "preset": None, "steps": 300, "seeds": 1, "seed": 0, "space": None, "sampler": "tpe",
    "pruner": "none", "objective": "final", "aggregate": "mean", "overrides": [],
}  # fmt: skip
"""Of a plan."""


def states(folder):
    return [row["state"] for row in read_rows(folder / "trials.csv")]


def test_a_full_disk_ends_the_command_and_no_trial(tmp_path, monkeypatch):
    folder = tmp_path / "study"
    command = (
        f"import sys; print('catzoo: error: run: cannot be written: No space left'); sys.exit({NO_ROOM})"
    )
    with checks_here(), monkeypatch.context() as full:
        full.setattr("catzoo.zoo.launch.jobs.COMMAND", [*PYTHON[:1], "-c", command])
        with pytest.raises(
            RecipeError, match="trial 0: exit status 75: run: cannot be written: No space left"
        ):
            tune("dqn", "CartPole-v1", study_dir=folder, **TINY)
    with jobs_here():
        tune("dqn", "CartPole-v1", study_dir=folder, **TINY)
    assert states(folder) == ["complete"]


def test_a_log_that_cannot_be_written_ends_the_command_and_no_trial(tmp_path, monkeypatch):
    folder = tmp_path / "study"
    with checks_here(), monkeypatch.context() as full:
        full.setattr(
            processes, "start", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left", "log"))
        )
        with pytest.raises(
            RecipeError, match="log: cannot be written: No space left; the same command goes on"
        ):
            tune("dqn", "CartPole-v1", study_dir=folder, **TINY)
    with jobs_here():
        tune("dqn", "CartPole-v1", study_dir=folder, **TINY)
    assert states(folder) == ["complete"]


def test_a_storage_that_stops_answering_is_one_line(tmp_path, monkeypatch):
    asked = TINY | {"storage": f"sqlite:///{tmp_path / 'study.db'}", "study_dir": tmp_path / "study"}

    def lost(*_, **__):
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"))

    with jobs_here(), monkeypatch.context() as away:
        away.setattr("catzoo.hparams.tuning.optuna_study.Trials.end", lost)
        with pytest.raises(
            RecipeError, match=r"study\.db: answers no more: server closed the connection; the same"
        ):
            tune("dqn", "CartPole-v1", **asked)
    with jobs_here():
        tune("dqn", "CartPole-v1", **asked)
    assert states(tmp_path / "study") == ["complete"]


@pytest.mark.parametrize("left", ["study.journal", "study.yaml.tmp", "place.tmp", "study.journal.lock"])
def test_a_folder_that_was_killed_before_it_was_a_study_serves(left, tmp_path):
    (tmp_path / left).touch()
    StudyFolder(tmp_path).check({"trials": 1})


@pytest.mark.parametrize(
    ("agent", "space", "words"),
    [
        ("dqn", {"cql_weight": {"low": 0.1, "high": 1.0}}, "cql_weight does not apply to dqn"),
        ("pqn", {"n_step": {"low": 1, "high": 5}}, "n_step does not apply to pqn"),
        (
            "dqn",
            {"value_loss.v_max": {"low": -100, "high": -50}},
            r"value_loss.v_max=-100 is never possible: .*v_max=-100 \(the space\)",
        ),
        (
            "dqn",
            {"value_loss.v_max": {"low": -0.5, "high": 0.5, "of": "recipe"}},
            r"value_loss.v_max=-60 is never possible: .*v_max=-60 \(the space\)",
        ),
    ],
)
def test_spaces_that_make_no_recipe_are_refused(agent, space, words, tmp_path):
    asked = TINY | {"loss": "c51", "space": space, "overrides": [], "study_dir": tmp_path / "study"}
    with pytest.raises(RecipeError, match=words) as error:
        tune(agent, "CartPole-v1", **asked)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "study").exists()


def test_a_verdict_stands_while_its_trial_is_the_best(tmp_path):
    folder = StudyFolder(tmp_path)
    assert standing_verdict(folder, 3) is None
    folder.verdict.write_text(json.dumps({"trial": 3, "words": "it held"}))
    assert standing_verdict(folder, 3) == {"trial": 3, "words": "it held"}
    assert standing_verdict(folder, 4) is None
    assert not folder.verdict.exists()


def test_runs_of_another_storages_study_are_not_published(tmp_path):
    plan = make_plan("dqn", "CartPole-v1", loss="mse", **HOW)
    folder = StudyFolder(tmp_path)
    folder.save(plan.settings())
    (job,) = plan.jobs(folder.trial(1), 1, {"optimizer.lr": 1e-4})
    job.run.path.mkdir(parents=True)
    stamp = {"catzoo": {**stamped(job.recipe)["catzoo"], "versions": "of the run"}}
    job.run.recipe_file.write_text(yaml.safe_dump({**stamped(job.recipe), **stamp}))

    def published(lr):
        found = {"best": {"number": 1, "params": {"optimizer.lr": lr}}}
        (protocol,) = _best_protocols(plan, found, folder)
        return protocol["optimizer"]["lr"], protocol["catzoo"]["versions"] == "of the run"

    assert published(1e-4) == (1e-4, True)
    assert published(2e-3) == (2e-3, False)


def test_a_best_trial_half_of_whose_runs_are_gone_is_published(tmp_path):
    plan = make_plan("dqn", "MinAtar/Breakout,MinAtar/Asterix", loss="mse", **HOW)
    folder = StudyFolder(tmp_path)
    folder.save(plan.settings())
    first, _ = plan.jobs(folder.trial(1), 1, {"optimizer.lr": 1e-4})
    first.run.path.mkdir(parents=True)
    first.run.recipe_file.write_text(yaml.safe_dump(stamped(first.recipe)))
    found = {"best": {"number": 1, "params": {"optimizer.lr": 1e-4}}}
    assert [one["env"] for one in _best_protocols(plan, found, folder)] == list(plan.recipes)


def test_the_history_counts_trials_that_were_pruned_in_mid_run():
    plan = make_plan("dqn", "CartPole-v1", loss="mse", **HOW)
    ended = {"user_attrs": {"pruned": True}}
    kinds = [(1.0, {}), (0.5, ended), (None, ended), (None, ended)]
    trials = []
    for number, (value, more) in enumerate(kinds):
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        trials.append(create_trial(state=state, value=value, **more))
        trials[-1].number = number
    (axes,) = _history(plan, trials).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "complete (1)", "pruned (1)", "pruned in mid-run (2)", "best so far", "default"
    ]  # fmt: skip


SEVERAL = ("MinAtar/Breakout", "MinAtar/Asterix", "CartPole-v1")


@pytest.mark.parametrize(
    ("env", "picked"),
    [
        (None, SEVERAL),
        ("CartPole-v1", SEVERAL[2:]),
        ("MinAtar/Asterix-v1,MinAtar/Breakout", SEVERAL[:2]),
        ("minatar-5", SEVERAL[:2]),
        ("MinAtar/B*", SEVERAL[:1]),
    ],
)
def test_environments_of_a_file_are_picked_by_id_set_and_pattern(env, picked, tmp_path):
    file = several(tmp_path)
    assert tuple(one.recipe.env for one in recipes_from(file, env=env)) == picked


def several(folder):
    recipes = [stamped(find_recipe("dqn", env, "mse")) for env in SEVERAL]
    content = {"catzoo": recipes[0]["catzoo"], "recipes": [{**one} for one in recipes]}
    for one in content["recipes"]:
        del one["catzoo"]
    (folder / "best.yaml").write_text(yaml.safe_dump(content))
    return folder / "best.yaml"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"env": "CartPole-v1,CartPole-v9"}, "CartPole-v9"),
        ({"env": "CartPole-v1,Acrobot-v1"}, "not for Acrobot-v1"),
        ({"said": [{"q_lambda": 0.5}]}, "q_lambda does not apply to dqn"),
    ],
)
def test_what_a_file_has_not_is_refused(how, words, tmp_path):
    with pytest.raises(RecipeError, match=words):
        recipes_from(several(tmp_path), **how)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x" * 300, "a name in it is longer than 240 bytes"),
        ("x" * 300 + ":1", "a name in it is longer than 240 bytes"),
        ("nowhere:1", "not a study"),
        ("study:1", "trial 1 was ended before a run of it began"),
        ("study:2", "no trial 2: it has 0 to 0"),
        ("study", r"a study: name its .*study/best.yaml, or a trial as .*study:NUMBER"),
        ("space.yaml", "neither a run's recipe.yaml nor a study's best.yaml"),
        ("empty.yaml", "empty: keys were expected"),
    ],
)
def test_sources_without_a_recipe(source, words, tmp_path):
    folder = StudyFolder(tmp_path / "study")
    (folder.trial(0) / "run").mkdir(parents=True)
    (folder.trial(0) / "run" / "recipe.yaml").touch()
    folder.trial(1).mkdir()
    folder.save({})
    (tmp_path / "space.yaml").write_text("optimizer.lr: {low: 1.0e-4, high: 1.0e-2}\n")
    (tmp_path / "empty.yaml").touch()
    with pytest.raises(RecipeError, match=words):
        read_source(tmp_path / source)


OWN = "agent: rainbow\nenv: CartPole-v1\nsteps: 3_000\nvalue_loss: {name: mse}\n"


def test_a_file_of_ones_own_is_the_zoos_recipe_but_for_what_it_says(tmp_path):
    (tmp_path / "mine.yaml").write_text(OWN)
    (one,) = recipes_from(tmp_path / "mine.yaml", said=[{"seed": 4}])
    assert one.recipe == find_recipe("rainbow", "CartPole-v1", "mse", [{"steps": 3_000, "seed": 4}])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OWN.replace("rainbow", "rainbov"), r"mine.yaml: unknown agent 'rainbov'.*did you mean rainbow"),
        (OWN.replace("CartPole-v1", "3"), "mine.yaml: env=3: must be a name"),
        (OWN.replace("steps", "step"), "mine.yaml: unknown key step .*did you mean steps"),
        (OWN + "catzoo: 3\n", "a recipe of your own has agent and env"),
    ],
)
def test_a_file_of_ones_own_with_a_mistake(text, words, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(RecipeError, match=words):
        recipes_from(tmp_path / "mine.yaml")
