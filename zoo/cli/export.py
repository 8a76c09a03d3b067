"""`catzoo export`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import path

EXAMPLES = """\
  catzoo export losses hl_gauss > hl_gauss.py            one file, which needs nothing but torch
  catzoo export losses hl_gauss c51 --out my_losses.py
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("what", metavar="losses", choices=["losses"], help="what to export")
    parser.add_argument("names", metavar="NAME", nargs="+", help="such as hl_gauss; see catzoo list")
    parser.add_argument("--out", metavar="FILE", type=path, help="default: standard output")


def run(arguments: argparse.Namespace) -> None:
    """`catzoo export`: pieces of the zoo for other code."""
    from catzoo.hparams import RecipeError
    from catzoo.hparams.schema import check_name
    from catzoo.losses.single_file import SINGLE, source_of
    from catzoo.zoo.system.atomic_files import write_atomically

    for name in arguments.names:
        check_name("value loss", name, SINGLE)
    text = source_of(list(dict.fromkeys(arguments.names)))
    if arguments.out is None:
        print(text, end="")
        return
    try:
        write_atomically(arguments.out, text)
    except OSError as error:
        raise RecipeError(f"{arguments.out}: cannot be written: {error.strerror or error}") from None
