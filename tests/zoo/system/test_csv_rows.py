"""What is read from a table is a number that a run could have written, or none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catzoo.zoo.system.csv_rows import GrowingRows, number_of, write_rows


@pytest.mark.parametrize(
    "cell", [None, "", "nan", "inf", "-Infinity", "1e400", "-1e300", "1.5\x00", "9" * 5_000]
)
def test_no_number(cell):
    assert math.isnan(number_of(cell))


@given(st.floats(-1e90, 1e90))
def test_a_number_is_kept_to_the_last_digit(number):
    assert number_of(str(number)) == number


def test_every_row_of_a_growing_file_is_read_once_and_whole(tmp_path):
    rows = GrowingRows(tmp_path / "metrics.csv")
    assert rows.read() == (False, [])
    rows.path.write_bytes(b"step,return\n1,2\n2,")
    assert rows.read() == (True, [{"step": "1", "return": "2"}])
    with rows.path.open("a") as file:
        file.write("3\ntorn\n3,4\n")
    assert rows.read() == (False, [{"step": "2", "return": "3"}, {"step": "3", "return": "4"}])
    assert rows.read() == (False, [])


def test_another_file_in_its_place_is_read_from_its_beginning(tmp_path):
    rows = GrowingRows(tmp_path / "metrics.csv")
    write_rows(rows.path, ["step"], [{"step": "1"}, {"step": "2"}])
    assert len(rows.read()[1]) == 2
    with rows.path.open("a") as file:
        file.write("3\n")
    assert rows.read() == (False, [{"step": "3"}])
    write_rows(rows.path, ["step", "return"], [{"step": "1"}, {"step": "2", "return": "5"}])
    assert rows.read() == (True, [{"step": "1", "return": ""}, {"step": "2", "return": "5"}])


def test_a_file_that_has_only_begun_has_no_rows(tmp_path):
    rows = GrowingRows(tmp_path / "metrics.csv")
    rows.path.touch()
    assert [rows.read()[1], rows.read()[1]] == [[], []]
    rows.path.write_text("step\n")
    assert rows.read()[1] == []
    rows.path.write_text("step\n1\n")
    assert rows.read()[1] == [{"step": "1"}]
