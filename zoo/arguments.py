"""The words of the `catzoo` command: its parser, built without anything heavy."""

from __future__ import annotations

import argparse
import difflib
import math
import re
from pathlib import Path
from typing import Any, NoReturn

from catzoo import __version__
from catzoo.hparams import LOSS_KEYS
from catzoo.zoo.bench.kernel_arguments import EXAMPLES as EXAMPLES_KERNELS
from catzoo.zoo.bench.kernel_arguments import add_kernel_arguments
from catzoo.zoo.games import SETS
from catzoo.zoo.studies.arguments import EXAMPLES as EXAMPLES_REPRODUCE
from catzoo.zoo.studies.arguments import add_reproduce_arguments
from catzoo.zoo.tuning.arguments import EXAMPLES as EXAMPLES_TUNE
from catzoo.zoo.tuning.arguments import add_tune_arguments

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

RUN = "a run's folder, or the name of one of the zoo's trained agents (catzoo list)"


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line that offer the nearest choice."""

    def error(self, message: str) -> NoReturn:
        """Prints the message and exits with status 2."""
        choice = re.match(r"argument (\S+): invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choice:
            known = [name.strip("' ") for name in choice[3].split(",")]
            near = difflib.get_close_matches(choice[2], known, n=1)
            what = "command" if choice[1] in ("COMMAND", "KIND") else choice[1]
            hint = f"; did you mean {near[0]}?" if near else ""
            message = f"unknown {what} {choice[2]!r}: known are {', '.join(known)}{hint}"
        unknown = re.match(r"unrecognized arguments: (--?[\w-]+)", message)
        if unknown:
            options = [name for action in self._all_actions() for name in action.option_strings]
            near = difflib.get_close_matches(unknown[1], options, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; see {self.prog} --help"
            message = f"unknown option {unknown[1]}{hint}"
        self.exit(2, f"catzoo: error: {message}\n")

    def _all_actions(self) -> list[argparse.Action]:
        actions = list(self._actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    actions += parser._all_actions() if isinstance(parser, Parser) else parser._actions
        return actions


def whole(text: str) -> int:
    """A whole number, also as 200_000, 2e5 or 200k."""
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    try:
        value = float(text[:-1] if scale > 1 else text) * scale
        if value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number such as 20000, 20_000, 2e4 or 20k")


def natural(text: str) -> int:
    """A whole number of at least 0."""
    value = whole(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0")
    return value


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return value


def minutes(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes such as 60 or 0.5")
    return value


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


def _add(commands: Any, name: str, help: str, examples: str = "") -> Parser:
    return commands.add_parser(  # type: ignore[no-any-return]
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_list_and_show(commands: Any) -> None:
    listing = _add(commands, "list", "list the agents, losses and measured scores")
    listing.add_argument("--studies", action="store_true", help="the studies of catzoo reproduce instead")
    show = _add(
        commands,
        "show",
        "show an agent's recipe, every key with its meaning, and its scores",
        "  catzoo show dqn\n  catzoo show dqn --env MinAtar/Breakout --loss c51\n"
        "  catzoo show rainbow --preset atari-100k\n",
    )
    show.add_argument("agent", metavar="AGENT", help="an agent of the zoo")
    show.add_argument("--env", metavar="ID", help="resolve the recipe for this environment")
    show.add_argument("--loss", metavar="NAME", help="and this value loss")
    show.add_argument("--preset", metavar="NAME", help="and this preset, such as atari-100k")


def _add_train(commands: Any) -> None:
    train = _add(
        commands,
        "train",
        "train an agent, on one game or many; the same command goes on where it stopped",
        "  catzoo train dqn --env CartPole-v1 --loss hl_gauss\n"
        "  catzoo train dqn --env ALE/Pong-v5 --steps 2M compute.precision=bf16\n"
        "  catzoo train dqn --env my_package:MyEnv-v0 value_loss.v_min=-1 value_loss.v_max=1\n"
        "what a study found, or any of its trials, see catzoo tune:\n"
        "  catzoo train --from studies/dqn-CartPole-v1-hl_gauss/best.yaml --seed 7\n"
        "many runs, each in a folder of its own; finished ones are skipped:\n"
        '  catzoo train dqn --env "ALE/*" --seeds 3 --workers 4\n'
        "  catzoo train dqn --env atari-5 --loss hl_gauss,mse --seeds 3 --workers 2 --steps 100k\n"
        "  catzoo train dqn --env CartPole-v1,Acrobot-v1 --run-dir runs/classic\n"
        f"sets: {', '.join(SETS)}\n",
    )
    train.add_argument("agent", metavar="AGENT", nargs="?", help="an agent of the zoo, see catzoo list")
    train.add_argument(
        "--env",
        metavar="ID",
        help="any Gymnasium id, or my_package:MyEnv-v0; or a comma-separated list of ids, sets such as "
        'atari-5, and patterns such as "ALE/*"',
    )
    train.add_argument(
        "--from",
        dest="source",
        metavar="FILE|STUDY:N",
        help="instead of AGENT and --env: a study's best.yaml, one of its trials, a recipe.yaml or a run",
    )
    train.add_argument(
        "--loss", metavar="NAME", help=f"{', '.join(LOSS_KEYS)}; several: hl_gauss,mse; default: the recipe's"
    )
    train.add_argument("--preset", metavar="NAME", help="one of the recipe's presets, such as atari-100k")
    train.add_argument("--steps", metavar="N", type=whole, help="agent steps of a run (20000, 2e4, 20k)")
    train.add_argument("--seed", metavar="N", type=whole, help="seeds everything; default 0")
    train.add_argument(
        "--seeds", metavar="N", type=positive, help="how many seeds, from --seed on; default 1"
    )
    train.add_argument(
        "--workers",
        metavar="N",
        type=positive,
        help="runs at a time, each in a process with its share of the cores; default 1",
    )
    train.add_argument(
        "--run-dir",
        metavar="DIR",
        type=Path,
        help="default runs/AGENT-ENV[-PRESET]-LOSS-sSEED; of several runs the folder they are in: runs",
    )
    train.add_argument("--wandb", metavar="PROJECT", help="log to this Weights & Biases project as well")
    train.add_argument(
        "overrides", metavar="key=value", nargs="*", default=(), help="any key of catzoo show AGENT"
    )


def _add_scores(commands: Any) -> None:
    scores = _add(
        commands,
        "scores",
        "gather the scores of many runs: mean over seeds, with intervals",
        "  catzoo scores runs\n"
        "  catzoo scores runs/classic runs/atari --out scores.csv\n"
        "  catzoo scores runs/minatar --curves curves.png\n",
    )
    scores.add_argument(
        "runs", metavar="RUNS_FOLDER", nargs="+", type=Path, help="run folders, or folders that hold some"
    )
    scores.add_argument("--out", metavar="FILE", type=Path, help="a CSV file, written anew: one row a run")
    scores.add_argument("--curves", metavar="FILE", type=Path, help="a .png file: learning curves over seeds")


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


def _add_eval_and_watch(commands: Any) -> None:
    evaluate = _add(
        commands,
        "eval",
        "score the greedy policy of a finished run, or of one of the zoo's trained agents",
        "  catzoo eval runs/dqn-CartPole-v1-hl_gauss-s0 --episodes 500 --seed 7\n"
        "  catzoo eval dqn-CartPole-v1-hl_gauss          one of the zoo's own, see catzoo list\n",
    )
    evaluate.add_argument("run", metavar="RUN", type=Path, help=RUN)
    evaluate.add_argument(
        "--episodes", metavar="N", type=positive, help="default: the recipe's eval.episodes"
    )
    evaluate.add_argument("--seed", metavar="N", type=natural, help="of the environments; default: the run's")
    watch = _add(
        commands,
        "watch",
        "film the greedy policy, with the value distribution of its action beside the frame",
        "  catzoo watch runs/dqn-CartPole-v1-hl_gauss-s0 --out cartpole.mp4\n"
        "  catzoo watch runs/dqn-ALE-Pong-v5-hl_gauss-s0 --out pong.gif --max-steps 400\n",
    )
    watch.add_argument("run", metavar="RUN", type=Path, help=RUN)
    watch.add_argument("--out", metavar="FILE", type=Path, required=True, help="an .mp4 or .gif file")
    watch.add_argument("--seed", metavar="N", type=natural, default=0, help="of the episode; default 0")
    watch.add_argument("--max-steps", metavar="N", type=positive, default=3_000, help="default 3000")
    for command in (evaluate, watch):
        command.add_argument(
            "--best",
            action="store_true",
            help="the weights with the best mean return over 100 training episodes, instead of the last ones",
        )
        command.add_argument(
            "--trust",
            action="store_true",
            help="import the package that the run's environment names, as in my_package:MyEnv-v0",
        )


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser("bench", help="measure speed, side by side with others in one run")
    kinds = bench.add_subparsers(dest="kind", metavar="KIND", required=True)
    training = _add(
        kinds,
        "training",
        "whole training loops beside Stable-Baselines3 and TorchRL: steps a second, return at equal steps",
        "  catzoo bench training\n  catzoo bench training --env ALE/Pong-v5 --steps 4000 --out results/\n",
    )
    training.add_argument("--env", metavar="ID", default="CartPole-v1", help="default CartPole-v1")
    training.add_argument("--steps", metavar="N", type=positive, help="agent steps of each run")
    training.add_argument(
        "--seeds", metavar="N", type=positive, default=5, help="runs of each side; default 5"
    )
    training.add_argument(
        "--parts",
        metavar="PART",
        nargs="+",
        choices=("speed", "overhead", "learner", "share", "pipeline"),
        default=("speed", "overhead", "learner", "share"),
        help="speed, overhead, learner, share, pipeline; default all but the last",
    )
    training.add_argument(
        "--peers",
        metavar="PEER",
        nargs="+",
        choices=("sb3", "sb3-vec", "torchrl"),
        default=("sb3", "sb3-vec", "torchrl"),
        help="sb3 (one environment, as its users have), sb3-vec (as many as ours), torchrl; default all",
    )
    training.add_argument(
        "--episodes", metavar="N", type=positive, default=30, help="greedy, after each run; default 30"
    )
    training.add_argument("--cores", metavar="N", type=positive, default=1, help="for each side; default 1")
    training.add_argument(
        "--out", metavar="DIR", type=Path, help="where the CSV goes; an unfinished one goes on"
    )
    replay = _add(
        kinds,
        "replay",
        "prioritised sampling beside TorchRL's, frames beside whole stacks, and the memory of a million",
        "  catzoo bench replay --out results/\n  catzoo bench replay --parts priorities\n",
    )
    replay.add_argument(
        "--parts",
        metavar="PART",
        nargs="+",
        choices=("priorities", "store", "memory"),
        default=("priorities", "store", "memory"),
        help="priorities, store, memory; default all; memory takes 7.2 GB",
    )
    replay.add_argument("--out", metavar="DIR", type=Path, help="where replay.csv goes, written anew")
    _add_bench_checkpoint(kinds)
    _add_bench_soak(kinds)
    kernels = _add(
        kinds,
        "kernels",
        "the categorical losses beside eager PyTorch, torch.compile and other libraries, on a GPU or a CPU",
        EXAMPLES_KERNELS,
    )
    add_kernel_arguments(kernels, positive)


def _add_bench_checkpoint(kinds: Any) -> None:
    checkpoint = _add(
        kinds,
        "checkpoint",
        "saving and restoring an Atari run with a full replay: how long training stands still, and the disk",
        "  catzoo bench checkpoint --out results/\n"
        "  catzoo bench checkpoint --parts dqn --transitions 100k --scratch /mnt/disk\n",
    )
    checkpoint.add_argument(
        "--parts",
        metavar="PART",
        nargs="+",
        choices=("dqn", "rainbow"),
        default=("dqn", "rainbow"),
        help="dqn (uniform replay), rainbow (prioritised); default both",
    )
    checkpoint.add_argument(
        "--transitions",
        metavar="N",
        type=positive,
        nargs="+",
        default=(100_000, 1_000_000),
        help="in the replay; default 100k 1M, which takes 7.2 GB of memory and 15 GB of disk",
    )
    checkpoint.add_argument(
        "--scratch", metavar="DIR", type=Path, help="a folder on the disk to measure; default a temporary one"
    )
    checkpoint.add_argument("--out", metavar="DIR", type=Path, help="where checkpoint.csv goes, written anew")


def _add_bench_soak(kinds: Any) -> None:
    soak = _add(
        kinds,
        "soak",
        "train for long, and see whether memory, threads, open files or processes grow or are left over",
        "  catzoo bench soak --minutes 60 --out results/\n"
        "  catzoo bench soak --minutes 5 --agent dqn --env CartPole-v1 --loss mse\n",
    )
    soak.add_argument("--minutes", metavar="N", type=minutes, default=60.0, help="of training; default 60")
    soak.add_argument("--agent", metavar="AGENT", default="rainbow", help="default rainbow")
    soak.add_argument("--env", metavar="ID", default="MinAtar/Breakout", help="default MinAtar/Breakout")
    soak.add_argument("--loss", metavar="NAME", default="hl_gauss", help="default hl_gauss")
    soak.add_argument("--out", metavar="DIR", type=Path, help="where soak.csv and soak.png go, written anew")
