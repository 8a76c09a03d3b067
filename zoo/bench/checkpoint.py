"""`catzoo bench checkpoint`: what saving and restoring a run costs, beside the disk's own speed.

An Atari agent of the zoo with its replay of frames full, frames of noise; the parts are the agents.

| what | row |
|---|---|
| fill | filling the replay; gb is its own size |
| save_first | a checkpoint that has everything to write; gb is what it wrote |
| spill | `Checkpoints.spill()` after each rollout, as training calls it; seconds and gb are a round's |
| save_next | a checkpoint after a round of such rollouts; training stands still so long |
| disk | what two checkpoints take on the disk, hard links counted once |
| iteration | an iteration of training, without saving, for comparison |
| restore | verifying and loading, files not in memory; gb is the most memory taken beyond the replay's size |

One thread. `disk_mb_s` is the disk's speed just before: a file written and waited for.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict

from catzoo.agents import AtWork, Checkpoints, replay_bytes
from catzoo.hparams import RecipeError
from catzoo.zoo.bench.atari_frames import ATARI, Frames
from catzoo.zoo.bench.rows import Row, resident_bytes, stamp, whole, write_results
from catzoo.zoo.system.console import say
from catzoo.zoo.system.machine import usable_memory
from catzoo.zoo.system.signals import stops_raise
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.train import recipe_of

COLUMNS = (
    "part", "what", "transitions", "seconds", "p50_ms", "p99_ms", "max_ms", "gb", "disk_mb_s",
    "device", "versions", "load", "date", "command",
)  # fmt: skip
"""Of the CSV; an empty cell was not measured. gb is 1e9 bytes; ms are over the calls of all rounds."""
PARTS = ("dqn", "rainbow")
ENV = "ALE/Pong-v5"


def bench_checkpoint(
    out: Path | None,
    *,
    parts: Sequence[str] = PARTS,
    transitions: Sequence[int] = (100_000, 1_000_000),
    scratch: Path | None = None,
    between: int = 10_000,
    rounds: int = 4,
    iterations: int = 40,
    probe: int = 256 << 20,
    command: str = "",
    progress: Callable[[str], None] = say,
) -> list[Row]:
    """Measures checkpoints on the CPU.

    Args:
        out: a CSV file, or a folder for `checkpoint.csv`, which is written anew. None: nothing is written.
        parts: agents, of `PARTS`.
        transitions: sizes of the replay.
        scratch: a folder on the disk to measure; what is put there is removed.
        between: transitions from one checkpoint to the next.
        rounds: checkpoints after the first.
        iterations: of training, to compare with.
        probe: bytes of the file that tells the disk's speed.
        command: how this was asked for, for the rows.
        progress: gets a line for every row.

    Returns:
        the rows; see `COLUMNS`.

    Raises:
        RecipeError: an unknown part, or too little memory or disk.
    """
    for part in parts:
        if part not in PARTS:
            raise RecipeError(f"unknown part {part!r}: known are {', '.join(PARTS)}")
    about, rows, threads = stamp(command), [], torch.get_num_threads()
    try:
        with (
            stops_raise(),
            tempfile.TemporaryDirectory(prefix="catzoo-checkpoint-", dir=scratch) as folder,
        ):
            check_room(max(transitions), Path(folder))
            for part, size in ((part, size) for part in parts for size in transitions):
                own, speed = Path(folder) / f"{part}-{size}", disk_speed(Path(folder), probe)
                same = {"part": part, "transitions": size, "disk_mb_s": round(speed / 1e6, 1)}
                for row in bench_agent(part, size, own, between, rounds, iterations):
                    rows.append(whole(COLUMNS, about, same, row))
                    progress(describe(rows[-1]))
                shutil.rmtree(own)
    finally:
        torch.set_num_threads(threads)
    if out is not None:
        write_results(out if out.suffix == ".csv" else out / "checkpoint.csv", COLUMNS, rows)
    return rows


def describe(row: Row) -> str:
    """A row in a line."""
    calls = "" if row["p50_ms"] == "" else "  p50 {p50_ms} ms, p99 {p99_ms}, max {max_ms}".format(**row)
    size = "" if row["gb"] == "" else f"  {row['gb']:.3f} GB"
    seconds = "" if row["seconds"] == "" else f"{row['seconds']:.3f} s"
    head = f"{row['part']:8} {row['transitions']:>8} {row['what']:10} {seconds:>10}"
    return f"{head}{size}{calls}  (disk {row['disk_mb_s']} MB/s)"


def check_room(transitions: int, folder: Path) -> None:
    """RecipeError unless memory and disk have room for a replay of so many transitions."""
    size = replay_bytes(transitions, ATARI, 1, store="frames", prioritized=True)
    disk, memory = shutil.disk_usage(folder).free, usable_memory()
    for needed, free, where in (
        (size, memory, "in memory"), (2 * size + 2**30, disk, f"on the disk of {folder.parent}")
    ):  # fmt: skip
        if needed > free:
            raise RecipeError(
                f"{transitions} transitions need {needed / 1e9:.1f} GB {where} and {free / 1e9:.1f} GB are "
                "free: lower --transitions, or name another disk with --scratch"
            )


def disk_speed(folder: Path, size: int) -> float:
    """Bytes a second of a file that is written and waited for."""
    noise, path = os.urandom(size), folder / "probe"
    start = time.perf_counter()
    with path.open("wb") as file:
        file.write(noise)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    path.unlink()
    return size / seconds


class Noise(Frames):
    """Rollouts as a collector makes them, of frames of noise: nothing compresses."""

    def __init__(self, envs: int, time: int) -> None:
        super().__init__(envs, time)
        self.random = np.random.default_rng(0)

    def __call__(self) -> TensorDict:
        stack = ATARI[0]
        fresh = self.frames[stack:-stack]  # the last ones are seen already: the next rollout begins with them
        if fresh.numel():
            fresh.view(-1)[:] = torch.frombuffer(
                bytearray(self.random.bytes(fresh.numel())), dtype=torch.uint8
            )
        rollout = super().__call__()
        rollout["collector"] = TensorDict(
            {"mask": torch.ones(rollout.batch_size, dtype=torch.bool)}, batch_size=rollout.batch_size
        )
        return rollout


def make(part: str, transitions: int) -> AtWork:
    """The zoo's agent for Atari, with an empty replay."""
    overrides = [
        f"replay.capacity={transitions}", "replay.store=frames", "replay.place=memory",
        "compute.device=cpu", "compute.threads=1", "compute.overlap=false",
    ]  # fmt: skip
    return build_trainer(recipe_of(part, ENV, overrides=overrides))


def bench_agent(
    part: str, transitions: int, folder: Path, between: int, rounds: int, iterations: int
) -> Iterator[Row]:
    """Rows of one agent with one size of replay."""
    work = make(part, transitions)
    source = Noise(
        work.feed.collector.num_envs, work.feed.collector.frames_per_batch // work.feed.collector.num_envs
    )
    with contextlib.closing(work):
        times = []
        while len(work.feed.replay) < transitions:
            times.append(store(work, source))
        work.learn(work.feed.bursts.sample(16, work))  # the optimizer has something to save too
        held = sum(
            min(ring.count, ring.size) * ring.row_bytes() for ring in work.feed.replay.rings().values()
        )
        yield {"what": "fill", "seconds": round(sum(times), 3), "gb": round(held / 1e9, 4)}
        yield from bench_saves(work, source, folder, between, rounds)
        yield iteration_row(work, iterations)
    del work, source
    gc.collect()
    yield bench_restore(part, transitions, folder, held)


def bench_saves(work: AtWork, source: Noise, folder: Path, between: int, rounds: int) -> Iterator[Row]:
    """Rows of the first checkpoint and of those after it."""
    checkpoints = Checkpoints(folder, work)
    seconds = clock(checkpoints.save)
    yield {"what": "save_first", "seconds": round(seconds, 3), "gb": used(folder)}
    saves, spills, saved, spilled = [], [], 0, 0
    for _ in range(rounds):
        before, end = files_in(folder), work.steps + between
        while work.steps < end:
            store(work, source)
            spills.append(clock(checkpoints.spill))
        halfway = files_in(folder)
        spilled += sum(size for file, size in halfway.items() if file not in before)
        saves.append(clock(checkpoints.save))
        saved += sum(size for file, size in files_in(folder).items() if file not in halfway)
    for what, times, written in (("spill", spills, spilled), ("save_next", saves, saved)):
        each = {"seconds": round(sum(times) / rounds, 4), "gb": round(written / rounds / 1e9, 4)}
        yield {"what": what, **each, **spread(times)}
    yield {"what": "disk", "gb": used(folder)}


def iteration_row(work: AtWork, iterations: int) -> Row:
    """Whole iterations in the environment, with the updates that belong to them."""
    work.feed.replay.cut()
    work.updates += max(work.feed.updates_due(work), 0)
    times = [clock(work.iterate) for _ in range(iterations)]
    return {"what": "iteration", "seconds": round(sum(times), 3), **spread(times)}


def bench_restore(part: str, transitions: int, folder: Path, held: int) -> Row:
    """The row of restoring into an agent made anew; the system is asked to forget the files first."""
    with contextlib.closing(make(part, transitions)) as work:
        for path in (path for path in folder.rglob("*") if path.is_file()):
            forget(path)
        checkpoints = Checkpoints(folder, work)
        before = resident_bytes()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
        seconds = clock(checkpoints.restore)
        if len(work.feed.replay) != transitions or checkpoints.passed_over:
            raise RuntimeError(f"restored {len(work.feed.replay)} transitions: {checkpoints.passed_over}")
        beyond = peak_bytes() - before - held
        return {"what": "restore", "seconds": round(seconds, 3), "gb": round(beyond / 1e9, 4)}


def store(work: AtWork, source: Noise) -> float:
    """Adds a rollout as the feed does, without learning; returns the seconds, its making left out."""
    rollout = source()
    work.steps += rollout.numel()
    return clock(lambda: work.feed.replay.add(rollout))


def clock(call: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def spread(times: Sequence[float]) -> Row:
    """Median, 99th percentile and longest, in ms."""
    values = np.quantile(times, (0.5, 0.99, 1.0)) * 1e3
    return dict(
        zip(("p50_ms", "p99_ms", "max_ms"), (round(float(value), 3) for value in values), strict=True)
    )


def files_in(folder: Path) -> dict[tuple[int, int], int]:
    """Bytes on the disk by file, whatever its names; a number may come again, at another time."""
    states = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return {(state.st_ino, state.st_mtime_ns): state.st_blocks * 512 for state in states}


def used(folder: Path) -> float:
    """What a folder takes on the disk, in 1e9 bytes."""
    return round(sum(files_in(folder).values()) / 1e9, 4)


def forget(path: Path) -> None:
    """Asks the system to keep nothing of a file in memory."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def peak_bytes() -> int:
    """The most memory that this process had in use since its peak was reset."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
