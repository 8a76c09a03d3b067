"""One task of a study in a process of its own: `python -m catzoo.zoo.studies.task_worker`."""

from __future__ import annotations

import sys
from typing import Any

from catzoo.zoo.system.job_of_parent import work_on


def _work(study: str, settings: dict[str, Any], name: str, folder: str, threads: int) -> None:
    import torch

    from catzoo.zoo.studies.results_folder import ResultsFolder, settings_of
    from catzoo.zoo.studies.task_runner import do_task

    torch.set_num_threads(threads)
    made = settings_of(study, settings)
    task = next(task for task in made.tasks() if task.name == name)
    do_task(made, task, ResultsFolder(folder))


if __name__ == "__main__":
    sys.exit(work_on(_work, "reproduce"))
