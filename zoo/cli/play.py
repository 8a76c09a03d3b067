"""`catzoo play`."""

from __future__ import annotations

import argparse

from catzoo.hparams import RecipeError
from catzoo.zoo.cli.evaluate import RUN, add_best_and_trust
from catzoo.zoo.cli.parser import natural, path

EXAMPLES = """\
  catzoo play wordle-wordle-40-mse                          you and the agent guess the same word
  catzoo play wordle-wordle-40-mse --yours                  it guesses yours
  catzoo play chess-chess-random-hl_gauss                   a game of chess
  catzoo play runs/chess-chess-random-hl_gauss-s0 --uci     a run of yours, as an engine for any chess program
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("run", metavar="RUN", type=path, help=RUN)
    parser.add_argument("--yours", action="store_true", help="Wordle: the agent guesses a word of yours")
    parser.add_argument("--uci", action="store_true", help="chess: speak UCI on standard input and output")
    parser.add_argument("--seed", metavar="N", type=natural, help="of the game; default: another each time")
    add_best_and_trust(parser)


def run(arguments: argparse.Namespace) -> None:
    """`catzoo play`."""
    if vars(arguments).pop("uci"):
        if arguments.yours or arguments.seed is not None:
            word = "--yours" if arguments.yours else "--seed"
            raise RecipeError(f"{word} does not go with --uci: the program that is spoken to decides")
        from catzoo.zoo.watch.play_chess import serve_uci

        serve_uci(arguments.run, best=arguments.best, trust=arguments.trust)
        return
    from catzoo.zoo.system.console import waiting

    with waiting("loading"):
        from catzoo.zoo.watch.play import play

    play(**vars(arguments))
