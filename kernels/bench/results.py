"""Rows: what a measurement says, how it is derived from times, and the CSV that keeps it."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from catzoo.kernels.bench.settings import BenchError
from catzoo.kernels.bench.sides import COPY, EAGER

Row = dict[str, Any]

KEY = ("part", "label", "side", "rows", "actions", "bins", "dtype", "device", "threads", "versions", "budget")
"""A row with these is not measured twice."""
COLUMNS = (
    *KEY[:7],
    "p20_us",
    "p50_us",
    "p80_us",
    "gb_per_s",
    "copy_share",
    "speedup",
    "launches",
    "operations",
    "host_syncs",
    "peak_bytes",
    "loss_error",
    "grad_error",
    "blocks",
    "calls",
    "note",
    *KEY[7:],
    "load",
    "date",
    "command",
)
"""Of the CSV. An empty cell was not measured.

| column | meaning |
|---|---|
| part, label, side | the part of the benchmark; the label that is computed; who computes it |
| rows, actions, bins | N, 0, K of a loss; batch B, A, K of a Bellman step |
| p20_us, p50_us, p80_us | percentiles of a call's time over the blocks, microseconds |
| gb_per_s | bytes that the job must move (2 N K of the logits' dtype; 3 if another [N, K] is read) by p50 |
| copy_share | gb_per_s by that of a copy of the logits in the same rounds |
| speedup | p50 of `eager` by p50, in the same rounds |
| launches | kernels, copies and fills on the GPU in one call |
| operations | PyTorch operators in one call on a CPU, nested ones not counted |
| host_syncs | times that the host waits for the GPU in one call |
| peak_bytes | memory in use above the inputs, outputs included; PyTorch's own on a CPU |
| loss_error, grad_error | largest absolute error against the float64 reference, in up to 4096 rows |
| blocks, calls | timed blocks, and calls in each |
| note | why there is no time |
| device, threads, versions, budget | what on; threads are PyTorch's on the CPU, budget seconds a cell |
| load | the machine's load average before the measurement |
| date, command | when, and how |
"""
INTEGERS = (
    "rows", "actions", "bins", "launches", "operations", "host_syncs", "peak_bytes", "blocks", "calls",
    "threads",
)  # fmt: skip
FLOATS = (
    "p20_us", "p50_us", "p80_us", "gb_per_s", "copy_share", "speedup", "loss_error", "grad_error", "load",
    "budget",
)  # fmt: skip
NUMBERS: dict[str, Callable[[str], Any]] = dict.fromkeys(INTEGERS, int) | dict.fromkeys(FLOATS, float)


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row is known by."""
    return tuple(row[name] for name in KEY)


def gb_per_s(needed_bytes: float, microseconds: float) -> float:
    """Gigabytes (1e9) a second."""
    return needed_bytes / microseconds / 1e3


def derive(rows: Sequence[Row], needed_bytes: Mapping[str, float]) -> None:
    """Fills gb_per_s, copy_share and speedup of one cell's rows; bytes are by label, 0 where nobody asks."""
    times = {row["side"]: row["p50_us"] for row in rows if row["p50_us"] != ""}
    copied = needed_bytes.get("none", 0)
    for row in rows:
        needed = needed_bytes.get(row["label"], 0)
        if row["p50_us"] == "":
            continue
        if needed:
            row["gb_per_s"] = rounded(gb_per_s(needed, row["p50_us"]))
            if copied and COPY in times:
                share = gb_per_s(needed, row["p50_us"]) / gb_per_s(copied, times[COPY])
                row["copy_share"] = rounded(share)
        if EAGER in times and row["side"] != COPY:
            row["speedup"] = rounded(times[EAGER] / row["p50_us"])


def rounded(value: float) -> float:
    """Four digits: more would be noise."""
    return float(f"{value:.4g}")


def csv_file(out: Path | str | None) -> Path | None:
    """The CSV of an --out: a file by that name, or `kernels.csv` in that folder."""
    if out is None:
        return None
    out = Path(out)
    return out if out.suffix == ".csv" else out / "kernels.csv"


def read(file: Path | None) -> list[Row]:
    """The rows that are there, numbers as numbers; raises BenchError for a file that is not such rows."""
    if file is None:
        return []
    try:
        if not file.exists():
            return []
        with file.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise BenchError(f"{file}: not rows of this benchmark; choose another file, or start afresh")
            return [_typed(row) for row in reader]
    except BenchError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{file}: cannot be read: {error}") from None
    except (ValueError, TypeError):
        raise BenchError(f"{file}: a row of it is broken; mend it, or start afresh") from None


def check_writable(file: Path | None) -> None:
    """Raises BenchError if the file could not be written; leaves no trace."""
    if file is None:
        return
    try:
        folder = next(parent for parent in file.absolute().parents if parent.exists())
        able = folder.is_dir() and os.access(folder, os.W_OK)
        able = able and not file.is_dir() and (not file.exists() or os.access(file, os.W_OK))
    except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
        raise BenchError(f"{str(file)[:80]!r}: cannot be written: {error}") from None
    if not able:
        raise BenchError(f"{file}: cannot be written")


def append(file: Path | None, rows: Iterable[Row]) -> None:
    """Adds rows at the end; raises BenchError if that fails."""
    rows = list(rows)
    if file is None or not rows:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = not file.exists()
        with file.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise BenchError(f"{file}: cannot be written: {error.strerror or error}") from None


def _typed(row: Mapping[str, str]) -> Row:
    return {name: NUMBERS.get(name, str)(cell) if cell != "" else "" for name, cell in row.items()}
