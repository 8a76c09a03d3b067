"""A benchmark's rows: one stamp, the columns of the table, and files that keep what is in them."""

import pytest

from catzoo.zoo.bench.rows import append_results, stamp, whole, write_results
from catzoo.zoo.system.csv_rows import read_rows
from catzoo.zoo.system.provenance import cpu_model, versions

COLUMNS = ("what", "seconds", "device", "command")


def test_a_stamp_says_what_made_a_row():
    about = stamp("catzoo bench it", also=("pytest", "no-such-package"))
    assert about["cpu"] == about["device"] == cpu_model()
    assert about["versions"].split()[0] == f"catzoo={versions()['catzoo']}"
    assert about["versions"].split()[-1] == f"pytest={pytest.__version__}"
    assert about["load"] >= 0
    assert stamp("", device="H200")["device"] == "H200"


def test_a_row_has_the_columns_of_its_table_and_later_parts_win():
    row = whole(COLUMNS, {"command": "it", "cores": 2}, {"what": "a"}, {"what": "b"})
    assert row == {"what": "b", "seconds": "", "device": "", "command": "it"}
    assert tuple(row) == COLUMNS


def test_rows_are_written_anew_or_after_those_that_are_there(tmp_path):
    file = tmp_path / "new" / "rows.csv"
    append_results(file, COLUMNS, [{"what": "a", "seconds": 0.1, "more": 1}])
    append_results(file, COLUMNS, [{"what": "b"}])
    assert [(row["what"], row["seconds"]) for row in read_rows(file)] == [("a", "0.1"), ("b", "")]
    write_results(file, COLUMNS, [{"what": "c"}])
    assert [row["what"] for row in read_rows(file)] == ["c"]
    assert tuple(read_rows(file)[0]) == COLUMNS
