"""`catzoo scores`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import path

EXAMPLES = """\
  catzoo scores runs
  catzoo scores runs/classic runs/atari --out scores.csv
  catzoo scores runs/minatar --curves curves.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument(
        "runs", metavar="RUNS_FOLDER", nargs="+", type=path, help="run folders, or folders that hold some"
    )
    parser.add_argument("--out", metavar="FILE", type=path, help="a CSV file, written anew: one row a run")
    parser.add_argument("--curves", metavar="FILE", type=path, help="a .png file: learning curves over seeds")


def run(arguments: argparse.Namespace) -> None:
    """`catzoo scores`."""
    from catzoo.zoo.reporting.scores import print_scores

    print_scores(arguments.runs, out=arguments.out, curves=arguments.curves)
