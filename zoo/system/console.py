"""What people see while they wait: a progress bar on a terminal, nothing elsewhere, tables at the end."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console, ConsoleDimensions, JustifyMethod
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from catzoo.hparams.schema import brief
from catzoo.zoo.system.streams import STDOUT
from catzoo.zoo.system.table_layout import fit, is_words, wrapped

LONGEST = 300
"""Characters of a table's cell."""
WIDE = 140
"""Width of tables in a file or a pipe, where there is no width to keep to."""


class _Console(Console):
    @property
    def size(self) -> ConsoleDimensions:
        """Of the terminal that there is when something is printed."""
        return super().size if self.is_terminal else ConsoleDimensions(WIDE, 25)


console = _Console(file=cast("IO[str]", STDOUT), highlight=False, soft_wrap=True, markup=False, emoji=False)


def say(text: str) -> None:
    """Prints a line as it is: brackets are no markup, and :cat: is no cat."""
    console.out(text)


def pasteable(*words: str | Path) -> str:
    """A command as a shell takes it; a path that begins with a dash is no option."""
    return shlex.join(
        f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in words
    )


def has_bars() -> bool:
    """Whether bars are shown: on a terminal that can move its cursor, and in a notebook."""
    return console.is_terminal and not console.is_dumb_terminal


def progress_bar(what: str, *fields: str) -> Progress:
    """A bar with counts, extra fields and time left; silent where there are no bars."""
    return Progress(
        TextColumn(what, style="bold", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn("{task.fields[" + name + "]}", markup=False) for name in fields),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not has_bars(),
        refresh_per_second=4,
    )


@contextmanager
def counting(what: str, total: int) -> Iterator[Any]:
    """A bar for work that reports how much is done: yields the function to call with that, and the total."""
    with progress_bar(what) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, of=total: bar.update(task, completed=done, total=of)


@contextmanager
def waiting(what: str, shown: bool = True) -> Iterator[None]:
    """A bar that moves, and goes away, for work of which nobody knows how much there is."""
    columns = (TextColumn(what, markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not (shown and has_bars()), transient=True) as bar:
        bar.add_task(what, total=None)
        yield


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> None:
    """A table; numbers should come formatted, and are aligned by their ends, as words by their beginnings.

    Where the terminal has no place for all columns, some are left out, and named below.
    """
    columns = [STDOUT.readable(column) for column in columns]
    # A cell is no markup, and what a stranger's file says ends no line and moves no cursor.
    cells = [[STDOUT.readable(brief(str(cell), LONGEST)) for cell in row] for row in rows]
    widths = fit(columns, cells, console.width)
    table = Table()
    for index, own in widths:
        side: JustifyMethod = "left" if is_words(index, columns[index]) else "right"
        table.add_column(Text(columns[index]), justify=side, overflow="fold", width=own)
    for row in cells:
        table.add_row(*(Text(wrapped(row[index], own)) for index, own in widths))
    console.print(Text(title, "bold"))
    console.print(table, soft_wrap=False)
    left_out = [column for index, column in enumerate(columns) if index not in dict(widths)]
    for line in (note, f"left out, for want of width: {', '.join(left_out)}" if left_out else ""):
        if line:
            console.print(Text(line, "dim italic"))
