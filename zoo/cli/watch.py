"""`catzoo watch`."""

from __future__ import annotations

import argparse
import os


def run_watch(arguments: argparse.Namespace) -> None:
    """`catzoo watch`."""
    # Nothing opens a window here; without a desktop pygame would complain that it cannot.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    from catzoo.zoo.system.console import console, counting
    from catzoo.zoo.watch.film import watch

    with counting("filming", arguments.max_steps) as progress:
        film = watch(
            arguments.run,
            arguments.out,
            seed=arguments.seed,
            max_steps=arguments.max_steps,
            progress=progress,
            best=arguments.best,
            trust=arguments.trust,
        )
    console.print(f"{film['out']}: {film['steps']} steps, return {film['return']:g}")
