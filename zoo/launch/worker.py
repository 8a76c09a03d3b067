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
from typing import Any

from catzoo.zoo.system.exit_status import status_of


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


def main() -> int:
    """Trains; returns the exit status that `catzoo train` would."""
    # A shell may have told the parent's children to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from catzoo.zoo.system.exit_status import exit_status

    if sys.argv[1:] == ["check"]:
        return exit_status(lambda: _check(json.loads(sys.stdin.readline())), "train")
    job = take_job()
    return exit_status(lambda: _train(job), "train")


def _check(jobs: list[dict[str, Any]]) -> None:
    from catzoo.zoo.folders.run_folder import Run
    from catzoo.zoo.training.build import build_trainer
    from catzoo.zoo.training.train import recipe_of

    for job in jobs:
        folder = Run(job.pop("run_dir")).path / "replay"
        job.pop("wandb")
        build_trainer(recipe_of(**job), folder).close()


def _train(job: dict[str, Any]) -> int:
    from catzoo.zoo.reporting.result_table import print_result
    from catzoo.zoo.training.train import train

    return status_of(lambda: print_result(train(**job)))


if __name__ == "__main__":
    sys.exit(main())
