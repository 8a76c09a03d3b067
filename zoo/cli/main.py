"""The `catzoo` command: a thin shell over the functions of the same names.

The first word chooses a file of this folder; no other command's is imported, and what is heavy only when the
command runs, so that `--help`, `list`, `show` and `scores` answer at once. A mistake is one line on standard
error and exit status 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from catzoo.version import __version__
from catzoo.zoo.cli.parser import Parser, command_of
from catzoo.zoo.system.exit_status import exit_status
from catzoo.zoo.system.streams import complete_streams, leave_streams

EXAMPLES = """\
examples:
  catzoo list                                                 what is in the zoo
  catzoo train dqn --env CartPole-v1 --loss hl_gauss          train, evaluate, draw the curve
  catzoo train dqn --env MinAtar/Breakout optimizer.lr=1e-4   any key of the recipe can be set
  catzoo train dqn --env minatar-5 --seeds 3 --run-dir games  many games at once; --workers N side by side
  catzoo tune dqn --env CartPole-v1 --trials 20 --workers 2   an Optuna study over seeds
  catzoo scores games                                         their scores, with intervals
  catzoo report games --out report                            a page with pictures and tables about them
  catzoo board runs                                           look at them in TensorBoard
  catzoo reproduce sigma-bins --workers 2                     put a claim of the paper to the test
  catzoo watch runs/dqn-CartPole-v1-hl_gauss-s0 --out cartpole.mp4
  catzoo push runs/dqn-CartPole-v1-hl_gauss-s0 me/cartpole    give it to others, by the Hugging Face Hub
"""

COMMANDS = {
    "list": ("listing", "list the agents, losses and measured scores"),
    "show": ("show", "show an agent's recipe, every key with its meaning, and its scores"),
    "train": ("train", "train an agent, on one game or many; the same command goes on where it stopped"),
    "tune": ("tune", "tune a recipe over seeds, and check what it gained"),
    "scores": ("scores", "gather the scores of many runs: mean over seeds, with intervals"),
    "report": (
        "report",
        "compare finished runs on one page: curves, aggregates over games with intervals, tables, pictures",
    ),
    "board": ("board", "look at runs in TensorBoard, or at a study in optuna-dashboard"),
    "eval": ("evaluate", "score the greedy policy of a finished run, or of one of the zoo's trained agents"),
    "watch": (
        "watch",
        "film the greedy policy, with the value distribution of its action beside the frame",
    ),
    "gallery": ("gallery", "show trained agents on one page: films, learning curves, scores, recipes"),
    "play": ("play", "play against a trained agent, or beside it"),
    "push": ("push", "put a finished run on the Hugging Face Hub, with a card that says how to use it"),
    "pull": ("pull", "bring an agent from the Hugging Face Hub, as a run's folder"),
    "data": ("data", "make a dataset for an agent that learns without playing"),
    "reproduce": ("reproduce", "put a claim of the paper to the test"),
    "bench": ("bench", "measure speed, side by side with others in one run"),
    "export": (
        "export",
        "take one piece along: a trained agent as an ONNX or .pt2 file, or a loss",
    ),
    "doctor": ("doctor", "what is installed, what this machine has, and what a missing extra would bring"),
}
"""The first word, the file that has the command, and a line of help."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of a command line, none asks for help; a mistake ends the process with status 2."""
    parser = Parser(
        prog="catzoo",
        description="Deep RL agents whose value functions classify instead of regress.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"catzoo {__version__}")
    parser.add_commands("command", COMMANDS)
    return parser.parse_args((sys.argv[1:] if argv is None else argv) or ["--help"])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    complete_streams()
    try:
        arguments = parse(argv)
        name = vars(arguments).pop("command")
        return exit_status(lambda: command_of(COMMANDS[name][0]).run(arguments), name)
    finally:
        leave_streams()
