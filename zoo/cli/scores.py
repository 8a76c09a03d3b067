"""`catzoo scores`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from catzoo.zoo.cli.parser import _add


def run_scores(arguments: argparse.Namespace) -> None:
    """`catzoo scores`."""
    from catzoo.zoo.reporting.scores import print_scores

    print_scores(arguments.runs, out=arguments.out, curves=arguments.curves)


def _add_scores(commands: Any) -> None:
    scores = _add(
        commands,
        "scores",
        "gather the scores of many runs: mean over seeds, with intervals",
        "  catzoo scores runs\n"
        "  catzoo scores runs/classic runs/atari --out scores.csv\n"
        "  catzoo scores runs/minatar --curves curves.png\n",
    )
    scores.add_argument(
        "runs", metavar="RUNS_FOLDER", nargs="+", type=Path, help="run folders, or folders that hold some"
    )
    scores.add_argument("--out", metavar="FILE", type=Path, help="a CSV file, written anew: one row a run")
    scores.add_argument("--curves", metavar="FILE", type=Path, help="a .png file: learning curves over seeds")
