"""A curve in one line of text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catzoo.zoo.system.sparkline import LEVELS, sparkline


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 8, ""),
        ([math.nan], 8, ""),
        ([3.0, 3.0], 8, "▅▅"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, LEVELS),
        ([0, 0, math.nan, 7, 7], 2, "▁█"),
        ([0, 2, 4, 4], 2, "▁█"),
        ([5, -5], 8, "█▁"),
    ],
)
def test_a_curve(values, width, line):
    assert sparkline(values, width) == line


@given(st.lists(st.floats(-1e100, 1e100)), st.integers(0, 40))
def test_it_is_never_longer_than_its_place(values, width):
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set(LEVELS)
