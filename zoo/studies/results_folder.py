"""A study's folder: what it was made with, its tasks' rows, and what comes out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from catzoo.hparams import RecipeError
from catzoo.hparams.json_text import from_json, to_json
from catzoo.hparams.paths import Typed, path_of
from catzoo.zoo.studies.study import Cell, Row, Study, Task, find_study
from catzoo.zoo.system.atomic_files import write_atomically
from catzoo.zoo.system.csv_rows import read_rows, write_rows
from catzoo.zoo.system.file_locks import held_path

FORMAT = 1
"""Of study.json."""
LABELS = {
    "seeds": "seed", "losses": "loss", "envs": "env", "arms": "arm", "scales": "scale", "small": "env",
    "large": "env", "large_arms": "arm", "large_seeds": "seed",
}  # fmt: skip
"""Settings that say only which tasks there are, where each task has its own as a label."""


class ResultsFolder:
    """A study's folder, existing or to be made.

    Args:
        path: the folder.
    """

    def __init__(self, path: Typed) -> None:
        self.path = path_of(path)
        self.about_file = self.path / "study.json"
        self.tasks = self.path / "tasks"
        self.logs = self.path / "logs"
        self.table = self.path / "rows.csv"
        self.picture = self.path / "picture.png"
        self.verdict = self.path / "verdict.json"

    def about(self) -> dict[str, Any] | None:
        """What the study was made with; None if there is none.

        Raises:
            RecipeError: study.json is corrupt.
        """
        if not self.about_file.exists():
            return None
        try:
            about = from_json(self.about_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RecipeError(f"{self.about_file}: cannot be read: {error}") from None
        if not isinstance(about, dict):
            raise RecipeError(f"{self.about_file}: is not a study's")
        return about

    def check(self, study: Study) -> None:
        """Refuses a folder with results of another study, version or settings, or of something else.

        Raises:
            RecipeError: says what differs.
        """
        there = self.about()
        if there is None:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise RecipeError(f"{self.path} exists and holds no study: choose another --out")
            return
        asked = described(study)
        for key in ("format", "study", "version"):
            if there.get(key) != asked[key]:
                raise RecipeError(
                    f"{self.path} has results of {key} {there.get(key)}, this is {key} {asked[key]}: choose "
                    "another --out"
                )
        before = there.get("settings")
        if before != asked["settings"]:
            before = before if isinstance(before, dict) else {}
            now = asked["settings"]
            differ = [
                f"{key} is {before.get(key, 'not set')}, asked for {now.get(key, 'nothing')}"
                for key in dict.fromkeys((*now, *before))
                if before.get(key) != now.get(key)
            ]
            raise RecipeError(
                f"{self.path} has other settings: {'; '.join(differ[:3])}: choose another --out"
            )

    def make(self, study: Study) -> None:
        """Makes the folder.

        Raises:
            RecipeError: see `check`, or it cannot be written.
        """
        self.check(study)
        try:  # what it is comes first, so that an interruption leaves a folder that is known
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.about_file, to_json(described(study)))
            for folder in (self.tasks, self.logs):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RecipeError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the folder for this process.

        Raises:
            RecipeError: another process works on the study.
        """
        with held_path(self.path, "working on this study"):
            yield

    def rows_file(self, task: Task) -> Path:
        """Of a task; it is there when the task is done."""
        return self.tasks / task.name / "rows.csv"

    def rows(self, tasks: Sequence[Task]) -> list[Row]:
        """The rows of the tasks that are done, in their order."""
        return [row for task in tasks for row in load_rows(self.rows_file(task))]

    def expected_file(self, task: Task) -> Path:
        """Rows that a task has to give, since others have been made from what it leaves behind."""
        return self.tasks / task.name / "expected.csv"

    def adopt(self, study: Study, rows: Sequence[Row]) -> int:
        """Takes rows as those of the tasks whose labels they have and not done; returns how many.

        A task that others are going to read leaves more behind than rows: it is done again, and has to give
        these.

        Raises:
            RecipeError: it is done already, and gave others.
        """
        left = [task for task in study.tasks() if not self.rows_file(task).exists()]
        read, adopted = still_read(study, left, rows), 0
        for task in study.tasks():
            own = rows_of(task, rows)
            if own and task in read:
                self.expected_file(task).parent.mkdir(parents=True, exist_ok=True)
                save_rows(self.expected_file(task), own)
                if task not in left:
                    self._check(task, load_rows(self.rows_file(task)))
            elif own and task in left:
                self.finish(task, own)
                adopted += 1
        return adopted

    def finish(self, task: Task, rows: Sequence[Row]) -> None:
        """Writes a task's rows, by which it is done.

        Raises:
            RecipeError: it had to give other rows.
        """
        self._check(task, rows)
        self.rows_file(task).parent.mkdir(parents=True, exist_ok=True)
        save_rows(self.rows_file(task), rows)

    def _check(self, task: Task, rows: Sequence[Row]) -> None:
        """Refuses rows that are not those that a task has to give, if there are such."""
        expected = self.expected_file(task)
        if expected.exists() and list(map(_texts, load_rows(expected))) != list(map(_texts, rows)):
            raise RecipeError(
                f"{task.name} gives other rows here than in {expected}: what was made from it does not go "
                "with what would be"
            )


def still_read(study: Study, left: Sequence[Task], given: Sequence[Row]) -> list[Task]:
    """The tasks that one reads which is left, and has no rows among those that are given."""
    return study.read_by([task for task in left if not rows_of(task, given)])


def rows_of(task: Task, rows: Sequence[Row]) -> list[Row]:
    """Those of the rows that have a task's labels."""
    return [row for row in rows if task.labels.items() <= row.items()]


def last_stage(tasks: Sequence[Task]) -> list[Task]:
    """Those after which nothing comes."""
    last = max(task.stage for task in tasks)
    return [task for task in tasks if task.stage == last]


def published_rows(study: Study, verdict: Typed) -> list[Row]:
    """The rows beside a verdict of the same study, which may have had fewer seeds, losses or environments.

    Args:
        study: what they are wanted for.
        verdict: `verdict.json` of a study's folder with its `rows.csv`, or `NAME.json` with `NAME.csv`.

    Raises:
        RecipeError: it cannot be read, is another study's or version's, or other settings differ.
    """
    file = path_of(verdict)
    table = file.with_name("rows.csv") if file.name == "verdict.json" else file.with_suffix(".csv")
    try:
        said = from_json(file.read_text(encoding="utf-8"))
        rows = load_rows(table)
        before = {"study": said["study"], "version": said["version"], **said["settings"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{file}: no verdict of a study with its table {table.name}: {error}") from None
    tasks = last_stage(study.tasks())
    now = {"study": study.name, "version": study.version, **described(study)["settings"]}
    for key, value in now.items():
        if before.get(key) != value and not all(LABELS.get(key) in task.labels for task in tasks):
            raise RecipeError(f"{file}: {key} is {before.get(key, 'not set')}, asked for {value}")
    return rows


def described(study: Study) -> dict[str, Any]:
    """What makes two studies the same one, as JSON has it."""
    settings = json.loads(json.dumps(dataclasses.asdict(study.settings)))
    return {"format": FORMAT, "study": study.name, "version": study.version, "settings": settings}


def settings_of(name: str, settings: dict[str, Any]) -> Study:
    """A study from its name and its settings as JSON has them."""
    study = find_study(name)
    kind = type(study.budgets["full"])
    return study(kind(**{key: frozen(value) for key, value in settings.items()}))


def frozen(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(frozen(item) for item in value) if isinstance(value, list) else value


def save_rows(path: Path, rows: Sequence[Row]) -> None:
    """Writes rows as CSV: numbers with six digits, so that the same results give the same file."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    write_rows(path, columns, [_texts(row) for row in rows])


def _texts(row: Row) -> dict[str, str]:
    return {key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in row.items()}


def load_rows(path: Path) -> list[Row]:
    """Rows from CSV: what looks like a number is one."""
    return [{key: _cell(text) for key, text in row.items() if text != ""} for row in read_rows(path)]


def _cell(text: str) -> Cell:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
