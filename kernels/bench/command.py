"""`python -m catzoo.kernels.bench`: the benchmark from the source tree, with nothing but torch."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from catzoo.kernels.bench.results import Row
from catzoo.kernels.bench.run import run_bench, say
from catzoo.kernels.bench.settings import DTYPES, PARTS, BenchError, Settings
from catzoo.kernels.bench.table import table

EXAMPLES = """\
examples:
  {prog}                                     everything, on a GPU if there is one; nothing is written
  {prog} --out results/                      appends to results/kernels.csv; goes on where it stopped
  {prog} --device cpu --parts throughput --rows 4096 65536 --bins 101
  {prog} --quick                             does it run? in seconds
"""
SETTINGS = tuple(field.name for field in fields(Settings))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, exit status 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def make_parser(prog: str) -> argparse.ArgumentParser:
    """The arguments, which are those of `catzoo bench kernels`."""
    parser = _Parser(
        prog=prog,
        description="Speed of the categorical losses, side by side with what else computes them.",
        epilog=EXAMPLES.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    many: dict[str, Any] = {"nargs": "+", "type": int}
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1; default auto")
    parser.add_argument(
        "--parts", metavar="PART", nargs="+", default=PARTS, help=f"of {', '.join(PARTS)}; default all"
    )
    parser.add_argument("--rows", metavar="N", **many, help="rows of throughput and linear")
    parser.add_argument("--bins", metavar="K", **many, help="bins of throughput")
    parser.add_argument(
        "--dtypes", metavar="DTYPE", nargs="+", help=f"of {', '.join(DTYPES)}, for throughput"
    )
    parser.add_argument("--batches", metavar="B", **many, help="batches of td")
    parser.add_argument("--actions", metavar="A", **many, help="actions of td")
    parser.add_argument("--td-bins", metavar="K", type=int, default=51, help="bins of td; default 51")
    parser.add_argument(
        "--budget", metavar="SECONDS", type=float, help="of timing for each cell of the table"
    )
    parser.add_argument("--limit", metavar="SECONDS", type=float, help="start no cell later than this")
    parser.add_argument("--threads", metavar="N", type=int, help="of PyTorch on the CPU; default 1 there")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="torch.compile as a side; default: on a GPU",
    )
    parser.add_argument("--quick", action="store_true", help="sizes that take seconds, to see that it runs")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="where the CSV goes; an unfinished one goes on"
    )
    parser.add_argument("--fresh", action="store_true", help="throw away what is in the CSV")
    return parser


def main(
    argv: Sequence[str] | None = None,
    prog: str = "python -m catzoo.kernels.bench",
    bench: Callable[..., list[Row]] | None = None,
) -> int:
    """Runs the command line; returns the exit status. bench is called with the arguments, by name."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = vars(make_parser(prog).parse_args(argv))
    try:
        rows = (bench or _bench)(command=f"{prog} {shlex.join(argv)}".strip(), **arguments)
    except BenchError as error:
        sys.stderr.write(f"{prog}: error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{prog}: stopped; the same command with --out goes on\n")
        return 130
    say("\n" + table(rows))
    return 0


def _bench(command: str, out: Path | None, fresh: bool, **settings: Any) -> list[Row]:
    return run_bench(Settings(**settings), out, fresh=fresh, command=command)
