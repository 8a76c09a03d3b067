"""`catzoo bench`, all but its kernels."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from pathlib import Path
from typing import Any

from catzoo.zoo.cli.bench_kernels import EXAMPLES as EXAMPLES_KERNELS
from catzoo.zoo.cli.bench_kernels import add_kernel_arguments
from catzoo.zoo.cli.parser import _add, positive


def run_bench_training(arguments: argparse.Namespace) -> None:
    """`catzoo bench training`."""
    from catzoo.zoo.bench.loops.training import bench_training, print_table

    rows = bench_training(
        arguments.env,
        steps=arguments.steps,
        seeds=arguments.seeds,
        peers=arguments.peers,
        out=arguments.out,
        parts=arguments.parts,
        episodes=arguments.episodes,
        cores=arguments.cores,
    )
    print_table(rows)


def run_bench_replay(arguments: argparse.Namespace) -> None:
    """`catzoo bench replay`."""
    from catzoo.zoo.bench.replay import bench_replay
    from catzoo.zoo.system.console import say

    command = shlex.join(["catzoo", *sys.argv[1:]])
    bench_replay(arguments.out, parts=arguments.parts, command=command, progress=say)


def run_bench_checkpoint(arguments: argparse.Namespace) -> None:
    """`catzoo bench checkpoint`."""
    from catzoo.zoo.bench.checkpoint import bench_checkpoint

    settings = {key: value for key, value in vars(arguments).items() if key not in ("command", "kind")}
    bench_checkpoint(command=shlex.join(["catzoo", *sys.argv[1:]]), **settings)


def run_bench_soak(arguments: argparse.Namespace) -> None:
    """`catzoo bench soak`."""
    from catzoo.zoo.bench.soak import bench_soak

    settings = {key: value for key, value in vars(arguments).items() if key not in ("command", "kind")}
    bench_soak(command=shlex.join(["catzoo", *sys.argv[1:]]), **settings)


def minutes(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes such as 60 or 0.5")
    return value


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
