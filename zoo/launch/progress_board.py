"""What is shown while many runs train: one bar for all, one a worker; without a terminal, plain lines."""

from __future__ import annotations

import math
from collections.abc import Callable

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from catzoo.zoo.launch.jobs import Job
from catzoo.zoo.system import digits
from catzoo.zoo.system.console import console, has_bars
from catzoo.zoo.system.csv_rows import newest_row, number_of, step_of


class Board:
    """Counts runs and steps; bars on a terminal, a line at the beginning and the end of each run elsewhere.

    Args:
        runs: how many there are.
        done: how many of them were finished before.
        steps: agent steps of all runs.
        steps_done: of the finished ones.
        tell: prints a line; None: nothing is shown at all.
    """

    def __init__(
        self, runs: int, done: int, steps: int, steps_done: int, tell: Callable[[str], None] | None
    ) -> None:
        self.runs, self.done, self.begun, self.steps_done = runs, done, done, steps_done
        self.tell = tell or (lambda line: None)
        self.live = tell is not None and has_bars()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]}", justify="right"),
            TextColumn("{task.fields[rate]}", justify="right"),
            TextColumn("{task.fields[score]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self.live,
            refresh_per_second=2,
            speed_estimate_period=600,  # seconds: rows of metrics come seldom
        )
        self.whole = self.bar.add_task(
            self._title(), total=steps, completed=steps_done, count="", rate="", score=""
        )
        self.lines: dict[str, TaskID] = {}
        self.rates: dict[str, float] = {}

    def __enter__(self) -> Board:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, job: Job, again: bool = False) -> None:
        """A run begins or goes on; `again` in this very command."""
        self.begun += not again
        name = job.run.path.name
        self.lines[name] = self.bar.add_task(
            name, total=job.recipe.steps, count="", rate="starting", score=""
        )
        self.look(job)
        if not self.live:
            self.tell(f"{self.begun}/{self.runs} begins{' again' if again else ''}: {name}")

    def look(self, job: Job) -> None:
        """Reads how far a run is; costs a few kB of its metrics.csv."""
        name, steps = job.run.path.name, job.recipe.steps
        row = newest_row(job.run.metrics, "time/steps_per_second")
        if not self.live or not row:
            return
        done, rate = min(step_of(row) or 0, steps), number_of(row["time/steps_per_second"])
        score = number_of(row.get("train/return"))
        self.bar.update(
            self.lines[name],
            completed=done,
            count=f"{done:,}/{steps:,}",
            rate=f"{rate:,.0f} steps/s",
            score="" if math.isnan(score) else f"return {digits.score(score)}",
        )
        self.rates[name] = rate
        self._sum()

    def end(self, job: Job, line: str, *, finished: bool) -> None:
        """A run is over; `line` says how it went."""
        name = job.run.path.name
        self.bar.remove_task(self.lines.pop(name))
        self.rates.pop(name, None)
        if finished:
            self.done += 1
            self.steps_done += job.recipe.steps
        self._sum()
        self.tell(line)

    def drop(self, runs: int, steps: int) -> None:
        """So many runs, and steps of them, will not be made."""
        self.runs -= runs
        task = next(task for task in self.bar.tasks if task.id == self.whole)
        self.bar.update(self.whole, total=int(task.total or 0) - steps)
        self._sum()

    def _title(self) -> str:
        return f"{self.done} of {self.runs} runs"

    def _sum(self) -> None:
        running = sum(task.completed for task in self.bar.tasks if task.id != self.whole)
        total = int(self.bar.tasks[0].total or 0)
        done = int(self.steps_done + running)
        self.bar.update(
            self.whole,
            description=self._title(),
            completed=done,
            count=f"{done:,}/{total:,}",
            rate=f"{sum(self.rates.values()):,.0f} steps/s" if self.rates else "",
        )
