"""Rows made up so that a study's claim is true, or false: its verdict must say so."""

import numpy as np
import pytest

from catzoo.zoo.studies.reproduce import conclude, make_study


def rows_of(study, level, noise, steps=None):
    """A row for each task: `level(labels)`, and noise of that size over seeds."""
    random = np.random.default_rng(0)
    return [
        {
            **task.labels,
            "step": steps or study.settings.steps,
            "return": level(task.labels) + noise * random.standard_normal(),
            "churn": 0.1 + 0.01 * random.standard_normal(),
        }
        for task in study.tasks()
    ]


def outcome(study, rows):
    return conclude(study, rows, 0, {})["outcome"]


def test_losses_that_are_level_reproduce_actor_critic_whatever_other_arms_do():
    study = make_study("actor-critic", "full", overrides=["small=[Pendulum-v1]", "large=[]"])
    aside = {"mse-fast": -900.0, "mse-raw": -400.0}

    def rows(**levels):
        levels = aside | levels
        return rows_of(study, lambda task: levels.get(task["arm"], -150.0), 20.0, study.settings.small_steps)

    assert outcome(study, rows()) == "reproduced"
    assert outcome(study, rows(two_hot=-400.0)) == "not reproduced"


def test_what_learns_at_every_scale_reproduces_reward_scale():
    study = make_study("reward-scale", "full", overrides=["envs=[Pendulum-v1]"])

    def level(task):
        fails = task["support"] == "set" and task["scale"] != 1
        return -1_200.0 if fails else -150.0

    assert outcome(study, rows_of(study, level, 20.0)) == "reproduced"
    late = rows_of(study, lambda task: level(task) - 400.0 * (task["scale"] == 100), 20.0)
    assert outcome(study, late) == "not reproduced"


@pytest.mark.parametrize(("mse", "expected"), [(-1.0, "reproduced"), (3.0, "not reproduced")])
def test_multi_task_asks_that_hl_gauss_gains_by_width_and_more_than_mse(mse, expected):
    study = make_study("multi-task", "full")

    def level(task):
        return 10.0 + task["width"] * (2.0 if task["loss"] == "hl_gauss" else mse)

    rows = [
        {**row, "env": f"MinAtar/{game}", "gradient": 1.0}
        for row in rows_of(study, level, 0.05)
        for game in study.settings.games
    ]
    assert outcome(study, rows) == expected


def test_multi_task_takes_widths_in_their_order_whatever_order_they_are_asked_in():
    up, down = (
        make_study("multi-task", "full", overrides=[f"widths={order}"]) for order in ("[1,2]", "[2,1]")
    )

    def of(study):
        rows = rows_of(study, lambda task: 10.0 * task["width"], 0.05)
        return {
            finding.claim: finding.value
            for finding in study.findings([{**row, "env": "MinAtar/Breakout"} for row in rows])
        }

    assert of(up)["a wider network gains with HL-Gauss"] > 0
    assert of(down)["a wider network gains with HL-Gauss"] > 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "reproduced"),
        # What closes the gap by MSE's gradient contradicts the claim; what takes a part of it does not.
        ({"MSE, scaled returns": 6.0}, "not reproduced"),
        ({"MSE, scaled returns": 2.0, "Huber, delta 0.1": 0.5, "MSE, slow target": 0.4}, "reproduced"),
        ({"HL-Gauss, half the support": 0.5}, "not reproduced"),
        ({"HL-Gauss, sigma 0.1": 4.0}, "not decided"),
    ],
)
def test_lead_causes_asks_that_only_labels_take_the_lead(change, expected):
    study = make_study("lead-causes", "full")
    hard = {"HL-Gauss, sigma 0.1": 2.0, "HL-Gauss, rate x 4": 1.0}

    def level(task):
        arm = task["arm"]
        usual = 4.0 if arm.startswith("HL-Gauss") else 1.0
        return change.get(arm, hard.get(arm, usual))

    assert outcome(study, rows_of(study, level, 0.1)) == expected
