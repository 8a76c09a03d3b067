"""Scores of many folders in one table: intervals over seeds, nothing mixed, nothing counted twice."""

import json
import shutil

import numpy as np
import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue import find_recipe
from catzoo.zoo.cli import main
from catzoo.zoo.evaluation import result_of
from catzoo.zoo.gathering import find_runs, gather
from catzoo.zoo.rows import newest_row, read_rows
from catzoo.zoo.runs import Run
from catzoo.zoo.scores import COLUMNS


def made(path, scores, env="CartPole-v1", loss="c51", **changes):
    recipe = find_recipe("dqn", env, loss, [changes])
    run = Run(path)
    run.path.mkdir(parents=True)
    run.save_recipe(recipe)
    if scores:
        run.save_result({**result_of(recipe, scores), "train_return": 3.0})
    return run


@pytest.fixture
def runs(tmp_path):
    """Three seeds of one, one of another, and one that is not finished; at different depths."""
    means = [10.0, 20.0, 60.0]
    for seed, mean in enumerate(means):
        made(tmp_path / "runs" / "a" / f"s{seed}", [mean - 1, mean + 1], seed=seed)
    made(tmp_path / "runs" / "b", [1.0, 2.0, 6.0], env="Acrobot-v1")
    made(tmp_path / "runs" / "c", [], loss="mse")
    (tmp_path / "runs" / "logs").mkdir()
    return tmp_path / "runs"


def test_means_and_intervals(runs):
    first, second = gather(runs)
    assert (first["env"], first["agent"], first["loss"], first["steps"]) == (
        "CartPole-v1", "dqn", "c51", 100_000,
    )  # fmt: skip
    assert (first["protocol"], first["seeds"], first["interval"]) == ("classic-control", 3, "seeds")
    means = np.array([10.0, 20.0, 60.0])
    assert np.isclose(first["mean_return"], means.mean())
    draws = np.random.default_rng(7).integers(3, size=(100_000, 3))
    expected = np.quantile(means[draws].mean(1), (0.025, 0.975))
    # Three seeds have ten different means: the quantiles are among them, whoever draws.
    assert np.allclose((first["low_95"], first["high_95"]), expected)
    assert (second["seeds"], second["interval"], second["mean_return"]) == (1, "episodes", 3.0)
    assert [second["low_95"], second["high_95"]] == Run(runs / "b").result()["interval_95"]


def test_the_command_prints_what_is_there_and_what_is_not(runs, tmp_path, capsys):
    out = tmp_path / "new" / "scores.csv"
    assert main(["scores", str(runs), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "bootstrap over seeds" in said
    assert "30.0" in said
    assert "* one seed: bootstrap over its episodes" in said
    assert "1 of 5 runs is not finished" in said
    rows = read_rows(out)
    assert list(rows[0]) == COLUMNS
    assert [(row["env"], row["seed"], row["mean_return"]) for row in rows] == [
        ("CartPole-v1", "0", "10.00"),
        ("CartPole-v1", "1", "20.00"),
        ("CartPole-v1", "2", "60.00"),
        ("Acrobot-v1", "0", "3.00"),
    ]


def test_other_recipes_are_not_mixed_in(runs, capsys):
    made(runs / "d", [100.0], seed=3, gamma=0.9)
    made(runs / "e", [30.0], seed=3, eval={"every": 7}, compute={"threads": 2})
    own, other, _ = gather(runs)
    assert (own["seeds"], own["mean_return"], own["differs"]) == (4, 30.0, "gamma=0.99")
    assert (other["seeds"], other["mean_return"], other["differs"]) == (1, 100.0, "gamma=0.9")
    assert main(["scores", str(runs)]) == 0
    assert "gamma=0.9" in capsys.readouterr().out


def test_a_run_counts_once(runs, capsys):
    shutil.copytree(runs / "a" / "s2", runs / "z")
    assert gather([runs, runs / "a", runs / "a" / "s0"])[0]["seeds"] == 3
    assert len(find_runs([runs / "a", runs / "a" / "s0"])) == 3
    assert main(["scores", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "1 of 6 runs repeat a recipe and seed" in said
    assert "1 of 6 runs is not finished" in said


def test_a_run_that_goes_further_is_not_finished(runs):
    run = Run(runs / "a" / "s0")
    run.save_recipe(find_recipe("dqn", "CartPole-v1", "c51", [{"steps": 200_000}]))
    assert gather(runs / "a")[0]["seeds"] == 2


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda runs: shutil.rmtree(runs), "no such folder"),
        (lambda runs: [shutil.rmtree(runs / name) for name in "abc"], "no run in it"),
        (lambda runs: (runs / "b" / "result.json").write_text("{"), "result.json: corrupt"),
        (
            lambda runs: (runs / "b" / "result.json").write_text(
                json.dumps({"steps": 9e9, "mean_return": 1})
            ),
            "result.json: corrupt",
        ),
        (lambda runs: (runs / "b" / "recipe.yaml").write_text("a: ["), "not YAML"),
        (lambda runs: (runs / "b" / "recipe.yaml").write_text("a: 1"), "not a recipe"),
    ],
)
def test_what_is_wrong_is_one_line(runs, capsys, break_it, words):
    break_it(runs)
    with pytest.raises(RecipeError):
        gather(runs)
    assert main(["scores", str(runs)]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_file_that_cannot_be_written(runs, capsys):
    assert main(["scores", str(runs), "--out", str(runs)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_newest_row_of_a_file(tmp_path):
    file = tmp_path / "metrics.csv"
    assert newest_row(file, "rate") == {}
    file.write_text("step,rate,note\n")
    assert newest_row(file, "rate") == {}
    file.write_text("step,rate,note\n" + "".join(f"{n},{n / 2},{'x' * 50}\n" for n in range(1000)))
    assert newest_row(file, "rate") == {"step": "999", "rate": "499.5", "note": "x" * 50}
    with file.open("a") as stream:
        stream.write("1000,,y\n1001,7")  # an evaluation, and a row that is being written
    assert newest_row(file, "rate")["step"] == "999"
    assert newest_row(file, "note")["step"] == "1000"
