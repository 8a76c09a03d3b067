"""`catzoo bench replay`: what storing and sampling transitions costs.

| part | rows |
|---|---|
| priorities | `sample` and `update_priority` of the sampler alone, beside TorchRL's C++ sampler |
| store | adding a rollout and sampling batches of Atari stacks, stored whole and frame by frame |
| memory | how much the process grows by while a replay of frames is filled, and how long that takes |

Sides take turns, as in `catzoo bench kernels`, whose clock this is. One thread.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage
from torchrl.data.replay_buffers.samplers import PrioritizedSampler

from catzoo.agents.replay import Priorities, Prioritized, Replay, replay_bytes
from catzoo.kernels.bench.run import say
from catzoo.kernels.bench.timing import CPUClock, keep_memory, take_turns
from catzoo.zoo.bench.atari_frames import ATARI, Frames
from catzoo.zoo.bench.rows import Row, resident_bytes, stamp, whole, write_results

COLUMNS = (
    "part", "what", "side", "capacity", "batch", "p20_us", "p50_us", "p80_us", "seconds", "gb", "expected_gb",
    "device", "threads", "versions", "load", "date", "command",
)  # fmt: skip
"""Of the CSV; an empty cell was not measured. gb is 1e9 bytes, expected_gb what `replay_bytes` says."""
PARTS = ("priorities", "store", "memory")
OURS, THEIRS = "catzoo", "torchrl"


def bench_replay(
    out: Path | None,
    *,
    parts: Sequence[str] = PARTS,
    capacities: Sequence[int] = (10_000, 100_000, 1_000_000),
    batches: Sequence[tuple[int, int]] = ((1, 32), (1, 512), (16, 32)),
    stored: int = 20_000,
    filled: int = 1_000_000,
    budget: float = 2.0,
    command: str = "",
    progress: Callable[[str], None] = say,
) -> list[Row]:
    """Measures the replay on the CPU, one thread.

    Args:
        out: a CSV file, or a folder for `replay.csv`, which is written anew. None: nothing is written.
        parts: of `priorities`, `store` and `memory`.
        capacities: of the priorities.
        batches: K batches of B, in one call.
        stored: capacity of `store`, transitions.
        filled: capacity of `memory`, transitions; 7.2 GB for a million.
        budget: seconds of timing for the sides of one line together.
        command: how this was asked for, for the rows.
        progress: gets a line for every row.

    Returns:
        the rows; see `COLUMNS`.

    Raises:
        ValueError: an unknown part.
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"unknown part {part!r}: known are {', '.join(PARTS)}")
    work: dict[str, Callable[[], Iterator[Row]]] = {
        "memory": lambda: bench_memory(filled),  # first: what others freed would be taken for nothing
        "priorities": lambda: bench_priorities(capacities, batches, budget),
        "store": lambda: bench_store(stored, batches, budget),
    }
    about, rows, threads = stamp(command) | {"threads": 1}, [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for part in (name for name in work if name in parts):
            for row in work[part]():
                rows.append(whole(COLUMNS, row, about))
                progress(describe(rows[-1]))
    finally:
        torch.set_num_threads(threads)
    if out is not None:
        write_results(out if out.suffix == ".csv" else out / "replay.csv", COLUMNS, rows)
    return rows


def describe(row: Row) -> str:
    """A row in a line."""
    head = f"{row['part']:10} {row['what']:15} {row['side']:8} {row['capacity']:>8} {row['batch']:>6}"
    if row["part"] == "memory":
        return f"{head}  {row['gb']:.3f} GB (expected {row['expected_gb']:.3f}), {row['seconds']:.1f} s"
    return f"{head} {row['p50_us']:9.1f} us"


def timed(part: str, capacity: int, batch: str, calls: dict[Any, Callable[[], Any]], budget: float) -> Any:
    """Rows of calls by (what, side), which take turns."""
    for (what, side), times in take_turns(calls, CPUClock(), budget).items():
        yield {
            "part": part, "what": what, "side": side, "capacity": capacity, "batch": batch,
            **{name: round(getattr(times, name), 2) for name in ("p20_us", "p50_us", "p80_us")},
        }  # fmt: skip


def bench_priorities(
    capacities: Sequence[int], batches: Sequence[tuple[int, int]], budget: float
) -> Iterator[Row]:
    """Rows of the part `priorities`: float32 TD errors as a learner gives them, both sides full."""
    keep_memory()
    priorities = Priorities()
    for capacity in capacities:
        torch.manual_seed(0)
        storage = LazyTensorStorage(capacity)
        storage.set(range(capacity), TensorDict({"x": torch.zeros(capacity)}, [capacity]))
        ours = Prioritized(capacity, priorities)
        ours.extend(torch.arange(capacity))
        theirs = PrioritizedSampler(capacity, priorities.alpha, priorities.beta, eps=priorities.eps)
        sides: dict[str, Any] = {OURS: ours, THEIRS: theirs}
        for sampler in sides.values():
            sampler.update_priority(torch.arange(capacity), torch.rand(capacity))
        for count, batch in batches:
            calls: dict[Any, Callable[[], Any]] = {}
            for side, sampler in sides.items():
                calls["sample", side] = functools.partial(sampler.sample, storage, count * batch)
                calls["update_priority", side] = _updates(sampler, capacity, count * batch)
            yield from timed("priorities", capacity, f"{count}x{batch}", calls, budget)


def _updates(sampler: Any, capacity: int, size: int) -> Callable[[], Any]:
    """Updates of other slots each time, or all would be in the cache."""
    turns = [(torch.randint(capacity, (size,)), torch.rand(size)) for _ in range(64)]
    return functools.partial(_next, lambda turn: sampler.update_priority(*turn), itertools.cycle(turns))


def bench_store(capacity: int, batches: Sequence[tuple[int, int]], budget: float) -> Iterator[Row]:
    """Rows of the part `store`; `add` is a rollout of 8 x 16 steps."""
    keep_memory()
    replays = {store: Replay(capacity, store=store) for store in ("whole", "frames")}
    source = Frames()
    while any(len(replay) < capacity for replay in replays.values()):
        rollout = source()
        for replay in replays.values():
            replay.add(rollout)
    # Rollouts that follow each other, over and over: the frame store compares each with the last.
    turns = [source() for _ in range(8)]
    calls: dict[Any, Callable[[], Any]] = {}
    for store, replay in replays.items():
        calls["add", store] = functools.partial(_next, replay.add, itertools.cycle(turns))
    yield from timed("store", capacity, f"{source.envs}x{source.time}", calls, budget)
    for count, batch in batches:
        calls = {}
        for store, replay in replays.items():
            calls["sample", store] = functools.partial(replay.sample, batch, count, "cpu")
        yield from timed("store", capacity, f"{count}x{batch}", calls, budget)


def _next(call: Callable[[Any], Any], arguments: Iterator[Any]) -> Any:
    return call(next(arguments))


def bench_memory(capacity: int) -> Iterator[Row]:
    """The row of the part `memory`."""
    source = Frames()
    Replay(source.envs * source.time, store="frames").add(source())  # what is loaded at first use
    before, begin, making = resident_bytes(), time.perf_counter(), 0.0
    replay = Replay(capacity, store="frames", priorities=Priorities())
    while len(replay) < capacity:
        start = time.perf_counter()
        rollout = source()
        making += time.perf_counter() - start
        replay.add(rollout)
    yield {
        "part": "memory", "what": "fill", "side": "frames", "capacity": capacity, "batch": "",
        "seconds": round(time.perf_counter() - begin - making, 2),
        "gb": round((resident_bytes() - before) / 1e9, 4),
        "expected_gb": round(replay_bytes(capacity, ATARI, 1, store="frames", prioritized=True) / 1e9, 4),
    }  # fmt: skip


def main() -> None:
    """`python -m catzoo.zoo.bench.replay --out DIR`."""
    parser = argparse.ArgumentParser(prog="python -m catzoo.zoo.bench.replay", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, help="folder for replay.csv; without it nothing is written")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--filled", type=int, default=1_000_000, help="transitions of the part memory")
    parser.add_argument("--budget", type=float, default=2.0, help="seconds of timing for each line")
    arguments = parser.parse_args()
    bench_replay(
        arguments.out,
        parts=arguments.parts,
        filled=arguments.filled,
        budget=arguments.budget,
        command="python -m catzoo.zoo.bench.replay "
        f"--parts {' '.join(arguments.parts)} --filled {arguments.filled} --budget {arguments.budget}",
    )


if __name__ == "__main__":
    main()
