"""`catzoo bench kernels`; its words import nothing of what it measures, so that `--help` answers at once."""

from __future__ import annotations

import argparse
from typing import Any

from catzoo.hparams import RecipeError
from catzoo.zoo.cli.parser import path, positive

EXAMPLES = """\
  catzoo bench kernels --out results/                     CSV and pictures; goes on where it stopped
  catzoo bench kernels --device cpu --parts throughput --rows 4096 64k --bins 101
  catzoo bench kernels --quick                            does it run? in seconds
"""
PARTS = ("throughput", "td", "linear", "labels")
DTYPES = ("float32", "bfloat16", "float16")


def seconds(text: str) -> float:
    """A time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    many: dict[str, Any] = {"nargs": "+", "type": positive}
    add = parser.add_argument
    add(
        "--device", metavar="NAME", default="auto", help="cpu, cuda or cuda:1; default: a GPU if there is one"
    )
    add(
        "--parts",
        metavar="PART",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="throughput (loss and gradient), td (the whole Bellman step), linear (a layer with its "
        "loss), labels; default all",
    )
    add(
        "--rows", metavar="N", **many, help="rows of throughput and linear (4096, 64k); default: the device's"
    )
    add("--bins", metavar="K", **many, help="bins of throughput; default: the device's")
    add(
        "--dtypes",
        metavar="DTYPE",
        nargs="+",
        choices=DTYPES,
        help="of throughput: float32, bfloat16, float16",
    )
    add("--batches", metavar="B", **many, help="batches of td; default 32 128 256 1024 4096")
    add("--actions", metavar="A", **many, help="actions of td; default 6 18")
    add("--td-bins", metavar="K", type=positive, default=51, help="bins of td; default 51")
    add(
        "--budget",
        metavar="SECONDS",
        type=seconds,
        help="of timing for each cell; default 0.7 on a GPU, else 2",
    )
    add(
        "--limit", metavar="SECONDS", type=seconds, help="begin no cell later than this; default: measure all"
    )
    add("--threads", metavar="N", type=positive, help="PyTorch's on the CPU; default 1 when that is measured")
    add(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="torch.compile as a side; default: on a GPU only",
    )
    add("--quick", action="store_true", help="sizes that take seconds, to see that it runs")
    add("--out", metavar="DIR", type=path, help="where CSV and pictures go; an unfinished CSV goes on")
    add("--fresh", action="store_true", help="throw away what is in the CSV")


def run(arguments: argparse.Namespace) -> None:
    """`catzoo bench kernels`."""
    from catzoo.kernels.bench import BenchError, table
    from catzoo.zoo.bench.kernels.measure_kernels import bench_kernels
    from catzoo.zoo.system.console import say

    try:
        rows = bench_kernels(**vars(arguments), progress=say)
    except BenchError as error:
        raise RecipeError(str(error)) from None
    say("\n" + table(rows))
