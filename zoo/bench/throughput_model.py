"""How many agent steps a second many collectors and learners would make, from the costs of one of each.

    python -m catzoo.zoo.bench.throughput_model --out docs/throughput.png

The model, for N environments over C collectors and an update for every 1/u steps over L learners:

    play  = policy + N / C * step + hand_over * C       one step of all N environments
    learn = u * N * (update / L + all_reduce * 2 (L - 1) / L)
    steps a second = N / max(play, learn), or N / (play + learn) where nothing is collected ahead

It assumes a core (or a GPU) for every collector and learner, updates whose time falls with their share of the
batch, a ring for the all-reduce, and no queue anywhere. Updates and all-reduces are those of
`all-reduce.csv` and `training-ALE-Pong-v5.csv`, Pong's all-reduce by its 1.7M numbers. The small network's
pass and the hand-over are those of `Idle-v0` in `collectors.csv`: what the learner waits for a step of all 8
environments with one collector, and what each of two adds, in rollouts of 8 steps, where two cores had
learner and collectors to serve. The Nature CNN's pass over 64 frames is assumed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catzoo.hparams.paths import path_of
from catzoo.zoo.pictures.style import LINES, new_figure, place, publish, styled

COLLECTORS, LEARNERS = (1, 2, 4, 8, 16, 32, 64), (1, 2, 4, 8)
ENVS = 64


@dataclass(frozen=True)
class Costs:
    """Of a workload, in seconds."""

    name: str
    step: float
    """Of one environment."""
    policy: float
    """Of one pass over a collector's environments."""
    update: float
    """Of one learner with the whole batch."""
    all_reduce: float
    """Between two learners."""
    updates_per_step: float
    hand_over: float = 6e-4
    """Of weights and a rollout, to and from one collector, for each step of a rollout."""


WORKLOADS = (
    Costs("5 ms a step, a small network", 5e-3, 3.5e-4, 1.9e-3, 1.0e-3, 0.1),
    Costs("Pong, Nature CNN on one core", 6.5e-4, 5e-3, 4.1e-2, 1.2e-2, 0.25),
)
"""A slow simulator, and a large network."""


def rate(costs: Costs, collectors: int, learners: int, *, ahead: bool = True, envs: int = ENVS) -> float:
    """Agent steps a second of all environments."""
    play = costs.policy + envs / collectors * costs.step + costs.hand_over * collectors
    between = costs.all_reduce * 2 * (learners - 1) / learners
    learn = costs.updates_per_step * envs * (costs.update / learners + between)
    return envs / (max(play, learn) if ahead else play + learn)


def draw(workloads: Sequence[Costs], out: Path) -> None:
    """A panel for each workload: steps a second over collectors, a line for each number of learners."""
    with styled():
        figure = new_figure(460 * len(workloads), 330)
        for number, costs in enumerate(workloads):
            axes = place(figure, 80 + number * 450, 60, 350, 200)
            for learners, (colour, dashes) in zip(LEARNERS, LINES, strict=False):
                rates = [rate(costs, collectors, learners) for collectors in COLLECTORS]
                axes.plot(
                    COLLECTORS,
                    rates,
                    color=colour,
                    linestyle=dashes,
                    label=f"{learners} learner{'s' * (learners > 1)}",
                )
            axes.set_xscale("log", base=2)
            axes.set_xticks(COLLECTORS, [str(collectors) for collectors in COLLECTORS])
            axes.set_title(costs.name)
            axes.set_xlabel(f"collectors of {ENVS} environments")
            axes.set_ylabel("agent steps / s")
            axes.set_ylim(0)
            axes.legend(loc="lower right")
        publish(figure, out)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m catzoo.zoo.bench.throughput_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", default="throughput.png", help="a picture; default throughput.png")
    draw(WORKLOADS, path_of(parser.parse_args().out))


if __name__ == "__main__":
    main()
