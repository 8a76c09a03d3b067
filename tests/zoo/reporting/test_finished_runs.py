"""Scores of many folders in one table: intervals over seeds, nothing mixed, nothing counted twice."""

import json
import shutil

import numpy as np
import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.cli.main import main
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.reporting.finished_runs import _differs, find_runs, gather
from catzoo.zoo.reporting.score_rows import COLUMNS
from catzoo.zoo.statistics.intervals import FEW
from catzoo.zoo.system.csv_rows import newest_row, read_rows
from runs_for_tests import made


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
    half_width = 4.3027 * means.std(ddof=1) / np.sqrt(3)  # Student's t, two degrees of freedom
    assert np.allclose((first["low_95"], first["high_95"]), (30 - half_width, 30 + half_width), atol=0.01)
    assert (second["seeds"], second["interval"], second["mean_return"]) == (1, "episodes", 3.0)
    assert [second["low_95"], second["high_95"]] == Run(runs / "b").result()["interval_95"]


def test_the_command_prints_what_is_there_and_what_is_not(runs, tmp_path, capsys):
    out = tmp_path / "new" / "scores.csv"
    assert main(["scores", str(runs), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "95 % over seeds" in said
    assert "over fewer than 30 seeds: Student's t" in said
    assert "30.0" in said
    assert "* one seed: bootstrap over its episodes" in said
    assert "1 of 5 runs is not finished" in said
    rows = read_rows(out)
    assert list(rows[0]) == COLUMNS
    assert [(row["env"], row["seed"], row["mean_return"]) for row in rows] == [
        ("CartPole-v1", "0", "10"),
        ("CartPole-v1", "1", "20"),
        ("CartPole-v1", "2", "60"),
        ("Acrobot-v1", "0", "3"),
    ]


def test_other_recipes_are_not_mixed_in(runs, capsys):
    made(runs / "d", [100.0], seed=3, gamma=0.9)
    made(runs / "e", [30.0], seed=3, eval={"every": 7}, compute={"threads": 2})
    own, other, _ = gather(runs)
    assert (own["seeds"], own["mean_return"], own["differs"]) == (4, 30.0, "gamma=0.99")
    assert (other["seeds"], other["mean_return"], other["differs"]) == (1, 100.0, "gamma=0.9")
    assert main(["scores", str(runs)]) == 0
    assert "gamma=0.9" in capsys.readouterr().out


def test_many_seeds_are_resampled(tmp_path):
    scores = np.random.default_rng(3).normal(size=FEW)
    for seed, score in enumerate(scores):
        made(tmp_path / str(seed), [float(score)], seed=seed)
    (row,) = gather(tmp_path)
    draws = np.random.default_rng(7).choice(scores, size=(20_000, FEW)).mean(1)
    assert np.allclose((row["low_95"], row["high_95"]), np.quantile(draws, (0.025, 0.975)), atol=0.05)


def test_what_changes_a_result_is_another_experiment(tmp_path):
    for name, changes in {
        "plain": {},
        "bf16": {"compute": {"precision": "bf16"}},
        "ahead": {"compute": {"overlap": True}},
        "evaluated": {"eval": {"epsilon": 0.5}},
    }.items():
        made(tmp_path / name, [1.0], **changes)
    assert [row["seeds"] for row in gather(tmp_path)] == [1, 1, 1, 1]


def test_auto_is_what_it_came_to(tmp_path):
    for seed, precision in enumerate(("bf16", "bf16", "fp32")):
        run = made(tmp_path / str(seed), [1.0], seed=seed, compute={"precision": "auto"})
        run.save_result({**run.result(), "compute": {"precision": precision, "overlap": False}})
    assert [row["seeds"] for row in gather(tmp_path)] == [2, 1]


def test_runs_of_an_earlier_version_are_the_same_experiment(tmp_path):
    run = made(tmp_path / "old", [1.0])
    lines = run.recipe_file.read_text().splitlines(keepends=True)
    run.recipe_file.write_text("".join(line for line in lines if not line.startswith(("noisy", "preset"))))
    made(tmp_path / "new", [2.0], seed=1)
    assert [row["seeds"] for row in gather(tmp_path)] == [2]


def test_cut_episodes_are_told(tmp_path, capsys):
    for seed, cut in enumerate((0, 3)):
        run = made(tmp_path / str(seed), [1.0], seed=seed)
        run.save_result({**run.result(), "cut": cut})
    assert main(["scores", str(tmp_path)]) == 0
    assert "1 of 2 finished runs were evaluated on episodes that were cut" in capsys.readouterr().out


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
        (lambda runs: (runs / "b" / "recipe.yaml").write_text("a: 1"), "steps is missing"),
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


def test_nothing_is_written_of_nothing(runs, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    out.write_text("of before")
    for how in (["--out", str(out)], ["--curves", str(tmp_path / "curves.png")]):
        assert main(["scores", str(runs / "c"), *how]) == 2
        assert f"no run is finished: {runs / 'c'}; the command" in capsys.readouterr().err
    assert out.read_text() == "of before"
    assert main(["scores", "x" * 200]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_an_agent_that_only_its_author_has(runs, tmp_path):
    for name in ("recipe.yaml", "result.json"):
        file = runs / "b" / name
        file.write_text(file.read_text().replace("dqn", "mine"))
    assert main(["scores", str(runs), "--out", str(tmp_path / "scores.csv")]) == 0
    own = read_rows(tmp_path / "scores.csv")[-1]
    assert (own["agent"], own["mean_return"], own["command"]) == ("mine", "3.0", "")


def test_a_key_that_one_recipe_lacks_sets_it_apart():
    assert _differs({"a": 1}, [{"a": 1}, {"a": 1, "sigma": 2}]) == "sigma=None"


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
