"""Scores keep the digits that tell them apart, however small or large they are."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from catzoo.zoo.system.digits import digits_of, exact, number, score, typeset, with_interval

FINITE = st.floats(-1e300, 1e300, allow_subnormal=False)
LIKELY = st.floats(1e-7, 1e12) | st.floats(-1e12, -1e-7)


def read(text):
    return float(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(-1234.5, 0, "−1,234"), (0.125, 2, "0.12"), (-0.001, 2, "0.00"), (1e6, 1, "1,000,000.0")],
)
def test_numbers(value, digits, text):
    assert typeset(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00203, "0.00203"), (0.0, "0.00"), (9.42, "9.42"), (473.2, "473.2"), (1e7, "10,000,000"),
     (2.5e-12, "2.5e-12"), (1e300, "1e+300"), (math.nan, "nan"), (-math.inf, "-inf")],
)  # fmt: skip
def test_scores(value, text):
    assert score(value) == text


def test_an_interval_and_its_middle_have_the_same_digits():
    assert with_interval(0.0021, 0.002, 0.0022) == ("0.00210", "[0.00200, 0.00220]")
    assert with_interval(500, 500, 500) == ("500.0", "[500.0, 500.0]")
    assert with_interval(1e7, 1e7 - 0.5, 1e7 + 0.5)[1] == "[10,000,000, 10,000,000]"
    assert with_interval(0.5, math.nan, math.nan)[0] == "0.500"


@given(FINITE)
def test_a_score_alone_is_shown_to_half_a_per_cent(value):
    assert math.isclose(read(score(value)), value, rel_tol=0.005, abs_tol=1e-300)


@given(LIKELY, LIKELY)
def test_numbers_that_differ_look_different(one, other):
    assume(abs(one - other) > 1e-5 * max(abs(one), abs(other)))
    digits = digits_of([one, other])
    assert number(one, digits) != number(other, digits)


@given(FINITE)
def test_a_csv_file_keeps_ten_figures(value):
    assert math.isclose(float(exact(value)), value, rel_tol=1e-9)
