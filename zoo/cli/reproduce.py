"""The words of `catzoo reproduce`. Imports nothing heavy: the parser is built for every command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLES = """\
  catzoo list --studies                          the claims, and what each study does
  catzoo reproduce theory                        a minute
  catzoo reproduce reward-noise --workers 2      small budget: minutes
  catzoo reproduce sigma-bins --budget full --seeds 5 --workers 8
  catzoo reproduce sigma-bins --budget full env=MinAtar/Asterix --out sigma-bins-asterix
  catzoo reproduce plasticity data=fashion-mnist images=10000
the same command goes on with the study
"""


def add_reproduce_arguments(reproduce: Any, positive: Callable[[str], int]) -> None:
    """The arguments of `catzoo reproduce`."""
    reproduce.add_argument("study", metavar="STUDY", help="one of those that catzoo list --studies names")
    reproduce.add_argument(
        "--budget",
        metavar="NAME",
        default="small",
        help="tiny (it runs), small (default: minutes), full (hours)",
    )
    reproduce.add_argument("--seeds", metavar="N", type=positive, help="default: the budget's own")
    reproduce.add_argument(
        "--workers", metavar="N", type=positive, default=1, help="tasks at a time; default 1"
    )
    reproduce.add_argument("--out", metavar="DIR", type=Path, help="default reproduced/STUDY-BUDGET")
    reproduce.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        default=(),
        help="any of the study's settings, which its study.json lists",
    )


def run_reproduce(arguments: argparse.Namespace) -> int:
    """`catzoo reproduce`."""
    from catzoo.zoo.studies.reproduce import reproduce

    settings = {key: value for key, value in vars(arguments).items() if key != "command"}
    return int(bool(reproduce(settings.pop("study"), **settings)["failed"]))
