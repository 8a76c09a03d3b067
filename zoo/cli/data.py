"""`catzoo data`: dispatch on the second word."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import Parser, command_of

WORLDS = {
    "chess": (
        "data_chess",
        "chess positions with Stockfish's value of every move, for the agent chess",
    ),
    "robots": ("data_robots", "episodes of the Fetch arm by scripted experts with noise, for q_transformer"),
    "wordle": ("data_wordle", "games of Wordle by a player of known quality, for the agent wordle"),
}
"""The second word, the file that makes the data, and a line of help."""


def add_arguments(parser: Parser) -> None:
    """The second word."""
    parser.description = None  # the list of worlds says it
    parser.add_commands("world", WORLDS)


def run(arguments: argparse.Namespace) -> None:
    """`catzoo data`."""
    world = vars(arguments).pop("world")
    command_of(WORLDS[world][0]).run(arguments)
