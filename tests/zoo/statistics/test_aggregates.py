"""Aggregates and intervals, against values worked out by hand, SciPy, and rliable where it is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from catzoo.zoo.statistics import aggregates
from catzoo.zoo.statistics.aggregates import (
    improvement_interval,
    interval,
    iqm,
    matrix,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    profile_interval,
    resampled,
)

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 5))


def scores_of(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@given(SHAPES, st.integers(0, 99))
def test_the_interquartile_mean_is_scipys_trimmed_mean(shape, seed):
    scores_SE = scores_of(shape, seed)
    assert iqm(scores_SE) == pytest.approx(stats.trim_mean(scores_SE, 0.25, axis=None))


def test_by_hand():
    scores_SE = np.array([[0.0, 1.0], [0.5, 1.0], [4.0, 2.0], [0.25, 0.5]])
    assert mean(scores_SE) == pytest.approx(9.25 / 8)
    assert median(scores_SE) == pytest.approx((4.75 / 4 + 4.5 / 4) / 2)
    assert iqm(scores_SE) == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)
    assert optimality_gap(scores_SE) == pytest.approx(1 - (0 + 0.5 + 1 + 0.25 + 1 + 1 + 1 + 0.5) / 8)
    assert performance_profile(scores_SE, np.array([-1.0, 0.5, 4.0])) == pytest.approx([1, 0.5, 0])


def test_probability_of_improvement_is_mann_whitneys():
    x_SE, y_SE = scores_of((6, 3), 1).round(1), scores_of((9, 3), 2).round(1)
    expected = np.mean([stats.mannwhitneyu(x_SE[:, e], y_SE[:, e]).statistic / 54 for e in range(3)])
    assert probability_of_improvement(x_SE, y_SE) == pytest.approx(expected)
    assert probability_of_improvement(x_SE, x_SE) == pytest.approx(0.5)


@pytest.mark.parametrize("aggregate", aggregates.AGGREGATES.values())
def test_aggregates_take_resamples_at_once(aggregate):
    samples = resampled(scores_of((5, 4)), 7)
    assert aggregate(samples) == pytest.approx([float(aggregate(one)) for one in samples])


def test_resampling_stays_within_an_environment():
    scores_SE = np.arange(12.0).reshape(4, 3)
    samples = resampled(scores_SE, 200)
    for environment in range(3):
        assert set(np.unique(samples[:, :, environment])) == set(scores_SE[:, environment])
    assert np.array_equal(samples, resampled(scores_SE, 200))


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(200):
        low, high = interval(scores_of((12, 6), seed), mean, resamples=300, seed=seed)
        hits += low <= 0 <= high
    assert 0.86 <= hits / 200 <= 0.99


@settings(max_examples=25)
@given(SHAPES, st.integers(0, 9))
def test_intervals_hold_what_they_are_about(shape, seed):
    scores_SE = scores_of(shape, seed)
    low, high = interval(scores_SE, mean)
    assert low - 1e-9 <= mean(scores_SE) <= high + 1e-9
    thresholds = np.linspace(-1, 1, 5)
    low_T, high_T = profile_interval(scores_SE, thresholds, 200)
    share_T = performance_profile(scores_SE, thresholds)
    assert (low_T - 1e-9 <= share_T).all()
    assert (share_T <= high_T + 1e-9).all()
    low, high = improvement_interval(scores_SE, scores_SE + 10)
    assert low == high == 0


def test_a_matrix_has_as_many_seeds_as_the_fewest():
    assert matrix({"a": [1, 2, 3], "b": [4, 5]}).tolist() == [[1, 4], [2, 5]]


def test_rliable_agrees():
    rliable = pytest.importorskip("rliable.metrics")
    scores_SE = scores_of((7, 5))
    assert iqm(scores_SE) == pytest.approx(rliable.aggregate_iqm(scores_SE))
    assert median(scores_SE) == pytest.approx(rliable.aggregate_median(scores_SE))
    assert optimality_gap(scores_SE) == pytest.approx(rliable.aggregate_optimality_gap(scores_SE))
    other = scores_of((4, 5), 3)
    assert probability_of_improvement(scores_SE, other) == pytest.approx(
        rliable.probability_of_improvement(scores_SE, other)
    )


# Two sets of runs, and what rliable 1.2.0 says about them (its intervals with 20,000 resamples).
X_SE = np.array([[0.1, 1.2, 0.4], [0.3, 0.9, 2.5], [0.2, 1.6, 0.7], [0.8, 1.1, 0.6], [0.5, 0.2, 3.1]])
Y_SE = np.array([[0.2, 1.0, 0.5], [0.3, 0.7, 0.4], [0.1, 1.6, 0.9], [0.4, 0.8, 0.6]])
RLIABLE = {
    "iqm": (0.7222222, 0.4666667, 1.1555556),
    "median": (1.0, 0.52, 1.34),
    "mean": (0.9466667, 0.6065, 1.3133333),
    "optimality_gap": (0.3533333, 0.2266667, 0.4933333),
}


@pytest.mark.parametrize("name", RLIABLE)
def test_the_values_of_rliable(name):
    value, *ends = RLIABLE[name]
    aggregate = aggregates.AGGREGATES[name]
    assert aggregate(X_SE) == pytest.approx(value)
    assert interval(X_SE, aggregate) == pytest.approx(ends, abs=0.05)


def test_rliables_improvement_and_profile():
    assert probability_of_improvement(X_SE, Y_SE) == pytest.approx(0.6333333)
    assert improvement_interval(X_SE, Y_SE) == pytest.approx((0.4083333, 0.8416667), abs=0.02)
    thresholds = np.array([0.25, 0.75, 1.5])
    assert performance_profile(X_SE, thresholds) == pytest.approx([0.8, 0.4666667, 0.2])
    low_T, high_T = profile_interval(X_SE, thresholds)
    assert low_T == pytest.approx([0.6, 0.2666667, 0.0666667], abs=0.07)  # a run more or less: 1 / 15
    assert high_T == pytest.approx([0.9333333, 0.6666667, 0.4], abs=0.07)


def test_pairs_in_parts_are_the_same(monkeypatch):
    whole = improvement_interval(X_SE, Y_SE, 100)
    monkeypatch.setattr(aggregates, "PAIRS", 1000)
    assert improvement_interval(X_SE, Y_SE, 100) == whole


def test_rliables_intervals_agree():
    library = pytest.importorskip("rliable.library")
    for name, aggregate in aggregates.AGGREGATES.items():
        _, ends = library.get_interval_estimates(
            {"x": X_SE}, lambda scores, own=aggregate: np.array([own(scores)]), reps=2_000
        )
        assert interval(X_SE, aggregate) == pytest.approx(ends["x"].ravel(), abs=0.07), name
