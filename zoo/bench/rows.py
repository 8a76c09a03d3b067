"""Rows of a benchmark: stamped with what made them, and written as CSV."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catzoo.zoo.system.csv_rows import read_rows, write_rows
from catzoo.zoo.system.machine import usable_cores
from catzoo.zoo.system.provenance import cpu_model, versions

Row = dict[str, Any]


def stamp(command: str, *, device: str | None = None, also: Sequence[str] = ()) -> Row:
    """What is the same for every row; a table takes of it what it has columns for.

    Args:
        command: how the rows were asked for.
        device: what computes; by default the processor.
        also: packages whose versions count, beside our own.
    """
    import psutil

    cpu = cpu_model()
    return {
        "cpu": cpu,
        "device": device or cpu,
        "cores": usable_cores(),
        "versions": " ".join(f"{name}={version}" for name, version in versions(*also).items()),
        "load": round(psutil.getloadavg()[0], 2),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": command,
    }


def whole(columns: Sequence[str], *parts: Row) -> Row:
    """A row of these columns from parts, later ones first; what none of them has is an empty cell."""
    return {name: next((part[name] for part in reversed(parts) if name in part), "") for name in columns}


def write_results(file: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Writes a CSV file anew."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_rows(file, list(columns), list(rows))


def append_results(file: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Writes a CSV file with what is in it already, and these rows after it."""
    write_results(file, columns, [*read_rows(file), *rows])


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    import psutil

    return psutil.Process().memory_info().rss
