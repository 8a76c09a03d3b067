"""Learning from a dataset beside a plain PyTorch loop of the same network: examples a second, in turns.

    python -m catzoo.zoo.bench.offline_loops --out zoo/results/offline-loops.csv

| side | what it is |
|---|---|
| catzoo | the agent at work, by its recipe: sampling, losses, optimizer, networks that follow, counting |
| plain | the same network and batch in a page of PyTorch: indexing, HL-Gauss by `erf`, `torch.optim.AdamW` |

Both learn HL-Gauss from the same made-up examples on one thread: positions of random play for chess, and
games of random guesses for Wordle.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from catzoo.hparams.paths import path_of
from catzoo.zoo.bench.rows import Row, stamp, whole, write_results
from catzoo.zoo.system.console import pasteable, print_table
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.train import recipe_of

COLUMNS = (
    "agent", "side", "examples_per_second", "low", "high", "turns", "updates_a_turn", "batch_size", "ratio",
    "ratio_low", "ratio_high", "cpu", "versions", "load", "date", "command",
)  # fmt: skip
EXAMPLES = 2_000
Update = Callable[[], None]


def positions(folder: Path) -> None:
    """Positions of random play with random values."""
    import chess

    from catzoo.agents.replay import write_dataset
    from catzoo.zoo.environments.chess_board import board_tokens, legal_moves

    random, board, boards, moves = np.random.default_rng(0), chess.Board(), [], []
    while len(boards) < EXAMPLES:
        rows, own = legal_moves(board, marked=False)
        if not own or board.ply() > 120:
            board.reset()
            continue
        boards.append(board_tokens(board))
        moves.append(rows)
        board.push(own[int(random.integers(len(own)))])
    ends, listed = np.cumsum([len(each) for each in moves]), np.concatenate(moves)
    columns = {
        "board": np.stack(boards), "offset": ends, "move": listed,
        "value": random.random(len(listed), dtype=np.float32),
    }  # fmt: skip
    tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
    write_dataset(folder, "positions", tensors, {"env": "chess"}, ragged=("move", "value"))


def games(folder: Path) -> None:
    """Games of Wordle."""
    from catzoo.zoo.datasets.wordle_games import make_wordle_games

    make_wordle_games("wordle/200", folder, games=EXAMPLES)


def hl_gauss(logits: Tensor, target: Tensor, edges: Tensor, sigma: float) -> Tensor:
    """Cross-entropy with the mass of a Gaussian in each bin, as one would write it down."""
    cdf = torch.special.erf((edges - target.clamp(edges[0], edges[-1]).unsqueeze(-1)) / (2**0.5 * sigma))
    label = (cdf[..., 1:] - cdf[..., :-1]) / (cdf[..., -1:] - cdf[..., :1])
    return -(label * F.log_softmax(logits, -1)).sum(-1)


def plain_chess(agent: Any, columns: dict[str, Tensor]) -> Update:
    """One update of chess in plain PyTorch."""
    recipe, support, sigma = agent.recipe, agent.value_loss.support, float(agent.value_loss.sigma)
    optimizer = adam(agent)
    ends = columns["offset"]
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])

    def update() -> None:
        index = torch.randint(len(ends), (recipe.batch_size,))
        number = (ends - starts)[index]
        slot = torch.arange(recipe.moves)
        live = slot < number[:, None]
        turn = (slot + (torch.rand(len(index)) * number).long()[:, None]) % number[:, None]
        rows = torch.where(live, starts[index, None] + turn, 0)
        move = columns["move"][rows] * live[..., None]
        outputs = agent.network(columns["board"][index], move)
        loss = hl_gauss(outputs, columns["value"][rows], support.edges, sigma)
        optimise(agent, optimizer, ((loss * live).sum(1) / live.sum(1)).mean())
        follow(agent.network, agent.average, 1 - recipe.average)

    return update


def plain_wordle(agent: Any, columns: dict[str, Tensor]) -> Update:
    """One update of Wordle in plain PyTorch."""
    recipe, support, sigma = agent.recipe, agent.value_loss.support, float(agent.value_loss.sigma)
    optimizer, network, target = adam(agent), agent.network, agent.target

    def values(logits: Tensor) -> Tensor:
        return (logits.softmax(-1) * support.centers).sum(-1)

    def update() -> None:
        index = torch.randint(len(columns["tokens"]), (recipe.batch_size,))
        tokens, chosen, reward = (columns[name][index] for name in ("tokens", "action", "reward"))
        live, action = chosen >= 0, chosen.long().clamp(min=0)
        allowed = network.allowed_choices(chosen)
        outputs = network.choices(tokens)
        value = values(outputs)
        with torch.no_grad():
            late = values(target.choices(tokens))
            chooser = value if recipe.double else late
            best = late.gather(-1, chooser.masked_fill(~allowed, -torch.inf).argmax(-1, keepdim=True))[..., 0]
            goal = reward.clone()
            goal[:, :-1] += recipe.gamma * best[:, 1:] * live[:, 1:]
        taken = outputs.gather(2, action[..., None, None].expand(-1, -1, 1, outputs.shape[-1]))[:, :, 0]
        loss = hl_gauss(taken, goal, support.edges, sigma)
        pushed = value.masked_fill(~allowed, -torch.inf).logsumexp(-1)
        loss = loss + recipe.cql_weight * (pushed - value.gather(-1, action[..., None])[..., 0])
        optimise(agent, optimizer, loss[live].mean())
        follow(network, target, recipe.tau)

    return update


def adam(agent: Any) -> torch.optim.Optimizer:
    """As the agent's own: one kernel for all parameters."""
    asked = agent.recipe.optimizer
    return torch.optim.AdamW(
        agent.network.parameters(), lr=asked.lr, eps=asked.eps, weight_decay=asked.weight_decay, fused=True
    )


def optimise(agent: Any, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """A gradient step."""
    optimizer.zero_grad()
    loss.backward()
    if (most := agent.recipe.optimizer.max_grad_norm) is not None:
        torch.nn.utils.clip_grad_norm_(agent.network.parameters(), most)
    optimizer.step()


@torch.no_grad()
def follow(network: torch.nn.Module, late: torch.nn.Module, share: float) -> None:
    """A network that comes nearer to another."""
    for own, other in zip(late.parameters(), network.parameters(), strict=True):
        own.lerp_(other, share)


AGENTS = {"chess": ("chess/random", positions, plain_chess), "wordle": ("wordle/200", games, plain_wordle)}
"""By agent: an environment, what makes its examples, and its plain loop."""


@contextmanager
def both_sides(agent: str, data: Path) -> Iterator[tuple[dict[str, Callable[[int], int]], int]]:
    """What makes so many updates or more on each side, and says how many; and the examples of one."""
    from catzoo.agents import read_dataset

    env, make, plain = AGENTS[agent]
    make(data)
    recipe = recipe_of(
        agent,
        env,
        loss="hl_gauss",
        overrides=[{"dataset": str(data), "steps": 1_000_000}, {"compute": {"device": "cpu"}}],
    )
    columns = {name: column.clone() for name, column in read_dataset(data).columns.items()}
    with (
        closing(build_trainer(recipe)) as ours,
        closing(build_trainer(recipe)) as other,
    ):
        update = plain(other.agent, columns)

        def iterate(updates: int) -> int:
            first = ours.updates
            while ours.updates < first + updates:
                ours.iterate()
            return ours.updates - first

        def repeat(updates: int) -> int:
            for _ in range(updates):
                update()
            return updates

        yield {"catzoo": iterate, "plain": repeat}, recipe.batch_size


def bench_offline_loops(turns: int, updates: int, out: Any, command: str) -> list[Row]:
    """Measures both sides of every agent and writes the table `out`; returns its rows.

    `low` and `high` are quartiles over turns; `ratio` is ours over the other's, turn by turn.
    """
    about, rows = stamp(command), []
    for agent in AGENTS:
        with (
            tempfile.TemporaryDirectory() as folder,
            both_sides(agent, Path(folder) / "data") as (sides, size),
        ):
            rates: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(turns + 1):
                for name, side in sides.items():
                    began = time.process_time()
                    made = side(updates)
                    rates[name].append(made * size / (time.process_time() - began))
        ratios = [one / other for one, other in zip(rates["catzoo"], rates["plain"], strict=True)]
        low, middle, high = statistics.quantiles(ratios[1:], n=4)
        for name, measured in rates.items():
            quartiles = statistics.quantiles(measured[1:], n=4)  # the first turn warms up
            rows.append(whole(COLUMNS, about, {
                "agent": agent, "side": name, "turns": turns, "updates_a_turn": updates, "batch_size": size,
                **dict(zip(("low", "examples_per_second", "high"), (f"{one:.0f}" for one in quartiles),
                           strict=True)),
                **({"ratio": f"{middle:.3f}", "ratio_low": f"{low:.3f}", "ratio_high": f"{high:.3f}"}
                   if name == "catzoo" else {}),
            }))  # fmt: skip
    write_results(path_of(out), COLUMNS, rows)
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m catzoo.zoo.bench.offline_loops", description=__doc__)
    parser.add_argument("--turns", type=int, default=15, help="of each side; default 15")
    parser.add_argument("--updates", type=int, default=32, help="of a turn; default 32")
    parser.add_argument("--out", default="offline-loops.csv", help="default offline-loops.csv")
    arguments = parser.parse_args()
    command = pasteable("python", "-m", "catzoo.zoo.bench.offline_loops", "--turns", arguments.turns,
                        "--updates", arguments.updates)  # fmt: skip
    rows = bench_offline_loops(arguments.turns, arguments.updates, arguments.out, command)
    shown = ("agent", "side", "examples_per_second", "low", "high", "ratio")
    print_table("Examples a second", shown, [[row[name] for name in shown] for row in rows])


if __name__ == "__main__":
    main()
