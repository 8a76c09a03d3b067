"""The `catzoo` command: a thin shell over the functions of the same names.

Heavy imports happen inside the command that needs them, so that `--help`, `list` and `show` answer at
once. A mistake is one line on standard error and exit status 2.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from catzoo import __version__
from catzoo.hparams import RecipeError
from catzoo.zoo.bench.kernel_arguments import EXAMPLES as EXAMPLES_KERNELS
from catzoo.zoo.bench.kernel_arguments import add_kernel_arguments

EXAMPLES = """\
examples:
  catzoo list                                                 what is in the zoo
  catzoo train dqn --env CartPole-v1 --loss hl_gauss          train, evaluate, draw the curve
  catzoo train dqn --env MinAtar/Breakout optimizer.lr=1e-4   any key of the recipe can be set
  catzoo watch runs/dqn-CartPole-v1-hl_gauss-s0 --out cartpole.mp4
"""


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
    _add_eval_and_watch(commands)
    _add_bench(commands)
    return parser


def _add(commands: Any, name: str, function: Any, help: str, examples: str = "") -> Parser:
    parser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(function=function)
    return parser


def _add_list_and_show(commands: Any) -> None:
    _add(commands, "list", run_list, "list the agents, losses and measured scores")
    show = _add(
        commands,
        "show",
        run_show,
        "show an agent's recipe, every key with its meaning, and its scores",
        "  catzoo show dqn\n  catzoo show dqn --env MinAtar/Breakout --loss c51\n",
    )
    show.add_argument("agent", metavar="AGENT", help="an agent of the zoo")
    show.add_argument("--env", metavar="ID", help="resolve the recipe for this environment")
    show.add_argument("--loss", metavar="NAME", help="and this value loss")


def _add_train(commands: Any) -> None:
    train = _add(
        commands,
        "train",
        run_train,
        "train an agent; the same command on the same folder goes on where it stopped",
        "  catzoo train dqn --env CartPole-v1 --loss hl_gauss\n"
        "  catzoo train dqn --env ALE/Pong-v5 --steps 2M compute.precision=bf16\n"
        "  catzoo train dqn --env my_package:MyEnv-v0 value_loss.v_min=-1 value_loss.v_max=1\n",
    )
    train.add_argument("agent", metavar="AGENT", help="an agent of the zoo, see catzoo list")
    train.add_argument("--env", metavar="ID", required=True, help="any Gymnasium id, or my_package:MyEnv-v0")
    train.add_argument("--loss", metavar="NAME", help="mse, huber, two_hot, hl_gauss, c51 or softmax_mse")
    train.add_argument("--steps", metavar="N", type=whole, help="agent steps in all (20000, 2e4, 20k)")
    train.add_argument("--seed", metavar="N", type=whole, help="seeds everything; default 0")
    train.add_argument("--run-dir", metavar="DIR", type=Path, help="default runs/AGENT-ENV-LOSS-sSEED")
    train.add_argument("--wandb", metavar="PROJECT", help="log to this Weights & Biases project as well")
    train.add_argument(
        "overrides", metavar="key=value", nargs="*", default=(), help="any key of catzoo show AGENT"
    )


def _add_eval_and_watch(commands: Any) -> None:
    evaluate = _add(
        commands,
        "eval",
        run_eval,
        "score the greedy policy of a finished run",
        "  catzoo eval runs/dqn-CartPole-v1-hl_gauss-s0 --episodes 500 --seed 7\n",
    )
    evaluate.add_argument("run", metavar="RUN", type=Path, help="a run's folder")
    evaluate.add_argument(
        "--episodes", metavar="N", type=positive, help="default: the recipe's eval.episodes"
    )
    evaluate.add_argument("--seed", metavar="N", type=natural, help="of the environments; default: the run's")
    watch = _add(
        commands,
        "watch",
        run_watch,
        "film the greedy policy, with the value distribution of its action beside the frame",
        "  catzoo watch runs/dqn-CartPole-v1-hl_gauss-s0 --out cartpole.mp4\n"
        "  catzoo watch runs/dqn-ALE-Pong-v5-hl_gauss-s0 --out pong.gif --max-steps 400\n",
    )
    watch.add_argument("run", metavar="RUN", type=Path, help="a run's folder")
    watch.add_argument("--out", metavar="FILE", type=Path, required=True, help="an .mp4 or .gif file")
    watch.add_argument("--seed", metavar="N", type=natural, default=0, help="of the episode; default 0")
    watch.add_argument("--max-steps", metavar="N", type=positive, default=3_000, help="default 3000")


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser("bench", help="measure speed, side by side with others in one run")
    kinds = bench.add_subparsers(dest="kind", metavar="KIND", required=True)
    training = _add(
        kinds,
        "training",
        run_bench_training,
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
        choices=("speed", "overhead", "learner", "share"),
        default=("speed", "overhead", "learner", "share"),
        help="speed, overhead, learner, share; default all",
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
    training.add_argument(
        "--out", metavar="DIR", type=Path, help="where the CSV goes; an unfinished one goes on"
    )
    kernels = _add(
        kinds,
        "kernels",
        run_bench_kernels,
        "the categorical losses beside eager PyTorch, torch.compile and other libraries, on a GPU or a CPU",
        EXAMPLES_KERNELS,
    )
    add_kernel_arguments(kernels, positive)


def run_list(arguments: argparse.Namespace) -> None:
    """`catzoo list`."""
    from catzoo.zoo.listing import list_agents

    list_agents()


def run_show(arguments: argparse.Namespace) -> None:
    """`catzoo show`."""
    from catzoo.zoo.listing import show

    show(arguments.agent, env=arguments.env, loss=arguments.loss)


def run_train(arguments: argparse.Namespace) -> None:
    """`catzoo train`."""
    from catzoo.zoo.report import print_result
    from catzoo.zoo.training import train

    result = train(
        arguments.agent,
        arguments.env,
        loss=arguments.loss,
        steps=arguments.steps,
        seed=arguments.seed,
        run_dir=arguments.run_dir,
        overrides=arguments.overrides,
        wandb=arguments.wandb,
    )
    print_result(result)


def run_eval(arguments: argparse.Namespace) -> None:
    """`catzoo eval`."""
    from catzoo.zoo.console import counting
    from catzoo.zoo.evaluation import evaluate
    from catzoo.zoo.report import print_result
    from catzoo.zoo.runs import Run

    episodes = arguments.episodes or Run(arguments.run).recipe().eval.episodes
    with counting("evaluating", episodes) as progress:
        result = evaluate(arguments.run, episodes=episodes, seed=arguments.seed, progress=progress)
    print_result(result)


def run_watch(arguments: argparse.Namespace) -> None:
    """`catzoo watch`."""
    # Nothing opens a window here; without a desktop pygame would complain that it cannot.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    from catzoo.zoo.console import console, counting
    from catzoo.zoo.watching import watch

    with counting("filming", arguments.max_steps) as progress:
        film = watch(
            arguments.run,
            arguments.out,
            seed=arguments.seed,
            max_steps=arguments.max_steps,
            progress=progress,
        )
    console.print(f"{film['out']}: {film['steps']} steps, return {film['return']:g}")


def run_bench_training(arguments: argparse.Namespace) -> None:
    """`catzoo bench training`."""
    from catzoo.zoo.bench.training import bench_training, print_table

    rows = bench_training(
        arguments.env,
        steps=arguments.steps,
        seeds=arguments.seeds,
        peers=arguments.peers,
        out=arguments.out,
        parts=arguments.parts,
        episodes=arguments.episodes,
    )
    print_table(rows)


def run_bench_kernels(arguments: argparse.Namespace) -> None:
    """`catzoo bench kernels`."""
    from catzoo.kernels.bench import BenchError, table
    from catzoo.zoo.bench.kernels import bench_kernels
    from catzoo.zoo.console import say

    settings = {
        key: value for key, value in vars(arguments).items() if key not in ("command", "kind", "function")
    }
    try:
        rows = bench_kernels(command=shlex.join(["catzoo", *sys.argv[1:]]), progress=say, **settings)
    except BenchError as error:
        raise RecipeError(str(error)) from None
    say("\n" + table(rows))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of a command line; a mistake ends the process with status 2."""
    parser = make_parser()
    arguments, rest = parser.parse_known_args(argv)
    # argparse gives up on `key=value` words that stand between options; they are overrides all the same.
    stray = [word for word in rest if word.startswith("-") or arguments.command != "train"]
    if stray:
        parser.error(f"unrecognized arguments: {stray[0]}")
    if arguments.command == "train":
        arguments.overrides = [*arguments.overrides, *rest]
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    arguments = parse(argv)
    try:
        arguments.function(arguments)
    except RecipeError as error:
        print(f"catzoo: error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"catzoo: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from the last checkpoint, if there was one"
        goes_on = goes_on if arguments.command == "train" else ""
        print(f"catzoo: stopped{goes_on}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        if arguments.command not in ("list", "show"):
            raise
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
