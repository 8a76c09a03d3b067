"""`catzoo board`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import positive

EXAMPLES = """\
  catzoo board runs                                         TensorBoard on all of them, also while they train
  catzoo board runs/dqn-CartPole-v1-hl_gauss-s0 runs/dqn-CartPole-v1-mse-s0
  catzoo board studies/dqn-CartPole-v1-hl_gauss             optuna-dashboard on a study
  catzoo board postgresql+psycopg://me@host/studies         on the studies of a storage
  catzoo board studies/dqn-CartPole-v1-hl_gauss/trials      TensorBoard on the runs of a study
both are of the extra `board`: pip install 'catzoo[board]'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument(
        "folders",
        metavar="RUN",
        nargs="+",
        help="runs, and folders that hold some; or one study: its folder, its journal, or a storage's URL",
    )
    parser.add_argument(
        "--port", metavar="N", type=positive, help="default 6006 for TensorBoard, 8080 for optuna-dashboard"
    )
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="localhost",
        help="default localhost; 0.0.0.0: every machine that reaches this one sees it, without a password",
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo board`."""
    from catzoo.zoo.reporting.browser_boards import board

    board(**vars(arguments))
