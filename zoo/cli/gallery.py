"""`catzoo gallery`."""

from __future__ import annotations

import argparse
import os

from catzoo.zoo.cli.parser import natural, path

EXAMPLES = """\
  catzoo gallery gallery                                    all of the zoo's trained agents
  catzoo gallery gallery dqn-CartPole-v1-hl_gauss ppo-CartPole-v1-hl_gauss
  catzoo gallery my-gallery runs                            your own runs
OUT gets index.html, which opens without a server, and beside it a film and a still for each agent; the same
command makes only what is missing or of an agent that has changed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("out", metavar="OUT", type=path, help="the folder that is written")
    parser.add_argument(
        "agents",
        metavar="NAME|RUN",
        nargs="*",
        type=path,
        help="the zoo's trained agents (catzoo list), run folders, or folders with some; default: the zoo's",
    )
    parser.add_argument(
        "--seconds", metavar="S", type=float, default=6.0, help="of a film, at most; default 6"
    )
    parser.add_argument("--seed", metavar="N", type=natural, default=0, help="of the episodes; default 0")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import the packages that runs' environments name, as in my_package:MyEnv-v0",
    )


def run(arguments: argparse.Namespace) -> None:
    """`catzoo gallery`."""
    # Nothing opens a window here; without a desktop pygame would complain that it cannot.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    from catzoo.zoo.system.console import progress_bar, say, waiting

    with waiting("loading"):
        from catzoo.zoo.gallery.gallery import gallery
    with progress_bar("filming", "agent") as bar:
        task = bar.add_task("filming", total=None, agent="")
        made = gallery(
            **vars(arguments),
            progress=lambda done, of, agent: bar.update(task, completed=done, total=of, agent=agent),
        )
    for name, reason in made["without"].items():
        say(f"{name}: no film: {reason}")
    for note in made["notes"]:
        say(note)
    say(f"{made['page']}: {len(made['filmed'])} films made, {len(made['kept'])} kept")
