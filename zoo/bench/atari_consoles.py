"""What a console of our own costs beside ALE's C++ environment: agent steps a second of processor time.

    python -m catzoo.zoo.bench.atari_consoles --out zoo/results/atari-consoles.csv

Both play the same game from the same seed with the same random actions, one environment each, in short turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from catzoo.hparams.paths import path_of
from catzoo.zoo.bench.rows import Row, stamp, whole, write_results
from catzoo.zoo.environments.making import make_env
from catzoo.zoo.system.console import pasteable, print_table

COLUMNS = (
    "env", "environment", "steps_per_cpu_second", "low", "high", "turns", "steps_a_turn", "cpu", "versions",
    "load", "date", "command",
)  # fmt: skip
GAMES = ("ALE/Asteroids-v5", "ALE/SpaceInvaders-v5", "ALE/Pong-v5", "ALE/Breakout-v5")
WARM_UP = 1
"""Turns that do not count."""


def bench_consoles(games: Sequence[str], turns: int, steps: int, out: Any, command: str) -> list[Row]:
    """Measures both on every game and writes the table `out`; returns its rows.

    `low` and `high` are the quartiles over turns.
    """
    about, rows = stamp(command, also=["ale-py", "numpy"]), []
    for game in games:
        sides = {"ours": make_env(f"{game}?difficulty=0", 1), "AtariVectorEnv": make_env(game, 1)}
        for env in sides.values():
            env.reset(seed=0)
        rates: dict[str, list[float]] = {name: [] for name in sides}
        random = np.random.default_rng(0)
        for _ in range(turns + WARM_UP):
            actions = random.integers(sides["ours"].single_action_space.n, size=(steps, 1))
            for name, env in sides.items():
                rates[name].append(_rate(env, actions))
        for name, measured in rates.items():
            low, middle, high = statistics.quantiles(measured[WARM_UP:], n=4)
            rows.append(whole(COLUMNS, about, {
                "env": game, "environment": name, "steps_per_cpu_second": f"{middle:.0f}",
                "low": f"{low:.0f}", "high": f"{high:.0f}", "turns": turns, "steps_a_turn": steps,
            }))  # fmt: skip
    write_results(path_of(out), COLUMNS, rows)
    return rows


def _rate(env: VectorEnv, actions: np.ndarray) -> float:
    """Steps a second of this process's processor time, its threads' with it."""
    began = time.process_time()
    for action in actions:
        env.step(action)
    return len(actions) / (time.process_time() - began)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m catzoo.zoo.bench.atari_consoles", description=__doc__)
    parser.add_argument("--env", nargs="+", default=GAMES, help=f"default {' '.join(GAMES)}")
    parser.add_argument("--turns", type=int, default=20, help="of each side; default 20")
    parser.add_argument("--steps", type=int, default=200, help="of a turn; default 200")
    parser.add_argument("--out", default="atari-consoles.csv", help="default atari-consoles.csv")
    arguments = parser.parse_args()
    command = pasteable("python", "-m", "catzoo.zoo.bench.atari_consoles", "--env", *arguments.env,
                        "--turns", arguments.turns, "--steps", arguments.steps)  # fmt: skip
    rows = bench_consoles(arguments.env, arguments.turns, arguments.steps, arguments.out, command)
    shown = ("env", "environment", "steps_per_cpu_second", "low", "high")
    print_table(
        "Agent steps a second of processor time", shown, [[row[name] for name in shown] for row in rows]
    )


if __name__ == "__main__":
    main()
