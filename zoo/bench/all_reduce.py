"""What averaging gradients over learners costs beside the update: microseconds of an agent's gradient step.

    torchrun --nproc-per-node 2 -m catzoo.zoo.bench.all_reduce --out zoo/results/all-reduce.csv

Each process is a learner on the CPU, over gloo. Rank 0 says what it took.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from catzoo.agents import AtWork, Compute
from catzoo.agents.learning.batches import mapped
from catzoo.agents.learning.data_parallel import ALONE, Together
from catzoo.hparams.paths import path_of
from catzoo.zoo.bench.rows import Row, stamp, whole, write_results
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.system.console import pasteable, print_table
from catzoo.zoo.training.build import build_trainer

COLUMNS = (
    "agent", "env", "numbers", "learners", "what", "microseconds", "low", "high", "turns", "cpu", "cores",
    "versions", "load", "date", "command",
)  # fmt: skip
TASKS = (("dqn", "CartPole-v1"), ("dqn", "MinAtar/Breakout"))
WARM_UP = 20
"""Turns that do not count."""


def bench_all_reduce(turns: int, command: str) -> list[Row]:
    """Measures averaging a gradient, and an update on a learner's share without it: medians and quartiles."""
    about, ranks, rows = stamp(command), Together(), []
    for agent, env in TASKS:
        said = {"compute": {"devices": ranks.count, "device": "cpu"}, "learning_starts": 200}
        work = build_trainer(find_recipe(agent, env, overrides=[said]), compute=Compute(ranks=ranks))
        while not work.updates:
            work.iterate()
        batch = mapped(work.last_batch, lambda column: column.unsqueeze(0))
        gradients = [torch.randn_like(parameter) for parameter in work.learner.steps[0].parameters]
        measured = {
            "all-reduce": _times(lambda own=gradients: ranks.averaged(own), turns),  # type: ignore[misc]
            "update": _times(_update_alone(work, batch), turns),
        }
        for what, found in measured.items():
            low, middle, high = statistics.quantiles(found, n=4)
            rows.append(whole(COLUMNS, about, {
                "agent": agent, "env": env, "numbers": sum(own.numel() for own in gradients),
                "learners": ranks.count, "what": what, "microseconds": f"{middle:.0f}",
                "low": f"{low:.0f}", "high": f"{high:.0f}", "turns": turns,
            }))  # fmt: skip
        work.close()
    return rows


def _update_alone(work: AtWork, batch: Any) -> Callable[[], object]:
    work.learner.ranks = ALONE
    return lambda: work.learner.learn(batch)


def _times(action: Callable[[], object], turns: int) -> list[float]:
    """Microseconds of each turn; all learners begin one together."""
    found = []
    for _ in range(WARM_UP + turns):
        dist.barrier()
        began = time.perf_counter()
        action()
        found.append(1e6 * (time.perf_counter() - began))
    return found[WARM_UP:]


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m catzoo.zoo.bench.all_reduce", description=__doc__)
    parser.add_argument("--turns", type=int, default=500, help="default 500")
    parser.add_argument("--out", default="all-reduce.csv", help="default all-reduce.csv")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    words = ("torchrun", "--nproc-per-node", dist.get_world_size(), "-m", "catzoo.zoo.bench.all_reduce",
             "--turns", arguments.turns)  # fmt: skip
    rows = bench_all_reduce(arguments.turns, pasteable(*words))
    if not dist.get_rank():
        write_results(path_of(arguments.out), COLUMNS, rows)
        shown = ("env", "numbers", "what", "microseconds", "low", "high")
        print_table("Microseconds of a gradient step", shown, [[row[name] for name in shown] for row in rows])
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
