"""`catzoo watch`."""

from __future__ import annotations

import argparse
import os

from catzoo.zoo.cli.evaluate import RUN, add_best_and_trust
from catzoo.zoo.cli.parser import natural, path, positive

EXAMPLES = """\
  catzoo watch runs/dqn-CartPole-v1-hl_gauss-s0 --out cartpole.mp4
  catzoo watch runs/dqn-ALE-Pong-v5-hl_gauss-s0 --out pong.gif --max-steps 400
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("run", metavar="RUN", type=path, help=RUN)
    parser.add_argument("--out", metavar="FILE", type=path, required=True, help="an .mp4 or .gif file")
    parser.add_argument("--seed", metavar="N", type=natural, default=0, help="of the episode; default 0")
    parser.add_argument("--game", metavar="ID", help="of a run with several; default the first")
    parser.add_argument("--max-steps", metavar="N", type=positive, default=3_000, help="default 3000")
    add_best_and_trust(parser)


def run(arguments: argparse.Namespace) -> None:
    """`catzoo watch`."""
    # Nothing opens a window here; without a desktop pygame would complain that it cannot.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    from catzoo.zoo.system.console import counting, say, waiting
    from catzoo.zoo.system.digits import exact

    with waiting("loading"):
        from catzoo.zoo.watch.film import watch
    with counting("filming", arguments.max_steps) as progress:
        film = watch(**vars(arguments), progress=progress)
    say(f"{film['out']}: {film['steps']} steps, return {exact(film['return'])}")
