"""`catzoo push`."""

from __future__ import annotations

import argparse

from catzoo.zoo.cli.evaluate import RUN
from catzoo.zoo.cli.parser import path

EXAMPLES = """\
  catzoo push runs/dqn-CartPole-v1-hl_gauss-s1 me/dqn-CartPole-v1
  catzoo push dqn-CartPole-v1-hl_gauss me/dqn-CartPole-v1 --private          one of the zoo's own
with a film, which the Hub shows beside it:
  catzoo watch runs/dqn-CartPole-v1-hl_gauss-s1 --out film.mp4
  catzoo push runs/dqn-CartPole-v1-hl_gauss-s1 me/dqn-CartPole-v1 --film film.mp4
it needs the extra `hub`, pip install 'catzoo[hub]', and a login: hf auth login
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("run", metavar="RUN", type=path, help=RUN)
    parser.add_argument("repo", metavar="OWNER/NAME", help="the model; it is made if it is not there")
    parser.add_argument(
        "--film", metavar="FILE", type=path, help="an .mp4; default: the run's own replay.mp4, if it has one"
    )
    parser.add_argument(
        "--private", action="store_true", help="a model that is made is seen by its owner alone"
    )
    parser.add_argument("--revision", metavar="NAME", help="a branch that is there; default the main one")


def run(arguments: argparse.Namespace) -> None:
    """`catzoo push`."""
    from catzoo.zoo.system.console import say, waiting

    with waiting(f"to {arguments.repo}"):
        from catzoo.zoo.training.hub import push

        url = push(**vars(arguments))
    say(url)
