"""Catzoo: deep RL agents whose value functions classify instead of regress.

`train`, `evaluate` and `watch` do what the commands of those names do (`evaluate` is `catzoo eval`), `export`
writes a trained agent as one file, `train_many` trains a list of games, `tune` makes a study, `gather` reads
the scores of many runs, `report` compares them on a page, `gallery` shows trained agents on one, and `board`
opens TensorBoard on them. `push` gives an agent to others by the Hugging Face Hub, `pull` brings one.
`make_chess_positions`, `make_robot_episodes` and `make_wordle_games` make datasets (`catzoo data`),
`bench_kernels` and `bench_training` measure speed (`catzoo bench`). `lightning_agent` is an agent for a
trainer of your own, and `Objective` what a study of your own maximizes. They are imported on first use, so
that `import catzoo` stays light.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from catzoo.version import __version__

if TYPE_CHECKING:
    from catzoo.zoo.bench.kernels.measure_kernels import bench_kernels
    from catzoo.zoo.bench.loops.training import bench_training
    from catzoo.zoo.datasets.chess_positions import make_chess_positions
    from catzoo.zoo.datasets.robot_episodes import make_robot_episodes
    from catzoo.zoo.datasets.wordle_games import make_wordle_games
    from catzoo.zoo.gallery.gallery import gallery
    from catzoo.zoo.launch.train_many import train_many
    from catzoo.zoo.reporting.browser_boards import board
    from catzoo.zoo.reporting.finished_runs import gather
    from catzoo.zoo.reporting.report import report
    from catzoo.zoo.studies.reproduce import reproduce
    from catzoo.zoo.training.evaluate import evaluate
    from catzoo.zoo.training.export import export
    from catzoo.zoo.training.hub import pull, push
    from catzoo.zoo.training.own_trainer import lightning_agent
    from catzoo.zoo.training.train import train
    from catzoo.zoo.training.weights import load_agent
    from catzoo.zoo.tuning.own_study import Objective
    from catzoo.zoo.tuning.tune import tune
    from catzoo.zoo.watch.film import watch
    from catzoo.zoo.watch.play import play

_LAZY = {
    "bench_kernels": "catzoo.zoo.bench.kernels.measure_kernels",
    "bench_training": "catzoo.zoo.bench.loops.training",
    "make_chess_positions": "catzoo.zoo.datasets.chess_positions",
    "make_robot_episodes": "catzoo.zoo.datasets.robot_episodes",
    "make_wordle_games": "catzoo.zoo.datasets.wordle_games",
    "board": "catzoo.zoo.reporting.browser_boards",
    "Objective": "catzoo.zoo.tuning.own_study",
    "evaluate": "catzoo.zoo.training.evaluate",
    "export": "catzoo.zoo.training.export",
    "gallery": "catzoo.zoo.gallery.gallery",
    "gather": "catzoo.zoo.reporting.finished_runs",
    "lightning_agent": "catzoo.zoo.training.own_trainer",
    "load_agent": "catzoo.zoo.training.weights",
    "play": "catzoo.zoo.watch.play",
    "pull": "catzoo.zoo.training.hub",
    "push": "catzoo.zoo.training.hub",
    "report": "catzoo.zoo.reporting.report",
    "reproduce": "catzoo.zoo.studies.reproduce",
    "train": "catzoo.zoo.training.train",
    "train_many": "catzoo.zoo.launch.train_many",
    "tune": "catzoo.zoo.tuning.tune",
    "watch": "catzoo.zoo.watch.film",
}

__all__ = [
    "Objective",
    "__version__",
    "bench_kernels",
    "bench_training",
    "board",
    "evaluate",
    "export",
    "gallery",
    "gather",
    "lightning_agent",
    "load_agent",
    "make_chess_positions",
    "make_robot_episodes",
    "make_wordle_games",
    "play",
    "pull",
    "push",
    "report",
    "reproduce",
    "train",
    "train_many",
    "tune",
    "watch",
]


def _wait_as_the_machine_is() -> None:
    """Has torch's threads sleep while they wait for each other, where more is running than there are cores.

    Threads that spin keep the work itself from such cores: an update took up to 15 times as long. With room
    for all, spinning is faster by a fifth to a third. OpenMP asks once, when torch is imported: whoever did
    that before has decided, and so has who says it. Processes that we start inherit it.
    """
    said = os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
    undecided = not said and "torch" not in sys.modules and hasattr(os, "getloadavg")
    if undecided and os.getloadavg()[0] > (os.cpu_count() or 1):
        os.environ["OMP_WAIT_POLICY"] = "passive"


_wait_as_the_machine_is()


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'catzoo' has no attribute {name!r}")
