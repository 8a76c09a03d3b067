"""The study of Wordle: which arms are trained, and what its rows are made to say."""

import pytest

from catzoo.zoo.studies.claims.wordle import Settings, Wordle, at_best
from catzoo.zoo.studies.reproduce import conclude

STUDY = Wordle(Settings(seeds=3, weights=(0.1, 0.3), strengths=(0.05, 0.15)))


def rows_of(success, *, data=0.6, cloning=0.65):
    """Rows of level curves: `success(labels)`, a little more for later seeds."""
    rows = []
    for task in STUDY.tasks():
        if task.labels["loss"] == "data":
            rows.append({**task.labels, "success": data})
        else:
            own = cloning if task.labels["loss"] == "cloning" else success(task.labels)
            row = {**task.labels, "success": own + 0.001 * int(task.labels["seed"])}
            steps = [STUDY.settings.steps * point // 4 for point in (1, 2, 3, 4)]
            rows += [row] if task.labels["loss"] == "cloning" else [{**row, "step": step} for step in steps]
    return rows


def test_mse_at_a_strength_is_mse_at_twice_the_weight_and_trained_once():
    assert STUDY.arms("mse") == [{"loss": "mse", "weight": 0.1}, {"loss": "mse", "weight": 0.3}]
    assert [(arm.get("weight"), arm.get("strength")) for arm in STUDY.arms("hl_gauss")] == [
        (0.1, None), (0.3, None), (None, 0.05), (None, 0.15),
    ]  # fmt: skip
    assert STUDY.labels("mse", "strength", 0.4) == {"loss": "mse", "strength": 0.4}
    assert len(STUDY.tasks()) == 1 + 3 * (2 + 4 + 1)


def test_equal_weights_stand_aside():
    def success(labels):
        return (
            0.5
            if labels["loss"] == "hl_gauss" and "weight" in labels
            else 0.8 + 0.1 * (labels["loss"] == "hl_gauss")
        )

    said = conclude(STUDY, rows_of(success), 0, {})
    assert said["outcome"] == "reproduced"
    by_claim = {finding["claim"]: finding for finding in said["findings"]}
    assert by_claim["each at its best: HL-Gauss above MSE"]["value"] == pytest.approx(0.1)
    assert by_claim["strength 0.15: HL-Gauss above MSE"]["value"] == pytest.approx(0.1)
    aside = by_claim["weight 0.3: HL-Gauss above MSE"]
    assert aside["value"] == pytest.approx(-0.3)
    assert aside["aside"]
    assert by_claim["HL-Gauss at its best: above cloning"]["value"] == pytest.approx(0.25)
    assert by_claim["MSE at its best: above the data"]["value"] == pytest.approx(0.201)


def test_nothing_is_decided_while_a_curve_rises():
    rows = rows_of(lambda labels: 0.8 + 0.1 * (labels["loss"] == "hl_gauss"))
    assert conclude(STUDY, rows, 0, {})["outcome"] == "reproduced"
    for row in rows:
        if row.get("step") == STUDY.settings.steps and row["loss"] == "mse":
            row["success"] += 0.06
    said = conclude(STUDY, rows, 0, {})
    assert said["outcome"] == "not decided"
    assert said["findings"][0]["words"].endswith("as their curves still rise")


def test_every_panel_has_both_losses(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "catzoo.zoo.studies.study_pictures.lines", lambda rows, *columns, **words: drawn.extend(rows)
    )
    STUDY.draw(rows_of(lambda labels: 0.5))
    panels = {(row["held"], row["loss"]) for row in drawn}
    helds = ("weight 0.1", "weight 0.3", "strength 0.05", "strength 0.15")
    assert panels == {(held, loss) for held in helds for loss in ("hl_gauss", "mse", "data", "cloning")}


def test_an_arm_is_chosen_by_the_other_seeds():
    arms = [{"weight": 0.1}, {"weight": 0.3}]
    rows = [
        {"weight": weight, "seed": seed, "success": success}
        for weight, successes in ((0.1, (0.8, 0.1, 0.1)), (0.3, (0.5, 0.5, 0.5)))
        for seed, success in enumerate(successes)
    ]
    # The lucky run is not what its own arm is chosen by; it is what the others choose by.
    assert [row["success"] for row in at_best(rows, arms)] == [0.5, 0.5, 0.5]
    rows[0]["success"] = 1.5
    assert [row["success"] for row in at_best(rows, arms)] == [0.5, 0.1, 0.1]
    assert at_best(rows[:1], arms) == []
