"""The study of robots: what its rows are made to say, and that nothing is decided while curves rise."""

import pytest

from catzoo.zoo.studies.claims.robots import Robots, Settings
from catzoo.zoo.studies.study import Verdict
from catzoo.zoo.studies.training_tasks import peaks, still_rises

ENV, STEPS = "FetchPush-v4", (10, 20, 30, 40)


def rows_of(**curves):
    """Rows of two seeds that differ by 0.01, from curves by loss; a number alone is the data's."""
    rows = [{"env": ENV, "loss": "data", "seed": 0, "success": curves.pop("data")}]
    for loss, curve in curves.items():
        rows += [
            {"env": ENV, "loss": loss, "seed": seed, "step": step, "success": success + 0.01 * seed}
            for seed in (0, 1)
            for step, success in zip(STEPS, curve, strict=True)
        ]
    return rows


def findings(rows):
    return Robots(Settings(seeds=2, envs=(ENV,), steps=40, points=4)).findings(rows)


LEVEL = {"data": 0.4, "cloning": (0.2, 0.3, 0.3, 0.3), "mse": (0.2, 0.5, 0.6, 0.6)}


def test_level_curves_are_decided():
    found = findings(rows_of(**LEVEL, hl_gauss=(0.2, 0.6, 0.9, 0.9)))
    assert [one.value for one in found] == pytest.approx([0.3, 0.3, 0.05, 0.505, 0.6, 0.205, 0.3])
    assert {one.outcome for one in found} == {"reproduced"}
    assert Verdict(found).outcome == "reproduced"
    assert [one.aside for one in found] == [False] * 3 + [True] * 4


def test_what_learns_later_is_not_sooner():
    found = findings(rows_of(**LEVEL, hl_gauss=(0.0, 0.2, 0.9, 0.9)))
    assert [one.outcome for one in found[:3]] == ["reproduced", "reproduced", "not reproduced"]
    assert found[2].value == pytest.approx(-0.25)


def test_nothing_is_decided_while_a_curve_rises():
    found = findings(rows_of(**LEVEL, hl_gauss=(0.0, 0.0, 0.1, 0.3)))
    assert [one.outcome for one in found[:2]] == ["not decided"] * 2
    assert found[0].words().endswith("not decided, as their curves still rise")
    assert found[0].value == pytest.approx(-0.3)


def test_peaks_are_of_runs():
    rows = rows_of(data=0.4, mse=(0.2, 0.7, 0.6, 0.5))
    assert [row["success"] for row in peaks(rows, "success")] == [0.7, 0.71]


def test_too_few_evaluations_tell_nothing():
    rows = rows_of(data=0.4, mse=(0.5, 0.5, 0.5, 0.5))
    assert not still_rises(rows, "success", {"loss": "mse"})
    assert still_rises([row for row in rows if row.get("step") != 40], "success", {"loss": "mse"})


def test_data_come_first_and_every_arm_has_every_seed():
    tasks = Robots(Settings(seeds=2, envs=(ENV,))).tasks()
    assert [task.stage for task in tasks] == [0, 1, 1, 1, 1, 1, 1]
    assert [task.labels["loss"] for task in tasks[:4]] == ["data", "hl_gauss", "mse", "cloning"]
