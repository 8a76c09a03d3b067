"""`catzoo bench checkpoint`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import path, positive

EXAMPLES = """\
  catzoo bench checkpoint --out results/
  catzoo bench checkpoint --parts dqn --transitions 100k --scratch /mnt/disk
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument(
        "--parts",
        metavar="PART",
        nargs="+",
        choices=("dqn", "rainbow"),
        default=("dqn", "rainbow"),
        help="dqn (uniform replay), rainbow (prioritised); default both",
    )
    parser.add_argument(
        "--transitions",
        metavar="N",
        type=positive,
        nargs="+",
        default=(100_000, 1_000_000),
        help="in the replay; default 100k 1M, which takes 7.2 GB of memory and 15 GB of disk",
    )
    parser.add_argument(
        "--scratch", metavar="DIR", type=path, help="a folder on the disk to measure; default a temporary one"
    )
    parser.add_argument("--out", metavar="DIR", type=path, help="where checkpoint.csv goes, written anew")


def run(arguments: argparse.Namespace) -> None:
    """`catzoo bench checkpoint`."""
    from catzoo.zoo.bench.checkpoint import bench_checkpoint

    bench_checkpoint(**vars(arguments))
