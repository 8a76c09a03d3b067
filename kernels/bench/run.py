"""The loop over cells: measure what is not there yet, write it down, say so."""

from __future__ import annotations

import datetime
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from catzoo.kernels.bench import counters, results, tasks
from catzoo.kernels.bench.results import COLUMNS, Row
from catzoo.kernels.bench.settings import Cell, Settings, Settled, cells
from catzoo.kernels.bench.sides import COPY, EAGER, OURS, Call, Side, sides_of
from catzoo.kernels.bench.tasks import Task
from catzoo.kernels.bench.timing import Clock, CPUClock, GPUClock, keep_memory, take_turns
from catzoo.version import __version__

PACKAGES = ("torch", "triton", "numba", "hl-gauss-pytorch", "liger-kernel", "torchrl")
NOT_ON_A_CPU = "no GPU: launches, host syncs and CUDA graphs are not measured; operations and memory are"
WARM_UP = 3


def say(text: str) -> None:
    """A line on standard output, at once."""
    if sys.stdout is not None:  # a service has none
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def run_bench(
    settings: Settings,
    out: Path | str | None = None,
    *,
    fresh: bool = False,
    peers: Mapping[str, Sequence[Side]] | None = None,
    device_name: str | None = None,
    command: str = "",
    progress: Callable[[str], None] = say,
) -> list[Row]:
    """Measures what `settings` ask for; a benchmark that was interrupted goes on.

    Args:
        settings: what to measure, and where.
        out: a CSV file, or a folder for `kernels.csv`; rows are appended as they come, and what is there
            already, on the same device and versions, is not measured again. None: nothing is written.
        fresh: what is in the file is thrown away first.
        peers: other libraries' sides, by part.
        device_name: of the processor; a GPU's own name by default, and what Python calls the processor.
        command: how this was asked for, for the rows.
        progress: gets a line for every cell.

    Returns:
        The rows of all that was asked for, old and new; see `results.COLUMNS`.

    Raises:
        BenchError: something that cannot be measured, or an `out` that cannot be used.
    """
    settled = settings.settle()
    file = results.csv_file(out)
    results.check_writable(file)
    if fresh and file is not None:
        file.unlink(missing_ok=True)
    stamp = _stamp(settled, device_name, command)
    done = {
        results.key(row): row for row in results.read(file) if not row["note"]
    }  # what failed is tried again
    progress(f"{stamp['device']}, {settled.threads} CPU thread(s), {stamp['versions']}")
    if settled.device.type == "cpu":
        progress(NOT_ON_A_CPU)
        keep_memory()
    rows: list[Row] = []
    start, todo = time.monotonic(), list(cells(settled))
    on_device = torch.cuda.device(settled.device) if settled.device.type == "cuda" else nullcontext()
    with _threads(settled.threads), on_device:  # streams and events are the current device's
        for number, cell in enumerate(todo, 1):
            sides = sides_of(cell, settled, peers or {})
            known = {side: done.get(results.key(_blank(cell, side) | stamp)) for side in sides}
            missing = [side for side, row in known.items() if row is None]
            if missing and settled.limit and time.monotonic() - start > settled.limit:
                left = len(todo) - number + 1
                progress(f"{left} cells are left after {settled.limit:g} s: the same command goes on")
                break
            measured = _measure(cell, missing, sides, settled, stamp) if missing else {}
            results.append(file, (measured[side] for side in missing))
            own = [known[side] or measured[side] for side in sides]
            progress(f"[{number}/{len(todo)}] {_line(cell, own)}{'' if missing else ' (was there)'}")
            rows += own
    return rows


def _measure(
    cell: Cell, missing: Sequence[Side], sides: Sequence[Side], settled: Settled, stamp: Row
) -> dict[Side, Row]:
    """Rows of the missing sides, and of those that the ratios need."""
    wanted = [side for side in sides if side in missing or side.name in (COPY, EAGER)]
    stamp = stamp | {"load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else ""}
    rows = {side: _blank(cell, side) | stamp for side in wanted}
    make_task = _tasks(cell, settled.device)
    calls: dict[Side, Call] = {}
    for side in wanted:
        try:
            calls[side], found = _inspect(side, make_task(rows[side]["label"]), settled.device)
            rows[side] |= found
        except Exception as error:  # whatever another library does: the others are measured all the same
            rows[side]["note"] = _reason(error)
        _free(settled.device)
    for side, times in take_turns(calls, _clock(cell, settled.device), settled.budget).items():
        rows[side] |= times._asdict() | {
            name: results.rounded(getattr(times, name)) for name in ("p20_us", "p50_us", "p80_us")
        }
    bytes_by_label = {rows[side]["label"]: make_task(rows[side]["label"]).needed_bytes for side in calls}
    results.derive(list(rows.values()), bytes_by_label)
    calls.clear()
    _free(settled.device)
    return rows


def _inspect(side: Side, task: Task, device: torch.device) -> tuple[Call, Row]:
    """A side's call, warmed up, and all about it that is not time."""
    call = side.make(task)
    for _ in range(WARM_UP):
        result = call()
    found: Row = {}
    if result is not None:
        rows = tasks.checked_rows(len(result[0]), device)
        loss, grad = counters.errors(result, task.truth(rows), rows)
        found = {"loss_error": float(f"{loss:.3g}"), "grad_error": float(f"{grad:.3g}")}
        del result
    if device.type == "cpu":
        found["operations"] = counters.operations(call)
    else:
        launches = counters.launches(call)
        found["launches"] = "" if launches is None else launches
        found["host_syncs"] = counters.host_syncs(call)
    if not side.graphed:  # a graph owns its memory
        found["peak_bytes"] = counters.peak_bytes(call, device)
    return call, found


def _tasks(cell: Cell, device: torch.device) -> Callable[[str], Task]:
    """Makes the task of each label of a cell once, on the same inputs."""
    if cell.part in ("td", "linear"):
        task = tasks.make_td_task(cell, device) if cell.part == "td" else tasks.make_linear_task(cell, device)
        return lambda label: task
    inputs = tasks.make_inputs(cell, device)
    made: dict[str, Task] = {}

    def make(label: str) -> Task:
        label = "hl_gauss" if label == "none" else label
        if label not in made:
            made[label] = tasks.loss_task(label, inputs)
        return made[label]

    return make


def _clock(cell: Cell, device: torch.device) -> Clock:
    return CPUClock() if device.type == "cpu" else GPUClock(device, device_time=cell.part != "td")


def _blank(cell: Cell, side: Side) -> Row:
    return dict.fromkeys(COLUMNS, "") | {
        "part": cell.part,
        "label": side.label or cell.label,
        "side": side.name,
        "rows": cell.rows,
        "actions": cell.actions,
        "bins": cell.bins,
        "dtype": cell.dtype,
    }


def _stamp(settled: Settled, device_name: str | None, command: str) -> Row:
    if settled.device.type == "cuda":
        name = torch.cuda.get_device_name(settled.device)
    else:
        name = device_name or platform.processor() or platform.machine()
    return {
        "device": name,
        "threads": settled.threads,
        "versions": versions(),
        "budget": settled.budget,
        "date": datetime.date.today().isoformat(),
        "command": command,
    }


def versions() -> str:
    """Versions of all that is measured, `name=version` with blanks between."""
    found = {"catzoo": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return " ".join(f"{name}={version}" for name, version in found.items())


def _line(cell: Cell, rows: Sequence[Row]) -> str:
    times = {row["side"]: row for row in reversed(rows)}
    shown: list[Any] = [times[name] for name in (OURS, "catzoo fused", EAGER, COPY) if name in times]
    if cell.part == "labels":
        return f"{cell}: {len(rows)} labels"
    return f"{cell}: " + ", ".join(
        f"{row['side']} {row['p50_us']:,.4g} us" if row["p50_us"] != "" else f"{row['side']} {row['note']}"
        for row in shown
    )


def _reason(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory"
    lines = str(error).strip().splitlines() or ["no message"]
    return f"failed: {type(error).__name__}: {lines[0][:160]}"


def _free(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
