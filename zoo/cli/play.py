"""`catzoo play`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.evaluate import RUN, add_best_and_trust
from catzoo.zoo.cli.parser import natural, path

EXAMPLES = """\
  catzoo play runs/wordle-wordle-200-hl_gauss-s0            you and the agent guess the same word
  catzoo play runs/wordle-wordle-200-hl_gauss-s0 --yours    it guesses yours
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("run", metavar="RUN", type=path, help=RUN)
    parser.add_argument("--yours", action="store_true", help="Wordle: the agent guesses a word of yours")
    parser.add_argument("--seed", metavar="N", type=natural, help="of the game; default: another each time")
    add_best_and_trust(parser)


def run(arguments: argparse.Namespace) -> None:
    """`catzoo play`."""
    from catzoo.zoo.system.console import waiting

    with waiting("loading"):
        from catzoo.zoo.watch.play import play

    play(**vars(arguments))
