"""`python -m catzoo.zoo.bench.ensemble`: many seeds in one process beside one ordinary run.

| column | meaning |
|---|---|
| steps_per_second | agent steps a second, all seeds together, learning included: median of the rounds |
| ratio | the same over the ordinary run's of the same round: median |
| cpu_ratio | the same for steps a second of processor time, in which others' work does not count |
| time_of | how many ordinary runs' time so many seeds take: seeds / cpu_ratio |

Sides are processes that take turns, round by round, on one thread each; a side goes on with its training
where it stopped. Random play before the first update is not measured, and replays are small: what they
hold changes no rate.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from catzoo.agents import Agent, Ensemble
from catzoo.hparams import Recipe
from catzoo.kernels.bench.run import say
from catzoo.kernels.bench.timing import keep_memory
from catzoo.zoo.bench.replay import stamp, write_results
from catzoo.zoo.build import build_env, build_trainer
from catzoo.zoo.training import recipe_of

Row = dict[str, Any]
Measured = tuple[float, float]
"""Steps a second, of wall-clock and of processor time."""
COLUMNS = (
    "env", "loss", "hidden", "side", "seeds", "steps_per_second", "ratio", "cpu_ratio", "time_of", "rounds",
    "seconds", "device", "threads", "versions", "load", "date", "command",
)  # fmt: skip
"""Of the CSV. `hidden`: widths of an MLP's layers; `seconds`: of each turn."""
RUN, ENSEMBLE = "run", "ensemble"
CASES = ("CartPole-v1", "CartPole-v1:64,64", "MinAtar/Breakout-v1")
"""Environments, with the widths of the network after a colon where they are not the recipe's."""


def bench_ensemble(
    out: Path | None,
    *,
    cases: Sequence[str] = CASES,
    losses: Sequence[str] = ("hl_gauss",),
    seeds: Sequence[int] = (1, 5, 10, 30),
    rounds: int = 3,
    seconds: float = 5.0,
    command: str = "",
    progress: Callable[[str], None] = say,
    isolate: bool = True,
) -> list[Row]:
    """Measures ensembles of DQNs beside an ordinary run, on one thread of the CPU.

    Args:
        out: a CSV file, or a folder for `ensemble.csv`, which is written anew. None: nothing is written.
        cases: environments, such as `CartPole-v1`, or `CartPole-v1:64,64` for other layers than the recipe's.
        losses: value losses.
        seeds: sizes of the ensembles.
        rounds: turns of each side.
        seconds: of each turn, at least one iteration.
        command: how this was asked for, for the rows.
        progress: gets a line for every row.
        isolate: each side in a process of its own; False is for tests.

    Returns:
        the rows; see `COLUMNS`.

    Raises:
        RecipeError: an unknown environment or loss, or one that has no ensembles.
    """
    about, rows, threads = stamp(command), [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for case in cases:
            for loss in losses:
                for row in bench_case(bench_recipe(case, loss), seeds, rounds, seconds, isolate):
                    rows.append(dict.fromkeys(COLUMNS, "") | row | about)
                    progress(describe(rows[-1]))
    finally:
        torch.set_num_threads(threads)
    if out is not None:
        write_results(out if out.suffix == ".csv" else out / "ensemble.csv", COLUMNS, rows)
    return rows


def bench_recipe(case: str, loss: str) -> Recipe:
    """The zoo's recipe, learning from the first batch on."""
    env, _, hidden = case.partition(":")
    said = ["compute.device=cpu", "compute.threads=1", "replay.capacity=10000"]
    if hidden:
        said.append(f"network.hidden=[{hidden}]")
    recipe = recipe_of("dqn", env, loss=loss, overrides=said, steps=10**9)
    return dataclasses.replace(recipe, learning_starts=2 * recipe.batch_size)


def bench_case(
    recipe: Recipe, seeds: Sequence[int], rounds: int, seconds: float, isolate: bool
) -> Iterator[Row]:
    """Rows of one recipe."""
    build_env(recipe, 1).close()  # what is wrong with it is said here
    kind = _Remote if isolate else _Side
    with contextlib.ExitStack() as stack:
        sides: dict[tuple[str, int], _Side | _Remote] = {}
        for key in ((RUN, 1), *((ENSEMBLE, size) for size in seeds)):
            sides[key] = stack.enter_context(contextlib.closing(kind(recipe, *key)))
        turns: dict[tuple[str, int], list[Measured]] = {key: [] for key in sides}
        for _ in range(rounds):
            for key, one in sides.items():
                turns[key].append(one.rates(seconds))
    base = turns[RUN, 1]
    for (side, size), rated in turns.items():
        ratio, cpu_ratio = (
            statistics.median(own[clock] / other[clock] for own, other in zip(rated, base, strict=True))
            for clock in (0, 1)
        )
        yield {
            "env": recipe.env, "loss": recipe.value_loss.name, "side": side, "seeds": size,
            "hidden": "" if "MinAtar" in recipe.env else " ".join(map(str, recipe.network.hidden)),
            "steps_per_second": round(statistics.median(wall for wall, _ in rated), 1),
            "ratio": round(ratio, 3), "cpu_ratio": round(cpu_ratio, 3), "time_of": round(size / cpu_ratio, 2),
            "rounds": rounds, "seconds": seconds,
        }  # fmt: skip


class _Side:
    """A run, or an ensemble, past its first updates."""

    def __init__(self, recipe: Recipe, side: str, size: int) -> None:
        torch.set_num_threads(1)
        if side == ENSEMBLE:
            keep_memory()  # as `train_ensemble` does
        makers = [partial(build_trainer, dataclasses.replace(recipe, seed=seed)) for seed in range(size)]
        self.side: Agent | Ensemble = Ensemble(makers) if side == ENSEMBLE else makers[0]()
        self.agents = self.side.members if isinstance(self.side, Ensemble) else [self.side]
        while not all(agent.updates for agent in self.agents):
            self.side.iterate()

    def rates(self, seconds: float) -> Measured:
        """Steps a second of one turn."""
        before = sum(agent.steps for agent in self.agents)
        start, cpu = time.perf_counter(), time.process_time()
        while True:
            self.side.iterate()
            wall = time.perf_counter() - start
            if wall >= seconds:
                break
        steps = sum(agent.steps for agent in self.agents) - before
        return steps / wall, steps / (time.process_time() - cpu)

    def close(self) -> None:
        """Closes the environments."""
        self.side.close()


class _Remote:
    """The same in a process of its own: one side's memory and allocator are not another's."""

    def __init__(self, recipe: Recipe, side: str, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, recipe, side, size), daemon=True)
        self.process.start()
        theirs.close()
        self.connection.recv()

    def rates(self, seconds: float) -> Measured:
        """As `_Side.rates`."""
        self.connection.send(seconds)
        wall, cpu = self.connection.recv()
        return wall, cpu

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join()


def _serve(connection: Connection, recipe: Recipe, side: str, size: int) -> None:
    """A side that waits for its turns."""
    with contextlib.closing(_Side(recipe, side, size)) as own:
        connection.send(None)
        while (seconds := connection.recv()) is not None:
            connection.send(own.rates(seconds))


def describe(row: Row) -> str:
    """A row in a line."""
    head = f"{row['env']:20} {row['hidden']:8} {row['loss']:9} {row['side']:9} {row['seeds']:>3}"
    rest = f"x{row['ratio']:.2f}, by processor time x{row['cpu_ratio']:.2f}"
    return f"{head} {row['steps_per_second']:>10,.0f} steps/s  {rest}: the time of {row['time_of']:.1f} runs"


def main() -> None:
    """`python -m catzoo.zoo.bench.ensemble --out DIR`."""
    parser = argparse.ArgumentParser(prog="python -m catzoo.zoo.bench.ensemble", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, help="folder for ensemble.csv; without it nothing is written")
    parser.add_argument("--cases", nargs="+", default=CASES, help="environments, ENV or ENV:WIDTHS")
    parser.add_argument("--losses", nargs="+", default=["hl_gauss"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 5, 10, 30], help="sizes of the ensembles")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each side's turn")
    arguments = parser.parse_args()
    words = {name: getattr(arguments, name) for name in ("cases", "losses", "seeds")}
    command = "python -m catzoo.zoo.bench.ensemble " + " ".join(
        f"--{name} {' '.join(map(str, values))}" for name, values in words.items()
    )
    bench_ensemble(
        arguments.out,
        **words,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        command=f"{command} --rounds {arguments.rounds} --seconds {arguments.seconds:g}",
    )


if __name__ == "__main__":
    main()
