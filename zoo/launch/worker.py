"""One run of many in a process of its own: `python -m catzoo.zoo.launch.worker`, its job on standard input.

The job is a line of JSON, the arguments of `train`; after the word `check` a list of them, which are only
built. Standard input stays open after that line for as long as the parent lives: when it ends, however the
parent did, this process has nothing to live for.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from catzoo.zoo.system.exit_status import exit_status, status_of


def take_job() -> Any:
    """Reads the job, and from then on ends this process and its children when the parent is gone."""
    with open(0, "rb", buffering=0, closefd=False) as stream:
        job = json.loads(stream.readline())
    alive = os.dup(0)
    # Whoever asks a question of standard input gets an end of file, and not the thread's bytes.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    return job


def _end_with(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    if os.getpgrp() == os.getpid():  # environments may have processes of their own
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def hear_ctrl_c() -> None:
    """Has SIGINT interrupt this process: a shell may have told it to ignore that, and Ray blocks it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def work_on(do: Callable[..., object], command: str) -> int:
    """Does the job that it takes; returns the exit status that `catzoo COMMAND` would, or `NO_ROOM`."""
    hear_ctrl_c()
    job = take_job()
    return exit_status(lambda: status_of(lambda: do(**job)), command)


def main() -> int:
    """Trains, or checks; returns the exit status that `catzoo train` would."""
    if sys.argv[1:] != ["check"]:
        return work_on(_train, "train")
    hear_ctrl_c()
    return exit_status(lambda: _check(json.loads(sys.stdin.readline())), "train")


def _check(jobs: list[dict[str, Any]]) -> None:
    from catzoo.zoo.folders.run_folder import Run
    from catzoo.zoo.training.build import build_trainer
    from catzoo.zoo.training.train import recipe_of

    for job in jobs:
        folder = Run(job.pop("run_dir")).path / "replay"
        job.pop("wandb")
        build_trainer(recipe_of(**job), folder).close()


def _train(**arguments: Any) -> None:
    from catzoo.zoo.reporting.result_table import print_result
    from catzoo.zoo.training.train import train

    print_result(train(**arguments))


if __name__ == "__main__":
    sys.exit(main())
