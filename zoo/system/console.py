"""What people see while they wait: a progress bar on a terminal, nothing elsewhere, tables at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, JustifyMethod
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

# Into a file or a pipe there is no width to keep to, but tables need one.
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)

LONGEST = 300
"""Characters of a table's cell."""
WORDS = ("what", "claim", "meaning", "recipes for", "protocol", "recipe")
"""Columns of words."""


def say(text: str) -> None:
    """Prints a line as it is: square brackets are no markup."""
    console.print(text, markup=False)


def progress_bar(what: str, *fields: str) -> Progress:
    """A bar with counts, extra fields and time left; silent when the output is no terminal."""
    return Progress(
        TextColumn(f"[bold]{what}"),
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn("{task.fields[" + name + "]}") for name in fields),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        refresh_per_second=4,
    )


@contextmanager
def counting(what: str, total: int) -> Iterator[Any]:
    """A bar for work that reports how much is done: yields the function to call with that, and the total."""
    with progress_bar(what) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, of=total: bar.update(task, completed=done, total=of)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> None:
    """A table; numbers should come formatted, and are aligned by their ends, as words by their beginnings."""
    table = Table(
        title=title, title_justify="left", title_style="bold", caption=note or None, caption_justify="left"
    )
    for index, column in enumerate(columns):
        side: JustifyMethod = "left" if index == 0 or column in WORDS else "right"
        table.add_column(column, justify=side, overflow="fold", no_wrap=index > 0 and column not in WORDS)
    for row in rows:
        # A cell is no markup, and what a stranger's file says ends no line and moves no cursor.
        table.add_row(*(Text(brief(str(cell), LONGEST)) for cell in row))
    console.print(table, soft_wrap=False)
