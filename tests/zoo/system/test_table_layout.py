"""Tables on terminals of any width: columns are left out before a number is cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from catzoo.zoo.system import console
from catzoo.zoo.system.table_layout import fit, shortened

COLUMNS = (
    "environment",
    "agent",
    "loss",
    "steps",
    "recipe",
    "seeds",
    "mean return",
    "95 % over seeds",
    "protocol",
)
NAMES = st.sampled_from(["CartPole-v1", "MinAtar/SpaceInvaders-v1", "fractions_env:Small-v0", "x" * 90])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:.6g}")
ROWS = st.lists(
    st.tuples(
        NAMES, st.sampled_from(["dqn", "rainbow"]), st.just("hl_gauss"),
        st.integers(0, 2**63).map("{:,}".format), st.sampled_from(["", "optimizer.lr=0.00012 gamma=0.5"]),
        st.integers(1, 99).map(str), NUMBERS, st.tuples(NUMBERS, NUMBERS).map("[{0[0]}, {0[1]}]".format),
        st.just("atari-deterministic"),
    ), min_size=1, max_size=4,
)  # fmt: skip


@given(ROWS, st.integers(60, 200))
def test_every_number_that_is_shown_is_whole(rows, width):
    shown = fit(COLUMNS, rows, width)
    assert sum(own for _, own in shown) + 3 * len(shown) + 1 <= width
    assert shown[0][0] == 0
    for index, own in shown:
        if COLUMNS[index] not in ("environment", "recipe", "protocol"):
            assert own >= max(len(row[index]) for row in rows)


@given(ROWS)
def test_a_wide_terminal_shows_all(rows):
    assert [index for index, _ in fit(COLUMNS, rows, 400)] == list(range(len(COLUMNS)))


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_what_is_printed_is_whole_and_says_what_is_missing(monkeypatch, capsys, width):
    monkeypatch.setattr(console, "WIDE", width)
    row = (
        "MinAtar/SpaceInvaders-v1",
        "rainbow",
        "hl_gauss",
        "1,500",
        "gamma=0.5",
        "3",
        "1234.5",
        "[1, 2]",
        "x",
    )
    console.print_table("Scores", COLUMNS, [row])
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines() if line[0] in "┏┃┡│└") <= width
    missing = re.search("left out, for want of width: (.*)", out)
    absent = missing[1].split(", ") if missing else []
    for column, cell in zip(COLUMNS[1:], row[1:], strict=True):
        assert (f" {cell} " in out) != (column in absent)
    assert "mean return" not in absent


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Mn"])), st.integers(1, 30))
def test_a_name_without_its_middle_has_its_width(name, width):
    shown = shortened(name, width)
    assert cell_len(shown) <= width
    assert shown == name or (cell_len(name) > width and "…" in shown)


def test_a_name_keeps_both_ends():
    assert shortened("dqn-CartPole-v1-hl_gauss-s3", 12) == "dqn-Ca…ss-s3"
