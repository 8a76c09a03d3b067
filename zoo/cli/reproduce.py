"""`catzoo reproduce`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import add_cluster, path, positive

EXAMPLES = """\
  catzoo list --studies                          the claims, and what each study does
  catzoo reproduce theory                        a minute
  catzoo reproduce reward-noise --workers 2      small budget: minutes
  catzoo reproduce sigma-bins --budget full --seeds 5 --workers 8
  catzoo reproduce sigma-bins --budget full env=MinAtar/Asterix --out sigma-bins-asterix
  catzoo reproduce sigma-bins --budget full --cluster 10.0.0.1:6379
  catzoo reproduce initial-values --budget full --go-on-from zoo/results/studies/initial-values.json
  catzoo reproduce plasticity data=fashion-mnist images=10000
the same command goes on with the study
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("study", metavar="STUDY", help="one of those that catzoo list --studies names")
    parser.add_argument(
        "--budget",
        metavar="NAME",
        default="small",
        help="tiny (it runs), small (default: minutes), full (hours)",
    )
    parser.add_argument("--seeds", metavar="N", type=positive, help="default: the budget's own")
    parser.add_argument(
        "--workers", metavar="N", type=positive, help="tasks at a time; default 1, on a cluster its room"
    )
    add_cluster(parser, "tasks")
    parser.add_argument("--out", metavar="DIR", type=path, help="default reproduced/STUDY-BUDGET")
    parser.add_argument(
        "--go-on-from",
        metavar="VERDICT",
        type=path,
        help="a verdict.json, or a published NAME.json: its rows are taken, and only others are made",
    )
    parser.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        default=(),
        help="any of the study's settings, which its study.json lists",
    )


def run(arguments: argparse.Namespace) -> int:
    """`catzoo reproduce`."""
    from catzoo.zoo.system.console import waiting

    with waiting("loading"):
        from catzoo.zoo.studies.reproduce import reproduce

    return int(bool(reproduce(**vars(arguments))["failed"]))
