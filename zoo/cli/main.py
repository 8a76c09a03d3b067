"""The `catzoo` command: a thin shell over the functions of the same names.

Heavy imports happen inside the command that needs them, so that `--help`, `list`, `show` and `scores` answer
at once. A mistake is one line on standard error and exit status 2.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from catzoo.version import __version__
from catzoo.zoo.cli.bench import (
    _add_bench,
    run_bench_checkpoint,
    run_bench_replay,
    run_bench_soak,
    run_bench_training,
)
from catzoo.zoo.cli.bench_kernels import run_bench_kernels
from catzoo.zoo.cli.evaluate import _add_eval_and_watch, run_eval
from catzoo.zoo.cli.listing import _add_list_and_show, run_list, run_show
from catzoo.zoo.cli.parser import Parser, _add, natural, positive
from catzoo.zoo.cli.report import _add_report, run_report
from catzoo.zoo.cli.reproduce import EXAMPLES as EXAMPLES_REPRODUCE
from catzoo.zoo.cli.reproduce import add_reproduce_arguments, run_reproduce
from catzoo.zoo.cli.scores import _add_scores, run_scores
from catzoo.zoo.cli.train import _add_train, _sort_train, run_train
from catzoo.zoo.cli.tune import EXAMPLES as EXAMPLES_TUNE
from catzoo.zoo.cli.tune import add_tune_arguments, run_tune
from catzoo.zoo.cli.watch import run_watch
from catzoo.zoo.system.exit_status import exit_status

EXAMPLES = """\
examples:
  catzoo list                                                 what is in the zoo
  catzoo train dqn --env CartPole-v1 --loss hl_gauss          train, evaluate, draw the curve
  catzoo train dqn --env MinAtar/Breakout optimizer.lr=1e-4   any key of the recipe can be set
  catzoo train dqn --env minatar-5 --seeds 3 --workers 4      many games at once
  catzoo tune dqn --env CartPole-v1 --trials 20 --workers 2   an Optuna study over seeds
  catzoo scores runs                                          their scores, with intervals
  catzoo report runs --out report                             a page with pictures and tables about them
  catzoo reproduce sigma-bins --workers 2                     put a claim of the paper to the test
  catzoo watch runs/dqn-CartPole-v1-hl_gauss-s0 --out cartpole.mp4
"""

COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "list": run_list,
    "show": run_show,
    "train": run_train,
    "tune": run_tune,
    "scores": run_scores,
    "report": run_report,
    "eval": run_eval,
    "watch": run_watch,
    "reproduce": run_reproduce,
    "bench training": run_bench_training,
    "bench kernels": run_bench_kernels,
    "bench replay": run_bench_replay,
    "bench checkpoint": run_bench_checkpoint,
    "bench soak": run_bench_soak,
}
"""What each command runs; the words are in `arguments`."""


def make_parser() -> Parser:
    """The command's arguments."""
    parser = Parser(
        prog="catzoo",
        description="Deep RL agents whose value functions classify instead of regress.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"catzoo {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_list_and_show(commands)
    _add_train(commands)
    add_tune_arguments(
        _add(commands, "tune", "tune a recipe over seeds, and check what it gained", EXAMPLES_TUNE),
        natural,
        positive,
    )
    _add_scores(commands)
    _add_report(commands)
    _add_eval_and_watch(commands)
    add_reproduce_arguments(
        _add(commands, "reproduce", "put a claim of the paper to the test", EXAMPLES_REPRODUCE), positive
    )
    _add_bench(commands)
    return parser


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of a command line; a mistake ends the process with status 2."""
    parser = make_parser()
    arguments, rest = parser.parse_known_args(argv)
    # argparse gives up on `key=value` words that stand between options; they are overrides all the same.
    takes_overrides = arguments.command in ("train", "tune", "reproduce")
    stray = [word for word in rest if word.startswith("-") or not takes_overrides]
    if stray:
        parser.error(f"unrecognized arguments: {stray[0]}")
    if takes_overrides:
        arguments.overrides = [*arguments.overrides, *rest]
    if arguments.command == "train":
        _sort_train(parser, arguments)
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    arguments = parse(argv)
    name = " ".join(filter(None, (arguments.command, getattr(arguments, "kind", None))))
    return exit_status(lambda: COMMANDS[name](arguments), arguments.command)


if __name__ == "__main__":
    raise SystemExit(main())
