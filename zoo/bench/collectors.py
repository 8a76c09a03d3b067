"""Many collectors beside the vector collector: agent steps a second, and how long the learner waits.

    python -m catzoo.zoo.bench.collectors --out zoo/results/collectors.csv

The sides take turns with one recipe of DQN each: the learner's own process (`1`), processes (`2`, `4`), and
actors on Ray (`ray:2`). `Sleepy-v0` is an environment that does nothing for 5 ms a step, as one that waits
for a simulator or a robot; `Idle-v0` does not even that, so that the wait there is for the policy's pass
and the way to the collectors.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from catzoo.hparams.paths import path_of
from catzoo.zoo.bench.rows import Row, stamp, whole, write_results
from catzoo.zoo.system.console import pasteable, print_table, say
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.train import recipe_of

COLUMNS = (
    "env", "workers", "overlap", "steps_per_second", "low", "high", "waiting", "policy_age", "turns",
    "steps_a_turn", "num_envs", "cpu", "cores", "versions", "load", "date", "command",
)  # fmt: skip
ENVS = ("catzoo.zoo.bench.collectors:Sleepy-v0", "catzoo.zoo.bench.collectors:Idle-v0", "ALE/Pong-v5")
SIDES = ("1", "2", "4", "ray:2")


class Sleepy(gym.Env):
    """Sleeps, and says four numbers; an episode has 200 steps.

    Args:
        nap: seconds of a step.
    """

    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, nap: float = 0.005) -> None:
        self.nap = nap

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """Four random numbers."""
        super().reset(seed=seed)
        return self._seen(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        """Nothing, for a while."""
        if self.nap:
            time.sleep(self.nap)
        return self._seen(), float(action), False, False, {}

    def _seen(self) -> np.ndarray:
        return self.np_random.uniform(-1, 1, 4).astype(np.float32)


gym.register("Sleepy-v0", entry_point=Sleepy, max_episode_steps=200)
gym.register("Idle-v0", entry_point=Sleepy, max_episode_steps=200, kwargs={"nap": 0.0})


def bench_collectors(
    envs: Sequence[str], sides: Sequence[str], turns: int, steps: int, out: Any, command: str
) -> list[Row]:
    """Measures every side on every environment and writes the table `out`; returns its rows.

    `low` and `high` are quartiles over turns; `waiting` is the share of the time that the learner waits.
    """
    about, rows = stamp(command, also=["ray"]), []
    for env in envs:
        with contextlib.ExitStack() as opened:
            works = {}
            for workers in sides:
                words = [f"collect.workers={workers}", "num_envs=8", "learning_starts=200",
                         "compute.threads=1", "compute.device=cpu", "compute.overlap=false",
                         "replay.capacity=20000"]  # fmt: skip
                recipe = recipe_of("dqn", env, loss="hl_gauss", steps=10_000_000, overrides=words)
                works[workers] = opened.enter_context(contextlib.closing(build_trainer(recipe)))
            rates: dict[str, list[tuple[float, float]]] = {workers: [] for workers in sides}
            for turn in range(turns + 1):
                for workers, work in works.items():
                    rates[workers].append(_rate(work, steps))
                say(f"{env}: turn {turn} of {turns}")
        for workers, measured in rates.items():
            low, middle, high = statistics.quantiles([rate for rate, _ in measured[1:]], n=4)
            rows.append(whole(COLUMNS, about, {
                "env": env.rpartition(":")[2], "workers": workers, "turns": turns,
                "overlap": works[workers].compute.overlap,
                "steps_a_turn": steps, "num_envs": 8, "policy_age": works[workers].feed.rollouts.policy_age,
                "steps_per_second": f"{middle:.0f}", "low": f"{low:.0f}", "high": f"{high:.0f}",
                "waiting": f"{statistics.median(waited for _, waited in measured[1:]):.2f}",
            }))  # fmt: skip
            write_results(path_of(out), COLUMNS, rows)
    return rows


def _rate(work: Any, steps: int) -> tuple[float, float]:
    """Agent steps a second, and the share of the time that the learner waits for them."""
    work.feed.waited, first, began = 0.0, work.steps, time.perf_counter()
    while work.steps < first + steps:
        work.iterate()
    seconds = time.perf_counter() - began
    return (work.steps - first) / seconds, work.feed.waited / seconds


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m catzoo.zoo.bench.collectors", description=__doc__)
    parser.add_argument("--env", nargs="+", default=ENVS, help="default those of the table")
    parser.add_argument("--workers", nargs="+", default=SIDES, help=f"sides; default {' '.join(SIDES)}")
    parser.add_argument("--turns", type=int, default=8, help="of each side; default 8")
    parser.add_argument("--steps", type=int, default=800, help="of a turn; default 800")
    parser.add_argument("--out", default="collectors.csv", help="default collectors.csv")
    asked = parser.parse_args()
    command = pasteable("python", "-m", "catzoo.zoo.bench.collectors", "--env", *asked.env, "--workers",
                        *asked.workers, "--turns", asked.turns, "--steps", asked.steps)  # fmt: skip
    rows = bench_collectors(asked.env, asked.workers, asked.turns, asked.steps, asked.out, command)
    shown = ("env", "workers", "steps_per_second", "low", "high", "waiting")
    print_table("Agent steps a second", shown, [[row[name] for name in shown] for row in rows])


if __name__ == "__main__":
    main()
