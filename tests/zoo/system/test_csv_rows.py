"""What is read from a table is a number that a run could have written, or none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catzoo.zoo.system.csv_rows import number_of


@pytest.mark.parametrize(
    "cell", [None, "", "nan", "inf", "-Infinity", "1e400", "-1e300", "1.5\x00", "9" * 5_000]
)
def test_no_number(cell):
    assert math.isnan(number_of(cell))


@given(st.floats(-1e90, 1e90))
def test_a_number_is_kept_to_the_last_digit(number):
    assert number_of(str(number)) == number
