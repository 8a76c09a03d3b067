"""`catzoo data robots`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.parser import natural, path, positive

EXAMPLES = """\
  catzoo data robots --env FetchReach-v4 --episodes 400 --noise 1.0 --out data/reach
  catzoo data robots --env FetchPickAndPlace-v4 --workers 2 --out data/pick
  catzoo data robots --env FetchReach-v4 --camera 64 --out data/reach-64
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("--env", metavar="ID", required=True, help="such as FetchPickAndPlace-v4")
    parser.add_argument(
        "--episodes", metavar="N", type=positive, default=1_200, help="how many; default 1200"
    )
    parser.add_argument(
        "--noise",
        metavar="S",
        type=float,
        nargs="+",
        default=[0.2, 0.4],
        help="how far the expert is disturbed, from 0 to 1; episodes take several in turn; default 0.2 0.4",
    )
    parser.add_argument(
        "--wrong", metavar="P", type=float, default=0.0,
        help="share of the episodes in which the expert goes for a wrong goal; default 0",
    )  # fmt: skip
    parser.add_argument(
        "--camera", metavar="PIXELS", type=positive,
        help="observe pictures of so many pixels' side, such as 64, and not numbers; for the Fetch arm",
    )  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=natural, default=0, help="decides everything; default 0")
    parser.add_argument(
        "--gamma", metavar="G", type=float, default=0.98, help="discount of returns to go; default 0.98"
    )
    parser.add_argument("--workers", metavar="N", type=positive, default=1, help="processes; default 1")
    parser.add_argument(
        "--out", metavar="DIR", type=path, required=True, help="of the dataset; the same command goes on"
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo data robots`."""
    from catzoo.zoo.datasets.robot_episodes import make_robot_episodes
    from catzoo.zoo.system.console import counting, say

    words = vars(arguments)
    with counting("episodes", arguments.episodes) as progress:
        made = make_robot_episodes(words.pop("env"), words.pop("out"), progress=progress, **words)
    length = "" if made["mean_length"] is None else f", {made['mean_length']:.1f} steps to each success"
    say(
        f"{made['episodes']:,} episodes, {made['count']:,} transitions: {made['success']:.3f} succeed{length}"
    )
