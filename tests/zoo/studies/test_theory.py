"""The study of theory: closed forms against numbers known otherwise, and against the simulations."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.interpolate import BSpline

from catzoo.kernels.reference import hl_gauss_label
from catzoo.zoo.pictures import style
from catzoo.zoo.studies.claims import closed_forms as forms
from catzoo.zoo.studies.claims.theory import QUANTITIES, Theory, TheorySettings
from catzoo.zoo.studies.study import Verdict

SETTINGS = TheorySettings(seeds=2, samples=6_400)


@pytest.fixture(scope="module")
def rows():
    study = Theory(SETTINGS)
    return [{**task.labels, **row} for task in study.tasks() for row in study.work(task, None)]


@pytest.mark.parametrize(("ratio", "bias"), [(0.25, 9.3e-2), (0.5, 2.3e-3), (0.75, 4.8e-6), (1.0, 8.5e-10)])
def test_the_bias_inside(ratio, bias):
    assert forms.inside_bias(ratio) == pytest.approx(bias, rel=0.02)


@pytest.mark.parametrize(("sigmas", "bias"), [(0, -0.69), (1, -0.25), (2, -0.05), (3, -0.004)])
def test_the_bias_at_the_end(sigmas, bias):
    assert forms.edge_bias("hl_gauss", 0.75 * sigmas) == pytest.approx(bias, rel=0.07)


@pytest.mark.parametrize("ratio", [0.25, 0.75, 2.0])
def test_the_floor_is_the_labels_mean_entropy(ratio):
    edges = torch.arange(-20, 22, dtype=torch.float64)
    label_NK = hl_gauss_label((torch.arange(200, dtype=torch.float64) + 0.5) / 200, edges, ratio)
    entropy = torch.special.entr(label_NK).sum(-1).mean().item()
    assert forms.floor("hl_gauss", ratio) == pytest.approx(entropy, rel=1e-4)


@pytest.mark.parametrize(("degree", "place", "deviation"), [(1, 0.0, 0.7), (3, 1.2, 0.4), (3, 0.3, 5.0)])
def test_smoothed_splines(degree, place, deviation):
    spline = BSpline.basis_element(np.arange(degree + 2) - (degree + 1) / 2, extrapolate=False)
    grid = np.linspace(-(degree + 1) / 2, (degree + 1) / 2, 4_001)
    expected = integrate.trapezoid(spline(grid) * stats.norm(place, deviation).pdf(grid), grid)
    assert forms.smoothed_spline(degree, place, deviation) == pytest.approx(expected, rel=1e-4)
    assert forms.smoothed_spline(3, 0.0, 0.0) == pytest.approx(2 / 3)


def test_gradients_far_off():
    assert forms.gradient_norm("mse", 16.0) == 32.0
    assert forms.gradient_norm("two_hot", 16.0) == pytest.approx((4 / 3) ** 0.5)
    assert forms.gradient_norm("hl_gauss", 16.0) < forms.gradient_norm("two_hot", 16.0) < forms.LARGEST
    assert forms.gradient_variance("hl_gauss", 1e3) < 1 < forms.gradient_variance("mse", 1e3)


def test_simulations_agree(rows):
    findings = Theory(SETTINGS).findings(rows)
    assert len(findings) == 5 + 6
    for finding in findings:
        assert finding.value == pytest.approx(0, abs=finding.margin) if finding.margin else finding.value > 0
    largest, *_ = findings
    assert largest.outcome == "reproduced"


@pytest.mark.parametrize("name", [name for name in QUANTITIES if name != "gradient-bound"])
def test_a_wrong_closed_form_is_seen(rows, name):
    x = QUANTITIES[name].x[0]
    wrong = [
        {**row, "closed_form": 1.1 * row["closed_form"] + 1e-8}
        if (row["quantity"], row["x"]) == (name, x)
        else row
        for row in rows
    ]
    outcomes = {finding.claim.split(":")[0]: finding for finding in Theory(SETTINGS).findings(wrong)}
    assert outcomes[name].value > 0.05


def test_a_gradient_over_the_bound_is_seen(rows):
    wrong = [
        {**row, "simulated": 1.5} if row["quantity"] == "gradient-bound" and row["x"] == 1.0 else row
        for row in rows
    ]
    findings = Theory(SETTINGS).findings(wrong)
    assert findings[0].outcome == "not reproduced"
    assert Verdict(findings).outcome == "not reproduced"


def test_the_same_seed_gives_the_same_rows(rows):
    study = Theory(SETTINGS)
    task = study.tasks()[3]
    again = study.work(task, None)
    assert again == [
        {key: row[key] for key in again[0]} for row in rows if row["quantity"] == task.labels["quantity"]
    ]
    noisy = [row["simulated"] for row in again if row["loss"] == "mse" and row["x"] == 1.0]
    assert noisy[0] != noisy[1]


def test_a_table_with_holes(rows):
    some = [row for row in rows if row["quantity"] in ("edge-bias", "floor")]
    assert len(Theory(SETTINGS).findings(some)) == 4
    with style.styled():
        figure = Theory(SETTINGS).draw(some)
    assert [len(axes.lines) for axes in figure.axes] == [0, 0, 0, 0, 6, 4]


def test_the_picture(rows):
    with style.styled():
        figure = Theory(SETTINGS).draw(rows)
    lines, dots = figure.axes[0].lines[0].get_ydata(), figure.axes[0].lines[1].get_ydata()
    assert lines == pytest.approx([2 * x for x in QUANTITIES["gradient-norm"].x])
    assert dots == pytest.approx(lines)
