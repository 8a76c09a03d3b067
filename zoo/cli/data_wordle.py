"""`catzoo data wordle`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import natural, path, positive

EXAMPLES = """\
  catzoo data wordle --out data/wordle
  catzoo data wordle --env wordle/1000 --games 100000 --quality 0.5 --out data/wordle-1000
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument(
        "--env",
        metavar="ID",
        default="wordle/200",
        help="wordle/40, wordle/200, wordle/1000 or wordle/4667; default wordle/200",
    )
    parser.add_argument("--games", metavar="N", type=positive, default=30_000, help="default 30000")
    parser.add_argument(
        "--quality",
        metavar="P",
        type=float,
        default=0.25,
        help="share of the guesses that fit what is known; the others are any words; default 0.25",
    )
    parser.add_argument("--seed", metavar="N", type=natural, default=0)
    parser.add_argument("--out", metavar="DIR", type=path, required=True, help="the dataset's folder")


def run(arguments: argparse.Namespace) -> None:
    """`catzoo data wordle`."""
    from catzoo.zoo.datasets.wordle_games import make_wordle_games
    from catzoo.zoo.system.console import counting, say

    with counting("playing", arguments.games) as progress:
        found = make_wordle_games(**vars(arguments), progress=progress)
    say(
        f"{arguments.out}: {found['count']:,} games, {found['success']:.1%} won, "
        f"mean return {found['mean_return']:.2f}"
    )
