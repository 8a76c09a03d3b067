"""`catzoo bench soak`."""

from __future__ import annotations

import argparse
import math

from catzoo.zoo.cli.parser import path

EXAMPLES = """\
  catzoo bench soak --minutes 60 --out results/
  catzoo bench soak --minutes 5 --agent dqn --env CartPole-v1 --loss mse
"""


def minutes(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes such as 60 or 0.5")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("--minutes", metavar="N", type=minutes, default=60.0, help="of training; default 60")
    parser.add_argument("--agent", metavar="AGENT", default="rainbow", help="default rainbow")
    parser.add_argument("--env", metavar="ID", default="MinAtar/Breakout", help="default MinAtar/Breakout")
    parser.add_argument("--loss", metavar="NAME", default="hl_gauss", help="default hl_gauss")
    parser.add_argument(
        "--out", metavar="DIR", type=path, help="where soak.csv and soak.png go, written anew"
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo bench soak`."""
    from catzoo.zoo.bench.soak import bench_soak

    bench_soak(**vars(arguments))
