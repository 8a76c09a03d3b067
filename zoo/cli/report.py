"""`catzoo report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from catzoo.zoo.cli.parser import _add


def run_report(arguments: argparse.Namespace) -> None:
    """`catzoo report`."""
    from catzoo.zoo.reporting.report import print_report, report

    print_report(report(arguments.runs, arguments.out))


def _add_report(commands: Any) -> None:
    report = _add(
        commands,
        "report",
        "compare finished runs on one page: curves, aggregates over games with intervals, tables, pictures",
        "  catzoo report runs --out report\n"
        "  catzoo report runs/dqn-* runs/rainbow-* --out reports/atari\n"
        "runs of one protocol are compared by agent, loss and recipe; aggregates are over the environments\n"
        "that all of these have. DIR gets index.html, which needs nothing beside it, the pictures as PNG,\n"
        "scores.csv, aggregates.csv, per_environment.csv, and table.md for a README; it replaces an older\n"
        "report there\n",
    )
    report.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        type=Path,
        help="run folders, or folders that hold some at any depth",
    )
    report.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder that is written")
