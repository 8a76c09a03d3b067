"""`catzoo report`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import path

EXAMPLES = """\
  catzoo report runs/minatar --out report
  catzoo report runs/dqn-* runs/rainbow-* --out reports/atari
runs of one protocol are compared by agent, loss and recipe; aggregates are over the environments
that all of these have. DIR gets index.html, which needs nothing beside it, the pictures as PNG,
scores.csv, aggregates.csv, per_environment.csv, and table.md for a README; it replaces an older
report there
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        type=path,
        help="run folders, or folders that hold some at any depth",
    )
    parser.add_argument("--out", metavar="DIR", type=path, required=True, help="the folder that is written")


def run(arguments: argparse.Namespace) -> None:
    """`catzoo report`."""
    from catzoo.zoo.system.console import waiting

    with waiting("comparing runs"):
        from catzoo.zoo.reporting.report import print_report, report

        made = report(arguments.runs, arguments.out)
    print_report(made)
