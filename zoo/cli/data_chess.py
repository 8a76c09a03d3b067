"""`catzoo data chess`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import natural, path, positive

EXAMPLES = """\
  catzoo data chess --games 4000 --workers 2 --out data/chess
  catzoo train chess --env chess/random dataset=data/chess/train
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument(
        "--games", metavar="N", type=positive, default=4_000, help="a multiple of 10; default 4000"
    )
    parser.add_argument(
        "--depth", metavar="D", type=positive, default=6, help="of the searches behind the labels; default 6"
    )
    parser.add_argument("--workers", metavar="N", type=positive, default=1, help="processes; default 1")
    parser.add_argument("--seed", metavar="N", type=natural, default=0, help="of the games; default 0")
    parser.add_argument("--engine", metavar="PATH", help="a UCI engine; default Stockfish")
    parser.add_argument(
        "--out", metavar="DIR", type=path, required=True, help="a folder; the same command goes on in it"
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo data chess`."""
    from catzoo.zoo.datasets.chess_positions import make_chess_positions
    from catzoo.zoo.system.console import counting, say

    with counting("games", arguments.games) as progress:
        made = make_chess_positions(**vars(arguments), progress=progress)
    parts = ", ".join(f"{number:,} in {part}" for part, number in made.items())
    say(f"{arguments.out}: positions: {parts}")
