"""Rows as text: microseconds side by side, one line a size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from catzoo.kernels.bench.results import Row
from catzoo.kernels.bench.sides import EAGER, OURS
from catzoo.kernels.bench.tasks import FEATURES

FUSED = "catzoo fused"
HARD = "hard label"
NOTHING = "-"


def table(rows: Sequence[Row]) -> str:
    """The tables of every part that has rows; times are medians in microseconds."""
    blocks = []
    for dtype in dict.fromkeys(row["dtype"] for row in rows if row["part"] == "throughput"):
        own = [row for row in rows if row["part"] == "throughput" and row["dtype"] == dtype]
        blocks.append(_sizes(f"HL-Gauss, loss and gradient, {dtype}, us", own, ("rows", "bins"), OURS))
    for label in dict.fromkeys(row["label"] for row in rows if row["part"] == "td"):
        own = [row for row in rows if row["part"] == "td" and row["label"] == label]
        title = f"Bellman step with gradient, {label}, {own[0]['bins']} bins, us"
        blocks.append(_sizes(title, own, ("rows", "actions"), FUSED))
    linear = [row for row in rows if row["part"] == "linear"]
    if linear:
        title = f"Layer of {FEATURES} features and HL-Gauss, loss and all gradients, us"
        blocks.append(_sizes(title, linear, ("rows", "bins"), OURS))
    labels = [row for row in rows if row["part"] == "labels"]
    if labels:
        blocks.append(_labels(labels))
    notes = dict.fromkeys(f"{row['side']}: {row['note']}" for row in rows if row["note"])
    return "\n\n".join([*blocks, *(["\n".join(notes)] if notes else [])])


def _sizes(title: str, rows: Sequence[Row], names: tuple[str, str], ours: str) -> str:
    """One line a size, one column a side; then how much faster ours is, and its share of a copy."""
    sides = list(dict.fromkeys(row["side"] for row in rows))
    lines = [
        [
            *("batch" if name == "rows" and ours == FUSED else name for name in names),
            *sides,
            f"{EAGER} / {ours}",
        ]
    ]
    with_share = any(row["copy_share"] != "" for row in rows)
    lines[0] += ["share of copy"] * with_share
    sizes = sorted({tuple(row[name] for name in names) for row in rows}, key=lambda size: size[::-1])
    for size in sizes:
        here = {row["side"]: row for row in rows if tuple(row[name] for name in names) == size}
        line = [*map(str, size), *(microseconds(here.get(side)) for side in sides)]
        line.append(_figure(here.get(ours), "speedup", lambda value: f"{value:.2f} x"))
        if with_share:
            line.append(_figure(here.get(ours), "copy_share", lambda value: f"{value:.0%}"))
        lines.append(line)
    return "\n".join([title, *aligned(lines)])


def _labels(rows: Sequence[Row]) -> str:
    hard = next((row["p50_us"] for row in rows if row["side"] == HARD and row["p50_us"] != ""), None)
    lines = [["label", "side", "us", "GB/s", f"/ {HARD}"]]
    for row in rows:
        ratio = f"{row['p50_us'] / hard:.2f}" if hard and row["p50_us"] != "" else NOTHING
        lines.append(
            [row["label"], row["side"], microseconds(row), _figure(row, "gb_per_s", "{:.4g}".format), ratio]
        )
    first = rows[0]
    return "\n".join(
        [f"Labels, loss and gradient, {first['rows']} x {first['bins']} {first['dtype']}", *aligned(lines)]
    )


def microseconds(row: Row | None) -> str:
    """A median time in few characters."""
    return _figure(row, "p50_us", lambda value: f"{value:,.1f}" if value < 100 else f"{value:,.0f}")


def _figure(row: Row | None, name: str, form: Callable[[float], str]) -> str:
    return NOTHING if row is None or row[name] == "" else form(row[name])


def aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns to the right, two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
