"""Tables of a report: what is bold, how numbers read, and that names stay in their cells."""

import pytest

from catzoo.zoo.reporting.comparison import Group, compare_runs
from catzoo.zoo.reporting.published_scores import beside
from catzoo.zoo.reporting.score_rows import COLUMNS
from catzoo.zoo.reporting.summary import Estimate, summarise
from catzoo.zoo.reporting.tables import (
    ENVIRONMENT_COLUMNS,
    aggregate_rows,
    as_text,
    environment_cells,
    environment_rows,
    estimate_text,
    markdown,
    score_rows,
)
from catzoo.zoo.statistics.intervals import FEW
from runs_for_tests import made

A, B = (Group("dqn", loss, "", loss) for loss in ("mse", "c51"))


def row(group, mean, low, high, seeds=3):
    return {"env": "e", "group": group, "mean_return": mean, "low_95": low, "high_95": high, "seeds": seeds,
            "interval": "seeds" if seeds > 1 else "episodes"}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "cells"),
    [
        ([row(A, 5, 4, 6), row(B, 8, 7, 9)], [("5.00 ± 1.00", False), ("8.00 ± 1.00", True)]),
        ([row(A, 5, 4, 6), row(B, 6.5, 6, 7)], [("5.00 ± 1.00", False), ("6.50 ± 0.50", False)]),
        ([row(A, 5, 4, 6), row(B, 80, 70, 90, 1)], [("5.0 ± 1.0", False), ("80.0*", False)]),
        ([row(A, 5000, 4000, 7000, FEW)], [("5,000 [4,000, 7,000]", False), ("–", False)]),
    ],
)
def test_bold_is_what_stands_apart(rows, cells):
    assert environment_cells(rows, "e", [A, B]) == cells


def test_estimates():
    assert estimate_text(Estimate(0.5, 0.25, 1.0)) == "0.50 [0.25, 1.00]"
    assert estimate_text(Estimate(-20.0)) == "−20.0"


@pytest.fixture
def comparison(tmp_path):
    """Two losses on two environments, three seeds; c51 is better on one by far."""
    for seed in range(3):
        for loss, level in (("mse", 100.0), ("c51", 400.0)):
            made(tmp_path / "runs" / f"c{loss}{seed}", [level + seed], loss=loss, seed=seed, steps=500_000)
            made(tmp_path / "runs" / f"a{loss}{seed}", [-90.0 - 9 * seed], "Acrobot-v1", loss, seed=seed)
    return compare_runs(tmp_path / "runs")


def test_the_markdown_table(comparison):
    summary = summarise(comparison)
    lines = markdown(comparison, summary, environment_rows(comparison, [])).splitlines()
    assert lines[0] == "| environment | steps | DQN · MSE | DQN · C51 |"
    assert lines[1] == "|---|---|---|---|"
    assert lines[2] == "| Acrobot-v1 | 100,000 | −99.0 ± 22.4 | −99.0 ± 22.4 |"
    assert lines[3] == "| CartPole-v1 | 500,000 | 101.0 ± 2.5 | **401.0 ± 2.5** |"
    mse, c51 = (estimate_text(summary.aggregates["iqm"][group]) for group in comparison.groups)
    assert lines[4] == f"| IQM, normalised score |  | {mse} | {c51} |"
    assert "Greedy return after training, mean over 3 seeds, protocol classic-control." in lines
    assert any(line.startswith("Bold: the interval lies wholly above") for line in lines)


def test_markup_in_names_stays_a_name(tmp_path):
    run = made(tmp_path / "run", [1.0])
    run.save_result({**run.result(), "env": "a|b*<i>_"})
    comparison = compare_runs(tmp_path)
    lines = markdown(comparison, summarise(comparison), environment_rows(comparison, [])).splitlines()
    assert lines[2] == r"| a\|b\*\<i\>\_ | 100,000 | 1.00\* |"


def test_rows_by_environment(comparison):
    others = beside(comparison)
    rows = as_text(environment_rows(comparison, others), ENVIRONMENT_COLUMNS)
    assert [(one["env"], one["agent"], one["loss"], one["source"]) for one in rows] == [
        ("Acrobot-v1", "dqn", "mse", "these runs"),
        ("Acrobot-v1", "dqn", "c51", "these runs"),
        ("CartPole-v1", "dqn", "mse", "these runs"),
        ("CartPole-v1", "dqn", "c51", "these runs"),
        ("CartPole-v1", "CleanRL DQN", "", "CleanRL"),
        ("CartPole-v1", "CleanRL C51", "", "CleanRL"),
        ("CartPole-v1", "CleanRL PPO", "", "CleanRL"),
    ]
    assert (rows[3]["mean_return"], rows[3]["std"], rows[3]["seeds"]) == ("401", "1", "3")
    assert float(rows[3]["normalised"]) == pytest.approx((401 - 21.6) / (500 - 21.6))
    assert (rows[4]["mean_return"], rows[4]["low_95"]) == ("488.69", "")


def test_rows_over_environments(comparison):
    rows = aggregate_rows(summarise(comparison))
    assert [(one["aggregate"], one["loss"], one.get("over")) for one in rows][-3:] == [
        ("optimality_gap", "mse", None),
        ("optimality_gap", "c51", None),
        ("probability_of_improvement", "c51", "DQN · MSE"),
    ]
    assert rows[-1]["value"] == 0.75  # all on one environment, as many as not on the other
    assert {(one["seeds"], one["environments"]) for one in rows} == {(3, 2)}


def test_a_row_for_every_run(comparison, tmp_path):
    rows = score_rows(comparison)
    assert len(rows) == 12
    assert all(list(one) == COLUMNS for one in rows)
    assert rows[0]["command"] == "catzoo train dqn --env Acrobot-v1 --loss mse --seed 0"


def test_a_run_whose_recipe_this_version_cannot_read_has_a_row_without_a_command(tmp_path):
    run = made(tmp_path / "run", [5.0], loss="mse")
    run.recipe_file.write_text(run.recipe_file.read_text().replace("name: mse", "name: my_loss"))
    (only,) = score_rows(compare_runs(tmp_path))
    assert list(only) == COLUMNS
    assert (only["mean_return"], only["protocol"], only["command"]) == ("5.0", "classic-control", "")
