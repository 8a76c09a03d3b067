"""The learning curve: from a full run, from hardly any data, and from a file cut off in writing."""

import csv

import numpy as np
import pytest
from PIL import Image

from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.pictures.learning_curve import _draw_loss, column, learning_curve, running_mean

RGB = {"blue": (0, 114, 178), "orange": (213, 94, 0), "green": (0, 158, 115), "ink": (31, 41, 51)}


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "run")
    run.path.mkdir(parents=True, exist_ok=True)
    run.save_recipe(find_recipe("dqn", "CartPole-v1", "hl_gauss"))
    return run


def write(path, columns, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def fill(run, evaluations=True):
    columns = ["step", "train/return", "train/loss", *(["eval/return", "eval/return_std"] * evaluations)]
    rows = [
        [step, step / 100, 4 - step / 5000, *(["", ""] * evaluations)] for step in range(1000, 11000, 1000)
    ]
    if evaluations:
        rows[4][3:] = [60, 5]
        rows[9][3:] = [100, 10]
    write(run.metrics, columns, rows)
    write(run.episodes, ["step", "return", "length"], [[20 * n, n % 50, n % 50] for n in range(1, 500)])


def pixels(path, color, part=slice(None)):
    image = np.asarray(Image.open(path).convert("RGB"))
    return int((image[part] == RGB[color]).all(axis=2).sum())


def test_a_full_run(run):
    fill(run)
    result = {"steps": 10_000, "mean_return": 110.0, "episodes": 20}
    path = learning_curve(run, result)
    assert path == run.curve
    assert Image.open(path).size == (1500, 960)
    returns, loss = slice(185, 640), slice(700, 860)
    assert pixels(path, "blue", returns) > 500
    assert pixels(path, "orange", returns) > 500
    assert pixels(path, "ink", returns) > 20  # the final evaluation's diamond
    assert pixels(path, "green", loss) > 500
    assert not pixels(path, "green", returns)
    assert not list(run.path.glob("*.tmp"))


def test_each_of_several_games_has_a_line(run):
    fill(run, evaluations=False)
    one = [[20 * n, n % 50, 10, "MinAtar/Breakout"] for n in range(1, 500)]
    other = [[20 * n, 60, 10, "MinAtar/Freeway"] for n in range(1, 500)]
    write(run.episodes, ["step", "return", "length", "game"], one + other)
    path, returns = learning_curve(run), slice(185, 640)
    assert pixels(path, "blue", returns) > 500
    assert pixels(path, "orange", returns) > 500  # which nothing else has here
    long = [[20 * n, 60, 10, f"ALE/SpaceInvaders-v5?mode={n % 8}&difficulty=1"] for n in range(1, 500)]
    write(run.episodes, ["step", "return", "length", "game"], long)
    edge = np.asarray(Image.open(learning_curve(run)).convert("L"))[:, -12:]
    assert (edge == 255).all()  # the legend ends within the picture
    write(run.episodes, ["step", "return", "length", "game"], one)
    assert not pixels(learning_curve(run), "orange", returns)


def test_the_final_evaluation_comes_from_the_folder(run):
    fill(run, evaluations=False)
    without = learning_curve(run).read_bytes()
    run.save_result(
        {
            "agent": "dqn",
            "env": "CartPole-v1",
            "loss": "mse",
            "seed": 0,
            "steps": 10_000,
            "mean_return": 40.0,
            "interval_95": [30.0, 50.0],
            "episodes": 20,
            "protocol": {"name": "classic-control"},
        }
    )
    assert learning_curve(run).read_bytes() != without


@pytest.mark.parametrize("rows", [None, [], [[1000, "", ""]], [[1000, "", "0.5"]], [[1000, "nan", "inf"]]])
def test_hardly_any_data(run, rows):
    if rows is not None:
        write(run.metrics, ["step", "train/return", "train/loss"], rows)
    assert Image.open(learning_curve(run)).size == (1500, 960)


def test_metrics_stand_in_for_missing_episodes(run):
    fill(run)
    run.episodes.unlink()
    assert pixels(learning_curve(run), "blue") > 500


def test_a_row_cut_off_in_writing(run):
    fill(run)
    with run.metrics.open("a") as file:
        file.write("11000,12,0.4")
    with run.episodes.open("a") as file:
        file.write("110")
    learning_curve(run)


def test_a_loss_over_many_magnitudes_is_logarithmic(run, monkeypatch):
    write(run.metrics, ["step", "train/loss"], [[n, 10.0**-n] for n in range(1, 6)])
    drawn = []
    original = _draw_loss
    monkeypatch.setattr(
        "catzoo.zoo.pictures.learning_curve._draw_loss",
        lambda axes, rows: (original(axes, rows), drawn.append(axes)),
    )
    learning_curve(run)
    assert drawn[0].get_yscale() == "log"


def test_not_a_run(tmp_path):
    with pytest.raises(RecipeError, match="not a run folder"):
        learning_curve(Run(tmp_path))
    assert not list(tmp_path.iterdir())


def test_running_mean_equals_its_definition():
    values = np.random.default_rng(0).normal(size=250)
    expected = [values[max(n - 99, 0) : n + 1].mean() for n in range(250)]
    np.testing.assert_allclose(running_mean(values, 100), expected, atol=1e-12)
    assert running_mean(np.array([]), 100).shape == (0,)


def test_columns_with_holes():
    rows = [{"a": "1"}, {"a": ""}, {"b": "2"}, {"a": None}, {"a": "1e"}]
    np.testing.assert_array_equal(column(rows, "a"), [1, np.nan, np.nan, np.nan, np.nan])


def test_cells_that_no_run_wrote_are_left_out(run):
    fill(run)
    plain = learning_curve(run).read_bytes()
    for step, score in (
        ("1e400", "5"),
        ("nan", "5"),
        ("-inf", "5"),
        ("10", "1e300"),
        ("10", "nan"),
        ("x", "5"),
    ):
        for table, columns in ((run.metrics, ["", ""]), (run.episodes, ["9"])):
            with table.open("a", newline="") as file:
                csv.writer(file).writerow([step, score, *columns])
    with_more = learning_curve(run).read_bytes()
    assert pixels(run.curve, "blue") > 500
    assert with_more == plain
