"""What is shown on a terminal while many runs train: a table of them, and a bar for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from rich.console import RenderableType
from rich.live import Live
from rich.progress import Progress

from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.launch.board_picture import board_picture, room_in, span
from catzoo.zoo.launch.board_rows import BEGINS, FAILED, TRAINS, WAITS, Row
from catzoo.zoo.system.console import console, has_bars

SPEED = 600
"""Seconds from which the time left is told: rows of metrics come seldom, and evaluations take their time."""


class Board:
    """Rows of runs, or of trials, and how far all of them are; silent where there is no terminal.

    It reads what the runs write into their folders anyway.

    Args:
        what: a row is: `run` or `trial`.
        total: how many rows there will be.
        steps: agent steps of all.
        tell: None: nothing is shown.
        rows: those that are known already.
    """

    def __init__(
        self,
        what: str,
        total: int,
        steps: int,
        tell: Callable[[str], None] | None,
        rows: Iterable[Row] = (),
    ) -> None:
        self.what, self.total, self.steps, self.rows = what, total, steps, list(rows)
        self.live = tell is not None and has_bars()
        self.clock = Progress(disable=True, speed_estimate_period=SPEED)
        self.all = self.clock.add_task("", total=steps, completed=self._done())
        self.screen = Live(console=console, get_renderable=self.picture, refresh_per_second=2)

    def __enter__(self) -> Board:
        if self.live:
            self.screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.screen.stop()

    @property
    def shows_all(self) -> bool:
        """Whether every row is on the screen to the end, so that nothing need be said of what is done."""
        return self.live and self.total <= room_in(console.height)

    def add(self, row: Row) -> Row:
        """Another row."""
        self.rows.append(row)
        self._count()
        return row

    def begin(self, row: Row, run: Run, steps: int) -> None:
        """A run of a row begins or goes on."""
        if self.live:
            row.begin(run, steps)

    def look(self, row: Row) -> None:
        """Looks how far a run is."""
        if self.live:
            row.look()
            self._count()

    def run_ended(self, row: Row, before: int, value: float = math.nan) -> None:
        """A run of a row has ended, see `Row.run_ended`."""
        row.run_ended(before, value)
        self._count()

    def end(self, row: Row, state: str) -> None:
        """Nothing more is made of a row: it is `DONE`, `PRUNED` or `FAILED`."""
        row.end(state)
        self.steps -= row.steps - row.before  # which nobody makes any more
        self._count()

    def picture(self) -> RenderableType:
        """The board as it is now, for the terminal as it is now."""
        rows, task = list(self.rows), self.clock.tasks[0]
        ended = sum(row.state not in (WAITS, BEGINS, TRAINS) for row in rows)
        failed = sum(row.state == FAILED for row in rows)
        rate = sum(row.rate for row in rows if row.at_work and not math.isnan(row.rate))
        left = span(math.nan if task.time_remaining is None else task.time_remaining)
        overall = [
            f"{ended} of {self.total} {self.what}s{f', {failed} failed' if failed else ''}",
            f"{task.percentage:.0f} %",
            f"{left} left" if left and not task.finished else "",
            f"{self._done():,}/{self.steps:,}",
            f"{rate:,.0f} steps/s" if rate else "",
            span(task.elapsed or 0.0),
        ]
        said = [part for part in overall if part]
        return board_picture(
            self.what, rows, self.total, said, task.percentage / 100, console.width, console.height
        )

    def _done(self) -> int:
        return sum(row.done for row in self.rows)

    def _count(self) -> None:
        self.clock.update(self.all, completed=self._done(), total=self.steps)
