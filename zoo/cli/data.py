"""`catzoo data`: dispatch on the second word."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import Parser, command_of

KINDS = {
    "robots": ("data_robots", "episodes of the Fetch arm by scripted experts with noise (extra `robots`)"),
}
"""The second word, the file that has the data, and a line of help."""


def add_arguments(parser: Parser) -> None:
    """The second word."""
    parser.description = None  # the list of kinds says it
    parser.add_commands("kind", KINDS)


def run(arguments: argparse.Namespace) -> None:
    """`catzoo data`: the kind gets its arguments."""
    kind = vars(arguments).pop("kind")
    command_of(KINDS[kind][0]).run(arguments)
