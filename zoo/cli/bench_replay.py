"""`catzoo bench replay`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import path

EXAMPLES = """\
  catzoo bench replay --out results/
  catzoo bench replay --parts priorities
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument(
        "--parts",
        metavar="PART",
        nargs="+",
        choices=("priorities", "store", "memory"),
        default=("priorities", "store", "memory"),
        help="priorities, store, memory; default all; memory takes 7.2 GB",
    )
    parser.add_argument("--out", metavar="DIR", type=path, help="where replay.csv goes, written anew")


def run(arguments: argparse.Namespace) -> None:
    """`catzoo bench replay`."""
    from catzoo.zoo.bench.replay import bench_replay
    from catzoo.zoo.system.console import say

    bench_replay(**vars(arguments), progress=say)
