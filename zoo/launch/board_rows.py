"""What is known of a run, or of a trial of several, while it is at work: read from what it writes anyway."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.csv_rows import GrowingRows, number_of, step_of

WAITS, BEGINS, TRAINS, DONE, PRUNED, FAILED = "waits", "begins", "trains", "done", "pruned", "failed"


@dataclass(eq=False)
class Row:
    """A run, or a trial: runs one after another."""

    name: str
    steps: int
    """Agent steps of all its runs."""
    state: str = WAITS
    before: int = 0
    """Steps of its runs that have ended."""
    step: int = 0
    """Of the run at work."""
    run_steps: int = 0
    """That it shall have."""
    rate: float = math.nan
    """Agent steps a second, of the newest row of metrics."""
    train: float = math.nan
    """Mean return of recent training episodes."""
    greedy: float = math.nan
    """Return of the last evaluation."""
    value: float = math.nan
    """What a trial is worth, by the runs that have ended."""
    curve: list[float] = field(default_factory=list)
    """Returns so far of the run at work: of training, or of evaluations where nothing is played."""
    metrics: GrowingRows | None = None

    @property
    def at_work(self) -> bool:
        """Whether a process has it."""
        return self.state in (BEGINS, TRAINS)

    @property
    def done(self) -> int:
        """Steps that were made."""
        return self.before + self.step

    @property
    def left(self) -> float:
        """Seconds to its end at the present rate, without evaluations; NaN: nobody knows."""
        return (self.steps - self.done) / self.rate if self.at_work and self.rate > 0 else math.nan

    def begin(self, run: Run, steps: int) -> None:
        """A run of so many steps begins, or goes on."""
        self.step, self.run_steps, self.metrics = 0, steps, GrowingRows(run.metrics)
        self.look()  # at what it goes on from
        self.state, self.rate = BEGINS, math.nan

    def look(self) -> None:
        """Reads what is new in the run's metrics.csv."""
        if self.metrics is None:
            return
        another, rows = self.metrics.read()
        if another:
            self.curve, self.train, self.greedy = [], math.nan, math.nan
        for row in rows:
            step, rate = step_of(row), number_of(row.get("time/steps_per_second"))
            train, greedy = number_of(row.get("train/return")), number_of(row.get("eval/return"))
            if step is not None:
                self.step = min(step, self.run_steps)
            self.rate = self.rate if math.isnan(rate) else rate
            self.greedy = self.greedy if math.isnan(greedy) else greedy
            self.train = self.train if math.isnan(train) else train
            now = greedy if math.isnan(self.train) else train
            if not math.isnan(now):
                self.curve.append(now)
            self.state = TRAINS

    def run_ended(self, before: int, value: float = math.nan) -> None:
        """The run at work has ended, so that `before` steps are made; what its trial is worth by now."""
        self.look()
        self.before, self.value = before, value
        self.step, self.run_steps, self.metrics = 0, 0, None

    def end(self, state: str) -> None:
        """Nothing more is made of it; of a run that was ended early, what it had is lost."""
        self.state, self.step, self.metrics, self.rate = state, 0, None, math.nan
        if state == DONE:
            self.before = self.steps
