"""Learning curves over seeds: what a point is the mean of, and the picture."""

import numpy as np
import pytest
from PIL import Image

from catzoo.hparams import RecipeError
from catzoo.zoo.cli.main import main
from catzoo.zoo.folders.episodes import curve
from catzoo.zoo.pictures import curves_over_seeds as curves_module
from catzoo.zoo.pictures.curves_over_seeds import draw_curves
from catzoo.zoo.reporting.scores import print_scores
from runs_for_tests import made


def with_episodes(path, episodes, **changes):
    """A finished run with training episodes of (step, return)."""
    return made(path, [1.0, 2.0], **{"loss": "mse", "steps": 1000, "episodes": episodes, **changes})


def test_a_point_is_the_mean_of_what_ended_shortly_before(tmp_path):
    run = with_episodes(tmp_path / "run", [(150, 1.0), (200, 3.0), (250, 8.0), (1000, 5.0), (400, 7.0)])
    steps, values = curve(run, 1000, 10)
    assert steps.tolist() == [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]
    nan = np.nan
    # An episode that ended just a tenth before a point is not in it.
    assert np.array_equal(values, [nan, 2.0, 8.0, 7.0, nan, nan, nan, nan, nan, 5.0], equal_nan=True)


def test_rows_that_are_torn_are_left_out(tmp_path):
    run = with_episodes(tmp_path / "run", [(500, 1.0)])
    with run.episodes.open("a") as file:
        file.write("word,1,2\n60")
    assert curve(run, 1000, 2)[1].tolist() == [1.0, pytest.approx(np.nan, nan_ok=True)]


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_what_is_drawn(seeds, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(curves_module, "_draw_panel", lambda axes, *about: drawn.append((axes, *about)))
    runs = [with_episodes(tmp_path / f"s{seed}", [(500, 1.0)], seed=seed) for seed in range(seeds)]
    about = {"env": "CartPole-v1", "agent": "dqn", "loss": "mse", "steps": 1000, "differs": ""}
    draw_curves([(about, runs), ({**about, "loss": "c51"}, runs)], tmp_path / "out.png")
    monkeypatch.undo()
    ((axes, env, members, looks),) = drawn
    assert env == "CartPole-v1"
    assert len({str(look) for look in looks.values()}) == 2
    curves_module._draw_panel(axes, env, members, looks)
    thin = [line for line in axes.lines if line.get_linewidth() < 1]
    assert (len(thin), len(axes.collections)) == {1: (0, 0), 2: (4, 0), 3: (0, 2)}[seeds]
    _, words = axes.get_legend_handles_labels()
    assert words == [f"DQN · {loss}, {seeds} seed{'s' * (seeds > 1)}" for loss in ("MSE", "C51")]


def test_the_command(tmp_path, capsys):
    for seed in range(2):
        with_episodes(
            tmp_path / "runs" / f"s{seed}", [(step, seed) for step in range(100, 1001, 50)], seed=seed
        )
    out = tmp_path / "new" / "curves.png"
    assert main(["scores", str(tmp_path / "runs"), "--curves", str(out)]) == 0
    assert f"{out}: learning curves of 2 finished runs" in capsys.readouterr().out.replace("\n", "")
    with Image.open(out) as picture:
        assert picture.width > 600
    assert [path.name for path in out.parent.iterdir()] == ["curves.png"]


def test_only_png(tmp_path):
    with_episodes(tmp_path / "run", [])
    with pytest.raises(RecipeError, match=r"must be a \.png file"):
        print_scores(tmp_path, curves=tmp_path / "curves.jpg")
    with pytest.raises(RecipeError, match="cannot be written"):
        print_scores(tmp_path, curves=tmp_path / "run" / "recipe.yaml" / "curves.png")
