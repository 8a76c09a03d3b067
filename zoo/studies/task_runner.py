"""Runs a study's tasks, several at a time, and goes on where it stopped.

A task that is done has its rows on disk, and is not done again; one that trains goes on from its run's last
checkpoint. A process that crashes is started again twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catzoo.hparams import NoRoomError, RecipeError
from catzoo.zoo.launch.jobs import PYTHON
from catzoo.zoo.launch.processes import (
    RESTARTS,
    Worker,
    crew_of_workers,
    problem_of,
    start,
    threads_each,
    wait_for,
)
from catzoo.zoo.studies.results_folder import ResultsFolder, described, save_rows
from catzoo.zoo.studies.study import Study, Task
from catzoo.zoo.system.console import console, progress_bar
from catzoo.zoo.system.disk_space import no_room_told

GOES_ON = "the same command goes on"
"""What an error for want of room ends with."""


@dataclass(frozen=True)
class TaskJob:
    """A task as a process takes it; see `crew.Work`."""

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


def do_task(study: Study, task: Task, folder: ResultsFolder) -> None:
    """Does a task in this process, and writes its rows.

    Raises:
        NoRoomError: the disk is full.
    """
    file = folder.rows_file(task)
    with no_room_told(GOES_ON):
        file.parent.mkdir(parents=True, exist_ok=True)
        save_rows(file, [{**task.labels, **row} for row in study.work(task, folder.tasks)])


def run_tasks(
    study: Study, folder: ResultsFolder, workers: int, tell: Callable[[str], None] | None
) -> dict[str, str]:
    """Does what is to do, stage by stage; returns why the tasks that failed did, by name.

    With one worker everything happens in this process.

    Raises:
        NoRoomError: the disk is full.
        KeyboardInterrupt: after the workers have ended.
    """
    tasks = study.tasks()
    todo = [task for task in tasks if not folder.rows_file(task).exists()]
    tell = tell or (lambda line: None)
    if len(todo) < len(tasks):
        tell(f"{len(tasks) - len(todo)} of {len(tasks)} tasks are done already")
    failures: dict[str, str] = {}
    with progress_bar(study.name) as bar:
        shown = bar.add_task(study.name, total=len(tasks), completed=len(tasks) - len(todo))
        done = len(tasks) - len(todo)

        def ended(task: Task, problem: str | None) -> None:
            nonlocal done
            done += 1
            bar.update(shown, completed=done)
            if problem is not None:
                failures[task.name] = problem
            if problem is not None or not console.is_terminal:
                tell(f"{done}/{len(tasks)} {task.name}: {problem or 'done'}")

        for stage in sorted({task.stage for task in todo}):
            now = [task for task in todo if task.stage == stage]
            if workers == 1:
                _one_by_one(study, now, folder, ended)
            else:
                _side_by_side([TaskJob(study, task, folder) for task in now], workers, ended)
            if failures:  # later stages need the earlier ones
                break
    return failures


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


def _side_by_side(jobs: Sequence[TaskJob], workers: int, ended: Callable[[Task, str | None], None]) -> None:
    waiting, attempts = list(jobs), Counter[str]()
    workers = min(workers, len(jobs))
    threads = threads_each(workers)
    with crew_of_workers() as crew:
        while waiting or crew:
            while waiting and len(crew) < workers:
                job = waiting.pop(0)
                attempts[job.task.name] += 1
                with no_room_told(GOES_ON):
                    crew.append(start(job, threads, workers))
            for worker in wait_for(crew, _nothing) if crew else ():
                crew.remove(worker)
                job, problem = worker.job, problem_of(worker)
                if worker.had_no_room:
                    raise NoRoomError(f"{job.task.name}: {problem}")
                if problem is not None and worker.crashed and attempts[job.task.name] <= RESTARTS:
                    waiting.insert(0, job)
                else:
                    ended(job.task, problem and f"{problem}; see {job.log}")


def _nothing(worker: Worker[TaskJob]) -> None:
    """What is seen of a task is that it ends."""
