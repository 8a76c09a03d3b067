"""One run of many in a process of its own: `python -m catzoo.zoo.launch.worker`, its job on standard input.

The job is a line of JSON, the arguments of `train`; after the word `check` a list of them, which are only
built. Standard input stays open after that line for as long as the parent lives: when it ends, however the
parent did, this process has nothing to live for.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from catzoo.zoo.system.exit_status import exit_status
from catzoo.zoo.system.job_of_parent import hear_ctrl_c, work_on


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
