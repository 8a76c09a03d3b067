"""`catzoo bench`: dispatch on the second word."""

from __future__ import annotations

import argparse
import shlex
import sys

from catzoo.zoo.cli.parser import Parser, command_of

KINDS = {
    "training": (
        "bench_training",
        "whole training loops beside Stable-Baselines3 and TorchRL: steps a second, return at equal steps",
    ),
    "replay": (
        "bench_replay",
        "prioritised sampling beside TorchRL's, frames beside whole stacks, and the memory of a million",
    ),
    "checkpoint": (
        "bench_checkpoint",
        "saving and restoring an Atari run with a full replay: how long training stands still, and the disk",
    ),
    "soak": (
        "bench_soak",
        "train for long, and see whether memory, threads, open files or processes grow or are left over",
    ),
    "kernels": (
        "bench_kernels",
        "the categorical losses beside eager PyTorch, torch.compile and other libraries, on a GPU or a CPU",
    ),
}
"""The second word, the file that has the benchmark, and a line of help."""


def add_arguments(parser: Parser) -> None:
    """The second word."""
    parser.description = None  # the list of kinds says it
    parser.add_commands("kind", KINDS)


def run(arguments: argparse.Namespace) -> None:
    """`catzoo bench`: the benchmark gets its arguments and, for the rows, how it was asked for."""
    kind = vars(arguments).pop("kind")
    arguments.command = shlex.join(["catzoo", *sys.argv[1:]])
    command_of(KINDS[kind][0]).run(arguments)
