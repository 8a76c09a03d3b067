"""`catzoo doctor`."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(arguments: argparse.Namespace) -> None:
    """`catzoo doctor`: what is installed; exit status 2 where something is broken."""
    from catzoo.hparams import RecipeError
    from catzoo.zoo.system.console import print_table, waiting
    from catzoo.zoo.system.installation import BROKEN, examine

    with waiting("looking at the installation"):
        found = examine()
    print_table("Installation", ("what", "state", "meaning"), found)
    if broken := [one.what for one in found if one.state == BROKEN]:
        raise RecipeError(f"{', '.join(broken)}: see above for what to do")
