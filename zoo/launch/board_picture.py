"""How the board looks on a terminal of any size: a table of rows, and a bar for all of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from catzoo.hparams.schema import brief
from catzoo.zoo.launch.board_rows import BEGINS, DONE, FAILED, PRUNED, TRAINS, WAITS, Row
from catzoo.zoo.system import digits
from catzoo.zoo.system.sparkline import sparkline
from catzoo.zoo.system.streams import STDOUT
from catzoo.zoo.system.table_layout import fit, shortened

CURVE, WIDEST_CURVE = 8, 24
"""Cells that a curve has, and may have."""
BAR, WIDEST_BAR = 6, 30
GAP = 2
"""Cells between columns."""
BESIDE = 4
"""Lines that are not the table's rows: its head, the rest, the bar, and the cursor's."""
LEAST = ("steps", "steps/s", "left", "return", "curve")
"""Columns that a narrow terminal has no place for, the first of them first."""
STYLES = {"best": "bold green", DONE: "green", FAILED: "red", PRUNED: "yellow", TRAINS: "bold"}
COUNTED = {WAITS: "waiting", BEGINS: "at work", TRAINS: "at work"}
"""What rows that are not shown are counted as, if not by their state."""


def board_picture(
    what: str,
    rows: Sequence[Row],
    expected: int,
    overall: Sequence[str],
    share: float,
    width: int,
    height: int,
) -> RenderableType:
    """The board in so many cells and lines.

    Args:
        what: a row is: `run` or `trial`.
        rows: all that there are.
        expected: how many there will be.
        overall: what is said of all, most important first.
        share: of all steps that were made.
        width, height: of the terminal.
    """
    shown = chosen(rows, expected, room_in(height))
    parts: list[RenderableType] = [_table(what, shown, width)] if shown else []
    rest = Counter(COUNTED.get(row.state, row.state) for row in rows if row not in shown)
    rest["waiting"] += max(expected - len(rows), 0)
    if said := ", ".join(f"{count} {state}" for state, count in rest.items() if count):
        parts.append(_line(f"{'and ' if shown else ''}{said}", width, "dim"))
    return Group(*parts, _overall(overall, share, width))


def room_in(height: int) -> int:
    """Rows for which a terminal has lines."""
    return max(height - BESIDE, 0)


def best_of(rows: Sequence[Row]) -> Row | None:
    """The trial of the highest value that went to its end."""
    whole = [row for row in rows if row.state == DONE and not math.isnan(row.value)]
    return max(whole, key=lambda row: row.value, default=None)


def chosen(rows: Sequence[Row], expected: int, room: int) -> list[Row]:
    """All rows, if there is room for as many as there will be; else those at work, and the best."""
    if max(expected, len(rows)) <= room:
        return list(rows)
    best = best_of(rows)
    return [row for row in rows if row.at_work or row is best][:room]


def _table(what: str, rows: Sequence[Row], width: int) -> Table:
    best = best_of(rows)
    columns: dict[str, Callable[[Row], str]] = {
        what: lambda row: STDOUT.readable(brief(row.name, 300)),
        "state": lambda row: "best" if row is best else _state(row),
        "value": lambda row: _score(row.value),
        "greedy": lambda row: _score(row.greedy),
        "return": lambda row: _score(row.train),
        "curve": lambda row: " " * CURVE if row.curve else "",
        "steps/s": lambda row: "" if math.isnan(row.rate) else f"{row.rate:,.0f}",
        "left": lambda row: span(row.left),
        "steps": lambda row: f"{row.done:,}/{row.steps:,}",
    }
    cells = {name: [cell(row) for row in rows] for name, cell in columns.items()}
    cells = {name: own for name, own in cells.items() if name in (what, "state") or any(own)}
    names = list(cells)
    lines = list(zip(*cells.values(), strict=True))
    widths = {names[index]: own for index, own in fit(names, lines, width, least=LEAST, frame=GAP)}
    spare = width - sum(widths.values()) - GAP * len(widths) - 1
    if "curve" in widths:
        widths["curve"] = min(widths["curve"] + max(spare, 0), WIDEST_CURVE)
        cells["curve"] = [STDOUT.readable(sparkline(row.curve, widths["curve"])) for row in rows]
    cells[what] = [_cut(name, widths[what]) for name in cells[what]]
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for name, own in widths.items():
        side = "left" if name in (what, "curve") else "right"
        table.add_column(width=own, no_wrap=True, justify=side)  # type: ignore[arg-type]
    table.add_row(*(Text(_cut(name, own), "dim") for name, own in widths.items()))
    for index, row in enumerate(rows):
        style = STYLES.get("best" if row is best else row.state, "dim")
        table.add_row(
            *(
                Text(cells[name][index], style if name == "state" else "cyan" if name == "curve" else "")
                for name in widths
            )
        )
    return table


def _overall(parts: Sequence[str], share: float, width: int) -> RenderableType:
    """A bar, and as much of what is said of all as there is room for."""
    kept, room = [], width - 1 - BAR - GAP
    for part in parts:
        if kept and cell_len(part) + GAP > room:
            break
        kept.append(_cut(part, max(room, 1)))
        room -= cell_len(kept[-1]) + GAP
    line = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    bar = min(BAR + max(room, 0), WIDEST_BAR)
    for index, own in enumerate([cell_len(kept[0]), bar, *map(cell_len, kept[1:])]):
        line.add_column(width=own, no_wrap=True, justify="left" if index < 2 else "right")
    line.add_row(
        Text(kept[0], "bold"), ProgressBar(1.0, share, width=bar), *(Text(part) for part in kept[1:])
    )
    return line


def span(seconds: float) -> str:
    """A time as `1:02:03`, or in days; empty: nobody knows."""
    if not math.isfinite(seconds):
        return ""
    minutes, second = divmod(int(max(seconds, 0)), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours // 24} days"
    return f"{hours}:{minute:02}:{second:02}"


def _state(row: Row) -> str:
    if row.state == TRAINS and row.run_steps and row.step >= row.run_steps:
        return "evaluates"
    return f"{100 * row.done // max(row.steps, 1)} %" if row.state == TRAINS else row.state


def _score(value: float) -> str:
    return "" if math.isnan(value) else digits.score(value)


def _cut(text: str, width: int) -> str:
    return shortened(text, width, "…" if STDOUT.readable("…") == "…" else "~")


def _line(text: str, width: int, style: str) -> Text:
    return Text(_cut(text, width - 1), style, no_wrap=True)
