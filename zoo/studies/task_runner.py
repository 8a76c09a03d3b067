"""Runs a study's tasks, several at a time, and goes on where it stopped.

A task that is done has its rows on disk, and is not done again. One that trains goes on from its last
checkpoint (`train_inside`, `measured_training`); any other begins again. A process that crashes is started
again twice.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catzoo.hparams import NoRoomError, RecipeError
from catzoo.zoo.launch.backends import Backend
from catzoo.zoo.launch.job_loop import run_jobs
from catzoo.zoo.launch.jobs import PYTHON, Ending, Needs
from catzoo.zoo.studies.measured_training import CHECKPOINTS
from catzoo.zoo.studies.results_folder import ResultsFolder, described, rows_of, still_read
from catzoo.zoo.studies.study import Row, Study, Task
from catzoo.zoo.system.console import has_bars, progress_bar
from catzoo.zoo.system.disk_space import no_room_told
from catzoo.zoo.training.loop import quiet
from catzoo.zoo.training.torch_state import own_torch

GOES_ON = "the same command goes on"
"""What an error for want of room ends with."""


@dataclass(frozen=True)
class TaskJob:
    """A task as a process takes it; see `jobs.Work`."""

    study: Study
    task: Task
    folder: ResultsFolder

    @property
    def log(self) -> Path:
        """See `Work`."""
        return self.folder.logs / f"{self.task.name}.log"

    @property
    def command(self) -> list[str]:
        """See `Work`."""
        return [*PYTHON, "catzoo.zoo.studies.task_worker"]

    def title(self) -> str:
        """See `Work`."""
        return f"{self.study.name} {self.task.name}"

    def words(self, threads: int) -> dict[str, Any]:
        """See `Work`."""
        return {
            "study": self.study.name,
            "settings": described(self.study)["settings"],
            "name": self.task.name,
            "folder": str(self.folder.path),
            "threads": threads,
        }

    def has_result(self) -> bool:
        """See `Work`."""
        return self.folder.rows_file(self.task).exists()

    @property
    def needs(self) -> Needs:
        """See `Work`."""
        return Needs()

    @property
    def root(self) -> Path:
        """See `Work`."""
        return self.folder.path.absolute()

    @property
    def makes(self) -> Path:
        """See `Work`."""
        return self.folder.tasks / self.task.name

    @property
    def reads(self) -> Sequence[Path]:
        """See `Work`."""
        return (self.folder.tasks,) if self.task.stage else (self.makes,)

    @property
    def holds(self) -> Path:
        """See `Work`."""
        return self.makes / "run"

    def moved(self, root: Path) -> TaskJob:
        """See `Work`."""
        return dataclasses.replace(self, folder=ResultsFolder(root))


def do_task(study: Study, task: Task, folder: ResultsFolder) -> None:
    """Does a task in this process, and writes its rows.

    Raises:
        NoRoomError: the disk is full.
        RecipeError: see `ResultsFolder.finish`.
    """
    with no_room_told(GOES_ON), own_torch(), quiet():
        (folder.tasks / task.name).mkdir(parents=True, exist_ok=True)
        folder.finish(task, [{**task.labels, **row} for row in study.work(task, folder.tasks)])
        shutil.rmtree(folder.tasks / task.name / CHECKPOINTS, ignore_errors=True)


def run_tasks(
    study: Study, folder: ResultsFolder, backend: Backend | None, tell: Callable[[str], None] | None
) -> dict[str, str]:
    """Does what is to do, stage by stage; returns why the tasks that failed did, by name.

    Without a backend everything happens in this process.

    Raises:
        NoRoomError: the disk is full.
        KeyboardInterrupt: after the workers have ended.
    """
    tasks, todo = study.tasks(), unfinished(study, folder)
    done, tell = len(tasks) - len(todo), tell or (lambda line: None)
    if done:
        tell(f"{done} of {len(tasks)} tasks are done already")
    failures: dict[str, str] = {}
    with progress_bar(study.name) as bar:
        shown = bar.add_task(study.name, total=len(tasks), completed=done)

        def ended(task: Task, problem: str | None) -> None:
            nonlocal done
            done += 1
            bar.update(shown, completed=done)
            if problem is not None:
                failures[task.name] = problem
            if problem is not None or not has_bars():
                tell(f"{done}/{len(tasks)} {task.name}: {problem or 'done'}")

        for stage in sorted({task.stage for task in todo}):
            now = [task for task in todo if task.stage == stage]
            if backend is None:
                _one_by_one(study, now, folder, ended)
            else:
                _side_by_side([TaskJob(study, task, folder) for task in now], backend, ended)
            if failures:  # later stages need the earlier ones
                break
    return failures


def unfinished(study: Study, folder: ResultsFolder, given: Sequence[Row] = ()) -> list[Task]:
    """The tasks that are left to do, when the folder has adopted the rows that are `given`."""
    left = [task for task in study.tasks() if not folder.rows_file(task).exists()]
    read = still_read(study, left, given)
    return [task for task in left if task in read or not rows_of(task, given)]


def _one_by_one(
    study: Study, tasks: Sequence[Task], folder: ResultsFolder, ended: Callable[[Task, str | None], None]
) -> None:
    for task in tasks:
        try:
            do_task(study, task, folder)
        except NoRoomError:  # no other task fares better
            raise
        except (RecipeError, FloatingPointError) as error:
            ended(task, str(error))
        else:
            ended(task, None)


def _side_by_side(
    jobs: Sequence[TaskJob], backend: Backend, ended: Callable[[Task, str | None], None]
) -> None:
    def end(job: TaskJob, ending: Ending, again: bool) -> None:
        if ending.no_room:
            raise NoRoomError(f"{job.task.name}: {ending.problem}")
        if not again:
            ended(job.task, ending.problem and f"{ending.problem}; see {job.log}")

    with no_room_told(GOES_ON):
        run_jobs(iter(jobs), backend.limited(len(jobs)), end=end)
