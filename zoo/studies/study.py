"""What a study is: tasks, the rows that each of them gives, and what those say of the paper's claim."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from catzoo.hparams import RecipeError
from catzoo.hparams.schema import nearest
from catzoo.zoo.studies.claim_names import STUDIES
from catzoo.zoo.system.digits import digits_of, exact, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float
Row = dict[str, Cell]
"""One line of a study's table: a task's labels, and what was measured."""
Outcome = Literal["reproduced", "not reproduced", "not decided"]


@dataclass(frozen=True)
class Task:
    """One piece of a study's work, done by one process in a folder of its own.

    Args:
        labels: what tells it from the others; they are columns of its rows.
        stage: tasks of a later stage begin when all of the earlier ones are done, and may read their folders.
    """

    labels: Mapping[str, Cell]
    stage: int = 0

    @property
    def name(self) -> str:
        """Of its folder: `MinAtar-Breakout-hl_gauss-eta0.1-s0`."""
        words = []
        for key, value in self.labels.items():
            number = f"{value:g}" if isinstance(value, float) else str(value)
            prefix = "s" if key == "seed" else "" if isinstance(value, str) else key
            words.append(prefix + re.sub(r"[^\w.+-]", "-", number))
        return "-".join(words)


@dataclass(frozen=True)
class Finding:
    """One statement that is put to the test: that a number is positive, or that it is about zero.

    Args:
        claim: the statement in words.
        value, low, high: the number, and its 95 % interval.
        margin: None for a statement that the number is positive; else that it lies within ± this.
        waits: why it cannot be decided yet, whatever the interval, such as curves that still rise.
        aside: reported, and no part of the study's claim: the verdict does not ask for it.
    """

    claim: str
    value: float
    low: float
    high: float
    margin: float | None = None
    waits: str = ""
    aside: bool = False

    @property
    def outcome(self) -> Outcome:
        """Decided by the interval alone, if anything can be."""
        if self.waits:
            return "not decided"
        if self.margin is None:
            return "reproduced" if self.low > 0 else "not reproduced" if self.high < 0 else "not decided"
        if -self.margin <= self.low and self.high <= self.margin:
            return "reproduced"
        outside = self.low > self.margin or self.high < -self.margin
        return "not reproduced" if outside else "not decided"

    def words(self) -> str:
        """`HL-Gauss above MSE: +0.31 [+0.12, +0.50]: reproduced`."""
        about = "" if self.margin is None else f", asked for within ±{exact(self.margin)}"
        digits = digits_of([self.value, self.low, self.high])
        value, low, high = (
            f"{'+' * (one > 0)}{number(one, digits)}" for one in (self.value, self.low, self.high)
        )
        interval = f"[{low}, {high}]" if math.isfinite(self.low) else "[one run]"
        why = f", as {self.waits}" if self.waits else ""
        return f"{self.claim}: {value} {interval}{about}: {self.outcome}{why}{', aside' * self.aside}"

    def to_dict(self) -> dict[str, Any]:
        """As verdict.json has it: null for what is not finite, such as the bounds of one run."""
        numbers = {
            key: value if math.isfinite(value) else None
            for key, value in (("value", self.value), ("low", self.low), ("high", self.high))
        }
        said = {key: value for key, value in asdict(self).items() if key != "waits"}  # which the words say
        return {**said, **numbers, "outcome": self.outcome, "words": self.words()}


@dataclass(frozen=True)
class Verdict:
    """What a study's rows say of its claim."""

    findings: Sequence[Finding] = field(default_factory=tuple)
    missing: int = 0
    """Tasks without rows."""

    @property
    def outcome(self) -> Outcome:
        """Reproduced if every finding is that is no aside, not reproduced if any of these is contradicted; of
        all tasks' rows only."""
        outcomes = {finding.outcome for finding in self.findings if not finding.aside}
        if self.missing:
            return "not decided"
        if "not reproduced" in outcomes:
            return "not reproduced"
        return "reproduced" if outcomes == {"reproduced"} else "not decided"


class Study(ABC):
    """A claim of the paper, and how it is tested.

    Args:
        settings: one of `budgets`, or like it; a dataclass with a number of `seeds`.
    """

    name: ClassVar[str]
    agent: ClassVar[str | None] = None
    """What its tasks train, as far as environments are concerned; None: they play none."""
    source: ClassVar[str]
    """Where the paper has it."""
    protocol: ClassVar[str]
    """What is done here, and how it differs from the paper, in a sentence or two."""
    version: ClassVar[int] = 1
    """Raised when the same settings would give other rows."""
    budgets: ClassVar[Mapping[str, Any]]
    """Settings by budget: `tiny` shows that it runs, `small` takes minutes, `full` decides."""
    optional: ClassVar[Collection[str]] = ()
    """Settings that may be empty lists."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def claim(self) -> str:
        """What the paper says, in one sentence."""
        return STUDIES[self.name]

    @property
    def seeds(self) -> range:
        """0, 1, 2 …"""
        return range(self.settings.seeds)

    def check(self) -> None:  # noqa: B027 - most have nothing to add
        """Refuses settings that its tasks or findings would fail with, beside what is checked of all studies.

        Raises:
            RecipeError: in one line.
        """

    def reads(self, task: Task) -> Sequence[Task]:
        """The tasks of earlier stages whose folders a task reads: all, if a study does not say which."""
        return [other for other in self.tasks() if other.stage < task.stage]

    def read_by(self, tasks: Sequence[Task]) -> list[Task]:
        """Those that any of some tasks reads, in their order."""
        read = {other.name for task in tasks for other in self.reads(task)}
        return [task for task in self.tasks() if task.name in read]

    def env_of(self, task: Task) -> str:
        """The environment that a task plays, where there is an agent."""
        return str(task.labels.get("env") or self.settings.env)

    def check_here(self, tasks: Sequence[Task]) -> None:
        """Refuses tasks that would fail on this machine: an extra is missing, or the agent does not go with
        their environment.

        Raises:
            RecipeError: in one line.
        """
        from catzoo.zoo.training.build import check_agent
        from catzoo.zoo.training.train import recipe_of

        if self.agent is not None:
            for env in dict.fromkeys(map(self.env_of, tasks)):
                check_agent(recipe_of(self.agent, env))

    @abstractmethod
    def tasks(self) -> list[Task]:
        """All of the work, in the order in which its rows stand in the table."""

    @abstractmethod
    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Does a task; called in a process of its own, once, or again after an interruption.

        Args:
            task: one of `tasks()`.
            tasks: the folder that holds every task's own folder, `tasks / task.name`.

        Returns:
            Rows, to which the task's labels are added.
        """

    @abstractmethod
    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """What the rows say, the main statement first; rows of some tasks may be missing."""

    @abstractmethod
    def draw(self, rows: Sequence[Row]) -> Figure:
        """The picture; called inside `style.styled()`."""


def values(rows: Sequence[Row], column: str, **labels: Cell) -> list[float]:
    """The numbers of a column in the rows that have these labels, and the column."""
    own = [row for row in rows if labels.items() <= row.items()]
    return [float(row[column]) for row in own if row.get(column) not in (None, "")]


def find_study(name: str) -> type[Study]:
    """A study's class.

    Raises:
        RecipeError: no such study; the nearest is named.
    """
    if name not in STUDIES:
        raise RecipeError(
            f"unknown study {name!r:.80}: known are {', '.join(STUDIES)}{nearest(name, STUDIES)}"
        )
    return import_module(f"catzoo.zoo.studies.claims.{name.replace('-', '_')}").STUDY  # type: ignore[no-any-return]
